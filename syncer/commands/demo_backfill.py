"""Generates demo history: polls the emulated endpoint through the real data path, as if at times in the past.

The database's clock (`syncer.clock()`) is set to the time of each poll, so that runs, periods and windows get the
timestamps they would have had. At the end the original clock is restored.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from syncer.config.accounts import load_accounts
from syncer.config.settings import Settings
from syncer.emulator import STATIC, Emulator
from syncer.emulator.simulation import Simulation
from syncer.endpoint.client import Source
from syncer.names.reader import NameReader
from syncer.poll import Poller
from syncer.store.accounts import read_account_ids
from syncer.store.engine import autocommit_connection
from syncer.store.schedule import read_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from syncer.database import Database
    from syncer.store.engine import Engine

NUMBERS: Final = 200
TOKEN: Final = "demo"  # noqa: S105 - the emulated endpoint's
BACKFILL_INTERVAL: Final = timedelta(hours=6)
"""The time between two polls."""
_POLLS_PER_READING: Final = 8
"""The lists of names are read after every so many polls, which is every other day."""
_LIVE_NAMES_INTERVAL: Final = timedelta(seconds=30)
_MAX_DAYS: Final = 730


def parse_days(text: str) -> int:
    """Parses a number of days such as 180d.

    Raises:
        ValueError: The text is not a number of days in the allowed range.
    """
    match = re.fullmatch("([0-9]{1,3})d", text)
    if match is None or not 1 <= int(match[1]) <= _MAX_DAYS:
        raise ValueError(f"it must be a number of days from 1d to {_MAX_DAYS}d, such as 180d")
    return int(match[1])


async def backfill_demo(database: Database, days: int, seed: int, *, until: datetime | None = None) -> None:
    """Generates demo history in an empty database that has the newest schema; it depends on the seed only.

    Args:
        database: The database to fill; its owner must be able to replace the clock function.
        days: How many days of history to generate.
        seed: The seed of the numbers and of their changes.
        until: The time of the last poll; None means now.
    """
    async with Emulator(numbers=NUMBERS, seed=seed, token=TOKEN, rates=STATIC) as emulator:
        await backfill_account(emulator, database, settings_for(emulator), days, seed, until=until)


async def backfill_account(
    emulator: Emulator,
    database: Database,
    settings: Settings,
    days: int,
    seed: int,
    *,
    until: datetime | None = None,
    on_progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> None:
    """Generates the history of one account; afterwards the emulated endpoint can continue from its state.

    Args:
        emulator: The endpoint, in its initial state.
        database: See `backfill_demo`.
        settings: The settings of the account.
        days: See `backfill_demo`.
        seed: The seed of the changes.
        until: See `backfill_demo`.
        on_progress: Called after each poll with the number of polls done and their total.
    """
    zone = settings.timezone
    until = (until or await read_clock(database.owner_engine)).astimezone(zone)
    start = datetime.combine(until.date() - timedelta(days=days), time(), tzinfo=zone)
    simulation = Simulation(emulator.fleet(TOKEN), seed=seed, start=start, days=days)
    poll_times = [until - index * BACKFILL_INTERVAL for index in range((until - start) // BACKFILL_INTERVAL, -1, -1)]
    moments = [moment for moment in poll_times if simulation.is_poller_on(moment)]
    settings = settings.model_copy(
        # A retry cannot cure a fault that lasts for hours.
        update={"api_attempts": 1, "names_interval": BACKFILL_INTERVAL}
    )
    (account,) = load_accounts(settings)
    async with Source(settings) as source, _controlled_clock(database.owner_engine) as set_clock:
        poller = Poller(database.engine, source, settings)
        names = NameReader(database.engine, source, settings, poller.metrics.names, poller.verified_tokens)
        for index, moment in enumerate(moments, start=1):
            simulation.advance_to(moment)
            emulator.fault = simulation.fault_at(moment)
            await set_clock(moment)
            await poller.poll(account, "schedule")
            if index % _POLLS_PER_READING == 1:
                ids = await read_account_ids(database.engine, [account.name])
                accounts = dict.fromkeys(ids.values(), account)
                await names.register(accounts)
                await names.read_due(accounts)
            on_progress(index, len(moments))
    emulator.fault = None


def settings_for(emulator: Emulator) -> Settings:
    """Returns settings for one account that ignore the environment."""
    return Settings.model_construct(
        api_url=emulator.url,
        api_token=SecretStr(TOKEN),
        account_name="demo",
        names=("employees", "groups", "scenarios"),
        names_interval=_LIVE_NAMES_INTERVAL,
    )


@asynccontextmanager
async def _controlled_clock(engine: Engine) -> AsyncIterator[Callable[[datetime], Awaitable[None]]]:
    """Yields a function that sets the database's clock to a fixed time; the original clock is restored at the end."""
    async with autocommit_connection(engine) as connection:
        clock_definition = await connection.fetchval("select pg_get_functiondef('syncer.clock()'::regprocedure)")
    try:
        async with autocommit_connection(engine) as connection:

            async def set_clock(moment: datetime) -> None:
                await connection.execute(
                    "create or replace function syncer.clock() returns timestamptz language sql stable parallel safe "
                    f"begin atomic select timestamptz '{moment.isoformat()}'; end"
                )

            yield set_clock
    finally:
        # On a new connection: the other one may be in the middle of a statement.
        async with autocommit_connection(engine) as connection:
            await connection.execute(clock_definition)
