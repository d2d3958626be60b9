"""The program, as the daemon polls: `python program.py ENDPOINT DATABASE`."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace

import asyncpg
import structlog
from pydantic import SecretStr

from benchmarks.polls.systems.turn import CURRENT, STEPS, take_turns
from syncer.accounts import load_accounts
from syncer.poll import Poller
from syncer.settings import Settings
from syncer.source import Source
from syncer.store.engine import create_engine

NUMBERS = "select virtual_number_id as id, number, state, comment from syncer.virtual_number where removed_at is null"


def main(endpoint: str, database: str) -> None:
    """Polls one account, in one process and on one pool of connections."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    loop = asyncio.new_event_loop()
    engine = create_engine(lambda: database)
    settings = Settings.model_construct(
        api_url=endpoint, api_token=SecretStr("token"), api_attempts=1, api_max_bytes=2**31
    )
    (account,) = load_accounts(settings)
    source = Source(settings)
    loop.run_until_complete(source.__aenter__())
    poller = Poller(engine, source, settings)

    def work(step: int) -> None:
        nonlocal poller
        if STEPS[step].endswith("restarted"):
            poller = Poller(engine, source, settings)
        result = loop.run_until_complete(poller.poll(replace(account, api_url=f"{endpoint}/{step}"), "schedule"))
        if result.outcome not in {"applied", "unchanged"}:
            sys.exit(f"{STEPS[step]}: {result.error}")

    async def current() -> str:
        connection = await asyncpg.connect(database)
        found: str = await connection.fetchval(CURRENT.format(NUMBERS))
        await connection.close()
        return found

    take_turns(work, lambda: loop.run_until_complete(current()))


if __name__ == "__main__":
    main(*sys.argv[1:])
