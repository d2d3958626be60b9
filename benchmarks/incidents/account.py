"""An account that lives, meets incidents and is polled."""

from __future__ import annotations

import math
from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.incidents.chances import chance, log_uniform
from benchmarks.incidents.judge import Judge
from benchmarks.incidents.kinds import MAKERS, Drawn, Incident
from benchmarks.incidents.moments import DAY, STEP, T0, TICK, at
from benchmarks.incidents.store import Polled, Store
from benchmarks.incidents.world import UNKNOWN_WORDS, World

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from datetime import datetime

INCIDENTS_AN_ACCOUNT: Final = 4
SHORT: Final = "5 min to 20 h"
LONG: Final = "24 to 48 h"
LASTS: Final = {SHORT: (5, 20 * 60), LONG: (24 * 60, 48 * 60)}
"""Minutes, log-uniform. The first is below the hold time, the second is not."""
ORDINARY: Final = "ordinary life"
COUNTED: Final = ("received", "created", "changed", "unchanged", "removed", "restored", "held", "rejected")


class Traced(NamedTuple):
    """A poll, for it to be repeated elsewhere; `counted` is None if it failed."""

    moment: datetime
    body: bytes | None
    counted: Mapping[str, int] | None


class Account:
    """An account, the incidents it meets, and what polls make of it.

    Args:
        seed: What it is made up from.
        lasts: How long its incidents last: one of `LASTS`.
    """

    def __init__(self, seed: str, lasts: str) -> None:
        random = Random(seed)  # noqa: S311 - a seed makes the same account again; nothing here is secret
        numbers = round(log_uniform(random, 1, 2000))
        self.incidents: list[Incident] = []
        tick = round(random.uniform(1, 48) * 12)
        for _ in range(INCIDENTS_AN_ACCOUNT):
            length = max(1, round(log_uniform(random, *LASTS[lasts]) / 5))
            self.incidents.append(random.choice(MAKERS)(Drawn(random, tick, tick + length)))
            tick += length + max(2, round(log_uniform(random, 10, 72 * 60) / 5))
        self.ticks = self.incidents[-1].end + DAY // STEP + 24
        self.world = World(random, numbers)
        self.store = Store()
        self.judge = Judge(self.world)
        self.traced: list[Traced] = []
        self._words: dict[int, tuple[str, str, str]] | None = None
        """The numbers that have unknown words now, and what they said before."""

    def play(self, *, densely: bool = False, traces: bool = False) -> None:
        """Polls from the beginning to the end."""
        bounds = sorted({tick for one in self.incidents for tick in (one.start, one.end, *one.redraws)})
        tick = 0
        while tick < self.ticks:
            body, polled = self._poll(tick)
            if traces:
                self._trace(tick, body, polled)
            # What a poll has changed, the same again must leave as it is: that is run, not believed.
            settled = polled is None or polled.decision.is_empty
            upcoming = tick + 1 if densely or not settled else self._next_tick(tick, bounds)
            if upcoming > tick + 1:
                self._pass(upcoming - 1, tick, polled)
                if traces:
                    self._trace(upcoming - 1, body, polled)
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

    def _pass(self, last: int, tick: int, polled: Polled | None) -> None:
        """All polls up to one are as the one before."""
        self._count(tick + 1, last - tick, polled)
        if polled is not None:
            self.store.succeed(at(last))

    def _trace(self, tick: int, body: bytes | None, polled: Polled | None) -> None:
        counted = None if polled is None else {name: polled.decision.counters[name] for name in COUNTED}
        self.traced.append(Traced(at(tick), body, counted))

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
        if is_on and incident.words and self._words is None:
            self._words = {}
            for key, number in list(self.world.listed.items()):
                if chance(incident.start, key) < incident.words:
                    self._words[key] = number.state, number.type, number.nc_type
                    number.state, number.type, number.nc_type = UNKNOWN_WORDS
                    self.world.put(number, moment)
        elif not is_on and self._words is not None:
            for key, words in self._words.items():
                if key in self.world.listed:
                    number = self.world.listed[key]
                    number.state = words[0] if number.state == UNKNOWN_WORDS[0] else number.state
                    number.type, number.nc_type = words[1:]
                    self.world.put(number, moment)
            self._words = None


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
