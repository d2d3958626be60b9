"""Reads the feed of changes that runs recorded, for `syncer demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.store.engine import Engine


class FeedEntry(Struct, frozen=True):
    """A change of a number that a run recorded; `event` names the kind or the field that changed."""

    run_id: int
    recorded_at: datetime
    account: str
    number: str
    event: str
    old_value: str | None
    new_value: str | None
    time_zone: str


# A created or restored number has a row for each of its fields; only the row of its state is returned.
_CHANGES: Final = """
select run_id, recorded_at, account, number,
       case when kind in ('changed', 'state') then field else replace(kind, '_', ' ') end as event,
       coalesce(old_name, old_value), coalesce(new_name, new_value), time_zone
  from analytics.changes join (select account_id, time_zone from syncer.account) a using (account_id)
 where run_id > :after and (kind not in ('created', 'restored') or field = 'state')
 order by run_id, number, event
"""


async def read_changes_after(engine: Engine, run_id: int) -> list[FeedEntry]:
    """Reads the changes that runs after `run_id` recorded, in the order of the runs.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        return [FeedEntry(*row) for row in await connection.execute(text(_CHANGES), {"after": run_id})]
