"""Parses crontab lines with the meaning that cron gives them, from which APScheduler 3 deviates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ANY_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_CLOCK_CHANGE: Final = timedelta(hours=3)
_RESOLUTION: Final = timedelta(microseconds=1)


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
    if trigger.get_next_fire_time(None, _ANY_MOMENT) is None:
        raise ValueError("a line that never fires")
    return trigger


def next_crontab_time(line: str, zone: ZoneInfo, earliest: datetime) -> datetime:
    """Returns the first time of a crontab line that is not before `earliest`, in UTC.

    When clocks are changed, it does what cron does. A line with a fixed minute and hour fires once: at the first of two
    equal times, and after the change if its time is skipped. A line that begins with `*` for one of the two follows the
    time that passes, and fires in both of two equal hours.

    Args:
        line: A line that `crontab_trigger` accepts.
        zone: The time zone of the line.
        earliest: The earliest time to return.
    """
    trigger = _cached_trigger(line, zone)
    start = earliest
    if (earliest - _LONGEST_CLOCK_CHANGE).astimezone(zone).utcoffset() != earliest.astimezone(zone).utcoffset():
        # APScheduler moves a skipped time to after the change only if it begins to search before the change.
        start -= _LONGEST_CLOCK_CHANGE
    is_fixed_time = not any(field.startswith("*") for field in line.split()[:2])
    while True:
        fires_at: datetime | None = trigger.get_next_fire_time(None, start)
        assert fires_at is not None  # noqa: S101 - such a line never ends
        is_repetition = is_fixed_time and _is_second_of_two(fires_at)
        # In UTC: in any other zone, times in an hour that comes twice or never are not equal to anything.
        fires_at = fires_at.astimezone(UTC)
        if fires_at >= earliest and not is_repetition:
            return fires_at
        start = fires_at + _RESOLUTION


def _is_second_of_two(moment: datetime) -> bool:
    """Whether a local time comes twice, because clocks are set back, and this is the second time."""
    return moment.fold == 1 and moment.replace(fold=0).astimezone(UTC) < moment.astimezone(UTC)


@lru_cache(maxsize=256)
def _cached_trigger(line: str, zone: ZoneInfo) -> CronTrigger:
    return crontab_trigger(line, zone)


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
