"""Crontab lines as crontab means them; APScheduler 3 reads some of them otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def crontab_trigger(line: str, zone: ZoneInfo) -> CronTrigger:
    """Make the trigger that a crontab line means.

    `CronTrigger.from_crontab` counts weekdays from Monday, crontab from Sunday: here 1 is Monday, 0 and 7 are Sunday.

    Args:
        line: Minute, hour, day of month, month, day of week.
        zone: The time zone in which the line is meant.

    Raises:
        ValueError: It is no crontab line; or it names a day of the month and one of the week, which crontab joins by
            "or" and APScheduler by "and"; or its time never comes, as on 31 February.
    """
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow to import, and most poll by interval

    minute, hour, day, month, weekday = line.split()
    if not day.startswith("*") and not weekday.startswith("*"):
        raise ValueError("a day of the month and a day of the week")
    named = " ".join((minute, hour, day, month, _name_weekdays(weekday)))
    trigger = CronTrigger.from_crontab(named, timezone=zone)
    if trigger.get_next_fire_time(None, datetime.now(zone)) is None:
        raise ValueError("a time that never comes")
    return trigger


def _name_weekdays(field: str) -> str:
    """Spell a crontab's weekdays as names, which mean the same to APScheduler: `1-5/2` is `mon,wed,fri`."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        begin = _weekday_number(first)
        end = _weekday_number(last) if last else begin
        if end == 0 < begin:  # up to Sunday
            end = 7
        if end < begin:
            raise ValueError("a range of weekdays that ends before it begins")
        days.update(range(begin, end + 1, int(step or 1)))
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in sorted(days)))


def _weekday_number(text: str) -> int:
    number = int(text) if text.isdecimal() else _WEEKDAYS.index(text)
    if number >= len(_WEEKDAYS):
        raise ValueError("a weekday beyond 7")
    return number
