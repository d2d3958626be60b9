"""Polls with the upsert that is usually written by hand, with SQLAlchemy Core.

    python -m benchmarks.polls.systems.upsert ENDPOINT DATABASE FORM

It stores current rows and no history. The form `executemany` sends one row per statement, `values` a thousand.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import aiohttp
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.polls.systems.steps import run_steps

METADATA: Final = sa.MetaData()
_INTEGERS: Final = ("scenario_id", "group_scenario_id", "group_id", "employee_id", "app_id")
_BOOLEANS: Final = ("is_scenario_active", "is_group_scenario_active")
_TEXTS: Final = (
    *("number", "comment", "type", "purpose", "state", "reason", "dgn_number", "redirect_number"),
    *("region_name", "nc_type", "sip_uri"),
)
NUMBERS: Final = sa.Table(
    "numbers",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text) for name in _TEXTS),
    *(sa.Column(name, sa.BigInteger) for name in _INTEGERS),
    *(sa.Column(name, sa.Boolean) for name in _BOOLEANS),
    sa.Column("from_redirect_numbers", JSONB),
)
_COLUMNS: Final = [column.name for column in NUMBERS.columns]
_BATCH: Final = 1000


def _upsert() -> Insert:
    statement = insert(NUMBERS)
    new = statement.excluded
    others = [name for name in _COLUMNS if name != "id"]
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new[name] for name in others},
        where=sa.or_(*(NUMBERS.c[name].is_distinct_from(new[name]) for name in others)),
    )


def main(endpoint: str, database: str, form: str) -> None:
    """Runs the requested steps on one event loop and one engine."""
    loop = asyncio.new_event_loop()
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))

    async def poll(step: int) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{endpoint}/{step}/numbers/virtual-number") as got:
            records = await got.json()
        rows = [{name: record.get(name) for name in _COLUMNS} for record in records]
        async with engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            if form == "executemany":
                await connection.execute(_upsert(), rows)
            else:
                for start in range(0, len(rows), _BATCH):
                    await connection.execute(_upsert().values(rows[start : start + _BATCH]))

    run_steps(lambda step: loop.run_until_complete(poll(step)))


if __name__ == "__main__":
    main(*sys.argv[1:])
