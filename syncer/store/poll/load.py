"""Loads the stored state of an account, and the stored rows of the numbers in a response, under the fence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from syncer.diff.erasures import NOTHING_ERASED
from syncer.diff.json_values import read_json
from syncer.diff.response import MAX_STORED_REJECTIONS
from syncer.diff.stored import StartedRun, StoredAccount, StoredNumber, StoredNumbers, UnreadNumber
from syncer.store.active_erasures import load_erasures
from syncer.store.record_columns import RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from syncer.diff.record import RedirectKey
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import Fingerprints
    from syncer.store.poll.runs import Fence

_NUMBERS: Final = f"""
select n.virtual_number_id, {", ".join("r.name" if name == "region_id" else f"n.{name}" for name in RECORD_COLUMNS)},
       n.extra::text, n.last_read_at, r.name, r.region_id, n.removed_run_id as removed_by,
       (select started_at from syncer.sync_run s where s.account_id = $1 and s.run_id = n.removed_run_id)
  from syncer.virtual_number n
  left join syncer.region r using (region_id)
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[]) and n.virtual_number_id between $3 and $4
"""  # noqa: S608 - names from a constant
_REDIRECTS: Final = """
select virtual_number_id, redirect_number_id, number
  from syncer.virtual_number_redirect
 where account_id = $1 and virtual_number_id = any($2::bigint[]) and virtual_number_id between $3 and $4
"""
_REDIRECTS_BEFORE_REMOVAL: Final = """
select r.virtual_number_id, r.redirect_number_id, r.number
  from syncer.virtual_number n
  join syncer.virtual_number_redirect_history r
    on r.account_id = n.account_id and r.virtual_number_id = n.virtual_number_id and r.valid_to = n.removed_at
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[])
   and r.account_id = $1 and r.virtual_number_id = any($2::bigint[])
"""
_UNREAD: Final = """
select virtual_number_id, last_read_at, missing_since, believable_missing_since, believable_missing_from
  from syncer.virtual_number where account_id = $1 and last_read_at is not null and removed_at is null
"""
# Numbers that have returned since are included: a list that flickers must not be accepted piece by piece. Their ids are
# passed as an array: for a join, outdated statistics can make PostgreSQL read the whole account for each of them.
_REMOVED_IN_HOLD: Final = """
select virtual_number_id, removed_at is null as has_returned
  from syncer.virtual_number
 where account_id = $1 and virtual_number_id = any(array(
       select virtual_number_id
         from syncer.state_history h
        where account_id = $1 and ended_by = 'removed' and valid_to > $2
          and (select r.trigger from syncer.sync_run r where r.account_id = $1 and r.run_id = h.closed_run_id)
              <> 'accept_removals'))
"""
# If a number that was added has been removed since, either it counts as missing itself, or an operator accepted its
# removal together with all others that were missing then, and the removals that are held now came later.
_ADDED_SINCE: Final = """
select virtual_number_id from syncer.virtual_number where account_id = $1 and listed_since >= $2
"""
# Of most accounts there is nothing of these, and one statement says so.
_EXISTING: Final = """
select exists (select from syncer.rejected_record where account_id = $1 and last_run_id = $2) as rejected,
       exists (select from syncer.virtual_number
                where account_id = $1 and last_read_at is not null and removed_at is null) as unread,
       exists (select from syncer.erasure where account_id = $1 and lifted_at is null) as erased
  from syncer.account_fence where account_id = $1
"""
_REJECTED_FINGERPRINTS: Final = (
    "select rejected_record_id from syncer.rejected_record where account_id = $1 and last_run_id = $2"
)
_REJECTED_BY: Final = """
select virtual_number_id, max(last_run_id)
  from syncer.rejected_record where account_id = $1 and virtual_number_id = any($2::bigint[]) group by 1
"""
# Not all rejected records of the last success are stored then, so any new number may be one of them.
_HAS_UNSTORED: Final = "select rejected > $3 from syncer.sync_run where account_id = $1 and run_id = $2"
_LISTED: Final = """
select virtual_number_id
  from syncer.virtual_number where account_id = $1 and virtual_number_id = any($2::bigint[]) and removed_at is null
"""


async def load_account(
    fence: Fence, parsed: ParsedResponse, fingerprints: Fingerprints, hold: timedelta
) -> StoredAccount:
    """Loads the stored state of the account, as far as the response needs it.

    Args:
        fence: The account's fence.
        parsed: The response.
        fingerprints: The fingerprints that the response was compared with.
        hold: How long removals are held.
    """
    connection, account_id = fence.connection, fence.run.account_id
    removed_in_hold: list[tuple[int, bool]] = []
    if parsed.missing_ids:
        removed_in_hold = await connection.fetch(_REMOVED_IN_HOLD, account_id, fence.observed_at - hold)
    (existing,) = await connection.fetch(_EXISTING, account_id, fence.applied_run_id)
    rejected, unread, erasures = [], {}, NOTHING_ERASED
    if existing["rejected"]:
        rejected = await connection.fetch(_REJECTED_FINGERPRINTS, account_id, fence.applied_run_id)
    if existing["unread"]:
        unread = {key: UnreadNumber(*times) for key, *times in await connection.fetch(_UNREAD, account_id)}
    if existing["erased"]:
        erasures = await load_erasures(connection, account_id, fence.run.content_hash)
    missed_at = [
        absence.missing_since
        for key, absence in unread.items()
        if key in parsed.missing_ids and absence.missing_since and not absence.is_past_hold(fence.observed_at, hold)
    ]
    first_missed_at = min(missed_at, default=None)
    added_since_first_missing: list[tuple[int]] = []
    if first_missed_at is not None:
        added_since_first_missing = await connection.fetch(_ADDED_SINCE, account_id, first_missed_at)
    rejected_now = {rejection.virtual_number_id for rejection in parsed.rejections} - {None}
    listed_and_rejected = await connection.fetch(_LISTED, account_id, rejected_now) if rejected_now else []
    return StoredAccount(
        observed_at=fence.observed_at,
        success_started_at=fence.success_started_at,
        unread=unread,
        listed_count=len(fingerprints),
        removed_in_hold={number for number, has_returned in removed_in_hold if not has_returned},
        returned_in_hold={number for number, has_returned in removed_in_hold if has_returned},
        added_since_first_missing={number for (number,) in added_since_first_missing},
        rejected_fingerprints={row["rejected_record_id"].bytes for row in rejected},
        listed_and_rejected={number for (number,) in listed_and_rejected},
        believable_run=fence.believable_run,
        believable_count=fence.believable_count,
        erasures=erasures,
    )


@dataclass(frozen=True, slots=True)
class NumberRows:
    """The stored rows of some numbers, as PostgreSQL returned them."""

    numbers: Sequence[Sequence[Any]] = ()
    redirects: Sequence[Sequence[Any]] = ()
    rejected_by: Sequence[Sequence[Any]] = ()

    def to_stored_numbers(self) -> StoredNumbers:
        """Converts the rows; no I/O, but for a large batch it takes too long for the event loop."""
        redirects: defaultdict[int, set[RedirectKey]] = defaultdict(set)
        for number, *redirect in self.redirects:
            redirects[number].add((redirect[0], redirect[1]))
        stored, regions = {}, {}
        for number, *values, extra, last_read_at, region, region_id, removed_by, removal_started_at in self.numbers:
            stored[number] = StoredNumber(
                values=tuple(values),
                redirects=frozenset(redirects.get(number, ())),
                extra={} if extra == "{}" else read_json(extra),  # nearly all
                last_read_at=last_read_at,
                removal=None if removed_by is None else StartedRun(removed_by, removal_started_at),
            )
            if region is not None:
                regions[region] = region_id
        return StoredNumbers(stored, dict(map(tuple, self.rejected_by)), regions)


async def load_numbers(fence: Fence, numbers: Collection[int]) -> NumberRows:
    """Loads the stored rows of some numbers, by `virtual_number_id`."""
    connection, account_id = fence.connection, fence.run.account_id
    if fence.success_run_id is None:
        return NumberRows()
    arguments = (account_id, numbers, min(numbers), max(numbers))
    rows = await connection.fetch(_NUMBERS, *arguments)
    redirects = await connection.fetch(_REDIRECTS, *arguments) if rows else []
    removed = [row[0] for row in rows if row["removed_by"] is not None]
    if removed:
        redirects = [*redirects, *await connection.fetch(_REDIRECTS_BEFORE_REMOVAL, account_id, removed)]
    not_removed = {row[0] for row in rows if row["removed_by"] is None}
    new_or_removed = [number for number in numbers if number not in not_removed]
    rejected_by: Sequence[Sequence[Any]] = []
    if new_or_removed and await connection.fetchval(
        _HAS_UNSTORED, account_id, fence.success_run_id, MAX_STORED_REJECTIONS
    ):
        rejected_by = [(number, fence.success_run_id) for number in new_or_removed]
    elif new_or_removed:
        rejected_by = await connection.fetch(_REJECTED_BY, account_id, new_or_removed)
    return NumberRows(rows, redirects, rejected_by)
