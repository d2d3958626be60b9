"""What the database would hold of an account, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.incidents.moments import DAY, GUARD, T0, TICK
from syncer.diff.record import COLUMNS
from syncer.diff.response import Arrival, read
from syncer.diff.stored import Known, KnownNumbers, Standing, StoredNumber, Unread
from syncer.errors import PollError
from tests.builders import decide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from syncer.diff.changeset import Decision, NewVersion, Presence


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
        self._versions: list[tuple[Any, ...]] = []
        self._states: list[tuple[Any, ...]] = []
        self._redirects: list[tuple[Any, ...]] = []
        self._open_states: dict[int, tuple[datetime, datetime | None]] = {}
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
            self._open_states[opened.virtual_number_id] = now, opened.changed_after
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
        self._versions.append(
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
        begun, begun_after = self._open_states.pop(key)
        kept = self.numbers[key]
        # A version may have taken the new state's place already; the old one is in the version before it.
        values = self._latest[key] if kept.changed_at == now else kept.values
        self._states.append((key, values[_STATE], values[_REASON], begun, now, begun_after, after))

    def _close_redirect(self, key: int, redirect: tuple[int, str], now: datetime, after: datetime | None) -> None:
        begun, begun_after = self.numbers[key].redirects.pop(redirect)
        self._redirects.append((key, *redirect, begun, now, begun_after, after))

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows, each table's sorted."""
        numbers, states, redirects = [], list(self._states), list(self._redirects)
        for key, kept in self.numbers.items():
            numbers.append(
                (
                    *(key, kept.values, dict(kept.extra), kept.changed_at, kept.changed_after),
                    *(kept.last_read_at, kept.missing_since, kept.removed_at),
                )
            )
            for redirect, (begun, after) in kept.redirects.items():
                redirects.append((key, *redirect, begun, None, after, None))
        for key, (begun, after) in self._open_states.items():
            values = self.numbers[key].values
            states.append((key, values[_STATE], values[_REASON], begun, None, after, None))
        tables = {"number": numbers, "version": self._versions, "state": states, "redirect": redirects}
        return {table: sorted(rows, key=repr) for table, rows in tables.items()}
