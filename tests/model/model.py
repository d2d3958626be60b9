"""What polls of one account must come to, told a second time, in plain Python, from the contract's words alone.

The model is slow, keeps everything in memory and knows no bytes, digests or statements. Where the contract is silent,
the decision is written down beside the line that makes it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from tests.model.reading import COLUMNS, Element, Record, UnreadableError, meaning, read

TICK: Final = timedelta(microseconds=1)
COUNTERS: Final = (
    *("created", "changed", "unchanged", "removed", "restored", "held", "rejected"),
    *("state_changes", "redirects_opened", "redirects_closed"),
)

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""By table: by key, what a row holds beyond it."""


@dataclass
class Period:
    """A row of a history: from when to when, in which windows, and by which runs."""

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
    """A row of `virtual_number`, the rows of its histories, and who removed it."""

    values: dict[str, Any]
    extra: dict[str, Any]
    first_seen_at: datetime
    changed_at: datetime
    changed_after: datetime | None
    run_id: int
    last_read_at: datetime | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    removed_by: int | None = None
    versions: list[Period] = field(default_factory=list)
    states: list[Period] = field(default_factory=list)
    redirects: list[Period] = field(default_factory=list)

    @property
    def is_removed(self) -> bool:
        return self.removed_at is not None

    def was_listed_before(self, moment: datetime) -> bool:
        """Whether its life had begun before that moment, and did not end until then."""
        return any(row.valid_from < moment and (row.valid_to is None or row.valid_to >= moment) for row in self.states)

    def open_redirects(self) -> dict[tuple[int, str], Period]:
        return {row.key: row for row in self.redirects if row.valid_to is None}

    def redirects_that_the_removal_closed(self) -> frozenset[tuple[int, str]]:
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
class Moment:
    """What everything that one successful poll writes is recorded under."""

    run_id: int
    observed_at: datetime
    success_started_at: datetime | None
    removed_in_hold: set[int]
    counters: Counter[str]


@dataclass(frozen=True)
class ParsedResponse:
    """What a response says of an account's numbers.

    Attributes:
        records: The records that can be taken, by id.
        rejected: The id, where it can be read, of each distinct content that cannot be taken.
        is_empty: Whether the array has no element.
    """

    records: dict[int, Record]
    rejected: dict[bytes, int | None]
    is_empty: bool

    @property
    def listed(self) -> set[int]:
        return {*self.records, *(number for number in self.rejected.values() if number is not None)}

    @property
    def hides_who_is_listed(self) -> bool:
        return None in self.rejected.values()


def since(known: Number) -> datetime:
    """Since when a number is missing that is."""
    assert known.missing_since is not None
    return known.missing_since


def sort_out(elements: list[Element]) -> ParsedResponse:
    """Different records with one id are all rejected, those that say the same are one."""
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
            and all(one.record is not None and one.record.says_the_same(first) for one in same_id)
        ):
            records[number] = first
        else:
            rejected.update((one.payload, number) for one in same_id)
    return ParsedResponse(records, rejected, is_empty=not elements)


class AccountModel:
    """One account: begin runs, answer them, and look at what its tables must hold then.

    Attributes:
        happened: How often each kind of consequence came about, for the tally.
    """

    def __init__(self, *, ratio: float, hold: timedelta) -> None:
        self.ratio, self.hold = Fraction(str(ratio)), hold
        self.app_id: int | None = None
        self.numbers: dict[int, Number] = {}
        self.runs: dict[int, RunRow] = {}
        self.rejected: dict[bytes, RejectedRow] = {}
        self.standing_rejected: set[bytes] = set()
        self.success_run_id: int | None = None
        self.success_started_at: datetime | None = None
        self.observed_at: datetime | None = None
        self.unaccepted_removals: list[tuple[int, datetime]] = []
        self.happened: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """How many removals are held."""
        return sum(known.missing_since is not None and not known.is_removed for known in self.numbers.values())

    def limits_ahead(self) -> list[datetime]:
        """When time alone will make a difference: a number has been missing long enough, a removal counts no longer."""
        missing = [since(known) for known in self.numbers.values() if known.missing_since and not known.is_removed]
        removed = [removed_at for _, removed_at in self.unaccepted_removals]
        limits = [moment + self.hold for moment in missing + removed]
        return [limit for limit in limits if self.observed_at is None or limit > self.observed_at]

    def has_reached(self, limits: list[datetime]) -> bool:
        """Whether the last success came when the time of any of them was up."""
        return self.observed_at is not None and any(limit <= self.observed_at for limit in limits)

    def begin(self, run_id: int, trigger: str, clock: datetime) -> None:
        """A poll begins."""
        self.runs[run_id] = RunRow(trigger, clock)

    def fail(self, run_id: int, kind: str, *, http_status: int, response_bytes: int | None) -> RunRow:
        """A poll's request comes to nothing."""
        run = self.runs[run_id]
        run.outcome, run.error_kind = "failed", kind
        run.http_status, run.response_bytes = http_status, response_bytes
        self.happened[f"failed: {kind}"] += 1
        return run

    def answer(self, run_id: int, body: bytes, clock: datetime) -> RunRow:
        """A poll's request is answered with 200 and a body."""
        run = self.runs[run_id]
        if self.success_run_id is not None and self.success_run_id > run_id:
            run.outcome, run.http_status, run.response_bytes = "superseded", 200, len(body)
            self.happened["superseded"] += 1
            return run
        try:
            elements = read(body)
            self._refuse_another_account(elements)
        except UnreadableError as error:
            return self.fail(run_id, str(error), http_status=200, response_bytes=len(body))
        run.http_status, run.response_bytes, run.received = 200, len(body), len(elements)
        earlier = [self.observed_at, self.success_started_at, run.started_at]
        observed_at = max(clock, *(moment + TICK for moment in earlier if moment is not None))
        moment = Moment(run_id, observed_at, self.success_started_at, self._lately_removed(observed_at), run.counters)
        parsed = sort_out(elements)
        has_changed = self._take(parsed, moment, accepted=run.trigger == "accept_removals")
        run.outcome = "applied" if has_changed or self.success_run_id is None else "unchanged"
        if run.outcome == "applied":
            self._record_rejected(parsed, run_id)
        self._succeed(run_id, run, observed_at, elements)
        self._tally(run, parsed)
        return run

    def _refuse_another_account(self, elements: list[Element]) -> None:
        carried = {element.app_id for element in elements} - {None}
        if self.app_id is not None and carried and self.app_id not in carried:
            raise UnreadableError("wrong_account")

    def _take(self, parsed: ParsedResponse, moment: Moment, *, accepted: bool) -> bool:
        """Brings the numbers to what arrived; tells whether that changed anything."""
        before = {number for number, known in self.numbers.items() if not known.is_removed}
        has_changed = set(parsed.rejected) != self.standing_rejected
        for number in before - parsed.listed:
            has_changed |= self._miss(self.numbers[number], moment)
        for number in before & (parsed.listed - parsed.records.keys()):
            has_changed |= self._keep_unread(self.numbers[number], moment)
        for record in parsed.records.values():
            has_changed |= self._take_record(record, moment)
        missing = before - parsed.listed
        if parsed.hides_who_is_listed:
            removed: set[int] = set()
        else:
            removed = missing if accepted else self._believed(missing, before, parsed, moment)
        for number in removed:
            self._remove(self.numbers[number], moment)
            if not accepted:
                self.unaccepted_removals.append((number, since(self.numbers[number])))
        moment.counters["held"] = len(missing) - len(removed)
        moment.counters["rejected"] = len(parsed.rejected)
        return has_changed or bool(removed)

    def _lately_removed(self, observed_at: datetime) -> set[int]:
        """Who was removed within the hold time, whether or not they have returned since."""
        return {who for who, removed_at in self.unaccepted_removals if removed_at > observed_at - self.hold}

    def _believed(self, missing: set[int], before: set[int], parsed: ParsedResponse, moment: Moment) -> set[int]:
        """Those of the missing whose removal is applied without an operator's word; the others' is held."""
        if parsed.is_empty:
            return set()
        known = self.numbers
        waited = {number for number in missing if moment.observed_at - since(known[number]) >= self.hold}
        waiting = missing - waited
        # Who has waited is neither lost nor listed. Those that are held are judged by what was listed just before the
        # first of them went: what came along with a loss proves nothing of it.
        lost = waiting | moment.removed_in_hold
        loss = min((since(known[number]) for number in waiting), default=moment.observed_at)
        listed_before_loss = {number for number in known if known[number].was_listed_before(loss)} - waited
        new_are_believable = self._are_few(lost, before - waited)
        held_are_believable = self._are_few(lost, listed_before_loss)
        at_once = {
            number
            for number in waiting
            if (new_are_believable if since(known[number]) == moment.observed_at else held_are_believable)
        }
        self.happened["removed after the hold time"] += len(waited)
        self.happened["removed at once"] += len(at_once)
        self.happened["some waited, some held"] += bool(waited) and len(at_once) < len(waiting)
        return waited | at_once

    def _are_few(self, lost: set[int], listed: set[int]) -> bool:
        """Whether no more than the guard's share was lost of what was listed, and of what was lost besides."""
        return len(lost) <= self.ratio * len(listed | lost)

    def _miss(self, known: Number, moment: Moment) -> bool:
        if known.missing_since is not None:
            return False
        known.missing_since = moment.observed_at
        known.last_read_at = self._last_read(known, moment)
        return True

    def _keep_unread(self, known: Number, moment: Moment) -> bool:
        """The number is listed, but its record cannot be taken: it is not missing, and was not read."""
        has_changed = known.missing_since is not None or known.last_read_at is None
        self.happened["missing, then rejected"] += known.missing_since is not None
        known.missing_since = None
        known.last_read_at = self._last_read(known, moment)
        return has_changed

    @staticmethod
    def _last_read(known: Number, moment: Moment) -> datetime | None:
        """The start of the last successful poll that read the number's record."""
        return moment.success_started_at if known.last_read_at is None else known.last_read_at

    def _take_record(self, record: Record, moment: Moment) -> bool:
        known = self.numbers.get(record.id)
        if known is None:
            self._create(record, moment)
            return True
        return self._restore(known, record, moment) if known.is_removed else self._update(known, record, moment)

    def _create(self, record: Record, moment: Moment) -> None:
        # Nobody ever read it. What the contract leaves open: it came after the last success, unless it was there
        # already, in a shape that could not be read; then nobody knows since when.
        was_listed = any(row.virtual_number_id == record.id for row in self.rejected.values())
        after = None if was_listed else moment.success_started_at
        self.happened["created after it was rejected"] += was_listed
        known = self.numbers[record.id] = Number(
            values=dict.fromkeys(COLUMNS) | record.told,
            extra=record.extra,
            first_seen_at=moment.observed_at,
            changed_at=moment.observed_at,
            changed_after=after,
            run_id=moment.run_id,
        )
        moment.counters["created"] += 1
        _open_state(known, moment, after)
        _list_redirects(known, record.redirects or frozenset(), moment, after)

    def _update(self, known: Number, record: Record, moment: Moment) -> bool:
        after = self._last_read(known, moment)
        was_unread = known.last_read_at is not None
        self.happened["missing, then back"] += known.missing_since is not None
        known.last_read_at = known.missing_since = None
        values = known.values | record.told
        has_new_version = values != known.values
        has_new_state = any(values[name] != known.values[name] for name in ("state", "reason"))
        if has_new_version:
            _supersede_version(known, values, moment, after)
        if has_new_state:
            known.states[-1].close(moment.observed_at, after, moment.run_id)
            _open_state(known, moment, after)
            moment.counters["state_changes"] += 1
            self.happened["changed in an absence"] += was_unread
        has_other_redirects = record.redirects is not None and _list_redirects(known, record.redirects, moment, after)
        has_other_extra = meaning(record.extra) != meaning(known.extra)
        if has_other_extra:
            known.extra = record.extra
            self.happened["extra alone"] += not (has_new_version or has_other_redirects)
        moment.counters["changed" if has_new_version or has_other_redirects else "unchanged"] += 1
        return has_new_version or has_other_redirects or has_other_extra or was_unread

    def _restore(self, known: Number, record: Record, moment: Moment) -> bool:
        after = known.last_read_at
        reopened = known.redirects_that_the_removal_closed()
        if record.redirects is None and reopened:
            self.happened["restored with the redirects it had"] += 1
        redirects = reopened if record.redirects is None else record.redirects
        _supersede_version(known, known.values | record.told, moment, after)
        known.extra = record.extra
        known.removed_at = known.removed_by = known.missing_since = known.last_read_at = None
        _open_state(known, moment, after)
        _list_redirects(known, redirects, moment, after)
        moment.counters["restored"] += 1
        return True

    @staticmethod
    def _remove(known: Number, moment: Moment) -> None:
        gone = since(known)
        known.removed_at, known.removed_by = gone, moment.run_id
        known.states[-1].close(gone, known.last_read_at, moment.run_id)
        for row in known.open_redirects().values():
            row.close(gone, known.last_read_at, moment.run_id)
            moment.counters["redirects_closed"] += 1
        moment.counters["removed"] += 1

    def _record_rejected(self, parsed: ParsedResponse, run_id: int) -> None:
        for payload, number in parsed.rejected.items():
            row = self.rejected.get(payload)
            if row is None:
                self.rejected[payload] = RejectedRow(number, run_id, run_id)
            else:
                row.last_run_id = run_id
                row.occurrences += 1
        self.standing_rejected = set(parsed.rejected)

    def _succeed(self, run_id: int, run: RunRow, observed_at: datetime, elements: list[Element]) -> None:
        for other_id, other in self.runs.items():
            if other_id < run_id and other.outcome == "running":
                other.outcome = "abandoned"
                self.happened["abandoned"] += 1
        if self.app_id is None:
            self.app_id = _most_carried(elements)
        self.success_run_id, self.success_started_at, self.observed_at = run_id, run.started_at, observed_at

    def _tally(self, run: RunRow, parsed: ParsedResponse) -> None:
        self.happened[run.outcome] += 1
        self.happened.update(run.counters)
        repeated = (run.received or 0) - len(parsed.records) - len(parsed.rejected)
        self.happened["repeated"] += repeated
        self.happened["removals held for an unreadable id"] += parsed.hides_who_is_listed and run.counters["held"] > 0
        self.happened["removals held for an empty list"] += parsed.is_empty and run.counters["held"] > 0
        self.happened["removals accepted by hand"] += run.trigger == "accept_removals" and run.counters["removed"] > 0

    def rows(self) -> Rows:
        """What the account's tables must hold, without its identifier."""
        numbers = self.numbers.items()
        return {
            "virtual_number": {(number,): _number_row(known) for number, known in numbers},
            "virtual_number_history": {
                (number, row.valid_from): row.row() for number, known in numbers for row in known.versions
            },
            "state_history": {(number, row.valid_from): row.row() for number, known in numbers for row in known.states},
            "virtual_number_redirect": {
                (number, *row.key, row.valid_from): row.row() for number, known in numbers for row in known.redirects
            },
            "rejected_record": {(payload,): dict(vars(row)) for payload, row in self.rejected.items()},
            "sync_run": {(run_id,): run.row() for run_id, run in self.runs.items()},
        }


def _most_carried(elements: list[Element]) -> int | None:
    """The `app_id` that most of the distinct elements carry, the smallest of several; rejected ones count as well."""
    carried = Counter(app_id for app_id in {one.payload: one.app_id for one in elements}.values() if app_id is not None)
    return min(carried, key=lambda app_id: (-carried[app_id], app_id), default=None)


def _supersede_version(known: Number, values: dict[str, Any], moment: Moment, after: datetime | None) -> None:
    version = Period((), known.values, known.changed_at, known.changed_after, known.run_id)
    if known.removed_at is not None and known.removed_by is not None:
        version.close(known.removed_at, known.last_read_at, known.removed_by)
    else:
        version.close(moment.observed_at, after, moment.run_id)
    known.versions.append(version)
    known.values = values
    known.changed_at, known.changed_after, known.run_id = moment.observed_at, after, moment.run_id


def _open_state(known: Number, moment: Moment, after: datetime | None) -> None:
    values = {name: known.values[name] for name in ("state", "reason")}
    known.states.append(Period((), values, moment.observed_at, after, moment.run_id))


def _list_redirects(known: Number, listed: frozenset[tuple[int, str]], moment: Moment, after: datetime | None) -> bool:
    """Opens and closes redirects until these are open; tells whether there was anything to do."""
    standing = known.open_redirects()
    for key in standing.keys() - listed:
        standing[key].close(moment.observed_at, after, moment.run_id)
    opened = listed - standing.keys()
    known.redirects.extend(Period(key, {}, moment.observed_at, after, moment.run_id) for key in opened)
    moment.counters["redirects_opened"] += len(opened)
    moment.counters["redirects_closed"] += len(standing.keys() - listed)
    return listed != standing.keys()


def _number_row(known: Number) -> dict[str, Any]:
    names = ("first_seen_at", "changed_at", "changed_after", "last_read_at", "missing_since", "removed_at", "run_id")
    return known.values | {"extra": meaning(known.extra)} | {name: getattr(known, name) for name in names}
