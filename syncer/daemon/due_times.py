"""When accounts are due: by interval or crontab line, later than now, and never to make up for the past.

APScheduler's triggers compute the moments; here is only what they are asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apscheduler.triggers.interval import IntervalTrigger

from syncer.config.crontab import crontab_trigger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from apscheduler.triggers.base import BaseTrigger

    from syncer.config.accounts import Account

NEW_ACCOUNT_SPACING: Final = timedelta(seconds=0.1)
"""From one account's first poll to the next one's, where many are new at once; less if their interval is too short."""


def first_due(account: Account, now: datetime) -> datetime:
    """When an account is due that was never polled: by its crontab line, or at once."""
    if account.poll_cron is None:
        return now
    return next_due(account, now, now)


def next_due(account: Account, due_at: datetime, now: datetime, *, at_least: timedelta = timedelta()) -> datetime:
    """The account's next moment after `now`; moments that passed meanwhile are not made up for.

    Args:
        account: Whose interval or crontab line counts.
        due_at: When it was due last: an interval is counted from there, so that polls do not drift.
        now: The database's time.
        at_least: How long it is left alone in any case.
    """
    after = max(now + at_least, now + timedelta(microseconds=1))
    moment: datetime | None = _trigger(account, due_at).get_next_fire_time(None, after)
    assert moment is not None  # noqa: S101 - neither kind of trigger ends
    return moment


def _trigger(account: Account, start: datetime) -> BaseTrigger:
    if account.poll_cron is not None:
        return crontab_trigger(account.poll_cron, account.time_zone)
    return IntervalTrigger(seconds=account.poll_interval.total_seconds(), start_date=start, timezone="UTC")


def reschedule(accounts: Mapping[int, Account], due: Mapping[int, datetime], now: datetime) -> dict[int, datetime]:
    """When those accounts are due that have no moment yet, or one that is not of their schedule.

    The latter had another schedule before, or were refused by the endpoint: they are due within their interval. Those
    that are new are due at once, or as many of them as come at once, one soon after the other: whatever is polled by
    interval stays apart from then on.

    Args:
        accounts: By account_id.
        due: When they are due as it stands; those that are new are not among them.
        now: The database's time.
    """
    anew = [key for key in sorted(accounts) if not _is_on_schedule(accounts[key], due.get(key), now)]
    moments = {}
    for position, key in enumerate(anew):
        account = accounts[key]
        moments[key] = first_due(account, now)
        if account.poll_cron is None:
            share = account.poll_interval / len(anew)
            moments[key] += share * (position + 1) if key in due else min(share, NEW_ACCOUNT_SPACING) * position
    return moments


def _is_on_schedule(account: Account, due_at: datetime | None, now: datetime) -> bool:
    if due_at is None or due_at <= now:
        return due_at is not None
    if account.poll_cron is None:
        return due_at <= now + account.poll_interval
    return due_at == next_due(account, now, now)
