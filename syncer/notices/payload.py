"""The body of a webhook: a notice as JSON, which has more of it than the text for people."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncer.notice import ChangesNotice, ConditionsNotice, TestNotice
from syncer.notices.conditions_message import condition_event
from syncer.notices.values import vendor_text, visible_name, visible_number, visible_value

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.notice import AccountCondition, Digest, NumberEvent
    from syncer.notices.rules import NumberFormat

MAX_EVENTS: Final = 100
"""Events and conditions in a body, at most; `more` says how many others there are."""
TEST_NUMBER: Final = "70000000000"
"""Numbers of Russia begin with 3 to 9 after the country code: nobody has or gets this one."""
_encoder: Final = msgspec.json.Encoder(order="sorted")


def encode_notice(
    notice: ChangesNotice | ConditionsNotice | TestNotice, numbers: NumberFormat, *, names: bool
) -> bytes:
    """Returns the body: the same bytes for the same notice.

    Args:
        notice: The notice.
        numbers: How phone numbers appear in it: as stored, their last four digits, or null. If they are not shown in
            full, they are replaced in the vendor's texts, too.
        names: Whether the names of employees and groups are in it; otherwise they are null.
    """
    body: dict[str, Any]
    if isinstance(notice, ChangesNotice):
        body = {"type": "numbers.changed", "data": _changes(notice, numbers, names=names)}
    elif isinstance(notice, ConditionsNotice):
        body = {"type": "account.condition", "data": _conditions(notice)}
    else:
        body = {"type": "test", "data": {"number": visible_number(TEST_NUMBER, numbers)}}
    return _encoder.encode(body | {"timestamp": _utc(notice.created_at)})


def _changes(notice: ChangesNotice, numbers: NumberFormat, *, names: bool) -> dict[str, Any]:
    events = notice.events[:MAX_EVENTS]
    after, until = notice.window or (None, None)
    return {
        "account_id": notice.account_id,
        "account": notice.account,
        "rule": notice.rule,
        "after_run_id": notice.after_run_id,
        "through_run_id": notice.through_run_id,
        "window": {"after": _utc(after), "until": _utc(until)} if notice.window else None,
        "counts": notice.counts,
        "events": [_event(event, numbers, names=names) for event in events],
        "more": sum(notice.counts.values()) - len(events),
        "digest": _digest(notice.digest, numbers, names=names) if notice.digest else None,
    }


def _event(event: NumberEvent, numbers: NumberFormat, *, names: bool) -> dict[str, Any]:
    return {
        "event": event.event,
        "virtual_number_id": event.virtual_number_id,
        "number": visible_number(event.number, numbers),
        "field": event.field,
        "old": visible_value(event.field, event.old, numbers),
        "new": visible_value(event.field, event.new, numbers),
        "old_name": visible_name(event.old_name, numbers, names=names),
        "new_name": visible_name(event.new_name, numbers, names=names),
        "employee_id": event.employee_id,
        "employee": visible_name(event.employee, numbers, names=names),
        "reason": None if event.reason is None else vendor_text(event.reason, numbers),
        "changed_after": _utc(event.changed_after),
        "changed_at": _utc(event.changed_at),
        "recorded_at": _utc(event.recorded_at),
        "run_id": event.run_id,
    }


def _digest(digest: Digest, numbers: NumberFormat, *, names: bool) -> dict[str, Any]:
    return {
        "blocked_counts": digest.blocked_counts,
        "blocked": [
            {
                "virtual_number_id": blocked.virtual_number_id,
                "number": visible_number(blocked.number, numbers),
                "employee_id": blocked.employee_id,
                "employee": visible_name(blocked.employee, numbers, names=names),
                "state": blocked.state,
                "since": _utc(blocked.since),
            }
            for blocked in digest.blocked
        ],
        "polls_since": _utc(digest.polls_since),
        "failed_polls": digest.failed_polls,
        "conditions": [_condition(condition) for condition in digest.conditions],
    }


def _conditions(notice: ConditionsNotice) -> dict[str, Any]:
    conditions = notice.conditions[:MAX_EVENTS]
    return {
        "rule": notice.rule,
        "conditions": [_condition(condition) for condition in conditions],
        "more": len(notice.conditions) - len(conditions),
    }


def _condition(condition: AccountCondition) -> dict[str, Any]:
    return {
        "account_id": condition.account_id,
        "account": condition.account,
        "condition": condition.kind,
        "event": condition_event(condition),
        "began_at": _utc(condition.began_at),
        "ended_at": _utc(condition.ended_at),
        "count": condition.count,
    }


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
