"""Judges what a receiver has received by what `analytics.changes` has: every event once, in order, and no others.

What is an event is read here from the table of events in docs/contract.md, row by row, without the program's query.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import asyncpg

    from tests.receiver import Received

LOCKS: Final = ("locked", "frozen", "unlocked")
ALL_EVENTS: Final = (*LOCKS, "removed", "returned", "new", "state", "redirect", "employee", "record")
SECRET: Final = "whsec_" + "c2VjcmV0" * 4
CONDITIONS: Final = ("refused", "held", "rejected")
OTHERS: Final = tuple(event for event in ALL_EVENTS if event not in LOCKS)
RULES: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "locks": (("duty",), LOCKS),
    "others": (("duty",), OTHERS),
    "everything": (("duty", "mail"), (*ALL_EVENTS, *CONDITIONS)),
}
"""The channels and the events of each rule."""
ONE_CHANNEL: Final = ("locks", "others")
"""Rules whose messages are sent one after another."""
ALL_RULES: Final = ("locks", "everything")


def notify_file(url: str, *, rules: Collection[str] = ALL_RULES) -> str:
    """Returns a notify file whose channels are paths below an address, and that has some of `RULES`."""
    channels = [
        f'[[channel]]\nname = "{name}"\nkind = "webhook"\nurl = "{url}/{name}"\nsecret = "{SECRET}"\n'
        for name in ("duty", "mail")
    ]
    tables = [
        f'[[rule]]\nname = "{name}"\nchannels = {list(RULES[name][0])}\nevents = {list(RULES[name][1])}\n'
        for name in rules
    ]
    return "\n".join([*channels, *tables])


class Event(NamedTuple):
    """An event of a number."""

    run_id: int
    event: str
    virtual_number_id: int
    field: str | None


@dataclass
class Verdict:
    """What the judge found.

    Attributes:
        arrivals: Requests that arrived, repetitions included.
        messages: Different ids.
        received: Events in these messages.
        lost: Events that are in none.
        invented: Events in a message that did not happen, or not in its span.
        doubled: Events in the spans of two messages of one cursor.
        other_bytes: Ids that came with different bytes.
        conditions: Beginnings and ends of conditions in these messages.
        wrong_conditions: Those that are in a message that they should not be in, or in none, or in two.
        disordered: Messages that arrived before one about earlier runs of their cursor, or whose span overlaps it.
    """

    arrivals: int = 0
    messages: int = 0
    received: int = 0
    lost: int = 0
    invented: int = 0
    doubled: int = 0
    other_bytes: int = 0
    conditions: int = 0
    wrong_conditions: int = 0
    disordered: int = 0

    @property
    def faults(self) -> dict[str, int]:
        """What must not be, if it is."""
        names = ("lost", "invented", "doubled", "other_bytes", "wrong_conditions", "disordered")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


_CHANGES: Final = """
select account_id, run_id, virtual_number_id, kind, field, old_value, new_value
  from analytics.changes order by account_id, run_id, virtual_number_id
"""


async def read_happened(sql: asyncpg.Connection) -> dict[int, list[Event]]:
    """Returns all events of numbers, by account."""
    happened: dict[int, list[Event]] = {}
    rows = await sql.fetch(_CHANGES)
    for of_number in (list(found) for _, found in groupby(rows, key=lambda row: tuple(row)[:3])):
        account_id, run_id, id_, *_ = of_number[0]
        happened.setdefault(account_id, []).extend(
            Event(run_id, event, id_, field) for event, field in _events_of_number(of_number)
        )
    return happened


def _events_of_number(rows: Sequence[Any]) -> Iterator[tuple[str, str | None]]:
    """Yields what happened to a number in a run, with the field of each event."""
    kinds = {row["kind"] for row in rows}
    comes_or_goes = kinds & {"created", "restored", "removed"}
    fields_of_state = {row["field"] for row in rows if row["kind"] == "state"}
    for row in rows:
        kind, field = row["kind"], row["field"]
        if kind == "removed":
            yield "removed", field
        elif kind in {"redirect_opened", "redirect_closed"}:
            if not comes_or_goes:
                yield "redirect", field
        elif kind == "changed":
            if field in {"redirect_number", "dgn_number"}:
                yield "redirect", field
            else:
                yield ("employee" if field == "employee_id" else "record"), field
        elif field == "state":
            yield from ((event, field) for event in _events_of_state(kind, row["old_value"], row["new_value"]))
        elif kind == "state" and fields_of_state == {"reason"}:
            yield "state", field


def _events_of_state(kind: str, old: str | None, new: str | None) -> Iterator[str]:
    if kind == "created":
        yield "new"
    if kind == "restored":
        yield "returned"
    if new == "debt_lock":
        yield "locked"
    elif new == "freeze":
        yield "frozen"
    elif new == "active" and old in {"debt_lock", "freeze"}:
        yield "unlocked"
    elif kind == "state":
        yield "state"


class _Span(NamedTuple):
    after: int
    through: int
    counts: Counter[str]
    events: Counter[Event]
    is_complete: bool


def _span(received: Received) -> _Span:
    data = received.data
    events = Counter(
        Event(one["run_id"], one["event"], one["virtual_number_id"], one["field"]) for one in data["events"]
    )
    return _Span(
        data["after_run_id"], data["through_run_id"], Counter(data["counts"]), events, is_complete=data["more"] == 0
    )


async def judge(
    sql: asyncpg.Connection,
    arrivals: Sequence[Received],
    beginnings: Mapping[int, int],
    *,
    rules: Collection[str] = ALL_RULES,
) -> Verdict:
    """Judges all cursors of some rules.

    Args:
        sql: The database.
        arrivals: All that has arrived.
        beginnings: The run after which the cursors of each account begin, by `account_id`.
        rules: Those that were followed.
    """
    happened = await read_happened(sql)
    bytes_of: dict[str, set[bytes]] = {}
    spans: dict[tuple[int, str, str], list[_Span]] = {}
    conditions: Counter[tuple[Any, ...]] = Counter()
    for received in arrivals:
        channel = received.path.rpartition("/")[2]
        if received.id in bytes_of:
            pass
        elif "through_run_id" in received.data:
            key = received.data["account_id"], received.data["rule"], channel
            spans.setdefault(key, []).append(_span(received))
        else:
            conditions.update(
                (received.data["rule"], channel, one["account_id"], one["condition"], event)
                for one in received.data["conditions"]
                for event in one["event"].split("_and_")
            )
        bytes_of.setdefault(received.id, set()).add(received.body)

    verdict = Verdict(len(arrivals), len(bytes_of), other_bytes=sum(len(found) > 1 for found in bytes_of.values()))
    for account_id, beginning in beginnings.items():
        for rule in rules:
            channels, names = RULES[rule]
            of_rule = [one for one in happened.get(account_id, []) if one.event in names]
            for channel in channels:
                _judge_cursor(verdict, of_rule, beginning, spans.pop((account_id, rule, channel), []))
    verdict.invented += sum(len(left) for left in spans.values())
    expected = await _read_conditions(sql, rules)
    verdict.conditions = conditions.total()
    verdict.wrong_conditions = (expected - conditions).total() + (conditions - expected).total()
    return verdict


async def _read_conditions(sql: asyncpg.Connection, rules: Collection[str]) -> Counter[tuple[Any, ...]]:
    """Returns how often each condition of an account has begun and ended, by rule and channel."""
    rows = await sql.fetch("select account_id, kind, ended_at is not null as is_over from syncer.account_condition")
    return Counter(
        (rule, channel, row["account_id"], row["kind"], event)
        for rule in rules
        for channel in RULES[rule][0]
        for row in rows
        if row["kind"] in RULES[rule][1]
        for event in ("began", "ended")[: 1 + row["is_over"]]
    )


def _judge_cursor(verdict: Verdict, happened: Iterable[Event], beginning: int, spans: Sequence[_Span]) -> None:
    """Judges the messages of one cursor, in the order of their first arrival."""
    left = Counter(event for event in happened if event.run_id > beginning)
    everything = left.copy()
    position = beginning
    for span in spans:
        verdict.disordered += span.after < position
        in_span = _within(everything, span.after, span.through)
        verdict.doubled += (in_span - _within(left, span.after, span.through)).total()
        verdict.received += span.counts.total()
        verdict.invented += (span.events - in_span).total()
        counted = Counter[str]()
        for event, count in in_span.items():
            counted[event.event] += count
        verdict.lost += (counted - span.counts).total()
        verdict.invented += (span.counts - counted).total()
        if span.is_complete:
            verdict.lost += (in_span - span.events).total()
        left -= in_span
        position = max(position, span.through)
    verdict.lost += left.total()


def _within(events: Counter[Event], after: int, through: int) -> Counter[Event]:
    return Counter({event: count for event, count in events.items() if after < event.run_id <= through})
