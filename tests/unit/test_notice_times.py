"""When the next message of a rule may be sent: at once, after an interval, by a crontab line, after quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.notices.rules import DEFAULT_EVENTS, QuietHours, Rule
from syncer.notices.times import next_time

YEKATERINBURG = ZoneInfo("Asia/Yekaterinburg")
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(8))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday; 17:00 in Yekaterinburg, 13:00 in Berlin


def rule(*, every: timedelta | None = None, cron: str | None = None, quiet: QuietHours | None = None) -> Rule:
    return Rule(
        name="locks",
        channels=("duty",),
        events=DEFAULT_EVENTS,
        accounts=None,
        types=None,
        every=every,
        cron=cron,
        quiet=quiet,
        max_age=timedelta(days=3),
        even_if_nothing=False,
    )


def yekaterinburg(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=YEKATERINBURG)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quiet_hours(text: str) -> QuietHours:
    begin, end = map(time.fromisoformat, text.split("-"))
    return QuietHours(begin, end)


# Now, at intervals, by a crontab line


@pytest.mark.parametrize("last", [None, NOON, NOON - timedelta(days=400)])
def test_a_rule_without_a_time_sends_at_once(last: datetime | None) -> None:
    assert next_time(rule(), YEKATERINBURG, NOON, last) is None


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, None),
        (NOON, NOON + timedelta(minutes=15)),
        (NOON - timedelta(minutes=14), NOON + timedelta(minutes=1)),
        (NOON - timedelta(minutes=15), None),
        (NOON - timedelta(days=3), None),
    ],
)
def test_a_rule_with_an_interval_sends_when_it_has_passed_since_the_last_message(
    last: datetime | None, expected: datetime | None
) -> None:
    assert next_time(rule(every=timedelta(minutes=15)), YEKATERINBURG, NOON, last) == expected


def test_an_interval_is_the_time_that_passes_also_where_clocks_are_changed() -> None:
    last = datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)
    now = last.astimezone(UTC)

    assert next_time(rule(every=timedelta(hours=2)), BERLIN, now, last) == utc("2026-10-25T01:30")


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("2026-03-02T09:00:02", "2026-03-09T09:00"),  # it was sent today
        ("2026-03-02T09:00", "2026-03-09T09:00"),  # to the second
        ("2026-03-02T08:59:59", None),  # it was due at nine, and nothing ran
        ("2025-12-01T09:00", None),  # many were missed: one is sent
    ],
)
def test_a_digest_is_sent_at_the_next_time_of_its_line_or_at_once_if_that_has_passed(
    last: str, expected: str | None
) -> None:
    found = next_time(rule(cron="0 9 * * 1"), YEKATERINBURG, NOON, yekaterinburg(last))

    assert found == (None if expected is None else yekaterinburg(expected))


def test_a_digest_that_was_never_sent_waits_for_the_next_time_of_its_line() -> None:
    assert next_time(rule(cron="0 9 * * 1"), YEKATERINBURG, NOON, None) == yekaterinburg("2026-03-09T09:00")


def test_a_digest_whose_time_is_now_is_sent_at_once() -> None:
    assert next_time(rule(cron="0 17 * * *"), YEKATERINBURG, NOON, NOON - timedelta(days=1)) is None


# Quiet hours


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02T21:59:59", None),
        ("2026-03-02T22:00", "2026-03-03T08:00"),
        ("2026-03-03T00:00", "2026-03-03T08:00"),
        ("2026-03-03T07:59:59.999999", "2026-03-03T08:00"),
        ("2026-03-03T08:00", None),
    ],
)
def test_what_happens_in_quiet_hours_over_midnight_is_sent_when_they_end(now: str, expected: str | None) -> None:
    found = next_time(rule(quiet=NIGHT), YEKATERINBURG, yekaterinburg(now), None)

    assert found == (None if expected is None else yekaterinburg(expected))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02T12:59", None),
        ("2026-03-02T13:00", "2026-03-02T14:30"),
        ("2026-03-02T14:29", "2026-03-02T14:30"),
        ("2026-03-02T14:30", None),
        ("2026-03-02T23:30", None),
    ],
)
def test_quiet_hours_can_be_within_a_day(now: str, expected: str | None) -> None:
    found = next_time(rule(quiet=quiet_hours("13:00-14:30")), YEKATERINBURG, yekaterinburg(now), None)

    assert found == (None if expected is None else yekaterinburg(expected))


def test_an_interval_that_ends_in_quiet_hours_is_longer() -> None:
    last = yekaterinburg("2026-03-02T21:50")
    every = rule(every=timedelta(minutes=15), quiet=NIGHT)

    assert next_time(every, YEKATERINBURG, last, last) == yekaterinburg("2026-03-03T08:00")


def test_a_digest_whose_time_is_in_quiet_hours_is_sent_when_they_end_and_once() -> None:
    digest = rule(cron="0 3 * * *", quiet=NIGHT)
    sent = yekaterinburg("2026-03-02T08:00")
    due = next_time(digest, YEKATERINBURG, sent, sent)

    assert due == yekaterinburg("2026-03-03T08:00")
    assert next_time(digest, YEKATERINBURG, yekaterinburg("2026-03-03T05:00"), sent) == due
    assert next_time(digest, YEKATERINBURG, due, due) == yekaterinburg("2026-03-04T08:00")


@pytest.mark.parametrize(
    ("quiet", "now", "expected"),
    [
        # Clocks go from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
        ("22:00-08:00", "2026-03-28T22:00", "2026-03-29T06:00"),
        ("22:00-02:30", "2026-03-28T22:00", "2026-03-29T01:30"),  # 03:30: an end that is skipped comes an hour later
        ("02:30-05:00", "2026-03-29T00:15", None),  # 01:15
        ("02:30-05:00", "2026-03-29T01:00", "2026-03-29T03:00"),  # 03:00, where 02:30 has never been
        # Clocks go from 03:00 to 02:00 on 25 October 2026, at 01:00 UTC.
        ("22:00-08:00", "2026-10-24T21:00", "2026-10-25T07:00"),
        ("22:00-02:30", "2026-10-25T00:45", "2026-10-25T01:30"),  # at the first 02:45; it ends at the second 02:30
        ("02:30-05:00", "2026-10-25T00:29", None),  # the first 02:29
        ("02:30-05:00", "2026-10-25T00:30", "2026-10-25T04:00"),  # the first 02:30
        ("02:30-05:00", "2026-10-25T01:10", "2026-10-25T04:00"),  # the second 02:10 is within the night
        ("03:00-02:30", "2026-03-28T12:00", "2026-03-30T00:30"),  # the half hour between them is skipped
    ],
)
def test_quiet_hours_end_at_the_time_of_the_clocks_also_where_these_are_changed(
    quiet: str, now: str, expected: str | None
) -> None:
    found = next_time(rule(quiet=quiet_hours(quiet)), BERLIN, utc(now), None)

    assert found == (None if expected is None else utc(expected))


# All of them

ZONES = [YEKATERINBURG, BERLIN, *map(ZoneInfo, ("UTC", "America/Havana", "Australia/Lord_Howe", "Atlantic/Azores"))]
MOMENTS = st.builds(  # clocks are changed from March to April and from October to November
    lambda year, month, minutes: datetime(year, month, 1, tzinfo=UTC) + timedelta(minutes=minutes),
    st.integers(2024, 2027),
    st.sampled_from([1, 3, 10]),
    st.integers(0, 40 * 24 * 60),
)
TIMES_OF_DAY = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
QUIET = st.builds(QuietHours, TIMES_OF_DAY, TIMES_OF_DAY).filter(lambda quiet: quiet.begin != quiet.end)
RULES = st.one_of(
    st.builds(rule, quiet=st.none() | QUIET),
    st.builds(
        rule, quiet=st.none() | QUIET, every=st.integers(1, 3000).map(lambda minutes: timedelta(minutes=minutes))
    ),
    st.builds(rule, quiet=st.none() | QUIET, cron=st.sampled_from(["0 9 * * 1-5", "30 2 * * *", "*/20 * * * *"])),
)


def is_quiet(quiet: QuietHours, moment: datetime, zone: ZoneInfo) -> bool:
    """By the clock on the wall."""
    shown = moment.astimezone(zone).time()
    if quiet.begin < quiet.end:
        return quiet.begin <= shown < quiet.end
    return shown >= quiet.begin or shown < quiet.end


@settings(max_examples=500, deadline=None)
@given(RULES, st.sampled_from(ZONES), MOMENTS, st.none() | st.integers(0, 10_000))
def test_nothing_is_sent_in_quiet_hours_or_too_early(
    one: Rule, zone: ZoneInfo, now: datetime, minutes_since_last: int | None
) -> None:
    last = None if minutes_since_last is None else now - timedelta(minutes=minutes_since_last)
    found = next_time(one, zone, now, last)
    moment = now if found is None else found

    assert found is None or found > now
    assert one.quiet is None or not is_quiet(one.quiet, moment, zone)
    assert one.every is None or last is None or moment >= last + one.every
    without_quiet = Rule(**{field: getattr(one, field) for field in Rule.__slots__} | {"quiet": None})
    earliest = next_time(without_quiet, zone, now, last)
    assert moment >= (earliest or now)


@settings(max_examples=500, deadline=None)
@given(RULES, st.sampled_from(ZONES), MOMENTS, st.integers(0, 10_000))
def test_a_message_may_be_sent_at_the_time_that_was_found_for_it(
    one: Rule, zone: ZoneInfo, now: datetime, minutes_since_last: int
) -> None:
    last = now - timedelta(minutes=minutes_since_last)
    found = next_time(one, zone, now, last)

    if found is not None:
        assert next_time(one, zone, found, last) is None


@settings(max_examples=500, deadline=None)
@given(QUIET, st.sampled_from(ZONES), MOMENTS)
def test_outside_of_the_nights_of_changes_quiet_hours_delay_only_what_is_in_them_and_to_their_end(
    quiet: QuietHours, zone: ZoneInfo, now: datetime
) -> None:
    found = next_time(rule(quiet=quiet), zone, now, None)
    around = {(now + timedelta(days=days)).astimezone(zone).utcoffset() for days in range(-2, 3)}

    if len(around) == 1:
        assert (found is not None) == is_quiet(quiet, now, zone)
        assert found is None or found.astimezone(zone).time() == quiet.end
        assert found is None or found - now <= timedelta(days=1)
