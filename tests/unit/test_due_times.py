"""When an account is due: by its interval or its crontab line, always later than now, never to make up for the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from syncer.config.accounts import Account
from syncer.daemon.due_times import first_due, next_due, compute_due_times

MICROSECOND = timedelta(microseconds=1)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def every(interval: timedelta) -> Account:
    return account(interval, cron=None)


def account(interval: timedelta = timedelta(minutes=5), *, cron: str | None, zone: str = "Europe/Moscow") -> Account:
    return Account(
        name="default",
        token=SecretStr("token"),
        api_url="http://127.0.0.1:1",
        auth_scheme=None,
        poll_interval=interval,
        poll_cron=cron,
        time_zone=ZoneInfo(zone),
    )


def utc(day: int, hour: int, minute: int = 0, second: int = 0, *, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


def dues(polled: Account, begin: datetime, times: int) -> list[datetime]:
    """When an account is due, each time asked at the moment it was due, as a poll that takes no time would."""
    moments = [begin]
    for _ in range(times):
        moments.append(next_due(polled, moments[-1], moments[-1]).astimezone(UTC))
    return moments[1:]


def test_an_account_polled_by_interval_is_due_at_once() -> None:
    assert first_due(every(timedelta(hours=1)), NOW) == NOW


def test_an_account_polled_by_crontab_waits_for_its_first_moment() -> None:
    assert first_due(account(cron="30 15 * * *"), NOW) == utc(1, 12, 30)
    assert first_due(account(cron="0 15 * * *"), NOW) == utc(2, 12)


def test_an_account_is_due_an_interval_after_it_was_due_however_long_the_poll_took() -> None:
    polled = every(timedelta(minutes=5))
    for took in (timedelta(), MICROSECOND, timedelta(minutes=4, seconds=59), timedelta(minutes=5) - MICROSECOND):
        assert next_due(polled, NOW, NOW + took) == utc(1, 12, 5)


def test_moments_that_passed_are_not_made_up_for() -> None:
    polled = every(timedelta(minutes=5))
    assert next_due(polled, NOW, NOW + timedelta(minutes=5)) == utc(1, 12, 10)
    assert next_due(polled, NOW, NOW + timedelta(minutes=12)) == utc(1, 12, 15)
    assert next_due(polled, NOW, NOW + timedelta(days=2, seconds=1)) == utc(3, 12, 5)


def test_an_account_whose_moment_is_still_to_come_keeps_it() -> None:
    assert next_due(every(timedelta(minutes=5)), utc(1, 13), NOW) == utc(1, 13)


def test_an_account_that_is_left_alone_is_due_at_the_first_of_its_moments_after_that() -> None:
    pause = timedelta(minutes=15)
    assert next_due(every(timedelta(minutes=5)), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 12, 20)
    assert next_due(every(timedelta(minutes=5)), NOW, NOW, at_least=pause) == utc(1, 12, 15)
    assert next_due(every(timedelta(hours=1)), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 13)
    assert next_due(account(cron="*/5 * * * *"), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 12, 20)


def test_a_crontab_line_is_meant_in_the_accounts_time_zone() -> None:
    assert dues(account(cron="0 9 * * *", zone="Europe/Moscow"), NOW, 2) == [utc(2, 6), utc(3, 6)]
    assert dues(account(cron="0 9 * * *", zone="Asia/Vladivostok"), NOW, 2) == [utc(1, 23), utc(2, 23)]


def test_a_crontab_line_counts_weekdays_from_sunday() -> None:
    assert NOW.isoweekday() == 7
    assert dues(account(cron="0 18 * * 0"), NOW, 2) == [utc(1, 15), utc(8, 15)]
    assert dues(account(cron="0 18 * * 1-5"), NOW, 6) == [utc(day, 15) for day in (2, 3, 4, 5, 6, 9)]


def test_a_crontab_moment_that_is_now_has_passed() -> None:
    polled = account(cron="*/5 * * * *")
    assert next_due(polled, NOW, NOW - MICROSECOND) == NOW
    assert next_due(polled, NOW, NOW) == utc(1, 12, 5)
    assert next_due(polled, NOW, NOW + MICROSECOND) == utc(1, 12, 5)


def test_a_crontab_line_does_not_care_when_the_account_was_due_before() -> None:
    polled = account(cron="0 * * * *")
    for due_at in (NOW - timedelta(days=400), NOW, NOW + timedelta(days=400)):
        assert next_due(polled, due_at, utc(1, 12, 20)) == utc(1, 13)


def test_polls_go_on_evenly_while_clocks_are_put_back() -> None:
    moments = dues(account(cron="*/20 * * * *", zone="Europe/Berlin"), utc(24, 23, 30, month=10), 8)
    assert moments == [utc(24, 23, 40, month=10) + timedelta(minutes=20) * step for step in range(8)]


def test_polls_go_on_evenly_while_clocks_are_put_forward() -> None:
    moments = dues(account(cron="*/20 * * * *", zone="Europe/Berlin"), utc(29, 0, 30), 8)
    assert moments == [utc(29, 0, 40) + timedelta(minutes=20) * step for step in range(8)]


def test_a_daily_moment_that_clocks_skip_comes_that_day_all_the_same() -> None:
    moments = dues(account(cron="30 2 * * *", zone="Europe/Berlin"), utc(27, 12), 3)
    assert moments == [utc(28, 1, 30), utc(29, 1, 30), utc(30, 0, 30)]


def seconds_from_now(moments: dict[int, datetime]) -> list[float]:
    """In the order of the accounts."""
    return [(moments[key] - NOW).total_seconds() for key in sorted(moments)]


def test_a_few_new_accounts_are_due_at_once_one_soon_after_the_other() -> None:
    accounts = dict.fromkeys(range(1, 5), every(timedelta(minutes=5)))
    assert seconds_from_now(compute_due_times(accounts, {}, NOW)) == [0, 0.1, 0.2, 0.3]


def test_many_new_accounts_are_spread_evenly_over_their_interval() -> None:
    accounts = dict.fromkeys(range(10_000), every(timedelta(minutes=5)))
    moments = seconds_from_now(compute_due_times(accounts, {}, NOW))
    assert moments == [pytest.approx(position * 0.03) for position in range(10_000)]


def test_one_new_account_among_many_is_due_at_once() -> None:
    accounts = dict.fromkeys(range(1000), every(timedelta(minutes=5)))
    due = {key: NOW + timedelta(seconds=key / 4) for key in range(999)}
    assert compute_due_times(accounts, due, NOW) == {999: NOW}


def test_accounts_on_their_schedule_keep_their_moments_overdue_ones_too() -> None:
    accounts = {1: every(timedelta(minutes=5)), 2: every(timedelta(minutes=5)), 3: account(cron="0 15 * * *")}
    due = {1: NOW + timedelta(minutes=5), 2: NOW - timedelta(days=1), 3: utc(2, 12)}
    assert compute_due_times(accounts, due, NOW) == {}


def test_accounts_due_later_than_their_interval_are_brought_forward_and_spread_over_it() -> None:
    accounts = dict.fromkeys(range(1, 5), every(timedelta(minutes=1)))
    due = dict.fromkeys(accounts, NOW + timedelta(minutes=5))
    assert seconds_from_now(compute_due_times(accounts, due, NOW)) == [15, 30, 45, 60]


def test_another_crontab_line_counts_whether_it_is_sooner_or_later() -> None:
    polled = account(cron="0 15 * * *")
    for moment in (utc(1, 12, 5), utc(2, 13)):
        assert compute_due_times({1: polled}, {1: moment}, NOW) == {1: utc(2, 12)}


_moments = st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
_intervals = st.sampled_from([timedelta(seconds=seconds) for seconds in (1, 7, 30, 60, 300, 3600, 86400)])


@given(_moments, _intervals, st.integers(-2, 1000), st.integers(-2, 2) | st.integers(0, 86400 * 10**6))
@settings(deadline=None, max_examples=200)
def test_the_next_moment_is_the_first_of_the_interval_after_now(
    due_at: datetime, interval: timedelta, passed: int, beside: int
) -> None:
    now = due_at + interval * passed + timedelta(microseconds=beside)
    steps = max((now - due_at) // interval + 1, 0)
    assert next_due(every(interval), due_at, now) == due_at + interval * steps


@given(
    _moments,
    st.sampled_from(["* * * * *", "*/7 3-5 * * *", "0 0 1 * *", "15 2 * * 0", "59 23 28-31 * *", "0 0 29 2 *"]),
    st.sampled_from(["Europe/Moscow", "Europe/Berlin", "Asia/Vladivostok", "America/New_York", "UTC"]),
    st.integers(0, 3600),
)
@settings(deadline=None, max_examples=200)
def test_the_next_moment_of_a_crontab_line_is_later_than_now_and_a_whole_minute(
    now: datetime, line: str, zone: str, pause: int
) -> None:
    at_least = timedelta(seconds=pause)
    moment = next_due(account(cron=line, zone=zone), now, now, at_least=at_least).astimezone(UTC)
    assert moment > now
    assert moment >= now + at_least
    assert (moment.second, moment.microsecond) == (0, 0)


def test_the_time_zone_of_the_moments_given_means_nothing() -> None:
    elsewhere = timezone(timedelta(hours=-7))
    for polled in (every(timedelta(minutes=7)), account(cron="*/7 * * * *")):
        given_there = next_due(polled, NOW.astimezone(elsewhere), utc(1, 12, 20).astimezone(elsewhere))
        assert given_there == next_due(polled, NOW, utc(1, 12, 20))
