"""The feed of changes: what it must say, told from how the numbers differ before and after each poll; and a copy of
the numbers that is kept from the feed alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.reading import COLUMNS

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
class _Before:
    """A number as it was when it was looked at last."""

    fields: dict[str, str | None]
    is_removed: bool
    redirects: frozenset[tuple[int, str]]


class Feed:
    """What the feed must hold after the polls so far."""

    def __init__(self) -> None:
        self.changes: Counter[Change] = Counter()
        self._before: dict[int, _Before] = {}

    def follow(self, model: AccountModel) -> None:
        """Tells what differs since the last look; one poll may have come in between."""
        run_id = model.success_run_id
        if run_id is None:
            return
        for number, known in model.numbers.items():
            fields = {field: as_text(known.values[name]) for field, name in zip(FIELDS, COLUMNS, strict=True)}
            now = _Before(fields, known.is_removed, frozenset(known.open_redirects()))
            before = self._before.get(number)
            if now != before:
                self.changes.update(_of_the_record(number, run_id, known, before, now))
                self.changes.update(_of_the_redirects(number, run_id, known, before, now))
                self._before[number] = now


def _of_the_record(number: int, run_id: int, known: Number, before: _Before | None, now: _Before) -> Iterator[Change]:
    if now.is_removed:
        if before is not None and not before.is_removed:
            assert known.removed_at is not None
            yield Change(number, run_id, known.removed_at, known.last_read_at, "removed")
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
            yield Change(number, run_id, known.changed_at, known.changed_after, kind, field, old, new)


def _of_the_redirects(
    number: int, run_id: int, known: Number, before: _Before | None, now: _Before
) -> Iterator[Change]:
    were = frozenset() if before is None else before.redirects
    listed = "from_redirect_numbers"
    for key in now.redirects - were:
        row = _latest(known, key)
        yield Change(number, run_id, row.valid_from, row.changed_after, "redirect_opened", listed, None, key[1], key[0])
    for key in were - now.redirects:
        row = _latest(known, key)
        assert row.valid_to is not None
        yield Change(number, run_id, row.valid_to, row.closed_after, "redirect_closed", listed, key[1], None, key[0])


def _latest(known: Number, key: tuple[int, str]) -> Period:
    return [row for row in known.redirects if row.key == key][-1]


class Copy:
    """An account's numbers as one has them who only ever reads what the feed has beyond the last run it saw."""

    TIMES: Final = ("first_seen_at", "removed_at", "changed_at", "changed_after", "state_since", "state_since_earliest")

    def __init__(self) -> None:
        self.numbers: dict[int, dict[str, Any]] = {}
        self.redirects: dict[tuple[int, int, str], datetime] = {}
        self.last_run_id = 0

    async def catch_up(self, sql: asyncpg.Connection, account_id: int) -> None:
        """Takes what is new."""
        for row in await sql.fetch(
            "select * from analytics.changes where account_id = $1 and run_id > $2 order by run_id",
            account_id,
            self.last_run_id,
        ):
            self._take(row)
            self.last_run_id = row["run_id"]

    def _take(self, row: asyncpg.Record) -> None:
        number = row["virtual_number_id"]
        match row["kind"]:
            case "redirect_opened":
                self.redirects[number, row["redirect_number_id"], row["new_value"]] = row["changed_at"]
            case "redirect_closed":
                del self.redirects[number, row["redirect_number_id"], row["old_value"]]
            case "removed":
                self.numbers[number]["removed_at"] = row["changed_at"]
            case kind:
                copied = self.numbers.setdefault(
                    number, dict.fromkeys((*FIELDS, *self.TIMES)) | {"first_seen_at": row["changed_at"]}
                )
                assert copied[row["field"]] == row["old_value"]
                copied |= {row["field"]: row["new_value"], "removed_at": None}
                copied |= {"changed_at": row["changed_at"], "changed_after": row["changed_after"]}
                if kind != "changed":
                    copied |= {"state_since": row["changed_at"], "state_since_earliest": row["changed_after"]}

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """What a copy has of a row of `numbers_all`."""
        return {name: as_text(row[name]) for name in FIELDS} | {name: row[name] for name in self.TIMES}


def as_text(value: Any) -> str | None:
    """A value of a column as PostgreSQL writes it."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
