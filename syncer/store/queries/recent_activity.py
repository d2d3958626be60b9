"""Reads recent activity for the status page: the latest changes by run, the latest runs, the rejected records.

Only accounts whose newest run is among the newest of all are considered, so each query is an index scan per account of
a few accounts, however many accounts there are and however long the history is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import text

from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from syncer.store.engine import Engine

MAX_CHANGED_RUNS: Final = 6
CHANGES_PER_RUN: Final = 12
_MAX_RANKED_CHANGES: Final = 500
"""The number of changes of one run that are ranked to choose those that are shown."""
_MAX_RUNS: Final = 100
_MAX_REJECTED: Final = 10
_MAX_PAYLOAD_CHARS: Final = 400


class Change(Struct, frozen=True):
    """A change of a number, after `changed_after` (None: unknown) and no later than `changed_at`.

    `kind`, `field` and the names are those of `analytics.changes`.
    """

    virtual_number_id: int
    number: str
    kind: str
    field: str | None
    old_value: str | None
    new_value: str | None
    old_name: str | None
    new_name: str | None
    changed_at: datetime
    changed_after: datetime | None


class ChangedRun(Struct, frozen=True):
    """A run that changed something: its most important changes, and its counters."""

    changes: list[Change]
    has_more: bool
    account: str
    time_zone: str
    run_id: int
    recorded_at: datetime
    created: int
    changed: int
    removed: int
    restored: int


class Run(Struct, frozen=True):
    """A run; the fields are columns of `sync_run`.

    Attributes:
        summed_day: The newest day, not after that of the run, whose runs that found nothing new were deleted.
        is_day_summed: Whether that is the day of the run.
    """

    account: str
    time_zone: str
    run_id: int
    trigger: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error_kind: str | None
    error: str | None
    received: int | None
    created: int
    changed: int
    removed: int
    restored: int
    held: int
    unconfirmed: int
    rejected: int
    summed_day: date | None
    is_day_summed: bool


class RejectedRecord(Struct, frozen=True):
    """An element that the newest applied run rejected; `payload` is its beginning, as text."""

    account: str
    time_zone: str
    virtual_number_id: int | None
    error: str
    payload: str
    first_seen_at: datetime | None
    occurrences: int


class RecentActivity(Struct, frozen=True):
    """Recent activity, newest first."""

    changed_runs: list[ChangedRun]
    runs: list[Run]
    rejected: list[RejectedRecord]


# Of which accounts the newest runs are. Each part is a query of its own, and those of changes name one account: so one
# server can answer where the tables are distributed.
_CHANGED_ACCOUNTS: Final = """
select account_id
  from syncer.account_fence join syncer.account using (account_id)
 where applied_run_id is not null and (cast(:account as text) is null or name = :account)
 order by applied_run_id desc limit :runs
"""
# An applied run that changed nothing only rejected records, and is left out.
_CHANGED_RUNS: Final = """
select r.account_id, a.name, a.time_zone, r.run_id, r.finished_at, r.created, r.changed, r.removed, r.restored
  from syncer.account_fence f
  join syncer.account a using (account_id)
 cross join lateral (select * from syncer.sync_run s
                      where s.account_id = f.account_id and s.run_id <= f.applied_run_id
                        and s.outcome = 'applied' and s.created + s.changed + s.removed + s.restored > 0
                      order by s.run_id desc limit :runs) r
 where f.account_id = any(:account_ids)
 order by r.run_id desc limit :runs
"""
# A created or restored number has a row for each of its fields; only the row of its state is returned.
_CHANGES: Final = """
select r.run_id, c.virtual_number_id, c.number, c.kind, c.field, c.old_value, c.new_value, c.old_name, c.new_name,
       c.changed_at, c.changed_after
  from unnest(cast(:run_ids as bigint[])) r (run_id)
 cross join lateral (
       select ranked.*, min(rank) over (partition by virtual_number_id) as first_rank
         from (select c.*, array_position(array['state', 'removed', 'created', 'restored', 'changed'], kind) as rank
                 from analytics.changes c
                where c.account_id = :account_id and c.run_id = r.run_id
                  and (c.kind not in ('created', 'restored') or c.field = 'state')
                limit :ranked_changes) ranked
        order by first_rank, number, virtual_number_id, rank, field desc
        limit :changes) c
 order by r.run_id desc, c.first_rank, c.number, c.virtual_number_id, c.rank, c.field desc, c.new_value
"""
_POLLED_ACCOUNTS: Final = """
select f.account_id
  from syncer.account_fence f
  join syncer.account a using (account_id)
 cross join lateral (select run_id from syncer.sync_run r
                      where r.account_id = f.account_id order by r.run_id desc limit 1) last
 where cast(:account as text) is null or a.name = :account
 order by last.run_id desc limit :runs
"""
_LATEST_RUNS: Final = """
select a.name, a.time_zone, r.run_id, r.trigger, r.started_at, r.finished_at, r.outcome, r.error_kind,
       r.error, r.received,
       r.created, r.changed, r.removed, r.restored, r.held, r.unconfirmed, r.rejected,
       (select max(d.day) from syncer.sync_day d
         where d.account_id = f.account_id
           and d.day <= (r.started_at at time zone syncer.known_zone(a.time_zone))::date) as summed_day,
       (r.started_at at time zone syncer.known_zone(a.time_zone))::date as local_day
  from syncer.account_fence f
  join syncer.account a using (account_id)
 cross join lateral (select * from syncer.sync_run s
                      where s.account_id = f.account_id order by s.run_id desc limit :runs) r
 where f.account_id = any(:account_ids)
 order by r.run_id desc limit :runs
"""
_LATEST_REJECTED: Final = """
select a.name, a.time_zone, j.virtual_number_id, j.error,
       left(analytics.readable(j.payload), :payload_chars) as payload, r.started_at, j.occurrences
  from (select j.*
          from syncer.account_fence f
          join syncer.account a using (account_id)
          join syncer.rejected_record j on j.account_id = f.account_id and j.last_run_id = f.applied_run_id
         where cast(:account as text) is null or a.name = :account
         order by j.first_run_id desc, j.virtual_number_id, j.rejected_record_id limit :records) j
  join syncer.account a on a.account_id = j.account_id
  left join syncer.sync_run r on r.account_id = j.account_id and r.run_id = j.first_run_id
 order by j.first_run_id desc, j.virtual_number_id, j.rejected_record_id
"""


async def read_recent_activity(engine: Engine, account: str | None, *, statement_seconds: int) -> RecentActivity:
    """Reads the recent activity of one account, or of all if `account` is None.

    Raises:
        DatabaseError: The database cannot be read, or a statement takes too long.
    """
    of_account = {"account": account}
    rejected = of_account | {"records": _MAX_REJECTED, "payload_chars": _MAX_PAYLOAD_CHARS}
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        return RecentActivity(
            changed_runs=await _read_changed_runs(connection, account),
            runs=[
                Run(*(*columns, columns[-1] == local_day))
                for *columns, local_day in await _read_newest(
                    connection, _POLLED_ACCOUNTS, _LATEST_RUNS, account, _MAX_RUNS
                )
            ],
            rejected=[RejectedRecord(*row) for row in await connection.execute(text(_LATEST_REJECTED), rejected)],
        )


async def _read_newest(
    connection: AsyncConnection, accounts: str, runs: str, account: str | None, limit: int
) -> Sequence[Any]:
    """Reads the newest runs of some kind, after the accounts of which they are."""
    newest = await connection.scalars(text(accounts), {"account": account, "runs": limit})
    return (await connection.execute(text(runs), {"account_ids": newest.all(), "runs": limit})).all()


async def _read_changed_runs(connection: AsyncConnection, account: str | None) -> list[ChangedRun]:
    runs = await _read_newest(connection, _CHANGED_ACCOUNTS, _CHANGED_RUNS, account, MAX_CHANGED_RUNS)
    changes: dict[int, list[Change]] = {}
    for account_id in dict.fromkeys(run.account_id for run in runs):
        parameters = {
            "account_id": account_id,
            "run_ids": [run.run_id for run in runs if run.account_id == account_id],
            "changes": CHANGES_PER_RUN + 1,
            "ranked_changes": _MAX_RANKED_CHANGES,
        }
        for run_id, *change in await connection.execute(text(_CHANGES), parameters):
            changes.setdefault(run_id, []).append(Change(*change))
    return [
        ChangedRun(changes[run_id][:CHANGES_PER_RUN], len(changes[run_id]) > CHANGES_PER_RUN, name, zone, run_id, *rest)
        for _, name, zone, run_id, *rest in runs
        if run_id in changes
    ]
