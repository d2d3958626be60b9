"""Writes change sets: current rows and history, both in the fence's transaction.

New rows are written by binary COPY. Changed rows are passed as arrays and joined on account and number. A row that did
not change is not written. The statement that ends a version, a state or a redirect adds it to the history: rows of
history are only added.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from syncer.diff.json_values import encode_json
from syncer.diff.record import DECODER_VERSION
from syncer.store.day_summaries import discard_summaries
from syncer.store.engine import autocommit_connection
from syncer.store.poll.copy_rows import copy_rows, encode_new_rows
from syncer.store.poll.staged import encode_rows, execute_batched, execute_staged, from_unnest, join_on_key
from syncer.store.record_columns import RECORD_COLUMN_TYPES, RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from syncer.diff.changeset import ChangeSet, NewVersion, PresenceUpdate
    from syncer.diff.record import Rejection
    from syncer.store.engine import Engine
    from syncer.store.poll.copy_rows import CopyBatches
    from syncer.store.poll.runs import Fence
    from syncer.store.poll.staged import StagedRows


@dataclass(frozen=True, slots=True)
class PreparedChanges:
    """A change set with its rows already encoded, except those of missing and removed numbers.

    It does not refer to the change set: to free thousands of versions between two statements would keep PostgreSQL
    waiting.
    """

    presence_updates: Sequence[PresenceUpdate]
    copy_batches: CopyBatches
    replaced: StagedRows
    closed_redirects: StagedRows
    extra_updates: StagedRows
    fingerprints: StagedRows


def prepare_changes(fence: Fence, changes: ChangeSet, regions: Mapping[str, int]) -> PreparedChanges:
    """Encodes the rows of a change set, ready for `write_changes`; no I/O.

    Args:
        fence: The fence that the changes will be written under.
        changes: The changes of one batch of records, or of the missing and rejected numbers.
        regions: The `region_id` of each region that the changes name.
    """
    created = {version.virtual_number_id for version in changes.created}
    return PreparedChanges(
        changes.presence_updates,
        encode_new_rows(fence, changes, regions),
        encode_rows(
            _REPLACE_VERSIONS,
            (
                (*_version_row(version, regions), _extra_json(version), version.changed_after)
                for version in changes.replaced
            ),
        ),
        encode_rows(_END_REDIRECTS, map(_redirect_row, changes.closed_redirects)),
        encode_rows(_UPDATE_EXTRA, ((number, encode_json(extra).decode()) for number, extra in changes.extra_updates)),
        # Those of created numbers are among the new rows.
        encode_rows(_UPSERT_FINGERPRINTS, (row for row in changes.fingerprints.items() if row[0] not in created)),
    )


async def write_changes(fence: Fence, prepared: PreparedChanges) -> int:
    """Writes a change set; the rows of the run, the account and rejected records are written elsewhere.

    Returns:
        How many redirects ended because their number is removed, which the change set's counters do not have.
    """
    copy_batches, updates = prepared.copy_batches, prepared.presence_updates
    await copy_rows(fence, copy_batches.numbers)
    await execute_staged(fence, prepared.replaced)
    await execute_staged(fence, prepared.closed_redirects)
    await execute_batched(
        fence, _UPDATE_PRESENCE, (_presence_row(update) for update in updates if not update.removed_at)
    )
    removals = [_removal_row(update) for update in updates if update.removed_at]
    redirects_closed = await _remove(fence, removals)
    await copy_rows(fence, copy_batches.redirects)
    await execute_staged(fence, prepared.extra_updates)
    # A response whose records were only reformatted changes nothing but fingerprints.
    await copy_rows(fence, copy_batches.fingerprints)
    await execute_staged(fence, prepared.fingerprints)
    return redirects_closed


_VERSION_COLUMNS: Final = ("virtual_number_id", *RECORD_COLUMNS)
_REGION_INDEX: Final = _VERSION_COLUMNS.index("region_id")


def _version_row(version: NewVersion, regions: Mapping[str, int]) -> list[Any]:
    """Returns a version's values in the order of `_VERSION_COLUMNS`."""
    row = [version.virtual_number_id, *version.values]
    region_name = row[_REGION_INDEX]
    if region_name is not None:
        row[_REGION_INDEX] = regions[region_name]
    return row


def _extra_json(version: NewVersion) -> str:
    return encode_json(version.extra).decode()


# What is inserted takes its account from one of the account's tables, so that Citus executes the insert on the server
# that has the account. Of an insert that reads a CTE alone, it would first send the rows to all servers.
_BEFORE: Final = "before cross join (select account_id as owner from syncer.account_fence where account_id = $1) fence"


# The rows as they are before the statement changes them, with what ends their periods.
def _before(closed_after: str, *columns: str) -> str:
    further = "".join(f", staged.{column}" for column in columns)
    return f""", before as (
        select n.*, staged.this_run_id, staged.observed_at, staged.{closed_after} as closed_after{further}
          from staged join syncer.virtual_number n on {join_on_key("n")}
    )"""  # noqa: S608 - names from this file


def _archive_versions(ends_at: str, ended_by: str, condition: str = "true") -> str:
    columns = ", ".join(RECORD_COLUMNS)
    return f""", versions as (
        insert into syncer.virtual_number_history
               (account_id, virtual_number_id, {columns},
                valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id, began_by, ended_by)
        select owner, virtual_number_id, {columns},
               changed_at, {ends_at}, changed_after, closed_after, run_id, this_run_id,
               case when changed_at = first_seen_at then 'created' when changed_at = listed_since then 'restored'
                    else 'changed' end,
               '{ended_by}'
          from {_BEFORE} where {condition}
    )"""  # noqa: S608 - names from this file


def _archive_states(ends_at: str, ended_by: str, to_state: str, condition: str = "true") -> str:
    return f""", states as (
        insert into syncer.state_history
               (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
                closed_run_id, state_since, state_since_earliest, from_state, state_began_by, to_state, ended_by)
        select owner, virtual_number_id, state, reason, reason_since, {ends_at}, reason_since_earliest,
               closed_after, reason_run_id, this_run_id, state_since, state_since_earliest, from_state,
               case when state_since > listed_since then 'changed' when listed_since = first_seen_at then 'created'
                    else 'restored' end,
               {to_state}, '{ended_by}'
          from {_BEFORE} where {condition}
    )"""  # noqa: S608 - names from this file


def _archive_absences(ended_by: str, condition: str) -> str:
    return f""", absences as (
        insert into syncer.absence_history
               (account_id, virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by)
        select owner, virtual_number_id, coalesce(missing_since, observed_at),
               case when missing_since is null then this_run_id else missing_run_id end, observed_at, this_run_id,
               '{ended_by}'
          from {_BEFORE} where {condition}
    )"""  # noqa: S608 - names from this file


# A removal has ended the last version and state of a number that was removed and has returned.
_HAS_NEW_STATE: Final = "removed_at is null and (state <> new_state or reason is distinct from new_reason)"
# A restored number begins anew; one that keeps its state, or its state and its reason, has had these since before.
_BEGINNINGS: Final = ", ".join(
    f"{column} = case when n.removed_at is null{and_kept} then n.{column} else staged.{value} end"
    for and_kept, columns in {
        "": {"listed_since": "observed_at"},
        " and n.state = staged.state": {"state_since": "observed_at", "state_since_earliest": "changed_after"},
        " and n.state = staged.state and n.reason is not distinct from staged.reason": {
            "reason_since": "observed_at",
            "reason_since_earliest": "changed_after",
            "reason_run_id": "this_run_id",
        },
    }.items()
    for column, value in columns.items()
)
_REPLACE_VERSIONS: Final = from_unnest(
    _before("changed_after", "state as new_state", "reason as new_reason"),
    _archive_versions("observed_at", "changed", "removed_at is null"),
    _archive_states("observed_at", "changed", "new_state", _HAS_NEW_STATE),
    _archive_absences("returned", "missing_since is not null and removed_at is null"),
    "update syncer.virtual_number n set",
    ", ".join(f"{name} = staged.{name}" for name in RECORD_COLUMNS),
    """,
           extra = staged.extra::jsonb,
           changed_at = staged.observed_at, changed_after = staged.changed_after, run_id = staged.this_run_id,
           last_read_at = null, missing_since = null, missing_run_id = null, removed_at = null, removed_run_id = null,
           believable_missing_since = null, believable_missing_from = null,
           from_state = case when n.removed_at is not null then null when n.state = staged.state then n.from_state
                             else n.state end,
    """,
    _BEGINNINGS,
    """
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    **RECORD_COLUMN_TYPES,
    extra="text",
    changed_after="timestamptz",
)

_redirect_row = attrgetter("virtual_number_id", "redirect_number_id", "number", "changed_after")


def _end_redirects(ends_at: str, ended_by: str, *conditions: str) -> str:
    """Builds a statement that moves redirects of staged numbers to the history.

    Args:
        ends_at: The column of `staged` that says when they end.
        ended_by: How they end.
        conditions: Further SQL conditions on the redirects.
    """
    return f""", ended as (
        delete from syncer.virtual_number_redirect r
         using staged
         where {" ".join((join_on_key("r"), *conditions))}
        returning r.*, staged.{ends_at} as ends_at, staged.closed_after, staged.this_run_id
    )
    insert into syncer.virtual_number_redirect_history
           (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after,
            closed_after, run_id, closed_run_id, ended_by)
    select account_id, virtual_number_id, redirect_number_id, number, valid_from, ends_at, changed_after,
           closed_after, run_id, this_run_id, '{ended_by}'
      from ended"""  # noqa: S608 - names from this file


_END_REDIRECTS: Final = from_unnest(
    _end_redirects(
        "observed_at", "changed", "and r.redirect_number_id = staged.redirect_number_id and r.number = staged.number"
    ),
    virtual_number_id="bigint",
    redirect_number_id="bigint",
    number="text",
    closed_after="timestamptz",
)

_presence_row = attrgetter(
    "virtual_number_id", "last_read_at", "missing_since", "believable_missing_since", "believable_missing_from"
)
_UPDATE_PRESENCE: Final = from_unnest(
    _before("last_read_at", "missing_since as still_missing_since"),
    _archive_absences("returned", "missing_since is not null and still_missing_since is null"),
    """
    update syncer.virtual_number n
       set last_read_at = staged.last_read_at, missing_since = staged.missing_since,
           missing_run_id = case when staged.missing_since is null then null
                                 when n.missing_since is null then staged.this_run_id else n.missing_run_id end,
           believable_missing_since = staged.believable_missing_since,
           believable_missing_from = staged.believable_missing_from
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    last_read_at="timestamptz",
    missing_since="timestamptz",
    believable_missing_since="timestamptz",
    believable_missing_from="bigint",
)

_removal_row = attrgetter(
    "virtual_number_id", "last_read_at", "removed_at", "believable_missing_since", "believable_missing_from"
)
_REMOVAL_COLUMNS: Final = {"virtual_number_id": "bigint", "closed_after": "timestamptz", "removed_at": "timestamptz"}
# The periods that a removal ends end when the number was first missed, however long the removal was held.
_REMOVE: Final = from_unnest(
    _before("closed_after", "removed_at as ends_at"),
    _archive_versions("ends_at", "removed"),
    _archive_states("ends_at", "removed", "null"),
    _archive_absences("removed", "true"),
    """
    update syncer.virtual_number n
       set last_read_at = staged.closed_after, missing_since = staged.removed_at, removed_at = staged.removed_at,
           missing_run_id = case when n.missing_since is null then staged.this_run_id else n.missing_run_id end,
           removed_run_id = staged.this_run_id,
           believable_missing_since = staged.believable_missing_since,
           believable_missing_from = staged.believable_missing_from
      from staged
     where
    """,
    join_on_key("n"),
    **_REMOVAL_COLUMNS,
    believable_missing_since="timestamptz",
    believable_missing_from="bigint",
)
_END_REMOVED_REDIRECTS: Final = from_unnest(_end_redirects("removed_at", "removed"), **_REMOVAL_COLUMNS)
_DELETE_FINGERPRINTS: Final = from_unnest(
    """
    delete from syncer.record_fingerprint d
     using staged
     where
    """,
    join_on_key("d"),
    virtual_number_id="bigint",
)


async def _remove(fence: Fence, removals: Sequence[Sequence[Any]]) -> int:
    """Removes numbers: what they were ends, and their fingerprints are deleted.

    Returns:
        The number of redirects that ended.
    """
    if not removals:
        return 0
    await execute_batched(fence, _REMOVE, removals)
    # A removal that was held is dated back, and changes days that have ended.
    first_removed_at = min(removed_at for _, _, removed_at, *_ in removals)
    await discard_summaries(fence.connection, fence.run.account_id, first_removed_at)
    await execute_batched(fence, _DELETE_FINGERPRINTS, [removal[:1] for removal in removals])
    return await execute_batched(fence, _END_REMOVED_REDIRECTS, [removal[:3] for removal in removals])


_UPDATE_EXTRA: Final = from_unnest(
    """
    update syncer.virtual_number n
       set extra = staged.extra::jsonb
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    extra="text",
)

_UPSERT_FINGERPRINTS: Final = from_unnest(
    "insert into syncer.record_fingerprint (account_id, virtual_number_id, fingerprint, decoder_version)",
    f"select account_id, virtual_number_id, fingerprint, {DECODER_VERSION}",
    """
      from staged
    on conflict (account_id, virtual_number_id)
    do update set fingerprint = excluded.fingerprint, decoder_version = excluded.decoder_version
    """,
    virtual_number_id="bigint",
    fingerprint="bytea",
)

_UPSERT_REJECTIONS: Final = from_unnest(
    """
    insert into syncer.rejected_record as existing
           (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
    select account_id, rejected_record_id, virtual_number_id, error, payload, this_run_id, this_run_id, 1 from staged
    on conflict (account_id, rejected_record_id)
    do update set last_run_id = excluded.last_run_id, error = excluded.error, occurrences = existing.occurrences + 1
    """,
    rejected_record_id="uuid",
    virtual_number_id="bigint",
    error="text",
    payload="bytea",
)


# Of an account the 10,000 records that were seen last are kept.
_DELETE_SURPLUS_REJECTIONS: Final = "select syncer.delete_surplus_rejected_records($1)"


async def upsert_rejections(fence: Fence, rejections: Sequence[Rejection]) -> None:
    """Writes the rejected elements of a response; the same bytes in a later run count as another occurrence."""
    await execute_batched(
        fence,
        _UPSERT_REJECTIONS,
        (
            (UUID(bytes=rejection.fingerprint), rejection.virtual_number_id, rejection.error, rejection.payload)
            for rejection in rejections
        ),
    )


async def delete_surplus_rejections(engine: Engine, account_id: int) -> None:
    """Deletes the rejected elements that were seen the longest time ago, if the account has too many.

    The function has the rights of the schema's owner, and a distributed transaction that has written may not change its
    user: it is called after the poll's transaction. If it is not, as after a kill, the next poll with rejected elements
    deletes what is too much.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        await connection.execute(_DELETE_SURPLUS_REJECTIONS, account_id)
