"""The changes that a response makes. `syncer.diff.reconcile` decides them, `syncer.store.poll.apply` writes them.

A poll sees a change after it happened. `changed_after` is the earliest time at which it can have happened: the start of
the last successful poll that read the number's record or, for a number that is created or restored, of the last one
whose response was believable and did not list it. It is None if there was no such poll.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from syncer.diff.record import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_RECORD_KEYS: Final = 100
"""Once so many keys without a column are noted, no more are: hostile records may have any number of them."""
MAX_KEY_CHARS: Final = 100
"""Of a longer key only the beginning is noted, and compared."""


class NewVersion(Struct, frozen=True, gc=False):
    """The column values to store for a new number, or to replace those of a stored one.

    Attributes:
        virtual_number_id: The number's id.
        values: In the order of `syncer.diff.record.COLUMNS`, with the last known value for each absent key.
        extra: The fields that have no column.
        changed_after: The lower bound of the time of the change.
    """

    virtual_number_id: int
    values: tuple[Any, ...]
    extra: Mapping[str, Any]
    changed_after: datetime | None


class RedirectChange(Struct, frozen=True, gc=False):
    """A redirect that begins or ends; `changed_after` is the lower bound of when it did."""

    virtual_number_id: int
    redirect_number_id: int
    number: str
    changed_after: datetime | None


class PresenceUpdate(Struct, frozen=True, gc=False):
    """What is stored about the presence of a number whose record does not change.

    Attributes:
        virtual_number_id: The number's id.
        last_read_at: The start of the last successful poll that read its record; None if that is this one.
        missing_since: When it was first missed; None if it is listed, as are the next three.
        removed_at: Equal to `missing_since` if it is removed now.
        believable_missing_since: When it was first missed by a believable response.
        believable_missing_from: Which of the account's believable responses that was, counted from 1.
    """

    virtual_number_id: int
    last_read_at: datetime | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    believable_missing_since: datetime | None = None
    believable_missing_from: int | None = None


@dataclass(slots=True)
class ChangeSet:
    """The changes made by a batch of records, or by the numbers that are missing or rejected.

    What ends with a version or a number (the period of its state, its redirects) is not listed here: the statement that
    replaces or removes it finds these.

    Attributes:
        created: Numbers that are not stored yet.
        replaced: Numbers whose stored record is replaced by another version. Restored numbers are included.
        opened_redirects: Redirects that begin, including those of created and restored numbers.
        closed_redirects: Redirects that end.
        extra_updates: `virtual_number_id` and `extra` of the numbers that differ only in fields without a column.
        presence_updates: Numbers that are newly missing, missed by a believable response for the first time, removed,
            newly rejected, or read again.
        fingerprints: `virtual_number_id` → fingerprint of the record, for each valid record compared.
        is_first_or_rejections_changed: Whether this is the account's first successful poll, or the response's rejected
            elements are not those of the last one.
        counters: The run's counters, by column of `sync_run`.
        absent_keys: How many of the records lacked each key.
        column_changes: In how many numbers each column changed.
        extra_keys: Keys in `extra` of the records, or some of many.
    """

    created: list[NewVersion] = field(default_factory=list)
    replaced: list[NewVersion] = field(default_factory=list)
    opened_redirects: list[RedirectChange] = field(default_factory=list)
    closed_redirects: list[RedirectChange] = field(default_factory=list)
    extra_updates: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    presence_updates: list[PresenceUpdate] = field(default_factory=list)
    fingerprints: dict[int, bytes] = field(default_factory=dict)
    is_first_or_rejections_changed: bool = False
    counters: Counter[str] = field(default_factory=Counter)
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)
    extra_keys: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether the stored data is up to date already. Fingerprints do not count: they are only a cache."""
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
        """The presence updates of the numbers that are removed now."""
        return [presence_update for presence_update in self.presence_updates if presence_update.removed_at is not None]


@dataclass(slots=True)
class PollTotals:
    """The sums of the change sets that one poll writes.

    Attributes:
        counters: The run's counters, by column of `sync_run`.
        compared: How many records were compared.
        absent_keys: How many of the records lacked each key.
        column_changes: In how many numbers each column changed.
        extra_keys: Keys in `extra` of the records, or some of many.
        fingerprints: The fingerprints written → `virtual_number_id`.
        removed: The numbers that were removed, by `virtual_number_id`.
        is_unchanged: Whether the stored data was up to date already.
    """

    counters: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    absent_keys: Counter[str] = field(default_factory=Counter)
    column_changes: Counter[str] = field(default_factory=Counter)
    extra_keys: set[str] = field(default_factory=set)
    fingerprints: dict[bytes, int] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    is_unchanged: bool = True

    def add(self, changes: ChangeSet) -> None:
        """Adds a change set."""
        self.counters.update(changes.counters)
        self.compared += len(changes.fingerprints)
        self.absent_keys.update(changes.absent_keys)
        self.column_changes.update(changes.column_changes)
        if len(self.extra_keys) < MAX_RECORD_KEYS:
            self.extra_keys |= changes.extra_keys
        self.fingerprints.update(zip(changes.fingerprints.values(), changes.fingerprints, strict=True))
        self.removed.update(presence_update.virtual_number_id for presence_update in changes.removed)
        self.is_unchanged = self.is_unchanged and changes.is_empty

    @property
    def keys(self) -> set[str]:
        """The keys that the compared records had, of those without a column some if they are many."""
        if not self.compared:
            return set()
        return {key for key in FIELDS if self.absent_keys[key] < self.compared} | self.extra_keys

    @property
    def has_fingerprint_changes(self) -> bool:
        """Whether the account's stored fingerprints have changed."""
        return bool(self.fingerprints or self.removed)
