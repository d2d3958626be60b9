"""The preview divides the past into the messages that the planner would have made of it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.notices.preview import PastCursor
from syncer.notices.rules import QuietHours, Rule
from syncer.notices.times import next_time
from tests.unit.test_notice_times import rule

MINUTE = timedelta(minutes=1)
ZONES = [ZoneInfo(name) for name in ("Europe/Moscow", "Europe/Berlin", "Asia/Yekaterinburg", "America/Havana")]
STARTS = st.sampled_from(
    [
        datetime(2026, 3, 2, 6, 50, tzinfo=UTC),
        datetime(2026, 3, 28, 20, tzinfo=UTC),  # clocks go forward in Berlin
        datetime(2026, 10, 31, 22, tzinfo=UTC),  # clocks go back over midnight in Havana
    ]
)
LENGTH = 3 * 24 * 60
# Whether each run has an event that the rule is about, by the minute in which it was recorded.
RUNS = st.dictionaries(st.integers(1, LENGTH), st.booleans(), max_size=60)
TIMES_OF_DAY = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
QUIET = st.builds(QuietHours, TIMES_OF_DAY, TIMES_OF_DAY).filter(lambda quiet: quiet.begin != quiet.end)
RULES = st.one_of(
    st.builds(rule, quiet=st.none() | QUIET),
    st.builds(rule, quiet=st.none() | QUIET, every=st.integers(1, 600).map(lambda minutes: minutes * MINUTE)),
    st.builds(rule, quiet=st.none() | QUIET, cron=st.sampled_from(["0 9 * * *", "30 2 * * *", "*/20 * * * *"])),
)

Message = tuple[int, int, datetime]
"""How many runs were in earlier messages or needed none, how many then, and when it was made."""


def planned(one: Rule, zone: ZoneInfo, start: datetime, times: list[datetime], matters: list[bool]) -> list[Message]:
    """What a planner makes that looks every minute, as `syncer.notices.planner` does."""
    cursor, planned_at, due_at = 0, start, None
    messages = []
    for minute in range(LENGTH + 1):
        now = start + minute * MINUTE
        newest = sum(moment <= now for moment in times)
        if (due_at is not None and due_at > now) or not (one.is_digest or newest != cursor):
            continue
        due_at = next_time(one, zone, now, planned_at)
        if due_at is not None:
            continue
        if any(matters[cursor:newest]):
            messages.append((cursor, newest, now))
        if any(matters[cursor:newest]) or one.is_digest:
            planned_at = now
        cursor = newest
    return messages


def previewed(one: Rule, zone: ZoneInfo, start: datetime, times: list[datetime], matters: list[bool]) -> list[Message]:
    """What the preview shows of the same time."""
    cursor, messages = PastCursor(one, zone, times, start), []
    end = start + LENGTH * MINUTE
    while (span := cursor.next_span()) is not None and span.sent_at <= end:
        has_happened = any(matters[cursor.position : span.through])
        if has_happened:
            messages.append((cursor.position, span.through, span.sent_at))
        cursor.move(span, has_made_notice=has_happened)
    return messages


@settings(max_examples=300, deadline=None)
@given(RULES, st.sampled_from(ZONES), STARTS, RUNS)
def test_the_preview_shows_the_messages_that_the_planner_makes(
    one: Rule, zone: ZoneInfo, start: datetime, runs: dict[int, bool]
) -> None:
    times = [start + minute * MINUTE for minute in sorted(runs)]
    matters = [runs[minute] for minute in sorted(runs)]

    assert previewed(one, zone, start, times, matters) == planned(one, zone, start, times, matters)


def test_runs_that_were_recorded_while_the_clock_was_set_back_are_looked_at_in_their_order() -> None:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    times = [start + minute * MINUTE for minute in (1, 50, 3, 4, 60)]
    cursor = PastCursor(rule(), ZONES[0], times, start)
    seen = []
    while (span := cursor.next_span()) is not None:
        seen.append((cursor.position, span.through, (span.sent_at - start) // MINUTE))
        cursor.move(span, has_made_notice=True)

    assert seen == [(0, 1, 1), (1, 4, 50), (4, 5, 60)]
