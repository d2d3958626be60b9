"""Writes a poll's row in `sync_run`, from its start to its outcome, and serialises polls of one account by the fence.

- `sync_run` has one row per poll: `running` first, later its outcome. `run_id` grows in the order in which runs began.
- The account's row in `account_fence` is the fence: only the transaction that holds its row lock changes the account's
  data. `run_id` is the fencing token.
- A run is superseded if a run with a larger `run_id` has succeeded; it then changes nothing.
- A successful run marks older runs that are still `running` as `abandoned`. If the process of such a run continues, the
  run becomes superseded or failed.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from syncer.diff.content_hash import ContentHash
from syncer.diff.record import DECODER_VERSION
from syncer.diff.response import MAX_STORED_REJECTIONS
from syncer.diff.stored import StartedRun
from syncer.errors import DatabaseError, DuplicateKeyError
from syncer.outcome import COUNTERS, Conclusion
from syncer.store.accounts import read_account_ids, register_accounts
from syncer.store.driver_errors import translate_errors
from syncer.store.engine import autocommit_connection, limited_transaction
from syncer.store.identities import advance_identities
from syncer.store.poll.staged import INDEX_PLANS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, MutableMapping, Sequence
    from uuid import UUID

    from syncer.diff.changeset import PollTotals
    from syncer.diff.declared_length import DeclaredLength
    from syncer.diff.response import ParsedResponse
    from syncer.errors import PollError
    from syncer.outcome import Trigger
    from syncer.store.engine import Engine
    from syncer.store.identities import IdentityBehind

_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Run:
    """A poll that began.

    Attributes:
        account: The account's name.
        may_have_committed: Whether the run's outcome was written and COMMIT was sent next. Until then a failure means
            that the data are unchanged; afterwards only the run's row tells.
        identities_behind: The generated ids that were behind the data, and that were put right for this run.
        started_at: The database's time before the request was sent.
        last_body_digest: The digest of the last successful response at that time, whichever decoder version read it;
            None if there was none, or the same response could change something.
        last_body_bytes: The size of that response; None if it is not known.
        app_id: The account's `app_id` at that time; None if the next success fixes it.
        fingerprints_version: The version of the stored fingerprints at that time.
        content_hash: The hash for digests and fingerprints, with the key of this database.
        body_digest: The digest of this run's response, once it is known.
    """

    account: str
    account_id: int
    run_id: int
    started_at: datetime
    last_body_digest: bytes | None
    last_body_bytes: int | None
    app_id: int | None
    fingerprints_version: UUID | None
    content_hash: ContentHash
    body_digest: bytes | None = None
    may_have_committed: bool = False
    identities_behind: Sequence[IdentityBehind] = ()

    def can_repeat_last_body(self, size: int) -> bool:
        """Returns whether a body of this size can be the one of the last successful response."""
        return self.last_body_digest is not None and self.last_body_bytes in {None, size}


@dataclass(frozen=True, slots=True)
class Fence:
    """The account's row in `account_fence`, locked until the transaction of `connection` ends.

    Attributes:
        connection: asyncpg's connection, inside the transaction.
        observed_at: The time under which everything of this poll is recorded; later than that of any earlier poll.
        clock_ahead: How far the last `observed_at` is ahead of the clock, if by more than five minutes.
        is_superseded: Whether a run that began later has succeeded.
        success_run_id: The newest successful run; None before the first, as are the next two.
        success_started_at: When that run started.
        applied_run_id: The newest applied run.
        fingerprints_version: The random version of the stored fingerprints.
        body_digest: The digest of the last successful response; None if the same response could change something.
        decoder_version: The decoder version that read that response.
        record_keys: The keys that the records of the last response with accepted ones had, or some of many; None if
            they are not known.
        believable_run: The newest successful run whose response was believable; None before the first.
        believable_count: How many responses were believable so far.
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
    fingerprints_version: UUID | None
    body_digest: bytes | None
    decoder_version: int | None
    record_keys: frozenset[str] | None
    believable_run: StartedRun | None
    believable_count: int


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """What is known of a response before it is parsed.

    Attributes:
        http_status: Its HTTP status.
        response_bytes: The size of its decoded body.
        declared_length: What its headers say about the length of the list.
    """

    http_status: int
    response_bytes: int
    declared_length: DeclaredLength


# Of any other account than the one meant, as after another database was restored, it inserts nothing: the division by
# zero takes the row back. The same if the account's time zone has changed, or if the server does not know it any more.
# The commit waits for no disk and no standby: a run that the server forgets in a crash has changed nothing, and the
# fence refuses its changes. The commit of its outcome waits, and makes the run's row durable, too.
_INSERT_RUN: Final = """
with inserted as (
    insert into syncer.sync_run (account_id, trigger, started_at, outcome) values ($1, $2, syncer.clock(), 'running')
    returning account_id, run_id, started_at
)
select max(i.run_id) as run_id, max(i.started_at) as started_at, max(f.success_run_id) as success_run_id,
       (array_agg(f.body_digest))[1] as body_digest, (array_agg(f.fingerprints_version))[1] as fingerprints_version,
       max(a.app_id) as app_id, max(s.response_bytes) as body_bytes, (array_agg(k.key))[1] as key,
       1 / count(*) as is_the_account, set_config('synchronous_commit', 'off', true)
  from inserted i
  join syncer.account_fence f on f.account_id = i.account_id
  join syncer.account a on a.account_id = f.account_id
  left join syncer.hash_key k on true
  left join syncer.sync_run s on s.account_id = $1 and s.run_id = f.success_run_id
 where f.account_id = $1 and a.name = $3 and a.time_zone = $4 and a.time_zone = syncer.known_zone(a.time_zone)
"""
_NOT_THE_ACCOUNT: Final = (asyncpg.DivisionByZeroError, asyncpg.ForeignKeyViolationError)
_DELETE_RUN: Final = "delete from syncer.sync_run where account_id = $1 and run_id = $2 and outcome = 'running'"


async def begin(
    engine: Engine, account: str, time_zone: str, trigger: Trigger, account_ids: MutableMapping[str, int]
) -> Run:
    """Inserts the run's row before the endpoint is called, and the account's row if there is none.

    Args:
        engine: The database.
        account: The account's name.
        time_zone: Its time zone.
        trigger: What started the poll.
        account_ids: The ids of accounts by name, as far as this process remembers them; the account's is added.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    try:
        run = await _insert_run(engine, account, time_zone, trigger, account_ids)
    except DuplicateKeyError:
        run = None
    if run is not None:
        return run
    behind = await advance_identities(engine)
    run = await _insert_run(engine, account, time_zone, trigger, account_ids)
    if run is None:
        raise DatabaseError("database: the ids of new runs are smaller than those of older ones; run `syncer check`")
    run.identities_behind = behind
    return run


async def _insert_run(
    engine: Engine, account: str, time_zone: str, trigger: Trigger, account_ids: MutableMapping[str, int]
) -> Run | None:
    """Inserts the row, or nothing if its id would be smaller than that of the newest success; then returns None.

    The newest success was read before the id was generated: its id is smaller unless ids are behind the data.
    """
    account_id = account_ids.get(account) or (await read_account_ids(engine, [account])).get(account)
    row = await _try_to_insert(engine, account_id, account, time_zone, trigger)
    if row is None:
        account_id = (await register_accounts(engine, {account: time_zone})).get(account)
        row = await _try_to_insert(engine, account_id, account, time_zone, trigger)
    if row is None or account_id is None:
        raise DatabaseError(
            f"database: the account {account!r} was changed or deleted when its poll began; the next poll tries again"
        )
    account_ids[account] = account_id
    if row["success_run_id"] is not None and row["success_run_id"] >= row["run_id"]:
        async with autocommit_connection(engine) as connection:
            await connection.execute(_DELETE_RUN, account_id, row["run_id"])
        return None
    if row["key"] is None:
        raise DatabaseError(
            "the table syncer.hash_key is empty, and nothing can be compared without its key: restore it from a "
            "backup, or insert a random one: insert into syncer.hash_key (key) "
            "values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
        )
    return Run(
        account,
        account_id,
        row["run_id"],
        row["started_at"],
        row["body_digest"],
        row["body_bytes"],
        row["app_id"],
        row["fingerprints_version"],
        _content_hash(row["key"]),
    )


@lru_cache(maxsize=1)
def _content_hash(key: bytes) -> ContentHash:
    """Returns the hash with this key, the same object for all accounts, of which each keeps it."""
    return ContentHash(key)


async def _try_to_insert(
    engine: Engine, account_id: int | None, account: str, time_zone: str, trigger: Trigger
) -> asyncpg.Record | None:
    """Inserts the row; returns None, and inserts nothing, unless the id is that of the account in this time zone."""
    if account_id is None:
        return None
    async with autocommit_connection(engine) as connection:
        try:
            return await connection.fetchrow(_INSERT_RUN, account_id, trigger, account, time_zone)
        except _NOT_THE_ACCOUNT:
            return None


async def conclude_failed(engine: Engine, run: Run, error: PollError) -> Conclusion:
    """Marks a run as failed unless it has another outcome, and returns the outcome that it has.

    Raises:
        DatabaseError: PostgreSQL refused, or cannot be reached.
    """
    with translate_errors():
        if await mark_failed(engine, run, error):
            return Conclusion("failed", {})
        return await read_conclusion(engine, run)


async def mark_failed(engine: Engine, run: Run, error: PollError) -> bool:
    """Marks a run as failed; returns False, and changes nothing, unless it is running or abandoned.

    While a transaction that has written the run's outcome is still open, it waits for its end.
    """
    async with limited_transaction(engine, {}) as connection:
        await connection.execute(_ATTEMPTED, run.account_id)
        marked = await connection.fetchval(
            _MARK_FAILED,
            run.account_id,
            run.run_id,
            run.started_at,
            error.kind,
            str(error),
            error.http_status,
            error.response_bytes,
        )
    return marked is not None


# At most once an hour, since it only says that the account is still polled; and not while another transaction holds the
# fence, for which this one would wait.
_ATTEMPTED: Final = """
with free as materialized (
    select account_id from syncer.account_fence
     where account_id = $1 and coalesce(attempted_at < syncer.clock() - interval '1 hour', true)
       for no key update skip locked
)
update syncer.account_fence f set attempted_at = syncer.clock()
  from free
 where f.account_id = $1 and f.account_id = free.account_id
"""
# The id of a run that the server forgot in a crash may be another one's since, which started at another time.
_MARK_FAILED: Final = """
update syncer.sync_run
   set outcome = 'failed', finished_at = greatest(syncer.clock(), started_at), error_kind = $4, error = $5,
       http_status = $6, response_bytes = $7
 where account_id = $1 and run_id = $2 and started_at = $3 and outcome in ('running', 'abandoned')
returning run_id
"""
_READ_RUN: Final = "select * from syncer.sync_run where account_id = $1 and run_id = $2 and started_at = $3"


async def read_conclusion(engine: Engine, run: Run) -> Conclusion:
    """Reads from a run's row how the run ended."""
    async with autocommit_connection(engine) as connection:
        row = await connection.fetchrow(_READ_RUN, run.account_id, run.run_id, run.started_at)
    if row is None:  # a backup from before the run was restored, or a crash of the server lost its beginning
        return Conclusion("failed", {})
    return Conclusion(row["outcome"], {name: row[name] for name in ("received", *COUNTERS) if row[name]})


@asynccontextmanager
async def fence(engine: Engine, run: Run) -> AsyncIterator[Fence]:
    """Locks the account's fence for one transaction, which commits when the block ends and rolls back if it raises.

    The last statement of the block writes the run's outcome, if any does: the next one is COMMIT.

    Raises:
        DatabaseError: The run's row is gone.
    """
    async with limited_transaction(engine, _SETTINGS) as connection:
        locked = await connection.fetchrow(_LOCK, run.account_id, run.started_at, run.run_id)
        if locked is None or not locked["has_run"]:
            raise DatabaseError(
                f"database: run {run.run_id} is not in the database any more, as after a backup was restored, so it "
                "changed nothing; the next poll records what is listed then"
            )
        values = {name: value for name, value in locked.items() if name != "has_run"}
        ahead = values["observed_at"] - values.pop("now")
        believable_run_id, believable_started_at = values.pop("believable_run_id"), values.pop("believable_started_at")
        record_keys = values.pop("record_keys")
        yield Fence(
            connection=connection,
            run=run,
            clock_ahead=ahead if ahead > _CLOCK_TOLERANCE else None,
            is_superseded=values["success_run_id"] is not None and values["success_run_id"] > run.run_id,
            record_keys=None if record_keys is None else frozenset(record_keys),
            believable_run=None if believable_run_id is None else StartedRun(believable_run_id, believable_started_at),
            **values,
        )


# A process that hangs or has lost its network must not block the account for the others. While it is in the middle of
# sending a statement, PostgreSQL does not consider it idle: then only transaction_timeout helps, new in PostgreSQL 17.
_SETTINGS: Final = INDEX_PLANS | {
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "transaction_timeout": "5min",
}
# The clock is read in a second CTE, after the lock was acquired: expressions in the locking query itself may be
# evaluated before it waits. `greatest` prevents empty periods and negative windows when the clock jumps back.
_LOCK: Final = """
with locked as materialized (
    select app_id, success_run_id, success_started_at, observed_at as last_observed_at, applied_run_id,
           fingerprints_version, body_digest, decoder_version, record_keys, believable_run_id, believable_started_at,
           believable_responses as believable_count
      from syncer.account_fence f join syncer.account using (account_id)
     where f.account_id = $1 for no key update of f
), clock as materialized (
    select locked.*, syncer.clock() as now from locked
)
select app_id, success_run_id, success_started_at, applied_run_id, fingerprints_version, body_digest, decoder_version,
       record_keys, believable_run_id, believable_started_at, believable_count, now,
       exists(select from syncer.sync_run where account_id = $1 and run_id = $3 and started_at = $2) as has_run,
       greatest(now, last_observed_at + interval '1 microsecond',
                $2::timestamptz + interval '1 microsecond') as observed_at
  from clock
"""


def is_still_last_body(fence: Fence) -> bool:
    """Returns whether the response's body is byte-identical to the last one, and the same decoder version read that."""
    return (fence.body_digest, fence.decoder_version) == (fence.run.body_digest, DECODER_VERSION)


async def mark_superseded(fence: Fence, meta: ResponseMeta) -> Conclusion:
    """Marks the run as superseded: a run that began later has already succeeded."""
    await fence.connection.execute(
        _MARK_SUPERSEDED,
        fence.run.account_id,
        fence.run.run_id,
        fence.observed_at,
        meta.http_status,
        meta.response_bytes,
    )
    fence.run.may_have_committed = True
    return Conclusion("superseded", {})


async def mark_unchanged(fence: Fence, meta: ResponseMeta) -> Conclusion:
    """Marks the run as unchanged, with the counters of the last success: the bodies are byte-identical.

    No number is missing then; but the headers may differ, and with them whether the response is believable.
    """
    row = await fence.connection.fetchrow(
        _LAST_COUNTERS, fence.run.account_id, fence.success_run_id, fence.applied_run_id, MAX_STORED_REJECTIONS
    )
    assert row is not None  # noqa: S101 - the newest success is never pruned
    counters = dict(row)
    has_unreadable_id, received = counters.pop("has_unreadable_id"), counters["received"]
    is_partial = meta.declared_length.partial_reason(received) is not None
    return await _write_success(
        fence,
        meta,
        Conclusion("unchanged", counters),
        body_digest=fence.run.body_digest,
        is_believable=received > 0 and not has_unreadable_id and not is_partial,
    )


async def store_record_keys(fence: Fence, keys: Collection[str]) -> None:
    """Stores the keys that the records of the response have, for the next poll to compare with."""
    await fence.connection.execute(_STORE_RECORD_KEYS, fence.run.account_id, keys)


async def mark_succeeded(
    fence: Fence,
    meta: ResponseMeta,
    totals: PollTotals,
    parsed: ParsedResponse,
    fingerprints_version: UUID,
    *,
    is_final: bool = True,
) -> Conclusion:
    """Marks the run as applied, or as unchanged if nothing changed, and stores what the next poll compares with.

    The body's digest is only stored if the response `is_final`, and no number is missing: if it cannot have another
    effect later.

    Args:
        fence: The account's fence.
        meta: The response.
        totals: What was written.
        parsed: The response's content.
        fingerprints_version: A new version of the fingerprints, stored if they have changed.
        is_final: Whether the same response has no other effect later.
    """
    conclusion = Conclusion("unchanged" if totals.is_unchanged else "applied", totals.counters)
    # While numbers are missing, the same response can have another effect later: it confirms that they are gone, and
    # the hold time passes.
    is_any_missing = totals.counters["held"] > 0 or totals.counters["unconfirmed"] > 0
    return await _write_success(
        fence,
        meta,
        conclusion,
        body_digest=fence.run.body_digest if is_final and not is_any_missing else None,
        is_believable=parsed.is_believable,
        fingerprints_version=fingerprints_version if totals.has_fingerprint_changes else None,
        app_id=parsed.app_id,
    )


async def _write_success(
    fence: Fence,
    meta: ResponseMeta,
    conclusion: Conclusion,
    *,
    body_digest: bytes | None,
    is_believable: bool,
    fingerprints_version: UUID | None = None,
    app_id: int | None = None,
) -> Conclusion:
    if app_id is not None and fence.app_id is None:
        await fence.connection.execute(_SET_APP_ID, fence.run.account_id, app_id)
    await fence.connection.execute(
        _MARK_SUCCEEDED,
        fence.run.account_id,
        fence.run.run_id,
        fence.run.started_at,
        fence.observed_at,
        conclusion.outcome,
        fingerprints_version,
        body_digest,
        DECODER_VERSION,
        is_believable,
        meta.http_status,
        meta.response_bytes,
        fence.success_run_id,
        fence.success_started_at,
        *(conclusion.counters.get(name, 0) for name in ("received", *COUNTERS)),
    )
    fence.run.may_have_committed = True
    return conclusion


_MARK_SUPERSEDED: Final = """
update syncer.sync_run set outcome = 'superseded', finished_at = $3, http_status = $4, response_bytes = $5
 where account_id = $1 and run_id = $2
"""
_LAST_COUNTERS: Final = """
select received, held, rejected, created + changed + unchanged + restored as unchanged,
       -- If not all rejected records are stored, any of the others may have an id that cannot be read.
       rejected > $4 or exists (select from syncer.rejected_record
                                 where account_id = $1 and last_run_id = $3 and virtual_number_id is null)
           as has_unreadable_id
  from syncer.sync_run where account_id = $1 and run_id = $2
"""
_STORE_RECORD_KEYS: Final = "update syncer.account_fence set record_keys = $2 where account_id = $1"
_SET_APP_ID: Final = "update syncer.account set app_id = $2 where account_id = $1"
# An older run that is still `running` began after the last success, which has ended all those before it, unless the row
# was committed after that success: then its statement began at most some minutes before.
_MARK_SUCCEEDED: Final = f"""
with succeeded as (
    update syncer.sync_run
       set outcome = $5, finished_at = greatest(syncer.clock(), $4), http_status = $10, response_bytes = $11,
           error_kind = null, error = null,
           {", ".join(f"{name} = ${position}" for position, name in enumerate(("received", *COUNTERS), start=14))}
     where account_id = $1 and run_id = $2
), abandoned as (
    update syncer.sync_run set outcome = 'abandoned', finished_at = greatest($4, started_at)
     where account_id = $1 and run_id < $2 and outcome = 'running'
       and run_id = any(array(
           select run_id from syncer.sync_run
            where account_id = $1 and run_id > coalesce($12::bigint, 0) and run_id < $2 and outcome = 'running'
            union all
           select run_id from syncer.sync_run
            where account_id = $1 and started_at > $13::timestamptz - interval '10 minutes' and outcome = 'running'))
)
update syncer.account_fence
   set success_run_id = $2, success_started_at = $3, observed_at = $4,
       first_success_at = coalesce(first_success_at, $3),
       applied_run_id = case when $5 = 'applied' then $2 else applied_run_id end,
       fingerprints_version = coalesce($6, fingerprints_version),
       body_digest = $7, decoder_version = $8,
       believable_responses = believable_responses + $9::boolean::integer,
       believable_run_id = case when $9 then $2 else believable_run_id end,
       believable_started_at = case when $9 then $3 else believable_started_at end
 where account_id = $1
"""  # noqa: S608 - names from a constant
