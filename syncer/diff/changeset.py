"""What a response changes: decided by `syncer.diff.reconcile`, written by `syncer.store.poll.apply`. Pure data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class NewVersion(Struct, frozen=True, gc=False):
    """A record to write: of a new number, or in place of the one that is stored.

    Attributes:
        values: In the order of `syncer.diff.record.COLUMNS`, absent keys filled in.
        changed_after: The start of the last poll that read the number before; None if the account's first one found it.
    """

    virtual_number_id: int
    values: tuple[Any, ...]
    extra: Mapping[str, Any]
    changed_after: datetime | None


class NewState(Struct, frozen=True, gc=False):
    """A period of one state and one reason that begins."""

    virtual_number_id: int
    state: str
    reason: str | None
    changed_after: datetime | None


class RedirectChange(Struct, frozen=True, gc=False):
    """A redirect that begins or ends; `changed_after` is the lower end of the window in which it did."""

    virtual_number_id: int
    redirect_number_id: int
    number: str
    changed_after: datetime | None


class PresenceUpdate(Struct, frozen=True, gc=False):
    """Whether a number is read, missing or removed, where that changes and its version does not."""

    virtual_number_id: int
    last_read_at: datetime | None
    missing_since: datetime | None
    removed_at: datetime | None


@dataclass(slots=True)
class ChangeSet:
    """What some of a response's records, or what the rest of it says, changes.

    Attributes:
        created: Numbers never seen before.
        superseded: Numbers whose stored version gives way to another, restored ones among them.
        closed_states: Numbers whose open period of state ends, but for removals, with the window's lower end.
        opened_states: Periods that begin; of created and restored numbers too.
        opened_redirects: Redirects that begin; of created and restored numbers too.
        closed_redirects: Redirects that end, but for removals.
        extras: Numbers of which the fields without a column alone differ.
        presences: Numbers that are missing, removed, rejected, or read again.
        digests: The digest that stands for each number that was looked at and can be.
        is_news: It is the first response of all that counts, or others of its elements are rejected than before.
        counters: Of the contract's, those known before anything is written.
        absent_keys: How many of the records looked at lacked each key.
        column_changes: In how many numbers each column changed.
    """

    created: list[NewVersion] = field(default_factory=list)
    replaced: list[NewVersion] = field(default_factory=list)
    closed_states: list[tuple[int, datetime]] = field(default_factory=list)
    opened_states: list[NewState] = field(default_factory=list)
    opened_redirects: list[RedirectChange] = field(default_factory=list)
    closed_redirects: list[RedirectChange] = field(default_factory=list)
    extra_updates: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    presence_updates: list[PresenceUpdate] = field(default_factory=list)
    fingerprints: dict[int, bytes] = field(default_factory=dict)
    is_first_or_rejections_changed: bool = False
    counters: Counter[str] = field(default_factory=Counter)
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether it means what is stored already: digests are a cache."""
        return not (
            self.created
            or self.replaced
            or self.extra_updates
            or self.presence_updates
            or self.opened_redirects
            or self.closed_redirects
            or self.is_first_or_rejections_changed
        )

    @property
    def removed(self) -> list[PresenceUpdate]:
        """Those whose removal is applied now."""
        return [presence_update for presence_update in self.presence_updates if presence_update.removed_at is not None]


@dataclass(slots=True)
class PollTotals:
    """What the decisions of one poll come to, once they are written.

    Attributes:
        standing: The digests that stand anew, with their numbers.
        removed: Numbers that were removed.
        is_unchanged: The response means what was stored already.
    """

    counters: Counter[str] = field(default_factory=Counter)
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)
    fingerprints: dict[bytes, int] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    is_unchanged: bool = True

    def add(self, changes: ChangeSet) -> None:
        """Adds a decision that was written."""
        self.counters.update(changes.counters)
        self.absent_keys.update(changes.absent_keys)
        self.column_changes.update(changes.column_changes)
        self.fingerprints.update((digest, number) for number, digest in changes.fingerprints.items())
        self.removed.update(presence_update.virtual_number_id for presence_update in changes.removed)
        self.is_unchanged = self.is_unchanged and changes.is_empty

    @property
    def changes_fingerprints(self) -> bool:
        """Whether other digests stand afterwards than before."""
        return bool(self.fingerprints or self.removed)
