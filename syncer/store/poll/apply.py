"""Writes decisions, inside the fence's transaction: history and present together, or neither.

New rows go by binary COPY straight into their tables. What changed goes as arrays, one statement a table, and finds its
rows by account and number. Nothing is written to a row that did not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from syncer.diff.record import DECODER_VERSION
from syncer.store.poll.copy_rows import copy_rows, encode_new_rows
from syncer.store.poll.staged import execute_batched, from_unnest, join_on_key
from syncer.store.tables import RECORD_COLUMNS, RECORD_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from syncer.diff.changeset import ChangeSet, NewVersion
    from syncer.diff.record import Rejection
    from syncer.store.poll.copy_rows import CopyBatches
    from syncer.store.poll.runs import Fence

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class PreparedChanges:
    """A decision, and what can be made of it before its turn comes; `regions`: the `region_id` of each."""

    changes: ChangeSet
    copy_batches: CopyBatches
    regions: Mapping[str, int]


def prepare_changes(fence: Fence, changes: ChangeSet, regions: Mapping[str, int]) -> PreparedChanges:
    """Makes of a decision what can be made without the database.

    Args:
        fence: Under which it will be written.
        decision: Of some records, or of the rest of a response.
        regions: The `region_id` of each region that the decision names.
    """
    return PreparedChanges(changes, encode_new_rows(fence, changes, regions), regions)


async def apply(fence: Fence, prepared: PreparedChanges) -> None:
    """Writes all that a decision says, but for the run, the account, and what was rejected.

    It adds to the decision's counters the redirects that removals close, since nobody has read those.
    """
    changes, copy_batches = prepared.changes, prepared.copy_batches
    await copy_rows(fence, copy_batches.numbers)
    await _supersede(fence, changes.replaced, prepared.regions)
    await execute_batched(fence, _CLOSE_STATES, changes.closed_states)
    await execute_batched(fence, _CLOSE_REDIRECTS, map(_redirect_key, changes.closed_redirects))
    await execute_batched(fence, _SET_PRESENCE, map(_presence, changes.presence_updates))
    changes.counters["redirects_closed"] += await _remove(fence, changes)
    await copy_rows(fence, copy_batches.states)
    await copy_rows(fence, copy_batches.redirects)
    await execute_batched(
        fence, _REPLACE_EXTRA, ((number, _encode(extra).decode()) for number, extra in changes.extra_updates)
    )
    # All that an unchanged but reformatted response has to tell: which bytes need not be decoded again.
    await copy_rows(fence, copy_batches.fingerprints)
    created = {version.virtual_number_id for version in changes.created}
    await execute_batched(
        fence, _REPLACE_DIGESTS, (told for told in changes.fingerprints.items() if told[0] not in created)
    )


_ROW: Final = ("virtual_number_id", *RECORD_COLUMNS)
_REGION: Final = _ROW.index("region_id")


def _row(version: NewVersion, regions: Mapping[str, int]) -> list[Any]:
    """A version as the columns of `_ROW`."""
    row = [version.virtual_number_id, *version.values]
    name = row[_REGION]
    if name is not None:
        row[_REGION] = regions[name]
    return row


def _extra(version: NewVersion) -> str:
    return _encode(version.extra).decode()


# A removed number that returns: its last version ended when it was removed, and by the run that removed it.
_KEEP_VERSION: Final = from_unnest(
    "insert into syncer.virtual_number_history (account_id, virtual_number_id,",
    ", ".join(RECORD_COLUMNS),
    """,
            valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id)
    select n.account_id, n.virtual_number_id,
    """,
    ", ".join(f"n.{name}" for name in RECORD_COLUMNS),
    """,
           n.changed_at, coalesce(n.removed_at, staged.observed_at), n.changed_after, staged.closed_after, n.run_id,
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
_REPLACE_VERSION: Final = from_unnest(
    "update syncer.virtual_number n set",
    ", ".join(f"{name} = staged.{name}" for name in RECORD_COLUMNS),
    """,
           extra = staged.extra::jsonb,
           changed_at = staged.observed_at, changed_after = staged.changed_after, run_id = staged.this_run_id,
           last_read_at = null, missing_since = null, removed_at = null
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    **RECORD_KINDS,
    extra="text",
    changed_after="timestamptz",
)


async def _supersede(fence: Fence, replaced: Sequence[NewVersion], regions: Mapping[str, int]) -> None:
    await execute_batched(fence, _KEEP_VERSION, map(attrgetter("virtual_number_id", "changed_after"), replaced))
    await execute_batched(
        fence, _REPLACE_VERSION, ((*_row(one, regions), _extra(one), one.changed_after) for one in replaced)
    )


def _close(table: str, *which: str, ends: str, **columns: str) -> str:
    """Ends the open periods of staged rows, or those of them `which` says, at the moment that is staged as `ends`."""
    return from_unnest(
        f"update syncer.{table} h",
        f"set valid_to = staged.{ends}, closed_after = staged.closed_after, closed_run_id = staged.this_run_id",
        "from staged where",
        join_on_key("h"),
        *which,
        "and h.valid_to is null",
        virtual_number_id="bigint",
        **columns,
    )


_CLOSE_STATES: Final = _close("state_history", ends="observed_at", closed_after="timestamptz")
_redirect_key = attrgetter("virtual_number_id", "redirect_number_id", "number", "changed_after")
_CLOSE_REDIRECTS: Final = _close(
    "virtual_number_redirect",
    "and h.redirect_number_id = staged.redirect_number_id and h.number = staged.number",
    ends="observed_at",
    redirect_number_id="bigint",
    number="text",
    closed_after="timestamptz",
)

_presence = attrgetter("virtual_number_id", "last_read_at", "missing_since", "removed_at")
_SET_PRESENCE: Final = from_unnest(
    """
    update syncer.virtual_number n
       set last_read_at = staged.last_read_at, missing_since = staged.missing_since, removed_at = staged.removed_at
      from staged
     where
    """,
    join_on_key("n"),
    virtual_number_id="bigint",
    last_read_at="timestamptz",
    missing_since="timestamptz",
    removed_at="timestamptz",
)

_removal = attrgetter("virtual_number_id", "last_read_at", "removed_at")
# What a removal closes ended when the number was first missed, however late the removal was believed.
_REMOVED: Final = {"ends": "removed_at", "closed_after": "timestamptz", "removed_at": "timestamptz"}
_CLOSE_REMOVED_STATES: Final = _close("state_history", **_REMOVED)
_CLOSE_REMOVED_REDIRECTS: Final = _close("virtual_number_redirect", **_REMOVED)
_FORGET_DIGESTS: Final = from_unnest(
    """
    delete from syncer.record_fingerprint d
     using staged
     where
    """,
    join_on_key("d"),
    virtual_number_id="bigint",
)


async def _remove(fence: Fence, changes: ChangeSet) -> int:
    """Closes what removed numbers had open.

    Returns:
        How many redirects that were.
    """
    removals = [_removal(presence_update) for presence_update in changes.removed]
    await execute_batched(fence, _CLOSE_REMOVED_STATES, removals)
    await execute_batched(fence, _FORGET_DIGESTS, [removal[:1] for removal in removals])
    return await execute_batched(fence, _CLOSE_REMOVED_REDIRECTS, removals)


_REPLACE_EXTRA: Final = from_unnest(
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

_REPLACE_DIGESTS: Final = from_unnest(
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

_KEEP_REJECTIONS: Final = from_unnest(
    """
    insert into syncer.rejected_record as kept
           (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
    select account_id, rejected_record_id, virtual_number_id, error, payload, this_run_id, this_run_id, 1 from staged
    on conflict (account_id, rejected_record_id)
    do update set last_run_id = excluded.last_run_id, error = excluded.error, occurrences = kept.occurrences + 1
    """,
    rejected_record_id="uuid",
    virtual_number_id="bigint",
    error="text",
    payload="bytea",
)


async def upsert_rejections(fence: Fence, rejections: Iterable[Rejection]) -> None:
    """Writes the elements of a response that could not be taken, once per distinct content."""
    await execute_batched(
        fence,
        _KEEP_REJECTIONS,
        ((UUID(bytes=one.fingerprint), one.virtual_number_id, one.error, one.payload) for one in rejections),
    )
