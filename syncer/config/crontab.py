"""Parses crontab lines with the meaning that cron gives them, from which APScheduler 3 deviates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def crontab_trigger(line: str, zone: ZoneInfo) -> CronTrigger:
    """Makes an APScheduler trigger from a crontab line.

    `CronTrigger.from_crontab` numbers weekdays from Monday, cron from Sunday. Here 1 is Monday, and 0 and 7 are Sunday.

    Args:
        line: Minute, hour, day of month, month, day of week.
        zone: The time zone of the line.

    Raises:
        ValueError: It is not a crontab line; or it restricts both the day of the month and the day of the week, which
            cron combines with "or" and APScheduler with "and"; or it never fires, as on 31 February.
    """
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow to import, and rarely needed

    minute, hour, day, month, weekday = line.split()
    if not day.startswith("*") and not weekday.startswith("*"):
        raise ValueError("a day of the month and a day of the week")
    renamed = " ".join((minute, hour, day, month, _replace_weekday_numbers(weekday)))
    trigger = CronTrigger.from_crontab(renamed, timezone=zone)
    if trigger.get_next_fire_time(None, datetime.now(zone)) is None:
        raise ValueError("a line that never fires")
    return trigger


def _replace_weekday_numbers(field: str) -> str:
    """Replaces weekday numbers by names, which APScheduler reads as cron does: `1-5/2` becomes `mon,wed,fri`."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        day_range, _, step = part.partition("/")
        first, _, last = ("0-6" if day_range == "*" else day_range).partition("-")
        first_number = _weekday_number(first)
        last_number = _weekday_number(last) if last else first_number
        if last_number == 0 < first_number:  # up to Sunday
            last_number = 7
        if last_number < first_number:
            raise ValueError("a range of weekdays that ends before it begins")
        days.update(range(first_number, last_number + 1, int(step or 1)))
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in sorted(days)))


def _weekday_number(text: str) -> int:
    number = int(text) if text.isdecimal() else _WEEKDAYS.index(text)
    if number >= len(_WEEKDAYS):
        raise ValueError("a weekday beyond 7")
    return number
