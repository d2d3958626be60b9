"""Ten thousand incidents at the vendor's, and what they would have done to the history of the numbers.

    python -m benchmarks.incidents [--incidents 10000] [--seed 1] [--replayed 100]

Accounts of 1 to 2,000 numbers live an ordinary life (states change, numbers come and go) and are polled every five
minutes. Now and then the vendor's answers are wrong for minutes or hours, in one of the ways of `KINDS`. What a poll
decides is decided by the program's own rooms `arrival` and `reconcile`, on a store in memory, and each row that it
writes is held against what was true of the simulated numbers at that moment.

Polls that cannot differ from the one before are not run: those between two events, once a repeated poll has changed
nothing. Neither that nor the store is taken on trust: some accounts are polled at every tick too, and some through
HTTP into a real PostgreSQL, and each time all rows must be the same.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import shutil
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import asyncpg
import msgspec
import structlog
from msgspec import UNSET
from rich.console import Console
from rich.table import Table

from syncer.arrival import Arrival, Standing, read
from syncer.embedded import EmbeddedServer
from syncer.emulator import STILL, Emulator, faults
from syncer.emulator.record import Maker, Number
from syncer.errors import PollError
from syncer.known import Known, KnownNumbers, StoredNumber, Unread
from syncer.removal import RemovalGuard
from syncer.store import schema
from syncer.store.engine import create_engine
from syncer.wire import COLUMNS
from tests.builders import PolledAccount, decide, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.decision import Decision, NewVersion, Presence

GUARD: Final = RemovalGuard(ratio=0.2, hold=timedelta(hours=24))
T0: Final = datetime(2026, 3, 1, tzinfo=UTC)
STEP: Final = timedelta(minutes=5)
TICK: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
TICKS_A_DAY: Final = DAY // STEP
APP_ID: Final = 1200054
INCIDENTS_AN_ACCOUNT: Final = 4
SHORT: Final = "5 min to 20 h"
LONG: Final = "24 to 48 h"
LASTS: Final = {SHORT: (5, 20 * 60), LONG: (24 * 60, 48 * 60)}
"""Minutes, log-uniform. The first is below the hold time, the second is not."""
MOST_TOLD: Final = 3
"""Unexpected findings of an account that are told: enough to look into it."""

Key = tuple[int, str]


def at(tick: int) -> datetime:
    """When a poll begins."""
    return T0 + tick * STEP


def log_uniform(random: Random, low: float, high: float) -> float:
    """Any order of magnitude between the two as likely as another."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


def happens(random: Random, share: float) -> bool:
    """Whether what happens in this share of the cases happens now."""
    return random.random() < share


def chance(salt: object, key: object) -> float:
    """0 to 1, always the same for the same salt and key."""
    return crc32(f"{salt}:{key}".encode()) / 2**32


# The truth


UNKNOWN_WORDS: Final = ("porting", "satellite", "custom+6g")
_encode: Final = msgspec.json.Encoder().encode
_COMPANY: Final = "\u0441ompany"


def told_by(number: Number) -> tuple[Any, ...]:
    """The values that a number truly has, in the order of `COLUMNS`; a key that it never has is null."""
    values = [getattr(number, column) for column in COLUMNS]
    return tuple(None if value is UNSET else "company" if value == _COMPANY else value for value in values)


class World:
    """The numbers of an account as they truly are, and since when each thing is so."""

    def __init__(self, random: Random, numbers: int) -> None:
        self._random = random
        self._maker = Maker(random, APP_ID)
        self.listed: dict[int, Number] = {}
        self.gone: dict[int, Number] = {}
        self.encoded: dict[int, bytes] = {}
        self.values: dict[int, tuple[Any, ...]] = {}
        self.redirects: dict[int, frozenset[tuple[int, str]]] = {}
        self.changed: dict[Key, datetime] = {}
        self.redirect_changed: dict[tuple[int, int, str], datetime] = {}
        self.appeared: dict[int, datetime] = {}
        self.left: dict[int, datetime] = {}
        self._body: bytes | None = None
        for _ in range(numbers):
            self._arrive(T0 - DAY)
        self.next_event = T0
        self._schedule(T0)

    def body(self) -> bytes:
        """The whole list as it is served when nothing is wrong."""
        if self._body is None:
            self._body = b"[%b]" % b",".join(self.encoded.values())
        return self._body

    def live(self, until: datetime) -> None:
        """Lets happen what happens until then."""
        while self.next_event <= until:
            moment = self.next_event
            self._random.choices(*self._events)[0](moment)
            self._schedule(moment)

    def put(self, number: Number, moment: datetime) -> None:
        """Takes a number as it is from now on."""
        before, values = self.values.get(number.id), told_by(number)
        if before is not None:
            for column, old, new in zip(COLUMNS, before, values, strict=True):
                if old != new:
                    self.changed[number.id, column] = moment
        redirects = frozenset((one.id, one.number) for one in number.from_redirect_numbers or ())
        for redirect in redirects ^ self.redirects.get(number.id, frozenset()):
            self.redirect_changed[number.id, *redirect] = moment
        self.values[number.id], self.redirects[number.id] = values, redirects
        self.listed[number.id], self.encoded[number.id] = number, _encode(number)
        self._body = None

    def since(self, key: int, column: str) -> datetime:
        """Since when a number has the value of a column."""
        return self.changed.get((key, column), T0 - DAY)

    def _schedule(self, moment: datetime) -> None:
        """When something happens next; even in a small account something does now and then."""
        size = len(self.listed) + 10
        rates: dict[Callable[[datetime], None], float] = {
            self._trouble: 0.006 * size,
            self._recover: 0.4 * sum(number.state != "active" for number in self.listed.values()),
            self._comment: 0.003 * size,
            self._redirect: 0.003 * size,
            self._reassign: 0.002 * size,
            self._arrive: 0.003 * size,
            self._remove: 0.003 * size,
            self._return: 0.03 * len(self.gone),
            self._many: 0.15,
        }
        self._events = list(rates), list(rates.values())
        self.next_event = moment + self._random.expovariate(sum(rates.values())) * DAY

    def _any(self, among: Iterable[int] | None = None) -> int:
        return self._random.choice(list(self.listed if among is None else among))

    def _change(self, key: int, change: Callable[[Number], None], moment: datetime) -> None:
        number = self.listed[key]
        if number.state == UNKNOWN_WORDS[0]:
            number.state = "active"
        change(number)
        self.put(number, moment)

    def _trouble(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.move_on, moment)

    def _recover(self, moment: datetime) -> None:
        among = [key for key, number in self.listed.items() if number.state != "active"]
        if among:
            self._change(self._any(among), self._maker.move_on, moment)

    def _comment(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.edit_comment, moment)

    def _redirect(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.swap_redirects, moment)

    def _reassign(self, moment: datetime) -> None:
        self._change(self._any(), self._maker.reassign, moment)

    def _arrive(self, moment: datetime) -> None:
        number = self._maker.number()
        self.appeared[number.id] = moment
        self.put(number, moment)

    def _remove(self, moment: datetime, key: int | None = None) -> None:
        if len(self.listed) > 1:  # an empty list is believed of no one
            key = self._any() if key is None else key
            self.gone[key] = self.listed.pop(key)
            del self.encoded[key]
            self.left[key] = moment
            self._body = None

    def _return(self, moment: datetime) -> None:
        """Comes back as it was, or, after all that time, in another state and with other redirects."""
        key = self._any(self.gone)
        number = self.gone.pop(key)
        self.appeared[key] = moment
        number.state = "active" if number.state == UNKNOWN_WORDS[0] else number.state
        if happens(self._random, 0.5):
            self._maker.move_on(number)
            self._maker.swap_redirects(number)
        self.put(number, moment)

    def _many(self, moment: datetime) -> None:
        """Somebody changes many numbers at once."""
        chosen = self._random.sample(
            list(self.listed), math.ceil(log_uniform(self._random, 0.01, 0.3) * len(self.listed))
        )
        changes: tuple[Callable[[int], None], ...] = (
            lambda key: self._change(key, self._maker.move_on, moment),
            lambda key: self._change(key, self._maker.edit_comment, moment),
            lambda key: self._remove(moment, key),
            lambda _: self._arrive(moment),
        )
        change = self._random.choice(changes)
        for key in chosen:
            change(key)


# What the vendor does wrong


class Incident(NamedTuple):
    """What is wrong with the answers from one tick to another.

    Attributes:
        answer: The body at a tick; None if there is none.
        redraws: The ticks at which it changes by itself, sorted.
        words: The share of the numbers that are given unknown words meanwhile, and truly have them.
    """

    kind: str
    start: int
    end: int
    answer: Callable[[World, int], bytes | None]
    redraws: Sequence[int] = ()
    words: float = 0


class Drawn(NamedTuple):
    """What an incident is made of."""

    random: Random
    start: int
    end: int

    @property
    def salt(self) -> int:
        """Tells one incident's chances from another's."""
        return self.start

    def redraws(self) -> list[int]:
        """Some ticks, from one to every second one."""
        ticks = range(self.start + 1, self.end)
        share = log_uniform(self.random, 1 / 100, 1 / 2)
        return [tick for tick in ticks if happens(self.random, share)]


def altered(change: Callable[[dict[str, Any]], list[Any]], share: float, salt: int) -> Callable[[World, int], bytes]:
    """Alters this share of the records."""
    cache: dict[int, tuple[bytes, bytes]] = {}

    def alter(key: int, source: bytes) -> bytes:
        if chance(salt, key) >= share:
            return source
        found = cache.get(key)
        if found is None or found[0] is not source:
            cache[key] = found = source, b",".join(map(_encode, change(json.loads(source))))
        return found[1]

    return lambda world, _: b"[%b]" % b",".join(alter(key, source) for key, source in world.encoded.items())


def outage(drawn: Drawn) -> Incident:
    """No answer, or none with 200."""
    return Incident("outage", drawn.start, drawn.end, lambda *_: None)


def truncated(drawn: Drawn) -> Incident:
    """The body ends anywhere."""

    def answer(world: World, tick: int) -> bytes:
        body = world.body()
        return body[: int(chance(tick, "cut") * len(body))]

    return Incident("truncated body", drawn.start, drawn.end, answer)


def empty(drawn: Drawn) -> Incident:
    """The empty list."""
    return Incident("empty list", drawn.start, drawn.end, lambda *_: b"[]")


def half(drawn: Drawn) -> Incident:
    """A part of the list that looks whole: always the same numbers, or the first ones."""
    share, cuts = drawn.random.random(), happens(drawn.random, 0.5)

    def answer(world: World, _: int) -> bytes:
        if cuts:
            return b"[%b]" % b",".join(list(world.encoded.values())[: round(share * len(world.encoded))])
        return b"[%b]" % b",".join(one for key, one in world.encoded.items() if chance(drawn.salt, key) < share)

    return Incident("half answer, the same half", drawn.start, drawn.end, answer)


def halves(drawn: Drawn) -> Incident:
    """A part of the list that looks whole: other numbers every now and then, and sometimes all."""
    redraws = drawn.redraws()
    shares = [drawn.random.random() for _ in range(len(redraws) + 1)]
    wholes = [happens(drawn.random, 0.1) for _ in shares]

    def answer(world: World, tick: int) -> bytes:
        turn = bisect_right(redraws, tick)
        if wholes[turn]:
            return world.body()
        salt, share = (drawn.salt, turn), shares[turn]
        return b"[%b]" % b",".join(one for key, one in world.encoded.items() if chance(salt, key) < share)

    return Incident("half answer, changing halves", drawn.start, drawn.end, answer, redraws)


_REQUIRED: Final = ("id", "number", "state")
_OPTIONAL: Final = sorted({field.encode_name for field in msgspec.structs.fields(Number)} - set(_REQUIRED))


def _half_deployed(drawn: Drawn, kind: str, keys: Sequence[str], share: float) -> Incident:
    newer = {"is_vip": False, "tariff": {"name": "Бизнес"}} if happens(drawn.random, 0.3) else {}

    def change(record: dict[str, Any]) -> list[Any]:
        return [{key: value for key, value in record.items() if key not in keys} | newer]

    return Incident(kind, drawn.start, drawn.end, altered(change, share, drawn.salt))


def _some_keys(random: Random) -> list[str]:
    """One to eight keys; redirects and the account's own id often among them."""
    chosen = random.sample(_OPTIONAL, random.randint(1, 6))
    return chosen + [key for key in ("from_redirect_numbers", "app_id") if happens(random, 0.4)]


def keys_absent(drawn: Drawn) -> Incident:
    """A version in which some keys are missing."""
    return _half_deployed(drawn, "keys absent everywhere", _some_keys(drawn.random), 1)


def keys_absent_here_and_there(drawn: Drawn) -> Incident:
    """A version in which some keys are missing, on some machines."""
    share = drawn.random.random()
    return _half_deployed(drawn, "keys absent in some records", _some_keys(drawn.random), share)


def required_key_absent(drawn: Drawn) -> Incident:
    """A version in which records cannot be taken for want of a key."""
    share = drawn.random.choice((1, log_uniform(drawn.random, 0.001, 1)))
    return _half_deployed(drawn, "required key absent", [drawn.random.choice(_REQUIRED)], share)


def unknown_words(drawn: Drawn) -> Incident:
    """Words that no page has; the numbers truly have them, and have the old ones again afterwards."""
    share = log_uniform(drawn.random, 0.001, 1)
    return Incident("unknown words", drawn.start, drawn.end, lambda world, _: world.body(), words=share)


def broken_records(drawn: Drawn) -> Incident:
    """Records that cannot be taken."""
    breaks: tuple[Callable[[dict[str, Any]], list[Any]], ...] = (
        lambda record: [record | {"number": None}],
        lambda record: [record | {"state": 5}],
        lambda record: [record | {"is_scenario_active": "yes"}],
        lambda record: [record | {"from_redirect_numbers": [{"id": None}]}],
        lambda record: [record | {"id": str(record["id"])}],
        lambda _: ["?"],
        lambda record: [record, record | {"comment": "another"}],
        lambda record: [record, record | {"id": 10**40}],
    )
    share = drawn.random.choice((1, log_uniform(drawn.random, 0.001, 1)))
    change = drawn.random.choice(breaks)
    return Incident("broken records", drawn.start, drawn.end, altered(change, share, drawn.salt))


_SINGLE: Final = (
    outage, truncated, empty, half, halves, keys_absent, keys_absent_here_and_there, required_key_absent,
    unknown_words, broken_records,
)  # fmt: skip


def mixed(drawn: Drawn) -> Incident:
    """One after another of the others, with whole answers between some."""
    bounds = sorted({drawn.start, *drawn.redraws()})
    parts = []
    for start, end in zip(bounds, [*bounds[1:], drawn.end], strict=True):
        make = drawn.random.choice([one for one in _SINGLE if one is not unknown_words])
        part = make(Drawn(drawn.random, start, end))
        is_whole = happens(drawn.random, 0.15)
        parts.append(part._replace(answer=lambda world, _: world.body()) if is_whole else part)

    def answer(world: World, tick: int) -> bytes | None:
        return parts[bisect_right(bounds, tick) - 1].answer(world, tick)

    redraws = sorted({tick for part in parts for tick in (part.start, *part.redraws)} - {drawn.start})
    return Incident("one after another", drawn.start, drawn.end, answer, redraws)


MAKERS: Final[tuple[Callable[[Drawn], Incident], ...]] = (*_SINGLE, mixed)


# What the database would hold


@dataclass
class Kept:
    """A number in the store."""

    values: tuple[Any, ...]
    extra: Mapping[str, Any]
    changed_at: datetime
    changed_after: datetime | None
    came_at: datetime
    last_read_at: datetime | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    state: tuple[datetime, datetime | None] | None = None
    redirects: dict[tuple[int, str], tuple[datetime, datetime | None]] = field(default_factory=dict)
    redirects_at_removal: frozenset[tuple[int, str]] = frozenset()


class Polled(NamedTuple):
    """A poll that read a response."""

    arrival: Arrival
    numbers: KnownNumbers
    known: Known
    decision: Decision


_STATE, _REASON = COLUMNS.index("state"), COLUMNS.index("reason")


class Store:
    """What the database would hold of an account; `contents` is what is compared with a real one."""

    def __init__(self) -> None:
        self.numbers: dict[int, Kept] = {}
        self.listed = 0
        self.versions: list[tuple[Any, ...]] = []
        self.states: list[tuple[Any, ...]] = []
        self.redirects: list[tuple[Any, ...]] = []
        self._latest: dict[int, tuple[Any, ...]] = {}
        """The values of each number's last superseded version."""
        self._digests: dict[bytes, int] = {}
        self._digest_of: dict[int, bytes] = {}
        self._unread: dict[int, Unread] = {}
        self._removed: dict[int, datetime] = {}
        """When each number was removed last, whether or not it has returned since."""
        self._rejected: frozenset[bytes] = frozenset()
        self._rejected_before: set[int] = set()
        self._app_id: int | None = None
        self._observed_at = T0 - DAY
        self.success_started_at: datetime | None = None

    def succeed(self, moment: datetime) -> None:
        """A poll began then and was answered as the one before, which had left nothing to do."""
        self.success_started_at, self._observed_at = moment, max(moment, self._observed_at) + TICK

    def poll(self, moment: datetime, body: bytes | None) -> Polled | None:
        """What a poll that begins at a moment decides; None if it fails."""
        if body is None:
            return None
        try:
            arrival = read(body, Standing(self._digests), self._app_id)
        except PollError:
            return None
        known = self._recall(arrival, max(moment, self._observed_at) + TICK)
        numbers = self._recall_numbers(arrival)
        return Polled(arrival, numbers, known, decide(arrival, numbers, known, GUARD))

    def wake(self) -> datetime | None:
        """When time alone may make a difference next: a held removal's time is over, or an earlier one counts less."""
        held = [unread.missing_since for unread in self._unread.values() if unread.missing_since]
        later = [moment + GUARD.hold for moment in (*held, *self._removed.values())]
        return min((moment for moment in later if moment > self._observed_at), default=None) if held else None

    def _recall(self, arrival: Arrival, observed_at: datetime) -> Known:
        rejected = {key for one in arrival.rejections if (key := one.virtual_number_id) in self.numbers}
        held = [self._unread[key].missing_since for key in arrival.unlisted & self._unread.keys()]
        first_loss = min((one for one in held if one is not None and observed_at - one < GUARD.hold), default=None)
        lately = {key for key, removed_at in self._removed.items() if removed_at > observed_at - GUARD.hold}
        return Known(
            observed_at=observed_at,
            success_started_at=self.success_started_at,
            unread=dict(self._unread),
            listed=self.listed,
            lately_removed={key for key in lately if self.numbers[key].removed_at is not None},
            lately_returned={key for key in lately if self.numbers[key].removed_at is None},
            came_since_loss={
                key for key, kept in self.numbers.items() if kept.removed_at is None and kept.came_at >= first_loss
            }
            if first_loss
            else set(),
            rejected=self._rejected,
            listed_rejected={key for key in rejected if self.numbers[key].removed_at is None},
        )

    def _recall_numbers(self, arrival: Arrival) -> KnownNumbers:
        found = ((key, self.numbers[key]) for key in arrival.records if key in self.numbers)
        return KnownNumbers(
            stored={
                key: StoredNumber(
                    kept.values,
                    frozenset(kept.redirects) if kept.removed_at is None else kept.redirects_at_removal,
                    kept.extra,
                    kept.last_read_at,
                    kept.removed_at,
                )
                for key, kept in found
            },
            rejected_before=self._rejected_before & arrival.records.keys() - self.numbers.keys(),
        )

    def apply(self, moment: datetime, polled: Polled) -> None:
        """Writes what was decided."""
        decision, now = polled.decision, polled.known.observed_at
        self._write_versions(decision, now)
        for key, after in decision.closed_states:
            self._close_state(key, now, after)
        for presence in decision.presences:
            self._settle(presence)
        for opened in decision.opened_states:
            self.numbers[opened.virtual_number_id].state = now, opened.changed_after
        self._write_redirects(decision, now)
        for key, digest in decision.digests.items():
            self._forget_digest(key)
            self._digests[digest], self._digest_of[key] = key, digest
        if not decision.is_empty:
            self._rejected = frozenset(rejection.digest for rejection in polled.arrival.rejections)
            ids = (rejection.virtual_number_id for rejection in polled.arrival.rejections)
            self._rejected_before.update(number for number in ids if number is not None)
        self._app_id = polled.arrival.app_id if self._app_id is None else self._app_id
        self.success_started_at, self._observed_at = moment, now

    def _write_versions(self, decision: Decision, now: datetime) -> None:
        for version in decision.created:
            self.numbers[version.virtual_number_id] = Kept(
                version.values, version.extra, now, version.changed_after, came_at=now
            )
            self.listed += 1
        for version in decision.superseded:
            self._supersede(version, now)
        for key, extra in decision.extras:
            self.numbers[key].extra = extra

    def _write_redirects(self, decision: Decision, now: datetime) -> None:
        for change in decision.closed_redirects:
            redirect = change.redirect_number_id, change.number
            self._close_redirect(change.virtual_number_id, redirect, now, change.changed_after)
        for change in decision.opened_redirects:
            redirect = change.redirect_number_id, change.number
            self.numbers[change.virtual_number_id].redirects[redirect] = now, change.changed_after

    def _supersede(self, version: NewVersion, now: datetime) -> None:
        key = version.virtual_number_id
        kept = self.numbers[key]
        self.versions.append(
            (key, kept.values, kept.changed_at, kept.removed_at or now, kept.changed_after, version.changed_after)
        )
        self._latest[key] = kept.values
        if kept.removed_at is not None:
            kept.came_at = now
            self.listed += 1
        kept.values, kept.extra = version.values, version.extra
        kept.changed_at, kept.changed_after = now, version.changed_after
        kept.last_read_at = kept.missing_since = kept.removed_at = None
        self._unread.pop(key, None)

    def _settle(self, presence: Presence) -> None:
        key = presence.virtual_number_id
        kept = self.numbers[key]
        kept.last_read_at, kept.missing_since = presence.last_read_at, presence.missing_since
        kept.removed_at = presence.removed_at
        self._unread.pop(key, None)
        if presence.removed_at is not None:
            kept.redirects_at_removal = frozenset(kept.redirects)
            self._close_state(key, presence.removed_at, presence.last_read_at)
            for redirect in kept.redirects_at_removal:
                self._close_redirect(key, redirect, presence.removed_at, presence.last_read_at)
            self._forget_digest(key)
            self._removed[key] = presence.removed_at
            self.listed -= 1
        elif presence.last_read_at is not None:
            self._unread[key] = Unread(presence.last_read_at, presence.missing_since)

    def _forget_digest(self, key: int) -> None:
        digest = self._digest_of.pop(key, None)
        if digest is not None:
            self._digests.pop(digest, None)

    def _close_state(self, key: int, now: datetime, after: datetime | None) -> None:
        kept = self.numbers[key]
        assert kept.state is not None  # noqa: S101 - the store's own consistency
        # A version may have taken the new state's place already; the old one is in the version before it.
        values = self._latest[key] if kept.changed_at == now else kept.values
        self.states.append((key, values[_STATE], values[_REASON], kept.state[0], now, kept.state[1], after))
        kept.state = None

    def _close_redirect(self, key: int, redirect: tuple[int, str], now: datetime, after: datetime | None) -> None:
        begun, begun_after = self.numbers[key].redirects.pop(redirect)
        self.redirects.append((key, *redirect, begun, now, begun_after, after))

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows, each table's sorted."""
        numbers, states, redirects = [], list(self.states), list(self.redirects)
        for key, kept in self.numbers.items():
            numbers.append(
                (
                    *(key, kept.values, dict(kept.extra), kept.changed_at, kept.changed_after),
                    *(kept.last_read_at, kept.missing_since, kept.removed_at),
                )
            )
            if kept.state is not None:
                state = kept.values[_STATE], kept.values[_REASON]
                states.append((key, *state, kept.state[0], None, kept.state[1], None))
            for redirect, (begun, after) in kept.redirects.items():
                redirects.append((key, *redirect, begun, None, after, None))
        tables = {"number": numbers, "version": self.versions, "state": states, "redirect": redirects}
        return {table: sorted(rows, key=repr) for table, rows in tables.items()}


# What it comes to


class Traced(NamedTuple):
    """A poll, for it to be repeated elsewhere; `counted` is None if it failed."""

    moment: datetime
    body: bytes | None
    counted: Mapping[str, int] | None


COUNTED: Final = ("received", "created", "changed", "unchanged", "removed", "restored", "held", "rejected")
ORDINARY: Final = "ordinary life"


@dataclass
class Judge:
    """Holds what polls write against what is true."""

    world: World
    score: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    wronged: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By incident: the numbers that were removed though they never went."""
    sizes: dict[int, int] = field(default_factory=dict)
    _never_went: set[int] = field(default_factory=set)

    def find(self, kind: str, what: str, count: int = 1, *, tell: str = "") -> None:
        """Counts, and keeps a word on what nobody expects."""
        self.score[kind, what] += count
        if tell and len(self.findings) < MOST_TOLD:
            self.findings.append(f"{kind}: {what}: {tell}")

    def judge(self, kind: str, incident: int, moment: datetime, polled: Polled) -> None:
        """Judges all rows that a poll writes."""
        for version in (*polled.decision.created, *polled.decision.superseded):
            self._version(kind, moment, polled, version)
        self._redirects(kind, moment, polled)
        self._removals(kind, incident, moment, polled)

    def _version(self, kind: str, moment: datetime, polled: Polled, version: NewVersion) -> None:
        """Judges a version, and the period of state that begins with it."""
        key, after = version.virtual_number_id, version.changed_after
        if key not in self.world.listed:
            self.find(kind, "false rows", tell=f"{moment}: {key} is not in the world")
            return
        stored = polled.numbers.stored.get(key)
        is_new = stored is None or stored.removed_at is not None
        claimed = [
            column
            for column in range(len(COLUMNS))
            if is_new or stored is None or stored.values[column] != version.values[column]
        ]
        told = polled.arrival.records[key].values
        differing = [column for column in claimed if version.values[column] != self.world.values[key][column]]
        has_period = is_new or _STATE in claimed or _REASON in claimed
        self.find(kind, "rows", 1 + has_period)
        if any(told[column] is not UNSET for column in differing):
            tell = f"{moment}: {key} {version.values} {self.world.values[key]}"
            self.find(kind, "false rows", 1 + has_period, tell=tell)
        self.find(kind, "untold", bool(differing))
        if is_new and key in self._never_went:
            self._never_went.discard(key)
        elif is_new and after is not None:
            self.find(kind, "appeared unseen", self.world.appeared[key] <= after)
        elif after is not None:
            right = [column for column in claimed if column not in differing]
            self.find(kind, "changed untold", any(self.world.since(key, COLUMNS[one]) <= after for one in right))

    def _redirects(self, kind: str, moment: datetime, polled: Polled) -> None:
        world = self.world
        for is_open, changes in ((True, polled.decision.opened_redirects), (False, polled.decision.closed_redirects)):
            for change in changes:
                key, redirect = change.virtual_number_id, (change.redirect_number_id, change.number)
                stored = polled.numbers.stored.get(key)
                is_new = stored is None or stored.removed_at is not None
                self.find(kind, "rows")
                if (redirect in world.redirects.get(key, ())) != is_open:
                    is_untold = polled.arrival.records[key].redirects is UNSET
                    tell = "" if is_untold else f"{moment}: {key} {redirect} {is_open}"
                    self.find(kind, "untold" if is_untold else "false rows", tell=tell)
                elif not is_new and change.changed_after is not None:
                    since = world.redirect_changed.get((key, *redirect), T0 - DAY)
                    self.find(kind, "changed untold", since <= change.changed_after)

    def _removals(self, kind: str, incident: int, moment: datetime, polled: Polled) -> None:
        world, known = self.world, polled.known
        recent = (key for key in polled.arrival.unlisted if self._missed_for(known, key) < GUARD.hold)
        lies = len(world.listed.keys() & recent)
        for presence in polled.decision.removed:
            key, after, date = presence.virtual_number_id, presence.last_read_at, presence.removed_at
            assert after is not None  # noqa: S101 - it was read once
            assert date is not None  # noqa: S101 - it is removed
            self.find(kind, "rows")
            if key not in world.listed:
                left = world.left[key]
                self.find(kind, "early" if left > date else "late" if left <= after else "in time")
                continue
            self._never_went.add(key)
            tell = f"{moment}: {key} missing since {date}, {lies} of {known.listed} lately not listed"
            if known.observed_at - date >= GUARD.hold:
                self.find(kind, "matured", tell=tell)
                continue
            self.wronged[incident].add(key)
            if lies > GUARD.ratio * known.listed:
                self.find(kind, "beyond the share", tell=tell)
            else:
                self.find(kind, "within the share")

    @staticmethod
    def _missed_for(known: Known, key: int) -> timedelta:
        return known.observed_at - (known.missing_since(key) or known.observed_at)

    def end(self, kinds: Mapping[int, str], store: Store, ended: datetime) -> None:
        """Judges what is left at the end."""
        for incident, wronged in self.wronged.items():
            self.find(kinds[incident], "incidents with false removals")
            if len(wronged) > GUARD.ratio * self.sizes[incident]:
                tell = f"{len(wronged)} of {self.sizes[incident]} numbers"
                self.find(kinds[incident], "more than the share in all", tell=tell)
        last = kinds[max(kinds)]
        for key, number in self.world.gone.items():
            kept = store.numbers.get(number.id)
            if kept is not None and kept.removed_at is None and self.world.left[key] < ended - GUARD.hold - 2 * STEP:
                self.find(last, "missed", tell=f"{key} left {self.world.left[key]}")
        for key, values in self.world.values.items():
            kept = store.numbers.get(key)
            if key in self.world.listed and (
                kept is None
                or kept.removed_at is not None
                or kept.values != values
                or kept.redirects.keys() != self.world.redirects[key]
            ):
                self.find(last, "wrong at the end", tell=f"{key}: {kept} is {values}, {self.world.redirects[key]}")


class Account:
    """An account, the incidents it meets, and what polls make of it."""

    def __init__(self, seed: str, lasts: str) -> None:
        random = Random(seed)  # noqa: S311 - repeatable, not unpredictable
        self.size = round(log_uniform(random, 1, 2000))
        self.incidents: list[Incident] = []
        tick = round(random.uniform(1, 48) * 12)
        for _ in range(INCIDENTS_AN_ACCOUNT):
            length = max(1, round(log_uniform(random, *LASTS[lasts]) / 5))
            self.incidents.append(random.choice(MAKERS)(Drawn(random, tick, tick + length)))
            tick += length + max(2, round(log_uniform(random, 10, 72 * 60) / 5))
        self.ticks = self.incidents[-1].end + TICKS_A_DAY + 24
        self.world = World(random, self.size)
        self.store = Store()
        self.judge = Judge(self.world)
        self.traced: list[Traced] = []
        self._words: dict[int, tuple[str, str, str]] = {}

    def play(self, *, densely: bool = False, traces: bool = False) -> None:
        """Polls from the beginning to the end."""
        bounds = sorted({tick for one in self.incidents for tick in (one.start, one.end, *one.redraws)})
        tick, settled = 0, False
        while tick < self.ticks:
            body, polled = self._poll(tick)
            if traces:
                counted = None if polled is None else {name: polled.decision.counters[name] for name in COUNTED}
                self.traced.append(Traced(at(tick), body, counted))
            # What a poll has changed, the same again must leave as it is: that is run, not believed.
            settled = polled is None or polled.decision.is_empty
            upcoming = tick + 1 if densely or not settled else self._next_tick(tick, bounds)
            if upcoming > tick + 1:
                self._pass(upcoming - 1, tick, polled, body, traces=traces)
            tick = upcoming
        kinds = {-1: ORDINARY} | {index: one.kind for index, one in enumerate(self.incidents)}
        self.judge.end(kinds, self.store, at(self.ticks))

    def _poll(self, tick: int) -> tuple[bytes | None, Polled | None]:
        moment = at(tick)
        self.world.live(moment)
        index = bisect_right([one.start for one in self.incidents], tick) - 1
        incident = self.incidents[index] if index >= 0 else None
        is_on = incident is not None and tick < incident.end
        if incident is not None:
            self.judge.sizes.setdefault(index, len(self.world.listed))
            self._speak(incident, moment, is_on=is_on)
        body = incident.answer(self.world, tick) if incident is not None and is_on else self.world.body()
        polled = self.store.poll(moment, body)
        kind = incident.kind if incident is not None else ORDINARY
        if polled is not None:
            self.judge.judge(kind, index, moment, polled)
            self.store.apply(moment, polled)
        self._count(tick, 1, polled)
        return body, polled

    def _pass(self, last: int, tick: int, polled: Polled | None, body: bytes | None, *, traces: bool) -> None:
        """All polls up to one are as the one before."""
        self._count(tick + 1, last - tick, polled)
        if polled is not None:
            self.store.succeed(at(last))
        if traces:
            counted = None if polled is None else {name: polled.decision.counters[name] for name in COUNTED}
            self.traced.append(Traced(at(last), body, counted))

    def _next_tick(self, tick: int, bounds: Sequence[int]) -> int:
        """The next at which anything may differ."""
        index = bisect_right(bounds, tick)
        event = math.ceil((self.world.next_event - T0) / STEP)
        wake = self.store.wake()
        woken = self.ticks if wake is None else math.ceil((wake - TICK - T0) / STEP)
        return max(tick + 1, min(bounds[index] if index < len(bounds) else self.ticks, event, woken, self.ticks))

    def _count(self, tick: int, polls: int, polled: Polled | None) -> None:
        """Counts polls that came to the same, of the incident at that tick or of ordinary life."""
        kind = next((one.kind for one in self.incidents if one.start <= tick < one.end), ORDINARY)
        self.judge.score[kind, "polls"] += polls
        self.judge.score[kind, "failed"] += polls * (polled is None)
        self.judge.score[kind, "held"] += polls * bool(polled and polled.decision.counters["held"])

    def _speak(self, incident: Incident, moment: datetime, *, is_on: bool) -> None:
        """Gives some numbers words that nobody knows while an incident lasts."""
        if is_on and incident.words and not self._words:
            for key, number in list(self.world.listed.items()):
                if chance(incident.start, key) < incident.words:
                    self._words[key] = number.state, number.type, number.nc_type
                    number.state, number.type, number.nc_type = UNKNOWN_WORDS
                    self.world.put(number, moment)
            self._words.setdefault(-1, ("", "", ""))
        elif not is_on and self._words:
            for key, words in self._words.items():
                if key in self.world.listed:
                    number = self.world.listed[key]
                    number.state = words[0] if number.state == UNKNOWN_WORDS[0] else number.state
                    number.type, number.nc_type = words[1:]
                    self.world.put(number, moment)
            self._words.clear()


class Played(NamedTuple):
    """What came of an account."""

    score: Counter[tuple[str, str]]
    findings: list[str]


def play(seed: str, lasts: str) -> Played:
    """Plays an account to its end."""
    account = Account(seed, lasts)
    account.play()
    for incident in account.incidents:
        account.judge.score[incident.kind, "incidents"] += 1
    return Played(account.judge.score, [f"{lasts}, {seed}: {one}" for one in account.judge.findings])


def differs_if_dense(seed: str, lasts: str) -> bool:
    """Whether it matters that most polls are not run."""
    sparse, dense = Account(seed, lasts), Account(seed, lasts)
    sparse.play()
    dense.play(densely=True)
    return sparse.store.contents() != dense.store.contents() or sparse.judge.score != dense.judge.score


# The same in PostgreSQL

_NAMES: Final = ", ".join("r.name" if column == "region_name" else f"n.{column}" for column in COLUMNS)
_TABLES: Final = {
    "number": f"""
        select n.virtual_number_id, {_NAMES}, n.extra::text, n.changed_at, n.changed_after, n.last_read_at,
               n.missing_since, n.removed_at
          from syncer.virtual_number n left join syncer.region r using (region_id)
          join syncer.account a using (account_id) where a.name = $1""",  # noqa: S608 - names from a constant
    "version": f"""
        select n.virtual_number_id, {_NAMES}, n.valid_from, n.valid_to, n.changed_after, n.closed_after
          from syncer.virtual_number_history n left join syncer.region r using (region_id)
          join syncer.account a using (account_id) where a.name = $1""",  # noqa: S608 - names from a constant
    "state": """
        select virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after
          from syncer.state_history join syncer.account using (account_id) where name = $1""",
    "redirect": """
        select virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after
          from syncer.virtual_number_redirect join syncer.account using (account_id) where name = $1""",
}
_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def _shaped(table: str, row: Sequence[Any]) -> tuple[Any, ...]:
    """A row as the store in memory has it."""
    if table not in {"number", "version"}:
        return tuple(row)
    values, rest = tuple(row[1 : len(COLUMNS) + 1]), row[len(COLUMNS) + 1 :]
    return (row[0], values, *((json.loads(rest[0]), *rest[1:]) if table == "number" else rest))


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder for a while that every user can reach, since as root the server runs as another one."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-incidents-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def replay(accounts: Iterable[tuple[str, str]]) -> list[str]:
    """Polls accounts through HTTP into PostgreSQL as well.

    Returns:
        Where that came to anything else.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    differences: list[str] = []
    with open_folder() as folder:
        async with AsyncExitStack() as stack:
            server = stack.enter_context(EmbeddedServer(folder, server_settings=_FAST))
            engine = create_engine(lambda: server.url)
            stack.push_async_callback(engine.dispose)
            await schema.migrate(engine)
            emulator = await stack.enter_async_context(Emulator(numbers=1, seed=1, rates=STILL))
            sql = await asyncpg.connect(server.url)
            stack.push_async_callback(sql.close)
            for seed, lasts in accounts:
                differences += await _replay(f"{seed}, {lasts}", Account(seed, lasts), engine, emulator, sql)
    return differences


async def _replay(
    name: str, account: Account, engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection
) -> list[str]:
    account.play(traces=True)
    differences = []
    async with PolledAccount(engine, emulator, sql, settings_for(emulator, account_name=name)) as real:
        for traced in account.traced:
            await real.set_clock(traced.moment)
            if traced.body is None:
                emulator.fault = faults.Status(status=503)
                result = await real.poll_again()
            else:
                result = await real.poll_body(traced.body)
            counted = None if result.outcome == "failed" else {one: getattr(result, one) for one in COUNTED}
            if counted != traced.counted:
                differences.append(f"{name}, {traced.moment}: {counted} is not {traced.counted}")
    for table, rows in account.store.contents().items():
        found = sorted((_shaped(table, tuple(row)) for row in await sql.fetch(_TABLES[table], name)), key=repr)
        differences += [
            f"{name}: {table} {one} is not {two}" for one, two in zip(found, rows, strict=False) if one != two
        ][:3]
        if len(found) != len(rows):
            differences.append(f"{name}: {len(found)} rows of {table} are not {len(rows)}")
    return differences


# The report


SHOWN: Final = {
    "incidents": "incidents",
    "polls": "polls while they last",
    "failed": "polls that failed",
    "held": "polls that held removals",
    "rows": "rows written since they began",
    "within the share": "numbers removed that never went: believed at once, as no more than the share was missing",
    "incidents with false removals": "incidents that did so",
    "more than the share in all": "incidents that removed more than the share so, one poll after another",
    "beyond the share": "numbers removed that never went: believed at once though more than the share was missing",
    "matured": "numbers removed that never went: after the hold time",
    "false rows": "rows that say what was told and not true",
    "untold": "rows that go on saying what was true, or null, as a key was absent",
    "appeared unseen": "new or returned numbers that came before their window began: answers had hidden them",
    "changed untold": "changes that happened before their window began: a key had been absent",
    "in time": "numbers that went, and were removed with a window that holds the moment",
    "early": "numbers that went, dated before: they were missing already when they went",
    "late": "numbers that went, dated with a window that begins later",
    "missed": "numbers that went and are not removed at the end",
    "wrong at the end": "numbers whose record, redirects or presence are not right at the end",
}
UNEXPECTED: Final = ("beyond the share", "matured", "false rows", "late", "missed", "wrong at the end")
"""What must not be, of incidents below the hold time."""


def table_of(lasts: str, score: Mapping[tuple[str, str], int]) -> Table:
    """What came of the incidents of one class, a column a kind, so that the rows can say in full what they count."""
    kinds = sorted({kind for kind, _ in score}, key=lambda kind: (kind == ORDINARY, kind))
    table = Table(title=f"incidents of {lasts}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=60)
    for kind in (*kinds, "all"):
        table.add_column(kind, justify="right", max_width=11)
    for name, title in SHOWN.items():
        counts = [score.get((kind, name), 0) for kind in kinds]
        table.add_row(title, *(str(count or "-") for count in (*counts, sum(counts))))
    return table


def main() -> int:
    """Plays, prints, and tells whether anything came out that must not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__.splitlines()[0])
    parser.add_argument("--incidents", type=int, default=10_000, help="below the hold time; a tenth as many beyond it")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--replayed", type=int, default=100, help="how many of them to replay in PostgreSQL")
    parser.add_argument("--dense", type=int, default=12, help="how many accounts to poll at every tick")
    parser.add_argument("--processes", type=int, default=None)
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 220)
    begun = time.monotonic()
    below = math.ceil(given.incidents / INCIDENTS_AN_ACCOUNT)
    accounts = {LONG: math.ceil(below / 10), SHORT: below}  # the longest first, for the processes to end together
    failed = False
    with ProcessPoolExecutor(given.processes) as pool:
        played = {
            lasts: [pool.submit(play, f"{given.seed}/{number}", lasts) for number in range(count)]
            for lasts, count in accounts.items()
        }
        sample = [(f"{given.seed}/{number}", lasts) for number in range(given.dense // 2) for lasts in LASTS]
        dense = [pool.submit(differs_if_dense, *one) for one in sample]
        for lasts, futures in played.items():
            score: Counter[tuple[str, str]] = Counter()
            findings: list[str] = []
            for future in futures:
                score.update(future.result().score)
                findings += future.result().findings
            console.print(table_of(lasts, score))
            unexpected = sum(count for (_, name), count in score.items() if name in UNEXPECTED)
            failed |= lasts == SHORT and unexpected > 0
            for finding in findings[:20] if lasts == SHORT else []:
                console.print(f"! {finding}", markup=False, highlight=False)
        differing = sum(future.result() for future in dense)
        console.print(f"{len(dense)} accounts polled at every tick: {differing} differ")
    count = math.ceil(given.replayed / INCIDENTS_AN_ACCOUNT)
    replayed = [(f"{given.seed}/{number}", SHORT if number % 5 else LONG) for number in range(count)]
    differences = asyncio.run(replay(replayed))
    console.print(f"{count} accounts polled in PostgreSQL: {len(differences)} differences")
    for difference in differences[:10]:
        console.print(f"! {difference}", markup=False, highlight=False)
    console.print(f"{time.monotonic() - begun:.0f} s")
    return int(failed or differing > 0 or bool(differences))


if __name__ == "__main__":
    sys.exit(main())
