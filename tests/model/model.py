"""A second implementation of the contract: the expected result of polls of one account, in plain Python.

The model is slow, keeps everything in memory, and has no fingerprints, digests or SQL. Where the contract leaves
something open, a comment states the decision.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tests.model.response_parser import COLUMNS, Element, InvalidResponseError, Record, canonical, read

if TYPE_CHECKING:
    from collections.abc import Mapping

TICK: Final = timedelta(microseconds=1)
ZONE: Final = ZoneInfo("Europe/Moscow")
"""The time zone of the accounts."""
COUNTERS: Final = (
    *("created", "changed", "unchanged", "removed", "restored", "held", "unconfirmed", "rejected"),
    *("state_changes", "redirects_opened", "redirects_closed"),
)

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""The rows by table and key, without the key columns."""


@dataclass
class Period:
    """A row of a history table: its times, the windows in which it began and ended, and the runs."""

    key: tuple[Any, ...]
    values: dict[str, Any]
    valid_from: datetime
    changed_after: datetime | None
    run_id: int
    valid_to: datetime | None = None
    closed_after: datetime | None = None
    closed_run_id: int | None = None

    def close(self, valid_to: datetime, closed_after: datetime | None, run_id: int) -> None:
        self.valid_to, self.closed_after, self.closed_run_id = valid_to, closed_after, run_id

    def row(self) -> dict[str, Any]:
        names = ("valid_to", "changed_after", "closed_after", "run_id", "closed_run_id")
        return self.values | {name: getattr(self, name) for name in names}


@dataclass
class Number:
    """A row of `virtual_number`, the rows of its history, and the run that removed it.

    Attributes:
        believable_misses: When believable responses have missed it since it was last listed.
        absent_at: For a removed number, the start of the last poll that is known not to have listed it.
        was_rejected: Whether an invalid record of it was listed since its removal; then it is unknown when it returned.
        absences: The rows of `absence_history`, by when they began.
    """

    values: dict[str, Any]
    extra: dict[str, Any]
    first_seen_at: datetime
    changed_at: datetime
    changed_after: datetime | None
    run_id: int
    last_read_at: datetime | None = None
    missing_since: datetime | None = None
    missing_run_id: int | None = None
    removed_at: datetime | None = None
    removed_by: int | None = None
    believable_misses: list[datetime] = field(default_factory=list)
    absent_at: datetime | None = None
    was_rejected: bool = False
    versions: list[Period] = field(default_factory=list)
    states: list[Period] = field(default_factory=list)
    redirects: list[Period] = field(default_factory=list)
    absences: dict[datetime, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_removed(self) -> bool:
        return self.removed_at is not None

    def was_listed_before(self, moment: datetime) -> bool:
        """Returns whether the number was listed before that time, and was not removed earlier."""
        return any(row.valid_from < moment and (row.valid_to is None or row.valid_to >= moment) for row in self.states)

    def open_redirects(self) -> dict[tuple[int, str], Period]:
        return {row.key: row for row in self.redirects if row.valid_to is None}

    def redirects_closed_by_removal(self) -> frozenset[tuple[int, str]]:
        return frozenset(row.key for row in self.redirects if row.valid_to == self.removed_at)


@dataclass
class RunRow:
    """A row of `sync_run`."""

    trigger: str
    started_at: datetime
    outcome: str = "running"
    error_kind: str | None = None
    http_status: int | None = None
    response_bytes: int | None = None
    received: int | None = None
    counters: Counter[str] = field(default_factory=Counter)

    def row(self) -> dict[str, Any]:
        names = ("trigger", "started_at", "outcome", "error_kind", "http_status", "response_bytes", "received")
        return {name: getattr(self, name) for name in names} | {name: self.counters[name] for name in COUNTERS}


@dataclass
class RejectedRow:
    """A row of `rejected_record`."""

    virtual_number_id: int | None
    first_run_id: int
    last_run_id: int
    occurrences: int = 1


@dataclass(frozen=True)
class PollContext:
    """The values that all rows written by one successful poll have in common, and its counters."""

    run_id: int
    started_at: datetime
    observed_at: datetime
    success_started_at: datetime | None
    removed_in_hold: set[int]
    counters: Counter[str]


@dataclass(frozen=True)
class ParsedResponse:
    """The content of a response.

    Attributes:
        records: The valid records, by id.
        rejected: The id of each distinct invalid content; None if it cannot be read.
        is_empty: Whether the array has no elements.
        is_partial: Whether a header says that the list is longer.
    """

    records: dict[int, Record]
    rejected: dict[bytes, int | None]
    is_empty: bool
    is_partial: bool

    @property
    def listed(self) -> set[int]:
        return {*self.records, *(number for number in self.rejected.values() if number is not None)}

    @property
    def has_unreadable_id(self) -> bool:
        return None in self.rejected.values()

    @property
    def is_believable(self) -> bool:
        """Whether a number that is not listed may be gone."""
        return not (self.is_empty or self.is_partial or self.has_unreadable_id)


def missing_since(stored: Number) -> datetime:
    """Returns the time since when a missing number is missing."""
    assert stored.missing_since is not None
    return stored.missing_since


def says_partial(headers: Mapping[str, str], received: int) -> bool:
    """Returns whether headers say that the list is longer than the elements that were received."""
    if 'rel="next"' in headers.get("Link", ""):
        return True
    totals = [headers.get("X-Total-Count", ""), headers.get("Content-Range", "").rpartition("/")[2]]
    return any(total.isdigit() and int(total) > received for total in totals)


def classify(elements: list[Element], headers: Mapping[str, str]) -> ParsedResponse:
    """Divides the elements: different records with the same id are all rejected, equal ones count as one."""
    by_id: dict[int | None, list[Element]] = {}
    for element in elements:
        by_id.setdefault(element.id, []).append(element)
    records: dict[int, Record] = {}
    rejected: dict[bytes, int | None] = {}
    for number, same_id in by_id.items():
        first = same_id[0].record
        if (
            number is not None
            and first is not None
            and all(one.record is not None and one.record.same_content(first) for one in same_id)
        ):
            records[number] = first
        else:
            rejected.update((one.payload, number) for one in same_id)
    return ParsedResponse(
        records, rejected, is_empty=not elements, is_partial=says_partial(headers, received=len(elements))
    )


class AccountModel:
    """One account: begins and completes runs, and returns the expected rows.

    Attributes:
        consequences: How often each kind of consequence occurred, for the statistics.
    """

    def __init__(self, *, ratio: float, hold: timedelta, confirmations: int) -> None:
        self.ratio, self.hold, self.confirmations = Fraction(str(ratio)), hold, confirmations
        self.app_id: int | None = None
        self.numbers: dict[int, Number] = {}
        self.runs: dict[int, RunRow] = {}
        self.rejected: dict[bytes, RejectedRow] = {}
        self.current_rejected: set[bytes] = set()
        self.success_run_id: int | None = None
        self.success_started_at: datetime | None = None
        self.observed_at: datetime | None = None
        self.believable_started_at: datetime | None = None
        self.held = self.unconfirmed = 0
        self.unaccepted_removals: list[tuple[int, datetime]] = []
        self.consequences: Counter[str] = Counter()

    def upcoming_deadlines(self) -> list[datetime]:
        """Returns the times when a poll gets another result only because time has passed.

        Then a number has been missing for the hold time, or a removal no longer counts.
        """
        missing = [
            stored.believable_misses[0]
            for stored in self.numbers.values()
            if stored.believable_misses and not stored.is_removed
        ]
        removed = [removed_at for _, removed_at in self.unaccepted_removals]
        deadlines = [moment + self.hold for moment in missing + removed]
        return [deadline for deadline in deadlines if self.observed_at is None or deadline > self.observed_at]

    def has_passed(self, deadlines: list[datetime]) -> bool:
        """Returns whether any of the deadlines was over at the last success."""
        return self.observed_at is not None and any(deadline <= self.observed_at for deadline in deadlines)

    def observed_day(self) -> date | None:
        """Returns the day of the last success, where the account is."""
        return None if self.observed_at is None else _local_day(self.observed_at)

    def begin(self, run_id: int, trigger: str, clock: datetime) -> None:
        """Begins a poll."""
        self.runs[run_id] = RunRow(trigger, clock)

    def fail(self, run_id: int, kind: str, *, http_status: int, response_bytes: int | None) -> RunRow:
        """Completes a poll whose request failed."""
        run = self.runs[run_id]
        run.outcome, run.error_kind = "failed", kind
        run.http_status, run.response_bytes = http_status, response_bytes
        self.consequences[f"failed: {kind}"] += 1
        return run

    def delete_old_runs(self, clock: datetime, retention: timedelta) -> int:
        """Deletes the runs that are kept no longer, and returns how many these are.

        A run that found nothing new is kept while it is of today or yesterday, others but applied ones for the
        retention; whole days only. A day with an unfinished run, or that of the last success, is kept.
        """
        day_of = _local_day
        kept_days = {day_of(run.started_at) for run in self.runs.values() if run.outcome == "running"}
        if self.success_started_at is not None:
            kept_days.add(day_of(self.success_started_at))
        kept = {run_id for row in self.rejected.values() for run_id in (row.first_run_id, row.last_run_id)}
        old = []
        for run_id, run in self.runs.items():
            found_nothing = run.outcome == "unchanged" and run.counters["held"] == 0
            first_kept = day_of(clock - (timedelta(days=1) if found_nothing else retention))
            if run.outcome != "applied" and run_id not in kept and day_of(run.started_at) not in kept_days:
                old += [run_id] if day_of(run.started_at) < first_kept else []
        for run_id in old:
            del self.runs[run_id]
        self.consequences["runs deleted"] += len(old)
        return len(old)

    def is_of_account(self, body: bytes) -> bool:
        """Returns whether the records of a valid body are of this account, as far as that can be known."""
        elements = read(body)
        rejected = classify(elements, {}).rejected
        try:
            self._check_app_id([element for element in elements if element.payload not in rejected])
        except InvalidResponseError:
            return False
        return True

    def complete(self, run_id: int, body: bytes, clock: datetime, headers: Mapping[str, str]) -> RunRow:
        """Completes a poll that received status 200, a body, and headers about the length of the list."""
        if run_id not in self.runs:
            # A later success abandoned it, and it was old enough to be deleted: the poll changes nothing.
            self.consequences["failed: database"] += 1
            return RunRow("schedule", clock, outcome="failed", error_kind="database")
        run = self.runs[run_id]
        if self.success_run_id is not None and self.success_run_id > run_id:
            run.outcome, run.http_status, run.response_bytes = "superseded", 200, len(body)
            self.consequences["superseded"] += 1
            return run
        try:
            elements = read(body)
            parsed = classify(elements, headers)
            accepted_elements = [element for element in elements if element.payload not in parsed.rejected]
            self._check_app_id(accepted_elements)
        except InvalidResponseError as error:
            return self.fail(run_id, str(error), http_status=200, response_bytes=len(body))
        run.http_status, run.response_bytes, run.received = 200, len(body), len(elements)
        earlier = [self.observed_at, self.success_started_at, run.started_at]
        observed_at = max(clock, *(moment + TICK for moment in earlier if moment is not None))
        poll = PollContext(
            run_id,
            run.started_at,
            observed_at,
            self.success_started_at,
            self._removed_in_hold(observed_at),
            run.counters,
        )
        has_changed = self._apply_response(parsed, poll, accepted=run.trigger == "accept_removals")
        run.outcome = "applied" if has_changed or self.success_run_id is None else "unchanged"
        if run.outcome == "applied":
            self._record_rejected(parsed, run_id)
        self._succeed(run_id, run, observed_at, accepted_elements)
        if parsed.is_believable:
            self.believable_started_at = run.started_at
        self._count_consequences(run, parsed)
        return run

    def _check_app_id(self, elements: list[Element]) -> None:
        app_ids = {element.app_id for element in elements} - {None}
        if self.app_id is not None and app_ids and self.app_id not in app_ids:
            raise InvalidResponseError("wrong_account")

    def _apply_response(self, parsed: ParsedResponse, poll: PollContext, *, accepted: bool) -> bool:
        """Updates the numbers from a response; returns whether anything changed."""
        before = {number for number, stored in self.numbers.items() if not stored.is_removed}
        has_changed = set(parsed.rejected) != self.current_rejected
        for number in before - parsed.listed:
            has_changed |= self._mark_missing(self.numbers[number], poll)
        for number in before & (parsed.listed - parsed.records.keys()):
            has_changed |= self._mark_unread(self.numbers[number], poll)
        for record in parsed.records.values():
            has_changed |= self._apply_record(record, poll)
        self._look_for_removed(parsed, poll)
        missing = before - parsed.listed
        if parsed.is_believable:
            for number in missing:
                self.numbers[number].believable_misses.append(poll.observed_at)
                has_changed |= len(self.numbers[number].believable_misses) == 1
        unconfirmed: set[int] = set()
        if accepted:
            removed = missing
        elif parsed.is_believable:
            believed = self._believed_removals(missing, before, poll)
            unconfirmed = {
                number for number in believed if len(self.numbers[number].believable_misses) < self.confirmations
            }
            removed = believed - unconfirmed
        else:
            removed = set()
        for number in removed:
            self._remove(self.numbers[number], poll)
            if not accepted:
                self.unaccepted_removals.append((number, missing_since(self.numbers[number])))
        self.held, self.unconfirmed = len(missing - removed - unconfirmed), len(unconfirmed)
        poll.counters.update(held=self.held, unconfirmed=self.unconfirmed, rejected=len(parsed.rejected))
        return has_changed or bool(removed)

    def _look_for_removed(self, parsed: ParsedResponse, poll: PollContext) -> None:
        """Notes whether this response says anything of the numbers that are removed."""
        for number, stored in self.numbers.items():
            if not stored.is_removed:
                continue
            if number in parsed.listed:
                stored.was_rejected = True
                stored.absent_at = None
            elif parsed.is_believable and not stored.was_rejected:
                stored.absent_at = poll.started_at

    def _removed_in_hold(self, observed_at: datetime) -> set[int]:
        """Returns the numbers that were removed within the hold time, whether or not they have returned."""
        return {number for number, removed_at in self.unaccepted_removals if removed_at > observed_at - self.hold}

    def _believed_removals(self, missing: set[int], before: set[int], poll: PollContext) -> set[int]:
        """Returns the missing numbers to remove without an operator's approval, once confirmed."""
        stored = self.numbers
        past_hold = {
            number for number in missing if poll.observed_at - stored[number].believable_misses[0] >= self.hold
        }
        in_hold = missing - past_hold
        # Numbers past the hold time count neither as lost nor as listed. Held ones are compared with what was listed
        # just before the first of them went missing: numbers that appeared at the same time do not make a loss smaller.
        lost = in_hold | poll.removed_in_hold
        first_missed_at = min((missing_since(stored[number]) for number in in_hold), default=poll.observed_at)
        listed_before = {number for number in stored if stored[number].was_listed_before(first_missed_at)} - past_hold
        is_new_loss_small = self._is_small_loss(lost, before - past_hold)
        is_held_loss_small = self._is_small_loss(lost, listed_before)
        removed_directly = {
            number
            for number in in_hold
            if (is_new_loss_small if missing_since(stored[number]) == poll.observed_at else is_held_loss_small)
        }
        self.consequences["removed after the hold time"] += len(past_hold)
        self.consequences["removed without a hold"] += len(removed_directly)
        self.consequences["some past the hold time, some held"] += bool(past_hold) and len(removed_directly) < len(
            in_hold
        )
        return past_hold | removed_directly

    def _is_small_loss(self, lost: set[int], listed: set[int]) -> bool:
        """Returns whether at most the guard's share of the listed and lost numbers was lost."""
        return len(lost) <= self.ratio * len(listed | lost)

    def _mark_missing(self, stored: Number, poll: PollContext) -> bool:
        if stored.missing_since is not None:
            return False
        stored.missing_since, stored.missing_run_id = poll.observed_at, poll.run_id
        stored.last_read_at = self._last_read(stored, poll)
        return True

    def _mark_unread(self, stored: Number, poll: PollContext) -> bool:
        """Marks a number that is listed with an invalid record: it is not missing, but was not read."""
        has_changed = stored.missing_since is not None or stored.last_read_at is None
        self.consequences["missing, then rejected"] += stored.missing_since is not None
        _end_absence(stored, poll, "returned")
        stored.believable_misses.clear()
        stored.last_read_at = self._last_read(stored, poll)
        return has_changed

    @staticmethod
    def _last_read(stored: Number, poll: PollContext) -> datetime | None:
        """Returns the start of the last successful poll that read the number's record."""
        return poll.success_started_at if stored.last_read_at is None else stored.last_read_at

    def _apply_record(self, record: Record, poll: PollContext) -> bool:
        stored = self.numbers.get(record.id)
        if stored is None:
            self._create(record, poll)
            return True
        return self._restore(stored, record, poll) if stored.is_removed else self._update(stored, record, poll)

    def _create(self, record: Record, poll: PollContext) -> None:
        # The contract leaves this open. The number appeared after the last believable response, unless an invalid
        # record of it was listed before; then it is unknown when it appeared.
        was_listed = any(row.virtual_number_id == record.id for row in self.rejected.values())
        after = None if was_listed else self.believable_started_at
        self.consequences["created after it was rejected"] += was_listed
        stored = self.numbers[record.id] = Number(
            values=dict.fromkeys(COLUMNS) | record.values,
            extra=record.extra,
            first_seen_at=poll.observed_at,
            changed_at=poll.observed_at,
            changed_after=after,
            run_id=poll.run_id,
        )
        poll.counters["created"] += 1
        _open_state(stored, poll, after)
        _set_redirects(stored, record.redirects or frozenset(), poll, after)

    def _update(self, stored: Number, record: Record, poll: PollContext) -> bool:
        after = self._last_read(stored, poll)
        was_unread = stored.last_read_at is not None
        self.consequences["missing, then back"] += stored.missing_since is not None
        _end_absence(stored, poll, "returned")
        stored.last_read_at = None
        stored.believable_misses.clear()
        values = stored.values | record.values
        has_new_version = values != stored.values
        has_new_state = any(values[name] != stored.values[name] for name in ("state", "reason"))
        if has_new_version:
            _replace_version(stored, values, poll, after)
        if has_new_state:
            stored.states[-1].close(poll.observed_at, after, poll.run_id)
            _open_state(stored, poll, after)
            poll.counters["state_changes"] += 1
            self.consequences["changed in an absence"] += was_unread
        has_other_redirects = record.redirects is not None and _set_redirects(stored, record.redirects, poll, after)
        has_other_extra = canonical(record.extra) != canonical(stored.extra)
        if has_other_extra:
            stored.extra = record.extra
            self.consequences["only extra changed"] += not (has_new_version or has_other_redirects)
        poll.counters["changed" if has_new_version or has_other_redirects else "unchanged"] += 1
        return has_new_version or has_other_redirects or has_other_extra or was_unread

    def _restore(self, stored: Number, record: Record, poll: PollContext) -> bool:
        # The contract leaves open what holds if an invalid record of it was listed since: the removal is certain.
        after = stored.absent_at or self.runs[stored.removed_by or 0].started_at
        self.consequences["restored after it was rejected"] += stored.was_rejected
        reopened = stored.redirects_closed_by_removal()
        if record.redirects is None and reopened:
            self.consequences["restored with the redirects it had"] += 1
        redirects = reopened if record.redirects is None else record.redirects
        _replace_version(stored, stored.values | record.values, poll, after)
        stored.extra = record.extra
        stored.removed_at = stored.removed_by = stored.missing_since = stored.missing_run_id = None
        stored.last_read_at = stored.absent_at = None
        stored.was_rejected = False
        stored.believable_misses.clear()
        _open_state(stored, poll, after)
        _set_redirects(stored, redirects, poll, after)
        poll.counters["restored"] += 1
        return True

    @staticmethod
    def _remove(stored: Number, poll: PollContext) -> None:
        removed_at = missing_since(stored)
        run_id = stored.missing_run_id
        _end_absence(stored, poll, "removed")
        stored.missing_since, stored.missing_run_id = removed_at, run_id
        stored.removed_at, stored.removed_by, stored.absent_at = removed_at, poll.run_id, poll.started_at
        stored.versions.append(_current_version(stored))
        stored.versions[-1].close(removed_at, stored.last_read_at, poll.run_id)
        stored.states[-1].close(removed_at, stored.last_read_at, poll.run_id)
        for row in stored.open_redirects().values():
            row.close(removed_at, stored.last_read_at, poll.run_id)
            poll.counters["redirects_closed"] += 1
        poll.counters["removed"] += 1

    def _record_rejected(self, parsed: ParsedResponse, run_id: int) -> None:
        for payload, number in parsed.rejected.items():
            row = self.rejected.get(payload)
            if row is None:
                self.rejected[payload] = RejectedRow(number, run_id, run_id)
            else:
                row.last_run_id = run_id
                row.occurrences += 1
        self.current_rejected = set(parsed.rejected)

    def _succeed(self, run_id: int, run: RunRow, observed_at: datetime, elements: list[Element]) -> None:
        for other_id, other in self.runs.items():
            if other_id < run_id and other.outcome == "running":
                other.outcome = "abandoned"
                self.consequences["abandoned"] += 1
        if self.app_id is None:
            self.app_id = _most_frequent_app_id(elements)
        self.success_run_id, self.success_started_at, self.observed_at = run_id, run.started_at, observed_at

    def _count_consequences(self, run: RunRow, parsed: ParsedResponse) -> None:
        self.consequences[f"outcome: {run.outcome}"] += 1
        self.consequences["records received"] += run.received or 0
        self.consequences.update(run.counters)
        repeated = (run.received or 0) - len(parsed.records) - len(parsed.rejected)
        self.consequences["repeated"] += repeated
        self.consequences["removals held for an unreadable id"] += parsed.has_unreadable_id and run.counters["held"] > 0
        self.consequences["removals held for an empty list"] += parsed.is_empty and run.counters["held"] > 0
        self.consequences["removals held for a header"] += parsed.is_partial and run.counters["held"] > 0
        self.consequences["removals accepted though the response is not believable"] += (
            run.trigger == "accept_removals" and run.counters["removed"] > 0 and not parsed.is_believable
        )
        self.consequences["removals accepted by an operator"] += (
            run.trigger == "accept_removals" and run.counters["removed"] > 0
        )

    def rows(self) -> Rows:
        """Returns the expected rows of the account's tables, without the account's id."""
        numbers = self.numbers.items()
        return {
            "virtual_number": {(number,): _number_row(stored) for number, stored in numbers},
            "virtual_number_history": {
                (number, row.valid_from): row.row() for number, stored in numbers for row in stored.versions
            },
            "state_history": {
                (number, row.valid_from): row.row() for number, stored in numbers for row in stored.states
            },
            "virtual_number_redirect": {
                (number, *row.key, row.valid_from): row.row() for number, stored in numbers for row in stored.redirects
            },
            "absence_history": {
                (number, since): row for number, stored in numbers for since, row in stored.absences.items()
            },
            "rejected_record": {(payload,): dict(vars(row)) for payload, row in self.rejected.items()},
            "sync_run": {(run_id,): run.row() for run_id, run in self.runs.items()},
        }


def _local_day(moment: datetime) -> date:
    return moment.astimezone(ZONE).date()


def _most_frequent_app_id(elements: list[Element]) -> int | None:
    """Returns the most frequent `app_id` of the distinct accepted elements; if tied, the smallest."""
    app_ids = Counter(app_id for app_id in {one.payload: one.app_id for one in elements}.values() if app_id is not None)
    return min(app_ids, key=lambda app_id: (-app_ids[app_id], app_id), default=None)


def _replace_version(stored: Number, values: dict[str, Any], poll: PollContext, after: datetime | None) -> None:
    if stored.removed_at is None:  # else its removal has ended the version
        stored.versions.append(_current_version(stored))
        stored.versions[-1].close(poll.observed_at, after, poll.run_id)
    stored.values = values
    stored.changed_at, stored.changed_after, stored.run_id = poll.observed_at, after, poll.run_id


def _current_version(stored: Number) -> Period:
    return Period((), stored.values, stored.changed_at, stored.changed_after, stored.run_id)


def _end_absence(stored: Number, poll: PollContext, ended_by: str) -> None:
    if stored.missing_since is not None:
        stored.absences[stored.missing_since] = {
            "run_id": stored.missing_run_id,
            "ended_at": poll.observed_at,
            "closed_run_id": poll.run_id,
            "ended_by": ended_by,
        }
    stored.missing_since = stored.missing_run_id = None


def _open_state(stored: Number, poll: PollContext, after: datetime | None) -> None:
    values = {name: stored.values[name] for name in ("state", "reason")}
    stored.states.append(Period((), values, poll.observed_at, after, poll.run_id))


def _set_redirects(
    stored: Number, listed: frozenset[tuple[int, str]], poll: PollContext, after: datetime | None
) -> bool:
    """Opens and closes redirects so that exactly these are open; returns whether anything changed."""
    open_redirects = stored.open_redirects()
    for key in open_redirects.keys() - listed:
        open_redirects[key].close(poll.observed_at, after, poll.run_id)
    opened = listed - open_redirects.keys()
    stored.redirects.extend(Period(key, {}, poll.observed_at, after, poll.run_id) for key in opened)
    poll.counters["redirects_opened"] += len(opened)
    poll.counters["redirects_closed"] += len(open_redirects.keys() - listed)
    return listed != open_redirects.keys()


def _number_row(stored: Number) -> dict[str, Any]:
    names = (
        *("first_seen_at", "changed_at", "changed_after", "last_read_at", "missing_since", "removed_at", "run_id"),
        "missing_run_id",
    )
    return (
        stored.values
        | {"extra": canonical(stored.extra)}
        | {name: getattr(stored, name) for name in names}
        | {"removed_run_id": stored.removed_by}
        | {"believable_missing_since": stored.believable_misses[0] if stored.believable_misses else None}
    )
