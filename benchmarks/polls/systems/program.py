"""The program, as the daemon polls.

    python -m benchmarks.polls.systems.program ENDPOINT DATABASE TINY_ACCOUNTS

So many accounts of a few numbers are polled first, in the same process and on the same connections, and the last one
again when its numbers have changed: a daemon has long been running when it polls.
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

from benchmarks.polls.systems.turn import STEPS, take_turns
from benchmarks.polls.workload import TINY
from syncer.cli import THREAD_SWITCH_SECONDS
from syncer.config.accounts import load_accounts
from syncer.config.settings import Settings
from syncer.daemon.malloc import tune_malloc
from syncer.endpoint.client import Source
from syncer.poll import Poller
from syncer.store.engine import create_engine

if TYPE_CHECKING:
    from syncer.config.accounts import Account


class Program:
    """Polls in one process and on one pool of connections."""

    def __init__(self, endpoint: str, database: str) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        tune_malloc()
        self._endpoint, self._database = endpoint, database
        self._settings = Settings.model_construct(
            api_url=endpoint, api_token=SecretStr("token"), api_attempts=1, api_max_bytes=2**32
        )
        (self._account,) = load_accounts(self._settings)
        self.loop = asyncio.new_event_loop()
        self._engine = create_engine(lambda: database, pool_size=10)
        self._source = Source(self._settings)
        self.loop.run_until_complete(self._source.__aenter__())
        self.forget()

    def close(self) -> None:
        """Closes all connections."""
        self.loop.run_until_complete(self._source.__aexit__(None, None, None))
        self.loop.run_until_complete(self._engine.dispose())

    def forget(self) -> None:
        """Begins with nothing in memory, as a daemon that was restarted."""
        self._poller = Poller(self._engine, self._source, self._settings)

    def work(self, step: int) -> None:
        """Polls the account of the benchmark."""
        self.loop.run_until_complete(self._poll(self._account, str(step)))

    def load_tiny_accounts(self, accounts: int) -> None:
        """Polls so many accounts of a few numbers; in the middle PostgreSQL counts the rows, in the end they change."""
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
    """Takes turns."""
    program = Program(endpoint, database)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    gc.freeze()  # as a command does
    program.load_tiny_accounts(int(tiny_accounts))

    def prepare(step: int) -> None:
        if STEPS[step].endswith("restarted"):
            program.forget()

    take_turns(program.work, prepare=prepare)
    program.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
