"""Formats times and durations for the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from syncer.local_time import time_zone_or_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

_TWO_DECIMALS_BELOW_SECONDS: Final = 10
"""Shorter durations are shown with hundredths of a second."""
_TIME_OF_DAY_SPAN: Final = timedelta(days=2)


def shorten(text: str, max_length: int = 120) -> str:
    """Cuts a text to `max_length` characters, with an ellipsis."""
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


class Formatter:
    """Formats times and durations in one language, relative to one moment.

    Args:
        texts: The texts of the language.
        now: The current time, for "5 min ago" and for leaving out today's date.
    """

    def __init__(self, texts: Mapping[str, str], now: datetime) -> None:
        self._texts = texts
        self._now = now
        self._months = texts["months"].split()

    def moment(self, moment: datetime, time_zone: str) -> Markup:
        """Formats a moment in a time zone, with the UTC offset; the date is left out if it is today."""
        local, today = moment.astimezone(time_zone_or_utc(time_zone)), self._now.astimezone(time_zone_or_utc(time_zone))
        day = "" if local.date() == today.date() else self._day(local, with_year=local.year != today.year) + ", "
        return Markup('<time datetime="{}">{}{:%H:%M:%S} <span class="zone">{}</span></time>').format(
            local.isoformat(timespec="seconds"), day, local, utc_offset(local)
        )

    def axis_label(self, moment: datetime, time_zone: str, span: timedelta) -> str:
        """Formats a label of a time axis that covers `span`."""
        local = moment.astimezone(time_zone_or_utc(time_zone))
        if span < timedelta(minutes=10):
            return f"{local:%H:%M:%S}"
        return f"{local:%H:%M}" if span <= _TIME_OF_DAY_SPAN else self._day(local)

    def plain_moment(self, moment: datetime, time_zone: str) -> str:
        """Formats a moment as plain text, for a chart's tooltips and label."""
        local = moment.astimezone(time_zone_or_utc(time_zone))
        return f"{self._day(local)}, {local:%H:%M:%S} {utc_offset(local)}"

    def relative(self, moment: datetime) -> str:
        """Formats how long ago a moment was, or how long it is until then."""
        seconds = (self._now - moment).total_seconds()
        if abs(seconds) < 1:
            return self._texts["now"]
        count, unit = _in_largest_unit(abs(seconds))
        return self._texts[f"{unit}_ago" if seconds > 0 else f"in_{unit}"].format(count=f"{count:.0f}")

    def duration(self, seconds: float) -> str:
        """Formats a duration."""
        count, unit = _in_largest_unit(seconds)
        amount = f"{count:.2f}" if seconds < _TWO_DECIMALS_BELOW_SECONDS else f"{count:.0f}"
        return self._texts[unit].format(count=amount.replace(".", self._texts["decimal_point"]))

    def _day(self, local: datetime, *, with_year: bool = False) -> str:
        return f"{local.day} {self._months[local.month - 1]}{f' {local.year}' * with_year}"


def utc_offset(local: datetime) -> str:
    """Formats the offset from UTC, such as +03:00."""
    return local.isoformat()[-6:]


def _in_largest_unit(seconds: float) -> tuple[float, str]:
    """Converts seconds to the largest unit of which there are at least two."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return seconds // length, unit
    return seconds, "seconds"
