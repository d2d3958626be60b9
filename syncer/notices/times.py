"""Computes when messages of a rule may be sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from syncer.config.crontab import next_crontab_time

if TYPE_CHECKING:
    from datetime import tzinfo
    from zoneinfo import ZoneInfo

    from syncer.notices.rules import QuietHours, Rule

_DAY: Final = timedelta(days=1)
_RESOLUTION: Final = timedelta(microseconds=1)


def next_time(rule: Rule, time_zone: ZoneInfo, now: datetime, last: datetime | None) -> datetime | None:
    """Returns when the next message of a rule may be sent to a channel, in UTC; None for at once.

    Args:
        rule: The rule.
        time_zone: The account's, in which a crontab line and quiet hours are meant.
        now: The present.
        last: When the last message was sent, or from when on the rule counts. None for never: the interval of `every`
            has passed then, and a crontab line counts from now on.
    """
    # In UTC: sums and comparisons of local times are wrong where clocks are changed.
    now = earliest = now.astimezone(UTC)
    last = None if last is None else last.astimezone(UTC)
    if rule.cron is not None:
        earliest = next_crontab_time(rule.cron, time_zone, now if last is None else last + _RESOLUTION)
    elif rule.every is not None and last is not None:
        earliest = last + rule.every
    moment = max(earliest, now)
    if rule.quiet is not None:
        moment = after_quiet(rule.quiet, time_zone, moment)
    return moment if moment > now else None


def after_quiet(quiet: QuietHours, zone: tzinfo, moment: datetime) -> datetime:
    """Returns the first moment from `moment` on that is not in quiet hours, in UTC if it is a later one.

    Where clocks are changed at one of their ends, quiet hours are the longest that can be meant: they begin at the
    first of two equal times and end at the second. A loop, because those of two days can touch in such a night.
    """
    while True:
        day = moment.astimezone(zone).date()
        for first_day in (day - _DAY, day):
            last_day = first_day if quiet.begin < quiet.end else first_day + _DAY
            begin = min(_both_moments(first_day, quiet.begin, zone))
            end = max(_both_moments(last_day, quiet.end, zone))
            if begin <= moment < end:
                moment = end
                break
        else:
            return moment


def _both_moments(day: date, clock_time: time, zone: tzinfo) -> tuple[datetime, datetime]:
    """Returns the two moments that a local time can mean: they differ if it comes twice, or never."""
    local = datetime.combine(day, clock_time, tzinfo=zone)
    return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)
