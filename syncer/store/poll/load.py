"""What the database knows of an account, and of the numbers that a response speaks of, read under the fence."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from syncer.diff.stored import StoredNumber, StoredNumbers, StoredState, UnreadNumber
from syncer.store.tables import RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import Fingerprints, Redirect
    from syncer.store.poll.runs import Fence

_NUMBERS: Final = f"""
select n.virtual_number_id, {", ".join("r.name" if name == "region_id" else f"n.{name}" for name in RECORD_COLUMNS)},
       n.extra::text, n.last_read_at, n.removed_at, r.name, r.region_id
  from syncer.virtual_number n
  left join syncer.region r using (region_id)
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[]) and n.virtual_number_id between $3 and $4
"""  # noqa: S608 - names from a constant
# Those that are open, and those that the number's removal closed.
_REDIRECTS: Final = """
select n.virtual_number_id, r.redirect_number_id, r.number
  from syncer.virtual_number n
  join syncer.virtual_number_redirect r on r.virtual_number_id = n.virtual_number_id
 where n.account_id = $1 and n.virtual_number_id = any($2::bigint[]) and n.virtual_number_id between $3 and $4
   and r.account_id = $1 and r.virtual_number_id = any($2::bigint[]) and r.virtual_number_id between $3 and $4
   and r.valid_to is not distinct from n.removed_at
"""
_UNREAD: Final = """
select virtual_number_id, last_read_at, missing_since
  from syncer.virtual_number where account_id = $1 and last_read_at is not null and removed_at is null
"""
# Whether or not they have returned since: a list that flickers must not be believed piece by piece. A removal is a
# period that ended where none begins. No run is finished before the moments it writes, which spares the history of
# those that were finished earlier.
_LATELY_REMOVED: Final = """
select n.virtual_number_id, n.removed_at is null as has_returned
  from syncer.sync_run r
  join syncer.state_history h on h.account_id = r.account_id and h.closed_run_id = r.run_id
  join syncer.virtual_number n on n.account_id = h.account_id and n.virtual_number_id = h.virtual_number_id
 where r.account_id = $1 and r.finished_at > $2 and r.removed > 0 and r.trigger <> 'accept_removals' and h.valid_to > $2
   and not exists (select from syncer.state_history later
                    where later.account_id = h.account_id and later.virtual_number_id = h.virtual_number_id
                      and later.valid_from = h.valid_to)
"""
# A period that begins where none ended is that of a number which was created or restored. If that is removed by now, it
# is lost itself; or an operator's word removed it, and all that was missing with it: what is held was lost after that.
_CAME_SINCE: Final = """
select h.virtual_number_id
  from syncer.sync_run r
  join syncer.state_history h using (account_id, run_id)
 where r.account_id = $1 and r.finished_at >= $2 and r.created + r.restored > 0 and h.valid_from >= $2
   and not exists (select from syncer.state_history before
                    where before.account_id = h.account_id and before.virtual_number_id = h.virtual_number_id
                      and before.valid_to = h.valid_from)
"""
_REJECTED: Final = "select rejected_record_id from syncer.rejected_record where account_id = $1 and last_run_id = $2"
_REJECTED_BEFORE: Final = """
select virtual_number_id
  from syncer.rejected_record where account_id = $1 and virtual_number_id = any($2::bigint[])
"""
_LISTED: Final = """
select virtual_number_id
  from syncer.virtual_number where account_id = $1 and virtual_number_id = any($2::bigint[]) and removed_at is null
"""


async def load_state(fence: Fence, parsed: ParsedResponse, fingerprints: Fingerprints, hold: timedelta) -> StoredState:
    """What the database knows of the account, as far as an arrival needs it, read under the fence."""
    connection, account_id = fence.connection, fence.run.account_id
    removed_in_hold: list[tuple[int, bool]] = []
    if parsed.missing_ids:
        removed_in_hold = await connection.fetch(_LATELY_REMOVED, account_id, fence.observed_at - hold)
    rejected = await connection.fetch(_REJECTED, account_id, fence.applied_run_id)
    unread = {key: UnreadNumber(*times) for key, *times in await connection.fetch(_UNREAD, account_id)}
    held = [times.missing_since for key, times in unread.items() if key in parsed.missing_ids and times.missing_since]
    first_loss = min((moment for moment in held if fence.observed_at - moment < hold), default=None)
    added_since_first_missing: list[tuple[int]] = []
    if first_loss is not None:
        added_since_first_missing = await connection.fetch(_CAME_SINCE, account_id, first_loss)
    rejected_now = {rejection.virtual_number_id for rejection in parsed.rejections} - {None}
    listed_and_rejected = await connection.fetch(_LISTED, account_id, rejected_now) if rejected_now else []
    return StoredState(
        observed_at=fence.observed_at,
        success_started_at=fence.success_started_at,
        unread=unread,
        listed=len(fingerprints),
        removed_in_hold={number for number, has_returned in removed_in_hold if not has_returned},
        returned_in_hold={number for number, has_returned in removed_in_hold if has_returned},
        added_since_first_missing={number for (number,) in added_since_first_missing},
        rejected_fingerprints={row["rejected_record_id"].bytes for row in rejected},
        listed_and_rejected={number for (number,) in listed_and_rejected},
    )


@dataclass(frozen=True, slots=True)
class NumberRows:
    """What the database knows of some numbers, as it told it."""

    numbers: Sequence[Sequence[Any]] = ()
    redirects: Sequence[Sequence[Any]] = ()
    rejected_before: Sequence[Sequence[Any]] = ()

    def to_stored_numbers(self) -> StoredNumbers:
        """What that means; no I/O, and for a large batch more than the event loop should wait for."""
        redirects: defaultdict[int, set[Redirect]] = defaultdict(set)
        for number, *redirect in self.redirects:
            redirects[number].add((redirect[0], redirect[1]))
        stored, regions = {}, {}
        for number, *values, extra, last_read_at, removed_at, region, region_id in self.numbers:
            stored[number] = StoredNumber(
                values=tuple(values),
                redirects=frozenset(redirects.get(number, ())),
                extra=json.loads(extra),
                last_read_at=last_read_at,
                removed_at=removed_at,
            )
            if region is not None:
                regions[region] = region_id
        return StoredNumbers(stored, {number for (number,) in self.rejected_before}, regions)


async def load_numbers(fence: Fence, asked: Collection[int]) -> NumberRows:
    """What the database knows of some numbers, read under the fence."""
    connection, account_id = fence.connection, fence.run.account_id
    if fence.success_run_id is None:
        return NumberRows()
    given = (account_id, asked, min(asked), max(asked))
    numbers = await connection.fetch(_NUMBERS, *given)
    redirects = await connection.fetch(_REDIRECTS, *given) if numbers else []
    stored = {row[0] for row in numbers}
    new = [number for number in asked if number not in stored]
    rejected_before = await connection.fetch(_REJECTED_BEFORE, account_id, new) if new else []
    return NumberRows(numbers, redirects, rejected_before)
