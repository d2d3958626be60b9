"""What polls write, held against what is true."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from benchmarks.incidents.moments import DAY, GUARD, STEP, T0
from syncer.diff.record import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from benchmarks.incidents.store import Polled, Store
    from benchmarks.incidents.world import World
    from syncer.diff.changeset import NewVersion
    from syncer.diff.stored import Known

MOST_TOLD: Final = 3
"""Unexpected findings of an account that are told: enough to look into it."""
_STATE, _REASON = COLUMNS.index("state"), COLUMNS.index("reason")


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
            if after is None or date is None:
                raise AssertionError(f"{key} was removed without a window")
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
