"""Reads `Retry-After`: how long the endpoint asks not to be sent another request."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_SECONDS: Final = 999_999_999.0
"""A larger number of seconds is taken as this one: it may have any number of digits."""


def parse_retry_after(headers: Mapping[str, str]) -> tuple[float | None, str]:
    """Reads a response's `Retry-After`, which is a number of seconds or a date.

    A date is counted from the response's own `Date`. Without one it cannot be counted, since this machine's clock may
    be wrong, and is only said.

    Returns:
        The delay in seconds, None if there is none to obey; and a clause for the error message, which may be empty.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        seconds = min(float(text), _MAX_SECONDS)
        return seconds, f", and asks to wait {in_words(seconds)}"
    until = _parse_http_date(text)
    if until is None:
        return None, ""
    now = _parse_http_date(headers.get("Date", ""))
    if now is None:
        return None, f", and asks to wait until {until:%Y-%m-%d %H:%M:%S} UTC, but not how long, since it sends no Date"
    seconds = max(0.0, (until - now).total_seconds())
    return seconds, f", and asks to wait {in_words(seconds)}"


def in_words(seconds: float) -> str:
    """Returns a duration in the largest unit of which there are at least two: "61 s", "16 min", "3 h", "12 days"."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


def _parse_http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # beyond the years 1 to 9999
        return None
