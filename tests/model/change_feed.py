"""The change feed: its expected rows, from the differences between polls; and a replica that is built from the feed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.response_parser import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
                self.changes.update(_record_changes(number, run_id, stored, before, now))
                self.changes.update(_redirect_changes(number, run_id, stored, before, now))
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


class FeedReplica:
    """An account's numbers, built only from the feed: each time from the rows after the last run that was read."""

    TIMES: Final = (
        *("first_seen_at", "removed_at", "changed_at", "changed_after", "state_since", "state_since_earliest"),
        *("reason_since", "reason_since_earliest"),
    )

    def __init__(self) -> None:
        self.numbers: dict[int, dict[str, Any]] = {}
        self.redirects: dict[tuple[int, int, str], datetime] = {}
        self.last_run_id = 0

    async def catch_up(self, sql: asyncpg.Connection, account_id: int) -> None:
        """Applies the new rows of the feed."""
        for row in await sql.fetch(
            "select * from analytics.changes where account_id = $1 and run_id > $2 order by run_id",
            account_id,
            self.last_run_id,
        ):
            self._apply(row)
            self.last_run_id = row["run_id"]

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
