"""Builders of notices for tests, with the moments of one morning in Moscow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from syncer.notice import AccountCondition, BlockedNumber, ChangesNotice, ConditionsNotice, Digest, NumberEvent
from syncer.notices.rules import Channel, Language, NumberFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_ID: Final = UUID("6f1c2a52-9a0e-4c55-8a9f-2f6f3a5b7c10")
MOSCOW: Final = "Europe/Moscow"


def at(clock: str, day: str = "2026-11-28") -> datetime:
    """Returns a moment of a day in Moscow, in UTC as the database returns it."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(MOSCOW)).astimezone(UTC)


def channel(language: Language = "ru", numbers: NumberFormat = "full", *, names: bool | None = None) -> Channel:
    """Returns a channel, which shows names if it shows phone numbers in full, unless `names` says otherwise."""
    return Channel(name="duty", language=language, numbers=numbers, names=numbers == "full" if names is None else names)


def event(kind: str = "locked", number_id: int = 250, **fields: Any) -> NumberEvent:
    """Returns an event: an active number was locked between 09:55 and 10:00."""
    values: dict[str, Any] = {
        "event": kind,
        "virtual_number_id": number_id,
        "number": f"79261234{number_id:03}",
        "field": "state",
        "old": "active",
        "new": "debt_lock",
        "reason": None,
        "old_name": None,
        "new_name": None,
        "employee_id": None,
        "employee": None,
        "changed_after": at("09:55"),
        "changed_at": at("10:00"),
        "recorded_at": at("10:00"),
        "run_id": 54,
    }
    return NumberEvent(**values | fields)


def changes(events: Sequence[NumberEvent], counts: Mapping[str, int] | None = None, **fields: Any) -> ChangesNotice:
    """Returns a notice of events; of as many as there are, unless `counts` says that there are more."""
    found: dict[str, int] = {}
    for one in events:
        found[one.event] = found.get(one.event, 0) + 1
    values: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "created_at": at("10:00:05"),
        "account_id": 1,
        "account": "Головной офис",
        "time_zone": MOSCOW,
        "rule": "locks",
        "after_run_id": 53,
        "through_run_id": 54,
        "counts": found if counts is None else counts,
        "events": events,
        "window": (at("09:55"), at("10:00")) if events else None,
        "digest": None,
    }
    return ChangesNotice(**values | fields)


def digest(**fields: Any) -> Digest:
    values: dict[str, Any] = {
        "blocked_counts": {},
        "blocked": [],
        "polls_since": at("09:00", "2026-11-27"),
        "failed_polls": {},
    }
    return Digest(**values | fields)


def blocked(number_id: int, since: datetime, state: str = "debt_lock", **employee: Any) -> BlockedNumber:
    values: dict[str, Any] = {"employee_id": None, "employee": None}
    number = f"79261234{number_id:03}"
    return BlockedNumber(virtual_number_id=number_id, number=number, state=state, since=since, **values | employee)


def condition(
    kind: str = "stale", account_id: int = 1, account: str = "Головной офис", **fields: Any
) -> AccountCondition:
    """Returns a condition that began at 09:55 and holds."""
    values: dict[str, Any] = {
        "account_id": account_id,
        "account": account,
        "time_zone": MOSCOW,
        "kind": kind,
        "began_at": at("09:55"),
        "ended_at": None,
        "began_before": False,
        "count": None,
    }
    return AccountCondition(**values | fields)


def conditions(*found: AccountCondition) -> ConditionsNotice:
    return ConditionsNotice(message_id=MESSAGE_ID, created_at=at("10:40"), rule="operations", conditions=found)
