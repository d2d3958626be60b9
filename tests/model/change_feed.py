"""The change feed: its expected rows, from the differences between polls; and a replica that is built from the feed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.model import ZONE
from tests.model.response_parser import COLUMNS
from tests.model.views import attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, datetime

    import asyncpg

    from tests.model.model import AccountModel, Number, Period

FIELDS: Final = tuple("region" if name == "region_name" else name for name in COLUMNS)


class Change(NamedTuple):
    """A row of the feed."""

    virtual_number_id: int
    run_id: int
    changed_at: datetime
    changed_after: datetime | None
    kind: str
    field: str | None = None
    old_value: str | None = None
    new_value: str | None = None
    redirect_number_id: int | None = None
    changed_day: date | None = None
    number: str | None = None
    type: str | None = None
    purpose: str | None = None
    region: str | None = None
    employee_id: int | None = None


@dataclass(frozen=True)
class _NumberState:
    """A number after the previous poll."""

    fields: dict[str, str | None]
    is_removed: bool
    redirects: frozenset[tuple[int, str]]


class ExpectedFeed:
    """The rows that the feed must have after the polls so far."""

    def __init__(self) -> None:
        self.changes: Counter[Change] = Counter()
        self._previous: dict[int, _NumberState] = {}

    def record_poll(self, model: AccountModel) -> None:
        """Adds the changes of the last poll."""
        run_id = model.success_run_id
        if run_id is None:
            return
        for number, stored in model.numbers.items():
            fields = {field: as_text(stored.values[name]) for field, name in zip(FIELDS, COLUMNS, strict=True)}
            now = _NumberState(fields, stored.is_removed, frozenset(stored.open_redirects()))
            before = self._previous.get(number)
            if now != before:
                for change in (
                    *_record_changes(number, run_id, stored, before, now),
                    *_redirect_changes(number, run_id, stored, before, now),
                ):
                    day = change.changed_at.astimezone(ZONE).date()
                    self.changes[change._replace(changed_day=day, **attributes(stored.values))] += 1
                self._previous[number] = now


def _record_changes(
    number: int, run_id: int, stored: Number, before: _NumberState | None, now: _NumberState
) -> Iterator[Change]:
    if now.is_removed:
        if before is not None and not before.is_removed:
            assert stored.removed_at is not None
            yield Change(number, run_id, stored.removed_at, stored.last_read_at, "removed")
        return
    for field in FIELDS:
        old, new = None if before is None else before.fields[field], now.fields[field]
        if before is None:
            kind = "created"
        elif before.is_removed:
            kind = "restored"
        else:
            kind = "state" if field in {"state", "reason"} else "changed"
        if old != new or (kind == "restored" and new is not None):
            yield Change(number, run_id, stored.changed_at, stored.changed_after, kind, field, old, new)


def _redirect_changes(
    number: int, run_id: int, stored: Number, before: _NumberState | None, now: _NumberState
) -> Iterator[Change]:
    previous = frozenset() if before is None else before.redirects
    listed = "from_redirect_numbers"
    for key in now.redirects - previous:
        row = _latest(stored, key)
        yield Change(number, run_id, row.valid_from, row.changed_after, "redirect_opened", listed, None, key[1], key[0])
    for key in previous - now.redirects:
        row = _latest(stored, key)
        assert row.valid_to is not None
        yield Change(number, run_id, row.valid_to, row.closed_after, "redirect_closed", listed, key[1], None, key[0])


def _latest(stored: Number, key: tuple[int, str]) -> Period:
    return [row for row in stored.redirects if row.key == key][-1]


class CopiedFeed:
    """The feed of all accounts: each time the rows since the cursor of the time before, and all rows.

    Attributes:
        new: The rows that were copied last.
        copied: The rows that were copied each time, by their place.
        source: All rows, as the feed has them now.
    """

    def __init__(self) -> None:
        self.new: list[asyncpg.Record] = []
        self.copied: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self.source: list[asyncpg.Record] = []
        self._cursor = "{}"

    async def catch_up(self, sql: asyncpg.Connection) -> None:
        """Copies the new rows of the feed, and reads all of them, in one snapshot."""
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            self.new = await sql.fetch("select * from analytics.changes_since($1)", self._cursor)
            self._cursor = await sql.fetchval("select cursor from analytics.changes_cursor")
            self.source = await sql.fetch("select * from analytics.changes")
        assert self.new == sorted(self.new, key=_place)
        for place, rows in by_place(self.new).items():
            self.copied.setdefault(place, []).extend(rows)


class FeedReplica:
    """An account's numbers, built only from the feed."""

    TIMES: Final = (
        *("first_seen_at", "removed_at", "changed_at", "changed_after", "state_since", "state_since_earliest"),
        *("reason_since", "reason_since_earliest"),
    )

    def __init__(self) -> None:
        self.numbers: dict[int, dict[str, Any]] = {}
        self.redirects: dict[tuple[int, int, str], datetime] = {}

    def apply(self, rows: Iterable[asyncpg.Record], account_id: int) -> None:
        """Applies the new rows of an account."""
        for row in rows:
            if row["account_id"] == account_id:
                self._apply(row)

    def _apply(self, row: asyncpg.Record) -> None:
        number = row["virtual_number_id"]
        match row["kind"]:
            case "redirect_opened":
                self.redirects[number, row["redirect_number_id"], row["new_value"]] = row["changed_at"]
            case "redirect_closed":
                del self.redirects[number, row["redirect_number_id"], row["old_value"]]
            case "removed":
                self.numbers[number]["removed_at"] = row["changed_at"]
            case kind:
                replica = self.numbers.setdefault(
                    number, dict.fromkeys((*FIELDS, *self.TIMES)) | {"first_seen_at": row["changed_at"]}
                )
                assert replica[row["field"]] == row["old_value"]
                replica |= {row["field"]: row["new_value"], "removed_at": None}
                replica |= {"changed_at": row["changed_at"], "changed_after": row["changed_after"]}
                if kind != "changed":
                    replica |= {"reason_since": row["changed_at"], "reason_since_earliest": row["changed_after"]}
                if kind != "changed" and row["field"] != "reason":
                    replica |= {"state_since": row["changed_at"], "state_since_earliest": row["changed_after"]}

    def expected_row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns the columns of a row of `numbers_all` that the replica has."""
        return {name: as_text(row[name]) for name in FIELDS} | {name: row[name] for name in self.TIMES}


def as_text(value: Any) -> str | None:
    """Converts a column's value to text as PostgreSQL does."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _place(row: Mapping[str, Any] | asyncpg.Record) -> tuple[Any, ...]:
    return row["account_id"], row["run_id"], row["change_id"]


def by_place(rows: Iterable[asyncpg.Record]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Returns the rows by their place in the feed, without what can change: a place has one row."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        values = {name: value for name, value in row.items() if name not in {"account", "number_now", "changed_day"}}
        found.setdefault(_place(row), []).append(values)
    return found
