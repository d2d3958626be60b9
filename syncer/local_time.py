"""Formats moments in the time zone of an account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from datetime import tzinfo


def time_zone_or_utc(name: str) -> tzinfo:
    """Returns a time zone by name, or UTC if this machine does not know the name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def format_moment(moment: datetime, time_zone: str, *, with_zone: bool = True) -> str:
    """Formats a moment to the second in a time zone, and names the zone."""
    local = moment.astimezone(time_zone_or_utc(time_zone))
    return f"{local:%Y-%m-%d %H:%M:%S}{f' {local.tzinfo}' * with_zone}"
