"""The parts of the status page: translations, formatting, the chart, shared queries."""

from __future__ import annotations

import asyncio
import re
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.phone_numbers import format_phone
from syncer.store.queries.number_life import StatePeriod
from syncer.web.chart import HEIGHT, WIDTH, stack_areas
from syncer.web.format import Formatter, shorten
from syncer.web.single_flight import SingleFlight
from syncer.web.strip import draw_strip
from syncer.web.translations import LANGUAGES, TEXTS, preferred_language, texts_for

WEB = Path(__file__).parent.parent.parent / "syncer" / "web"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# Translations


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_exists_in_both_languages_with_the_same_placeholders(name: str) -> None:
    english, russian = TEXTS[name]

    assert english.strip()
    assert russian.strip()
    assert placeholders(english) == placeholders(russian)


def test_every_text_is_used() -> None:
    # Names that the template composes from a field, a counter or a unit of time cannot be found as a whole.
    composed = re.compile(r"field_|count_|error_|(in_)?(seconds|minutes|hours|days)(_ago)?$")
    by_value = {"failing", "late", "new", "ok", "retired"} | {
        *("applied", "unchanged", "failed", "superseded", "abandoned", "running"),
        *("created", "removed", "restored", "redirect_opened", "redirect_closed"),
    }
    files = [path for path in (*WEB.glob("*.py"), *WEB.glob("templates/*.html")) if path.name != "translations.py"]
    used = "".join(path.read_text() for path in files)

    unused = [name for name in TEXTS if not re.search(rf"texts\.{name}\b|\"{name}\"", used)]

    assert [name for name in unused if not (composed.match(name) or name in by_value)] == []


def test_every_month_has_a_name_in_each_language() -> None:
    assert [len(texts_for(language)["months"].split()) for language in LANGUAGES] == [12, 12]


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de-DE, ru;q=0.3, *;q=0.1", "ru"),
        ("de", "en"),
        ("ru;q=0, *", "en"),
        ("en;q=0, *;q=0.5", "ru"),
        ("RU ; Q=0.5 , en ; q=0.4", "ru"),
        ("ru;q=x, en;q=0.1", "en"),
        ("en;q=0.2, ru;q=99", "ru"),
        (",,;q=1,;", "en"),
    ],
)
def test_the_language_with_the_highest_weight_is_chosen(accept_language: str, language: str) -> None:
    assert preferred_language(accept_language) == language


# Formatting


@pytest.mark.parametrize(
    ("number", "formatted"),
    [
        ("79208547433", "+7 920 854-74-33"),
        ("89208547433", "+7 920 854-74-33"),
        ("9208547433", "+7 920 854-74-33"),
        ("442071234567", "442071234567"),
        ("<b>", "<b>"),
        ("٧٩٢٠٨٥٤٧٤٣٣", "٧٩٢٠٨٥٤٧٤٣٣"),
    ],
)
def test_a_russian_number_is_grouped_and_any_other_is_unchanged(number: str, formatted: str) -> None:
    assert format_phone(number).replace("\N{NO-BREAK SPACE}", " ") == formatted


def test_a_long_text_is_cut_to_the_maximum_length() -> None:
    assert shorten("x" * 10, 10) == "x" * 10
    assert shorten("x" * 11, 10) == "x" * 9 + "…"


def test_a_moment_shows_its_utc_offset_and_its_date_unless_that_is_today() -> None:
    english, russian = (Formatter(texts_for(language), NOW) for language in LANGUAGES)

    def plain(formatter: Formatter, moment: datetime, zone: str) -> str:
        return re.sub("<[^>]*>", "", formatter.moment(moment, zone))

    assert plain(english, NOW, "Europe/Moscow") == "15:00:00 +03:00"
    assert plain(english, NOW, "Asia/Vladivostok") == "22:00:00 +10:00"
    assert plain(english, NOW - timedelta(days=1), "Europe/Moscow") == "28 Feb, 15:00:00 +03:00"
    assert plain(russian, NOW - timedelta(days=365), "UTC") == "1 марта 2025, 12:00:00 +00:00"
    assert plain(english, NOW, "No/Where") == "12:00:00 +00:00"


def test_durations_use_the_largest_unit_of_which_there_are_at_least_two() -> None:
    english, russian = (Formatter(texts_for(language), NOW) for language in LANGUAGES)

    assert [english.relative(NOW - SECOND * ago) for ago in (0, 5, 119, 120, 7200, 172800)] == [
        *("now", "5 s ago", "119 s ago", "2 min ago", "2 h ago", "2 d ago")
    ]
    assert english.relative(NOW + 240 * SECOND) == "in 4 min"
    assert [russian.duration(seconds) for seconds in (0.052, 9.5, 12, 300)] == ["0,05 с", "9,50 с", "12 с", "5 мин"]


# The chart


def test_areas_are_stacked_in_steps_of_equal_width() -> None:
    chart = stack_areas({"a": [0, 4, 4], "b": [4, 4, 0]}, step_count=2)

    assert chart.axis == [8, 4, 0]
    assert (WIDTH, HEIGHT) == (1200, 240)
    assert [layer.path for layer in chart.layers] == [
        "M0,240L400,240L400,120L1200,120L1200,240L0,240Z",
        "M0,120L400,120L400,0L800,0L800,120L1200,120L1200,120L400,120L400,240L0,240Z",
    ]


@pytest.mark.parametrize(
    ("highest", "axis"),
    [
        (0, [4, 3, 2, 1, 0]),
        (1, [4, 3, 2, 1, 0]),
        (5, [8, 6, 4, 2, 0]),
        (21, [24, 18, 12, 6, 0]),
        (199, [200, 150, 100, 50, 0]),
        (1_000_001, [1_200_000, 900_000, 600_000, 300_000, 0]),
    ],
)
def test_the_axis_labels_are_round_numbers(highest: int, axis: list[int]) -> None:
    assert stack_areas({"a": [highest]}).axis == axis


# Shared queries


class Query:
    """A query that finishes when the test sets its result."""

    def __init__(self) -> None:
        self.call_count = 0
        self.result: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.call_count += 1
        return await asyncio.shield(self.result)


async def test_concurrent_callers_share_one_query() -> None:
    query = Query()
    flight = SingleFlight(query)
    tasks = [asyncio.create_task(flight.get(max_wait=10)) for _ in range(20)]
    await asyncio.sleep(0)
    query.result.set_result("so")

    assert await asyncio.gather(*tasks) == ["so"] * 20
    assert query.call_count == 1
    assert await flight.get(max_wait=10) == "so"
    assert query.call_count == 2  # without a ttl nothing is cached


async def test_a_failure_is_cached_for_the_ttl() -> None:
    query = Query()
    flight = SingleFlight(query, min_ttl=3600)
    query.result.set_exception(OSError("no"))
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await flight.get(max_wait=10)

    assert query.call_count == 1
    assert flight.last_result is None


async def test_a_query_that_outlasts_its_caller_goes_on_for_later_callers() -> None:
    query = Query()
    flight = SingleFlight(query, min_ttl=3600)
    with pytest.raises(TimeoutError):
        await flight.get(max_wait=0)
    query.result.set_result("late")

    assert await flight.get(max_wait=10) == "late"
    assert query.call_count == 1


async def test_closing_cancels_the_running_query() -> None:
    query = Query()
    flight = SingleFlight(query)
    waiting = asyncio.create_task(flight.get(max_wait=10))
    await asyncio.sleep(0)
    await flight.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_query_is_cancelled_when_its_last_caller_is_and_begins_anew_for_the_next() -> None:
    query = Query()
    flight = SingleFlight(query, min_ttl=3600)
    first, last = (asyncio.create_task(flight.get(max_wait=10)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    assert flight.is_running
    last.cancel()
    await asyncio.wait({last})
    next_caller = asyncio.create_task(flight.get(max_wait=10))
    await asyncio.sleep(0)
    query.result.set_result("so")

    assert await next_caller == "so"
    assert query.call_count == 2
    assert not flight.is_running


async def test_closing_waits_for_a_query_that_is_being_cancelled() -> None:
    ended = False

    async def query() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    flight = SingleFlight(query)
    caller = asyncio.create_task(flight.get(max_wait=10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    await flight.close()

    assert ended


# The strip


def period(state: str, begins: int, ends: int | None, ended_by: str | None = "changed") -> StatePeriod:
    end = None if ends is None else NOW + ends * SECOND
    return StatePeriod(state, None, NOW + begins * SECOND, end, None, end, ended_by, 0.0)


def test_a_strip_joins_periods_of_one_state_and_leaves_removals_empty() -> None:
    periods = [
        period("active", 0, 10),
        period("debt_lock", 10, 20),
        period("debt_lock", 20, 40, "removed"),
        period("active", 60, None, None),
    ]

    strip = draw_strip(periods, NOW + 120 * SECOND)

    assert strip is not None
    assert [(one.state, one.x, one.width) for one in strip.stretches] == [
        ("active", 0, 100),
        ("debt_lock", 100, 300),
        ("active", 600, 600),
    ]
    assert [moment - NOW for moment in strip.axis_moments] == [SECOND * seconds for seconds in (0, 30, 60, 90, 120)]


def test_a_short_period_is_drawn_wide_enough_to_be_seen_and_a_life_without_periods_not_at_all() -> None:
    strip = draw_strip([period("active", 0, 1_000_000), period("freeze", 1_000_000, None, None)], NOW + 1e6 * SECOND)

    assert strip is not None
    assert [(one.x, one.width) for one in strip.stretches] == [(0, 1200), (1199, 1)]
    assert draw_strip([], NOW) is None
