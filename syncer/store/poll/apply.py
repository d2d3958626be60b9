"""Writes change sets: current rows and history, both in the fence's transaction.

New rows are written by binary COPY. Changed rows are passed as arrays, one statement per table, and joined on account
and number. A row that did not change is not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from syncer.diff.json_values import encode_json
from syncer.diff.record import DECODER_VERSION
from syncer.store.poll.copy_rows import copy_rows, encode_new_rows
from syncer.store.poll.staged import execute_batched, from_unnest, join_on_key
from syncer.store.tables import RECORD_COLUMN_TYPES, RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from syncer.diff.changeset import ChangeSet, NewVersion
    from syncer.diff.record import Rejection
    from syncer.store.poll.copy_rows import CopyBatches
    from syncer.store.poll.runs import Fence


@dataclass(frozen=True, slots=True)
class PreparedChanges:
    """A change set with its new rows already encoded; `regions` maps each region's name to its `region_id`."""

    changes: ChangeSet
    copy_batches: CopyBatches
    regions: Mapping[str, int]


def prepare_changes(fence: Fence, changes: ChangeSet, regions: Mapping[str, int]) -> PreparedChanges:
    """Encodes the new rows of a change set, ready for `write_changes`; no I/O.

    Args:
        fence: The fence that the changes will be written under.
        changes: The changes of one batch of records, or of the missing and rejected numbers.
        regions: The `region_id` of each region that the changes name.
    """
    return PreparedChanges(changes, encode_new_rows(fence, changes, regions), regions)


async def write_changes(fence: Fence, prepared: PreparedChanges) -> None:
    """Writes a change set; the rows of the run, the account and rejected records are written elsewhere.

    Adds the redirects that removals close to the change set's counters: how many there are is unknown before.
    """
    changes, copy_batches = prepared.changes, prepared.copy_batches
    await copy_rows(fence, copy_batches.numbers)
    await _replace_versions(fence, changes.replaced, prepared.regions)
    await execute_batched(fence, _CLOSE_STATES, changes.closed_states)
    await execute_batched(fence, _CLOSE_REDIRECTS, map(_redirect_row, changes.closed_redirects))
    await execute_batched(fence, _UPDATE_PRESENCE, map(_presence_row, changes.presence_updates))
    changes.counters["redirects_closed"] += await _close_removed(fence, changes)
    await copy_rows(fence, copy_batches.states)
    await copy_rows(fence, copy_batches.redirects)
    await execute_batched(
        fence, _UPDATE_EXTRA, ((number, encode_json(extra).decode()) for number, extra in changes.extra_updates)
    )
    # A response whose records were only reformatted changes nothing but fingerprints.
    await copy_rows(fence, copy_batches.fingerprints)
    created = {version.virtual_number_id for version in changes.created}
    await execute_batched(
        fence, _UPSERT_FINGERPRINTS, (row for row in changes.fingerprints.items() if row[0] not in created)
    )


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


# If the number was removed and has returned, its last version ended with the removal, and by the run that removed it.
_ARCHIVE_VERSIONS: Final = from_unnest(
    "insert into syncer.virtual_number_history (account_id, virtual_number_id,",
    ", ".join(RECORD_COLUMNS),
    """,
            valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id)
    select n.account_id, n.virtual_number_id,
    """,
    ", ".join(f"n.{name}" for name in RECORD_COLUMNS),
    """,
           n.changed_at, coalesce(n.removed_at, staged.observed_at), n.changed_after,
           case when n.removed_at is null then staged.closed_after else n.last_read_at end, n.run_id,
           case when n.removed_at is null then staged.this_run_id else (
               select removal.closed_run_id
                 from syncer.state_history removal
                where removal.account_id = n.account_id and removal.virtual_number_id = n.virtual_number_id
                  and removal.valid_to = n.removed_at
           ) end
      from staged join syncer.virtual_number n on
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    closed_after="timestamptz",
)
_UPDATE_VERSIONS: Final = from_unnest(
    "update syncer.virtual_number n set",
    ", ".join(f"{name} = staged.{name}" for name in RECORD_COLUMNS),
    """,
           extra = staged.extra::jsonb,
           changed_at = staged.observed_at, changed_after = staged.changed_after, run_id = staged.this_run_id,
           last_read_at = null, missing_since = null, removed_at = null,
           believable_missing_since = null, believable_missing_from = null
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    **RECORD_COLUMN_TYPES,
    extra="text",
    changed_after="timestamptz",
)


async def _replace_versions(fence: Fence, replaced: Sequence[NewVersion], regions: Mapping[str, int]) -> None:
    """Copies current versions to the history, and writes the new ones in their place."""
    await execute_batched(fence, _ARCHIVE_VERSIONS, map(attrgetter("virtual_number_id", "changed_after"), replaced))
    await execute_batched(
        fence,
        _UPDATE_VERSIONS,
        ((*_version_row(version, regions), _extra_json(version), version.changed_after) for version in replaced),
    )


def _close_periods(table: str, *conditions: str, ends_at: str, **columns: str) -> str:
    """Builds a statement that closes the open periods of staged numbers.

    Args:
        table: The table of the periods.
        conditions: Further SQL conditions on the periods.
        ends_at: The staged column that holds when the periods end.
        columns: The staged columns beyond `virtual_number_id`, and their types.
    """
    return from_unnest(
        f"update syncer.{table} h",
        f"set valid_to = staged.{ends_at}, closed_after = staged.closed_after, closed_run_id = staged.this_run_id",
        "from staged where",
        join_on_key("h"),
        *conditions,
        "and h.valid_to is null",
        virtual_number_id="bigint",
        **columns,
    )


_CLOSE_STATES: Final = _close_periods("state_history", ends_at="observed_at", closed_after="timestamptz")
_redirect_row = attrgetter("virtual_number_id", "redirect_number_id", "number", "changed_after")
_CLOSE_REDIRECTS: Final = _close_periods(
    "virtual_number_redirect",
    "and h.redirect_number_id = staged.redirect_number_id and h.number = staged.number",
    ends_at="observed_at",
    redirect_number_id="bigint",
    number="text",
    closed_after="timestamptz",
)

_presence_row = attrgetter(
    "virtual_number_id",
    "last_read_at",
    "missing_since",
    "removed_at",
    "believable_missing_since",
    "believable_missing_from",
)
_UPDATE_PRESENCE: Final = from_unnest(
    """
    update syncer.virtual_number n
       set last_read_at = staged.last_read_at, missing_since = staged.missing_since, removed_at = staged.removed_at,
           believable_missing_since = staged.believable_missing_since,
           believable_missing_from = staged.believable_missing_from
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    last_read_at="timestamptz",
    missing_since="timestamptz",
    removed_at="timestamptz",
    believable_missing_since="timestamptz",
    believable_missing_from="bigint",
)

_removal_row = attrgetter("virtual_number_id", "last_read_at", "removed_at")
# The periods that a removal closes end when the number was first missed, however long the removal was held.
_REMOVAL_COLUMNS: Final = {"closed_after": "timestamptz", "removed_at": "timestamptz"}
_CLOSE_REMOVED_STATES: Final = _close_periods("state_history", ends_at="removed_at", **_REMOVAL_COLUMNS)
_CLOSE_REMOVED_REDIRECTS: Final = _close_periods("virtual_number_redirect", ends_at="removed_at", **_REMOVAL_COLUMNS)
_DELETE_FINGERPRINTS: Final = from_unnest(
    """
    delete from syncer.record_fingerprint d
     using staged
     where
    """,
    join_on_key("d"),
    virtual_number_id="bigint",
)


async def _close_removed(fence: Fence, changes: ChangeSet) -> int:
    """Closes the open periods of removed numbers, and deletes their fingerprints.

    Returns:
        The number of redirects that were closed.
    """
    removals = [_removal_row(presence_update) for presence_update in changes.removed]
    await execute_batched(fence, _CLOSE_REMOVED_STATES, removals)
    await execute_batched(fence, _DELETE_FINGERPRINTS, [removal[:1] for removal in removals])
    return await execute_batched(fence, _CLOSE_REMOVED_REDIRECTS, removals)


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


_MAX_REJECTIONS: Final = 10_000
"""How many rejected records of an account are kept: those seen last."""
_DELETE_OLD_REJECTIONS: Final = """
delete from syncer.rejected_record r
 using (select rejected_record_id from syncer.rejected_record
         where account_id = $1 order by last_run_id desc, first_run_id desc, rejected_record_id offset $2) as old
 where r.account_id = $1 and r.rejected_record_id = old.rejected_record_id
"""


async def upsert_rejections(fence: Fence, rejections: Sequence[Rejection]) -> None:
    """Writes the rejected elements of a response; the same bytes in a later run count as another occurrence.

    Deletes those seen the longest time ago, if the account has too many.
    """
    await execute_batched(
        fence,
        _UPSERT_REJECTIONS,
        (
            (UUID(bytes=rejection.fingerprint), rejection.virtual_number_id, rejection.error, rejection.payload)
            for rejection in rejections
        ),
    )
    if rejections:
        await fence.connection.execute(_DELETE_OLD_REJECTIONS, fence.run.account_id, _MAX_REJECTIONS)
