"""Runs: a poll's row from its beginning to its outcome, and the fence that keeps polls of one account apart.

Who is authoritative for what:

- `sync_run` says that a poll began, and later what it came to. `run_id` grows in the order in which runs began.
- The account's row is the fence. Whoever holds its lock, inside a transaction, is alone in changing the account's data.
- A run is superseded if a run with a larger `run_id` has succeeded; it then changes nothing.
- A success marks older runs that are still `running` as `abandoned`. One of them that comes back finds itself
  superseded, or failed, and says so.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, select, text, update

from syncer.diff.record import DECODER_VERSION
from syncer.outcome import COUNTERS, Conclusion
from syncer.store.accounts import register_accounts
from syncer.store.engine import autocommit_connection, driver_connection, invalidate_on_timeout
from syncer.store.tables import sync_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.diff.changeset import PollTotals
    from syncer.errors import PollError
    from syncer.outcome import Trigger

_CLOCK: Final = func.syncer.clock()
_JUMP: Final = timedelta(minutes=5)
_CAN_STILL_FINISH: Final = sync_run.c.outcome.in_(("running", "abandoned"))


@dataclass(frozen=True, slots=True)
class Run:
    """A poll that began.

    Attributes:
        started_at: The database's time before the request was sent.
        body_digest: Of the response that stood then as a whole, whichever decoder read it; None if none did.
    """

    account_id: int
    run_id: int
    started_at: datetime
    body_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Fence:
    """The account, locked for the rest of the transaction of `connection`.

    Attributes:
        connection: The driver's, inside the transaction.
        observed_at: The moment that everything of this poll is recorded under; later than that of any poll before.
        clock_ahead: How far the last observation lies ahead of the clock, if by more than five minutes.
        success_started_at: The start of the newest successful run; None before the first.
        fingerprints_run_id: The run that last changed which digests stand.
    """

    connection: asyncpg.Connection[Any]
    run: Run
    observed_at: datetime
    clock_ahead: timedelta | None
    is_superseded: bool
    app_id: int | None
    success_run_id: int | None
    success_started_at: datetime | None
    applied_run_id: int | None
    fingerprints_run_id: int | None
    body_digest: bytes | None
    decoder_version: int | None


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """What the endpoint answered with: its status, the size of the decoded body in bytes, and its digest."""

    http_status: int
    response_bytes: int
    body_digest: bytes


# An account that is new, or has moved to another time zone, is not found, and registered first.
_BEGIN: Final = """
with polled as (
    select account_id, body_digest from syncer.account where name = $1 and time_zone = $2
), begun as (
    insert into syncer.sync_run (account_id, trigger, started_at, outcome)
    select account_id, $3, syncer.clock(), 'running' from polled
    returning account_id, run_id, started_at
)
select account_id, run_id, started_at, body_digest from begun join polled using (account_id)
"""


async def begin(engine: AsyncEngine, account: str, time_zone: str, trigger: Trigger) -> Run:
    """Writes the run's row, before anything is asked of the endpoint; the account's row too, if need be."""
    async with autocommit_connection(engine) as connection:
        row = await connection.fetchrow(_BEGIN, account, time_zone, trigger)
    if row is None:
        await register_accounts(engine, {account: time_zone})
        return await begin(engine, account, time_zone, trigger)
    return Run(*row)


async def mark_failed(engine: AsyncEngine, run: Run, error: PollError) -> bool:
    """Writes that a run failed; False if it has an outcome already."""
    async with engine.begin() as connection:
        written = await connection.execute(
            update(sync_run)
            .where(_matches(run), _CAN_STILL_FINISH)
            .values(
                outcome="failed",
                finished_at=func.greatest(_CLOCK, sync_run.c.started_at),
                error_kind=error.kind,
                error=str(error),
                http_status=error.http_status,
                response_bytes=error.response_bytes,
            )
        )
    return bool(written.rowcount)


async def read_conclusion(engine: AsyncEngine, run: Run) -> Conclusion:
    """How the run ended, by its row."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(sync_run).where(_matches(run)))).mappings().one()
    return Conclusion(row["outcome"], {name: row[name] for name in ("received", *COUNTERS) if row[name]})


@asynccontextmanager
async def fence(engine: AsyncEngine, run: Run) -> AsyncIterator[Fence]:
    """Locks the account for one transaction, which commits where the block ends and rolls back where it raises."""
    async with engine.begin() as transaction, invalidate_on_timeout(transaction):
        # The driver begins its transaction with SQLAlchemy's first statement, not before: without this one, what
        # follows on the driver's own connection would survive a rollback.
        await transaction.execute(_LIMITS)
        connection = await driver_connection(transaction)
        assert connection.is_in_transaction()  # noqa: S101 - see above
        locked = await connection.fetchrow(_LOCK, run.account_id, run.started_at)
        assert locked is not None  # noqa: S101 - accounts are never deleted
        ahead = locked["observed_at"] - locked["now"]
        yield Fence(
            connection=connection,
            run=run,
            clock_ahead=ahead if ahead > _JUMP else None,
            is_superseded=locked["success_run_id"] is not None and locked["success_run_id"] > run.run_id,
            **{name: value for name, value in locked.items() if name != "now"},
        )


# A process that is frozen, or cut off with its network, must not keep everybody else from the account. Between the
# parts of a statement PostgreSQL does not take it for idle: there only the last setting helps, which is new in 17.
_LIMITS: Final = text("""
select set_config('lock_timeout', '20s', true), set_config('idle_in_transaction_session_timeout', '60s', true),
       case when current_setting('transaction_timeout', true) is not null
            then set_config('transaction_timeout', '5min', true) end
""")
# The clock is read once the lock is there: what the locking query itself selects may be computed before it has waited.
# A clock that jumps back can make no empty period and no negative window.
_LOCK: Final = """
with locked as materialized (
    select app_id, success_run_id, success_started_at, observed_at as last_observed_at, applied_run_id, fingerprints_run_id,
           body_digest, decoder_version
      from syncer.account where account_id = $1 for no key update
), clock as materialized (
    select locked.*, syncer.clock() as now from locked
)
select app_id, success_run_id, success_started_at, applied_run_id, fingerprints_run_id, body_digest, decoder_version, now,
       greatest(now, last_observed_at + interval '1 microsecond', $2::timestamptz + interval '1 microsecond')
       as observed_at
  from clock
"""


def is_same_body(fence: Fence, meta: ResponseMeta) -> bool:
    """Whether the response is, to the byte, the one that stands."""
    return (fence.body_digest, fence.decoder_version) == (meta.body_digest, DECODER_VERSION)


async def mark_superseded(fence: Fence, meta: ResponseMeta) -> Conclusion:
    """Writes that a run which began later has succeeded first."""
    await fence.connection.execute(
        _SUPERSEDE,
        fence.run.account_id,
        fence.run.run_id,
        fence.observed_at,
        meta.http_status,
        meta.response_bytes,
    )
    return Conclusion("superseded", {})


async def mark_unchanged(fence: Fence, meta: ResponseMeta) -> Conclusion:
    """Writes that a response is, to the byte, the one that stands: its run succeeded, and nothing is new."""
    row = await fence.connection.fetchrow(_STANDING_COUNTERS, fence.run.account_id, fence.success_run_id)
    assert row is not None  # noqa: S101 - the newest success is never pruned
    return await _succeed(fence, meta, Conclusion("unchanged", dict(row)), body_digest=meta.body_digest)


async def mark_succeeded(fence: Fence, meta: ResponseMeta, totals: PollTotals, app_id: int | None) -> Conclusion:
    """Writes that decisions were applied, or that there was nothing to apply, and what the next poll needs of them."""
    conclusion = Conclusion("unchanged" if totals.is_unchanged else "applied", totals.counters)
    return await _succeed(
        fence,
        meta,
        conclusion,
        # While removals are held, time alone can change what the same response means.
        body_digest=None if totals.counters["held"] else meta.body_digest,
        fingerprints_changed=totals.changes_fingerprints,
        app_id=app_id,
    )


async def _succeed(
    fence: Fence,
    meta: ResponseMeta,
    conclusion: Conclusion,
    *,
    body_digest: bytes | None,
    fingerprints_changed: bool = False,
    app_id: int | None = None,
) -> Conclusion:
    await fence.connection.execute(
        _SUCCEED,
        fence.run.account_id,
        fence.run.run_id,
        fence.run.started_at,
        fence.observed_at,
        conclusion.outcome,
        fingerprints_changed,
        app_id,
        body_digest,
        DECODER_VERSION,
        meta.http_status,
        meta.response_bytes,
        *(conclusion.counters.get(name, 0) for name in ("received", *COUNTERS)),
    )
    return conclusion


_SUPERSEDE: Final = """
update syncer.sync_run set outcome = 'superseded', finished_at = $3, http_status = $4, response_bytes = $5
 where account_id = $1 and run_id = $2
"""
_STANDING_COUNTERS: Final = """
select received, held, rejected, created + changed + unchanged + restored as unchanged
  from syncer.sync_run where account_id = $1 and run_id = $2
"""
_SUCCEED: Final = f"""
with succeeded as (
    update syncer.sync_run
       set outcome = $5, finished_at = greatest(syncer.clock(), $4), http_status = $10, response_bytes = $11,
           error_kind = null, error = null,
           {", ".join(f"{name} = ${position}" for position, name in enumerate(("received", *COUNTERS), start=12))}
     where account_id = $1 and run_id = $2
), abandoned as (
    update syncer.sync_run set outcome = 'abandoned', finished_at = greatest($4, started_at)
     where account_id = $1 and run_id < $2 and outcome = 'running'
)
update syncer.account
   set success_run_id = $2, success_started_at = $3, observed_at = $4,
       applied_run_id = case when $5 = 'applied' then $2 else applied_run_id end,
       fingerprints_run_id = case when $6 then $2 else fingerprints_run_id end,
       app_id = coalesce(app_id, $7), body_digest = $8, decoder_version = $9
 where account_id = $1
"""  # noqa: S608 - names from a constant


def _matches(run: Run) -> ColumnElement[bool]:
    return and_(sync_run.c.account_id == run.account_id, sync_run.c.run_id == run.run_id)
