"""Formats moments, windows and durations for notices, as people in the account's time zone say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.local_time import time_zone_or_utc

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.notices.texts import Words

_UNITS: Final = (("days", 86400), ("hours", 3600), ("minutes", 60))


class Moments:
    """Formats moments in a time zone.

    Args:
        words: The words of the language.
        time_zone: The time zone.
        now: When the notice was made: the date of a moment is left out if it is the same.
    """

    def __init__(self, words: Words, time_zone: str, now: datetime) -> None:
        self._words = words
        self._zone = time_zone_or_utc(time_zone)
        self._now = now
        self._today = now.astimezone(self._zone).date()

    def moment(self, moment: datetime) -> str:
        """Formats a moment to the minute: 10:00, 27.11 10:00, 27.11.2025 10:00."""
        local = moment.astimezone(self._zone)
        return f"{local:%H:%M}" if local.date() == self._today else f"{self._day(local)} {local:%H:%M}"

    def at(self, moment: datetime) -> str:
        """Formats when something happened: at 10:00, 27.11 10:00."""
        text = self.moment(moment)
        return text if " " in text else self._words.text("at", moment=text)

    def window(self, after: datetime | None, until: datetime) -> str:
        """Formats when something happened that was seen at `until` and had not happened at `after`."""
        if after is None:
            return self._words.text("before", until=self.moment(until))
        begin, end = after.astimezone(self._zone), until.astimezone(self._zone)
        style = "%H:%M"
        if f"{begin:%Y%m%d%H%M}" == f"{end:%Y%m%d%H%M}":
            style = "%H:%M:%S"
        if begin.utcoffset() != end.utcoffset():  # the clocks were changed in between
            style = "%H:%M (UTC%z)"
        first, last = f"{begin:{style}}", f"{end:{style}}"
        if begin.date() != end.date():
            first, last = f"{self._day(begin)} {first}", f"{self._day(end)} {last}"
        elif end.date() != self._today:
            return self._words.text("between_on_day", day=self._day(end), after=first, until=last)
        if first == last:
            return self._words.text("at", moment=last)
        return self._words.text("between", after=first, until=last)

    def period(self, begin: datetime, end: datetime) -> str:
        """Formats a period."""
        return self._words.text("period", begin=self.moment(begin), end=self.moment(end))

    def duration_since(self, begin: datetime) -> str:
        """Formats how long ago a moment was, in the largest unit of which there are at least two."""
        seconds = int((self._now - begin).total_seconds())
        for unit, length in _UNITS:
            if seconds >= 2 * length:
                return self._words.counted(unit, seconds // length)
        return self._words.counted("minutes", 1) if seconds >= _UNITS[-1][1] else self._words.text("under_a_minute")

    def _day(self, local: datetime) -> str:
        month = self._words.text("months").split()[local.month - 1]
        name = "day" if local.year == self._today.year else "day_of_year"
        return self._words.text(name, day=local.day, month=month, year=local.year)
