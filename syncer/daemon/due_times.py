"""Computes when accounts are due, by interval or crontab line. Missed due times are skipped, never caught up on.

APScheduler's triggers do the arithmetic.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apscheduler.triggers.interval import IntervalTrigger

from syncer.config.crontab import next_crontab_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from syncer.config.accounts import Account

NEW_ACCOUNT_SPACING: Final = timedelta(seconds=0.1)
"""Time between the first polls of accounts that are new together; shorter if their interval is too short for it."""
MAX_RETRY_AFTER: Final = timedelta(days=1)
"""A `Retry-After` that asks for more is obeyed for this long."""


def first_due(account: Account, now: datetime) -> datetime:
    """Returns when an account that was never polled is due: now, or at the first time of its crontab line."""
    if account.poll_cron is None:
        return now
    return next_due(account, now, now)


def next_due(account: Account, due_at: datetime, now: datetime, *, at_least: timedelta = timedelta()) -> datetime:
    """Returns the account's first due time after `now`, skipping those that have passed.

    Args:
        account: The account, with its interval or crontab line.
        due_at: Its last due time. Intervals are counted from it, so that polls do not drift.
        now: The database's time.
        at_least: The minimum time from `now`.
    """
    earliest = max(now + at_least, now + timedelta(microseconds=1))
    if account.poll_cron is not None:
        return next_crontab_time(account.poll_cron, account.time_zone, earliest)
    trigger = IntervalTrigger(seconds=account.poll_interval.total_seconds(), start_date=due_at, timezone="UTC")
    fires_at: datetime | None = trigger.get_next_fire_time(None, earliest)
    assert fires_at is not None  # noqa: S101 - an interval does not end
    return fires_at


def compute_due_times(
    accounts: Mapping[int, Account],
    current: Mapping[int, datetime],
    now: datetime,
    not_before: Mapping[int, datetime] | None = None,
) -> dict[int, datetime]:
    """Returns new due times for the accounts that have none, or one that does not fit their schedule.

    A due time does not fit if the account's schedule was changed, or if the endpoint refused its token and the account
    was paused: such accounts are spread over their interval. New accounts are due now; several are due one shortly
    after another, and because intervals are counted from the last due time, they stay spread out.

    Args:
        accounts: All configured accounts, by `account_id`.
        current: Their current due times, by `account_id`; new accounts have none.
        now: The database's time.
        not_before: Until when the endpoint asked not to be polled, of the accounts for which it did. They are scheduled
            as if it were that time already.
    """
    starts = {key: min(max(now, (not_before or {}).get(key, now)), now + MAX_RETRY_AFTER) for key in accounts}
    to_schedule = [key for key in sorted(accounts) if not _is_on_schedule(accounts[key], current.get(key), starts[key])]
    due_times = {}
    for position, key in enumerate(to_schedule):
        account = accounts[key]
        due_times[key] = first_due(account, starts[key])
        if account.poll_cron is None:
            share = account.poll_interval / len(to_schedule)
            due_times[key] += share * (position + 1) if key in current else min(share, NEW_ACCOUNT_SPACING) * position
    return due_times


def _is_on_schedule(account: Account, due_at: datetime | None, now: datetime) -> bool:
    if due_at is None or due_at <= now:
        return due_at is not None
    if account.poll_cron is None:
        return due_at <= now + account.poll_interval
    return due_at == next_due(account, now, now)
