"""What the page is made of: words in two languages, numbers and moments, a chart, answers shared by many."""

from __future__ import annotations

import asyncio
import re
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.web.chart import HEIGHT, WIDTH, stacked
from syncer.web.format import Spelling, clipped, phone
from syncer.web.single_flight import SingleFlight
from syncer.web.translations import LANGUAGES, TEXTS, preferred, words

WEB = Path(__file__).parent.parent.parent / "syncer" / "web"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# Words


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_stands_in_both_languages_and_names_the_same_things(name: str) -> None:
    english, russian = TEXTS[name]

    assert english.strip()
    assert russian.strip()
    assert placeholders(english) == placeholders(russian)


def test_every_text_is_used() -> None:
    # Those that are put together from a field, a counter or a unit of time have no name to find.
    built = re.compile(r"field_|count_|(in_)?(seconds|minutes|hours|days)(_ago)?$")
    chosen = {"failing", "late", "new", "ok", "retired"} | {
        *("applied", "unchanged", "failed", "superseded", "abandoned", "running"),
        *("created", "removed", "restored", "redirect_opened", "redirect_closed"),
    }
    files = [path for path in (*WEB.glob("*.py"), *WEB.glob("templates/*.html")) if path.name != "words.py"]
    used = "".join(path.read_text() for path in files)

    unused = [name for name in TEXTS if not re.search(rf"say\.{name}\b|\"{name}\"", used)]

    assert [name for name in unused if not (built.match(name) or name in chosen)] == []


def test_a_month_has_a_name_in_each_language() -> None:
    assert [len(words(language)["months"].split()) for language in LANGUAGES] == [12, 12]


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
def test_the_language_is_the_one_the_browser_likes_best(accept_language: str, language: str) -> None:
    assert preferred(accept_language) == language


# Numbers and moments


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        ("79208547433", "+7 920 854-74-33"),
        ("89208547433", "+7 920 854-74-33"),
        ("9208547433", "+7 920 854-74-33"),
        ("442071234567", "442071234567"),
        ("<b>", "<b>"),
        ("٧٩٢٠٨٥٤٧٤٣٣", "٧٩٢٠٨٥٤٧٤٣٣"),
    ],
)
def test_a_russian_number_is_grouped_and_any_other_left_alone(number: str, spelled: str) -> None:
    assert phone(number).replace("\N{NO-BREAK SPACE}", " ") == spelled


def test_what_is_too_long_is_clipped() -> None:
    assert clipped("x" * 10, 10) == "x" * 10
    assert clipped("x" * 11, 10) == "x" * 9 + "…"


def test_a_moment_has_the_offset_of_its_zone_and_its_date_unless_it_is_todays() -> None:
    english, russian = (Spelling(words(language), NOW) for language in LANGUAGES)

    def plain(spelling: Spelling, moment: datetime, zone: str) -> str:
        return re.sub("<[^>]*>", "", spelling.moment(moment, zone))

    assert plain(english, NOW, "Europe/Moscow") == "15:00:00 +03:00"
    assert plain(english, NOW, "Asia/Vladivostok") == "22:00:00 +10:00"
    assert plain(english, NOW - timedelta(days=1), "Europe/Moscow") == "28 Feb, 15:00:00 +03:00"
    assert plain(russian, NOW - timedelta(days=365), "UTC") == "1 марта 2025, 12:00:00 +00:00"
    assert plain(english, NOW, "No/Where") == "12:00:00 +00:00"


def test_spans_of_time_are_told_in_the_largest_unit_of_which_there_are_two() -> None:
    english, russian = (Spelling(words(language), NOW) for language in LANGUAGES)

    assert [english.relative(NOW - SECOND * ago) for ago in (0, 5, 119, 120, 7200, 172800)] == [
        *("now", "5 s ago", "119 s ago", "2 min ago", "2 h ago", "2 d ago")
    ]
    assert english.relative(NOW + 240 * SECOND) == "in 4 min"
    assert [russian.span(seconds) for seconds in (0.052, 9.5, 12, 300)] == ["0,05 с", "9,50 с", "12 с", "5 мин"]


# The chart


def test_areas_lie_on_top_of_each_other_in_steps_of_one_width() -> None:
    chart = stacked({"a": [0, 4, 4], "b": [4, 4, 0]}, parts=2)

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
def test_the_axis_has_round_numbers(highest: int, axis: list[int]) -> None:
    assert stacked({"a": [highest]}).axis == axis


# What is asked once for all


class Question:
    """Something to ask that is answered when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.asked += 1
        return await asyncio.shield(self.answer)


async def test_many_who_ask_at_once_are_answered_by_one_question() -> None:
    question = Question()
    shared = SingleFlight(question)
    asking = [asyncio.create_task(shared.answer(within=10)) for _ in range(20)]
    await asyncio.sleep(0)
    question.answer.set_result("so")

    assert await asyncio.gather(*asking) == ["so"] * 20
    assert question.asked == 1
    assert await shared.answer(within=10) == "so"
    assert question.asked == 2  # nothing is kept unless told to


async def test_an_answer_is_kept_for_a_while_and_so_is_a_failure() -> None:
    question = Question()
    kept = SingleFlight(question, at_least=3600)
    question.answer.set_exception(OSError("no"))
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await kept.answer(within=10)

    assert question.asked == 1
    assert kept.last_good is None


async def test_what_takes_longer_than_one_waits_goes_on_for_those_who_come_later() -> None:
    question = Question()
    shared = SingleFlight(question, at_least=3600)
    with pytest.raises(TimeoutError):
        await shared.answer(within=0)
    question.answer.set_result("late")

    assert await shared.answer(within=10) == "late"
    assert question.asked == 1


async def test_nothing_is_asked_any_more_once_it_is_closed() -> None:
    question = Question()
    shared = SingleFlight(question)
    waiting = asyncio.create_task(shared.answer(within=10))
    await asyncio.sleep(0)
    await shared.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
