"""How the page spells moments, spans of time and phone numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

_RUSSIAN: Final = re.compile(r"(?:7|8|)([0-9]{3})([0-9]{3})([0-9]{2})([0-9]{2})")
_EXACT_SECONDS: Final = 10
"""From how many seconds on hundredths say nothing."""
_SHORT: Final = timedelta(days=2)
_NARROW: Final = "\N{NO-BREAK SPACE}"


def phone(number: str) -> str:
    """A number as people read it, if it is a Russian one; any other as it is."""
    found = _RUSSIAN.fullmatch(number)
    if found is None:
        return number
    area, *rest = found.groups()
    return f"+7{_NARROW}{area}{_NARROW}{'-'.join(rest)}"


def clipped(text: str, longest: int = 120) -> str:
    """The beginning of a text that may be of any length."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def zone_of(name: str) -> tzinfo:
    """A time zone, or UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


class Spelling:
    """Moments and spans in one language, as of one moment.

    Args:
        say: The texts of the language.
        now: The moment that others are told relative to.
    """

    def __init__(self, say: Mapping[str, str], now: datetime) -> None:
        self._say = say
        self._now = now
        self._months = say["months"].split()

    def moment(self, moment: datetime, time_zone: str) -> Markup:
        """A moment by the clocks of a time zone, with its offset; without the date if it is today's."""
        local, today = moment.astimezone(zone_of(time_zone)), self._now.astimezone(zone_of(time_zone))
        day = "" if local.date() == today.date() else self._day(local, with_year=local.year != today.year) + ", "
        return Markup('<time datetime="{}">{}{:%H:%M:%S} <span class="zone">{}</span></time>').format(
            local.isoformat(timespec="seconds"), day, local, offset(local)
        )

    def tick(self, moment: datetime, time_zone: str, span: timedelta) -> str:
        """A moment below an axis that shows so much time."""
        local = moment.astimezone(zone_of(time_zone))
        if span < timedelta(minutes=10):
            return f"{local:%H:%M:%S}"
        return f"{local:%H:%M}" if span <= _SHORT else self._day(local)

    def point(self, moment: datetime, time_zone: str) -> str:
        """A moment of a time line, in plain text."""
        local = moment.astimezone(zone_of(time_zone))
        return f"{self._day(local)}, {local:%H:%M:%S} {offset(local)}"

    def relative(self, moment: datetime) -> str:
        """How long ago it was, or how long until then."""
        seconds = (self._now - moment).total_seconds()
        if abs(seconds) < 1:
            return self._say["now"]
        count, unit = _largest(abs(seconds))
        return self._say[f"{unit}_ago" if seconds > 0 else f"in_{unit}"].format(count=f"{count:.0f}")

    def span(self, seconds: float) -> str:
        """How long something took."""
        count, unit = _largest(seconds)
        told = f"{count:.2f}" if seconds < _EXACT_SECONDS else f"{count:.0f}"
        return self._say[unit].format(count=told.replace(".", self._say["decimal_point"]))

    def _day(self, local: datetime, *, with_year: bool = False) -> str:
        return f"{local.day} {self._months[local.month - 1]}{f' {local.year}' * with_year}"


def offset(local: datetime) -> str:
    """The offset from UTC, such as +03:00."""
    return local.isoformat()[-6:]


def _largest(seconds: float) -> tuple[float, str]:
    """A span in the largest unit of which it has at least two."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return seconds // length, unit
    return seconds, "seconds"
