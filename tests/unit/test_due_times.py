"""When an account is due: by its interval or crontab line, always later than now, and never to catch up on the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from syncer.config.accounts import Account
from syncer.daemon.due_times import compute_due_times, first_due, next_due

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


def due_times_from(polled: Account, begin: datetime, times: int) -> list[datetime]:
    """Returns the next due times of an account whose polls take no time."""
    due_times = [begin]
    for _ in range(times):
        due_times.append(next_due(polled, due_times[-1], due_times[-1]).astimezone(UTC))
    return due_times[1:]


def test_a_new_account_polled_by_interval_is_due_immediately() -> None:
    assert first_due(every(timedelta(hours=1)), NOW) == NOW


def test_a_new_account_polled_by_crontab_is_due_at_the_first_time_of_its_line() -> None:
    assert first_due(account(cron="30 15 * * *"), NOW) == utc(1, 12, 30)
    assert first_due(account(cron="0 15 * * *"), NOW) == utc(2, 12)


def test_the_interval_is_counted_from_the_last_due_time_however_long_the_poll_took() -> None:
    polled = every(timedelta(minutes=5))
    for took in (timedelta(), MICROSECOND, timedelta(minutes=4, seconds=59), timedelta(minutes=5) - MICROSECOND):
        assert next_due(polled, NOW, NOW + took) == utc(1, 12, 5)


def test_missed_due_times_are_skipped() -> None:
    polled = every(timedelta(minutes=5))
    assert next_due(polled, NOW, NOW + timedelta(minutes=5)) == utc(1, 12, 10)
    assert next_due(polled, NOW, NOW + timedelta(minutes=12)) == utc(1, 12, 15)
    assert next_due(polled, NOW, NOW + timedelta(days=2, seconds=1)) == utc(3, 12, 5)


def test_a_due_time_in_the_future_is_kept() -> None:
    assert next_due(every(timedelta(minutes=5)), utc(1, 13), NOW) == utc(1, 13)


def test_a_paused_account_is_due_at_the_first_due_time_after_the_pause() -> None:
    pause = timedelta(minutes=15)
    assert next_due(every(timedelta(minutes=5)), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 12, 20)
    assert next_due(every(timedelta(minutes=5)), NOW, NOW, at_least=pause) == utc(1, 12, 15)
    assert next_due(every(timedelta(hours=1)), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 13)
    assert next_due(account(cron="*/5 * * * *"), NOW, utc(1, 12, 0, 3), at_least=pause) == utc(1, 12, 20)


def test_a_crontab_line_uses_the_accounts_time_zone() -> None:
    assert due_times_from(account(cron="0 9 * * *", zone="Europe/Moscow"), NOW, 2) == [utc(2, 6), utc(3, 6)]
    assert due_times_from(account(cron="0 9 * * *", zone="Asia/Vladivostok"), NOW, 2) == [utc(1, 23), utc(2, 23)]


def test_weekdays_of_a_crontab_line_are_numbered_from_sunday() -> None:
    assert NOW.isoweekday() == 7
    assert due_times_from(account(cron="0 18 * * 0"), NOW, 2) == [utc(1, 15), utc(8, 15)]
    assert due_times_from(account(cron="0 18 * * 1-5"), NOW, 6) == [utc(day, 15) for day in (2, 3, 4, 5, 6, 9)]


def test_a_crontab_time_that_is_now_has_passed() -> None:
    polled = account(cron="*/5 * * * *")
    assert next_due(polled, NOW, NOW - MICROSECOND) == NOW
    assert next_due(polled, NOW, NOW) == utc(1, 12, 5)
    assert next_due(polled, NOW, NOW + MICROSECOND) == utc(1, 12, 5)


def test_the_next_crontab_time_does_not_depend_on_the_last_due_time() -> None:
    polled = account(cron="0 * * * *")
    for due_at in (NOW - timedelta(days=400), NOW, NOW + timedelta(days=400)):
        assert next_due(polled, due_at, utc(1, 12, 20)) == utc(1, 13)


def test_polls_stay_evenly_spaced_when_daylight_saving_time_ends() -> None:
    due_times = due_times_from(account(cron="*/20 * * * *", zone="Europe/Berlin"), utc(24, 23, 30, month=10), 8)
    assert due_times == [utc(24, 23, 40, month=10) + timedelta(minutes=20) * step for step in range(8)]


def test_polls_stay_evenly_spaced_when_daylight_saving_time_begins() -> None:
    due_times = due_times_from(account(cron="*/20 * * * *", zone="Europe/Berlin"), utc(29, 0, 30), 8)
    assert due_times == [utc(29, 0, 40) + timedelta(minutes=20) * step for step in range(8)]


def test_a_daily_time_skipped_by_daylight_saving_time_still_fires_that_day() -> None:
    due_times = due_times_from(account(cron="30 2 * * *", zone="Europe/Berlin"), utc(27, 12), 3)
    assert due_times == [utc(28, 1, 30), utc(29, 1, 30), utc(30, 0, 30)]


def test_a_daily_time_that_comes_twice_fires_the_first_time_only() -> None:
    due_times = due_times_from(account(cron="30 2 * * *", zone="Europe/Berlin"), utc(24, 12, month=10), 3)
    assert due_times == [utc(25, 0, 30, month=10), utc(26, 1, 30, month=10), utc(27, 1, 30, month=10)]
    # The rules of a past year: governments change those of coming years, and so do newer databases of time zones.
    begin, first = datetime(2024, 11, 2, 12, tzinfo=UTC), datetime(2024, 11, 3, 4, tzinfo=UTC)
    due_times = due_times_from(account(cron="0,30 0 * * *", zone="America/Havana"), begin, 4)
    half_hour, next_midnight = timedelta(minutes=30), timedelta(hours=25)
    assert due_times == [first, first + half_hour, first + next_midnight, first + next_midnight + half_hour]


def test_a_daily_time_that_comes_twice_has_passed_between_the_two() -> None:
    polled = account(cron="30 2 * * *", zone="Europe/Berlin")
    for now in (utc(25, 0, 30, month=10), utc(25, 1, 10, month=10), utc(25, 1, 29, 59, month=10)):
        assert next_due(polled, now, now) == utc(26, 1, 30, month=10)


def test_a_line_for_every_hour_or_every_few_minutes_fires_in_both_of_two_equal_hours() -> None:
    for line, minutes in (("30 * * * *", 60), ("*/20 2 * * *", 20), ("*/30 1-3 * * *", 30)):
        polled = account(cron=line, zone="Europe/Berlin")
        first = next_due(polled, NOW, utc(25, 0, month=10) - MICROSECOND)
        assert next_due(polled, NOW, first) == first + timedelta(minutes=minutes)
        assert next_due(polled, NOW, utc(25, 1, month=10) - MICROSECOND) == first + timedelta(hours=1)


def test_a_daily_time_that_is_skipped_is_due_until_it_has_fired_whenever_it_is_computed() -> None:
    polled = account(cron="30 2 * * *", zone="Europe/Berlin")
    for now in (utc(29, 0, 59), utc(29, 1), utc(29, 1, 10), utc(29, 1, 29, 59)):
        assert next_due(polled, now, now) == utc(29, 1, 30)
        assert compute_due_times({1: polled}, {1: utc(29, 1, 30)}, now) == {}
    assert next_due(polled, NOW, utc(29, 1, 30)) == utc(30, 0, 30)


def seconds_from_now(due_times: dict[int, datetime]) -> list[float]:
    """Returns the due times as seconds from now, in the order of the accounts."""
    return [(due_times[key] - NOW).total_seconds() for key in sorted(due_times)]


def test_a_few_new_accounts_are_due_one_shortly_after_another() -> None:
    accounts = dict.fromkeys(range(1, 5), every(timedelta(minutes=5)))
    assert seconds_from_now(compute_due_times(accounts, {}, NOW)) == [0, 0.1, 0.2, 0.3]


def test_many_new_accounts_are_spread_evenly_over_their_interval() -> None:
    accounts = dict.fromkeys(range(10_000), every(timedelta(minutes=5)))
    due_times = seconds_from_now(compute_due_times(accounts, {}, NOW))
    assert due_times == [pytest.approx(position * 0.03) for position in range(10_000)]


def test_one_new_account_among_many_is_due_immediately() -> None:
    accounts = dict.fromkeys(range(1000), every(timedelta(minutes=5)))
    current = {key: NOW + timedelta(seconds=key / 4) for key in range(999)}
    assert compute_due_times(accounts, current, NOW) == {999: NOW}


def test_accounts_on_schedule_keep_their_due_times_even_if_overdue() -> None:
    accounts = {1: every(timedelta(minutes=5)), 2: every(timedelta(minutes=5)), 3: account(cron="0 15 * * *")}
    current = {1: NOW + timedelta(minutes=5), 2: NOW - timedelta(days=1), 3: utc(2, 12)}
    assert compute_due_times(accounts, current, NOW) == {}


def test_accounts_due_later_than_their_interval_are_brought_forward_and_spread_over_it() -> None:
    accounts = dict.fromkeys(range(1, 5), every(timedelta(minutes=1)))
    current = dict.fromkeys(accounts, NOW + timedelta(minutes=5))
    assert seconds_from_now(compute_due_times(accounts, current, NOW)) == [15, 30, 45, 60]


def test_a_changed_crontab_line_applies_whether_it_is_earlier_or_later() -> None:
    polled = account(cron="0 15 * * *")
    for due_at in (utc(1, 12, 5), utc(2, 13)):
        assert compute_due_times({1: polled}, {1: due_at}, NOW) == {1: utc(2, 12)}


def test_an_account_that_the_endpoint_asked_not_to_poll_keeps_its_later_due_time() -> None:
    accounts = {1: every(timedelta(minutes=5)), 2: every(timedelta(minutes=5)), 3: account(cron="*/5 * * * *")}
    current = {1: utc(1, 13, 2), 2: utc(1, 13, 2), 3: utc(1, 13, 5)}
    not_before = {1: utc(1, 13), 3: utc(1, 13)}
    assert compute_due_times(accounts, current, NOW, not_before) == {2: utc(1, 12, 5)}


def test_an_account_whose_interval_was_shortened_is_still_not_due_before_the_endpoint_asked_for() -> None:
    accounts = {1: every(timedelta(minutes=1))}
    assert compute_due_times(accounts, {1: utc(1, 15)}, NOW, {1: utc(1, 13)}) == {1: utc(1, 13, 1)}
    assert compute_due_times({1: account(cron="0 15 * * *")}, {1: utc(1, 15)}, NOW, {1: utc(1, 13)}) == {1: utc(2, 12)}


def test_a_wait_that_is_over_or_longer_than_a_day_does_not_count() -> None:
    accounts = {1: every(timedelta(minutes=5))}
    current = {1: utc(9, 12)}
    assert compute_due_times(accounts, current, NOW, {1: utc(1, 11)}) == {1: utc(1, 12, 5)}
    assert compute_due_times(accounts, current, NOW, {1: utc(9, 11)}) == {1: utc(2, 12, 5)}


_datetimes = st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
_intervals = st.sampled_from([timedelta(seconds=seconds) for seconds in (1, 7, 30, 60, 300, 3600, 86400)])


@given(_datetimes, _intervals, st.integers(-2, 1000), st.integers(-2, 2) | st.integers(0, 86400 * 10**6))
@settings(deadline=None, max_examples=200)
def test_the_next_due_time_is_the_first_multiple_of_the_interval_after_now(
    due_at: datetime, interval: timedelta, passed: int, offset: int
) -> None:
    now = due_at + interval * passed + timedelta(microseconds=offset)
    steps = max((now - due_at) // interval + 1, 0)
    assert next_due(every(interval), due_at, now) == due_at + interval * steps


@given(
    _datetimes,
    st.sampled_from(["* * * * *", "*/7 3-5 * * *", "0 0 1 * *", "15 2 * * 0", "59 23 28-31 * *", "0 0 29 2 *"]),
    st.sampled_from(["Europe/Moscow", "Europe/Berlin", "Asia/Vladivostok", "America/New_York", "UTC"]),
    st.integers(0, 3600),
)
@settings(deadline=None, max_examples=200)
def test_the_next_time_of_a_crontab_line_is_later_than_now_and_a_whole_minute(
    now: datetime, line: str, zone: str, pause: int
) -> None:
    at_least = timedelta(seconds=pause)
    due_at = next_due(account(cron=line, zone=zone), now, now, at_least=at_least).astimezone(UTC)
    assert due_at > now
    assert due_at >= now + at_least
    assert (due_at.second, due_at.microsecond) == (0, 0)


def test_the_time_zone_of_the_arguments_does_not_matter() -> None:
    elsewhere = timezone(timedelta(hours=-7))
    for polled in (every(timedelta(minutes=7)), account(cron="*/7 * * * *")):
        in_another_zone = next_due(polled, NOW.astimezone(elsewhere), utc(1, 12, 20).astimezone(elsewhere))
        assert in_another_zone == next_due(polled, NOW, utc(1, 12, 20))
