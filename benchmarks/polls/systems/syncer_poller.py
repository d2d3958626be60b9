"""Polls with syncer, as its daemon does.

    python -m benchmarks.polls.systems.syncer_poller ENDPOINT DATABASE TINY_ACCOUNTS

To warm up, it first polls this many accounts with few numbers, in the same process and on the same connections, and
then the last of them again with changed numbers.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import structlog
from pydantic import SecretStr

from benchmarks.polls.systems.steps import STEPS, run_steps
from benchmarks.polls.workload import TINY
from syncer.cli import THREAD_SWITCH_SECONDS
from syncer.cli.context import COLLECTION_THRESHOLD
from syncer.config.accounts import load_accounts
from syncer.config.settings import Settings
from syncer.endpoint.client import Source
from syncer.malloc import tune_malloc
from syncer.poll import Poller
from syncer.store.engine import Engine

if TYPE_CHECKING:
    from syncer.config.accounts import Account


class SyncerPoller:
    """Polls in one process, with one connection pool."""

    def __init__(self, endpoint: str, database: str) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        tune_malloc()
        self._endpoint, self._database = endpoint, database
        self._settings = Settings.model_construct(
            api_url=endpoint, api_token=SecretStr("token"), api_attempts=1, api_max_bytes=2**32
        )
        (self._account,) = load_accounts(self._settings)
        self.loop = asyncio.new_event_loop()
        self._engine = Engine(lambda: database, pool_size=10)
        self._source = Source(self._settings)
        self.loop.run_until_complete(self._source.__aenter__())
        self.clear_memory()

    def close(self) -> None:
        """Closes all connections."""
        self.loop.run_until_complete(self._source.__aexit__(None, None, None))
        self.loop.run_until_complete(self._engine.dispose())

    def clear_memory(self) -> None:
        """Clears the cached fingerprints, as a restart of the daemon does."""
        self._poller = Poller(self._engine, self._source, self._settings)

    def work(self, step: int) -> None:
        """Polls the account of the benchmark."""
        self.loop.run_until_complete(self._poll(self._account, str(step)))

    def load_tiny_accounts(self, accounts: int) -> None:
        """Polls new accounts with few numbers; runs ANALYZE halfway, and polls the last one again with changes."""
        self.loop.run_until_complete(self._load_tiny_accounts(accounts))

    async def _load_tiny_accounts(self, accounts: int) -> None:
        loaded, changed = TINY
        for number in range(accounts):
            account = replace(self._account, name=f"tiny {number}")
            await self._poll(account, loaded)
            if 2 * number == accounts:
                connection = await asyncpg.connect(self._database)
                await connection.execute("analyze")
                await connection.close()
        await self._poll(account, changed)

    async def _poll(self, account: Account, path: str) -> None:
        result = await self._poller.poll(replace(account, api_url=f"{self._endpoint}/{path}"), "schedule")
        if result.outcome not in {"applied", "unchanged"}:
            sys.exit(f"{path}: {result.error}")


def main(endpoint: str, database: str, tiny_accounts: str) -> None:
    """Runs the requested steps."""
    poller = SyncerPoller(endpoint, database)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    gc.freeze()  # as the command line does, and so is the next line
    gc.set_threshold(COLLECTION_THRESHOLD)
    poller.load_tiny_accounts(int(tiny_accounts))

    def prepare(step: int) -> None:
        if STEPS[step].endswith("restarted"):
            poller.clear_memory()

    run_steps(poller.work, prepare=prepare)
    poller.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
