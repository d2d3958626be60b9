"""Each code in the views has its title in English and Russian beside it; all that people read uses the same words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
import yaml

from deploy.superset import bundle
from syncer.commands.column_titles import column_title
from syncer.outcome import Trigger
from syncer.titles import ERROR_TITLES, FIELD_TITLES, VALUE_TITLES, Text
from syncer.web.translations import LANGUAGES, TEXTS
from tests.bi.test_docs import COMMENTS, example_of
from tests.contract_page import PAGE, first_names, name, names, table

if TYPE_CHECKING:
    import asyncpg

KINDS: Final = names(re.findall(r"^`kind` in `changes` is ([^.]*)\.", PAGE, re.MULTILINE)[0])
OUTCOMES: Final = [name(outcome) for outcome, of, _ in table("outcome") if "run" in of]
NOTICE_KINDS, NOTICE_OUTCOMES = (
    names(codes)
    for codes in re.findall(r"^`kind` in `notifications` is (.*), and `outcome` there is (.*)\.$", PAGE, re.MULTILINE)[
        0
    ]
)
NAME_LISTS, NAME_OUTCOMES, SCENARIO_TYPES = (
    names(codes)
    for codes in re.findall(
        r"`list` in `name_lists` and `name_history` is (.*?), `last_outcome` in `name_lists` is (.*?), and "
        r"`scenario_type` is (.*?), as",
        PAGE.replace("\n", " "),
    )[0]
)
CODES: Final[dict[str, list[str]]] = {
    "kind": KINDS,
    "field": [*FIELD_TITLES, "from_redirect_numbers"],
    "began_by": ["created", "restored", "changed"],
    "ended_by": ["changed", "removed", "returned"],
    "trigger": list(get_args(Trigger)),
    "outcome": OUTCOMES,
    "error_kind": first_names("`error_kind`"),
    "notice_kind": NOTICE_KINDS,
    "notice_outcome": NOTICE_OUTCOMES,
    "name_list": NAME_LISTS,
    "name_outcome": NAME_OUTCOMES,
    "scenario_type": SCENARIO_TYPES,
}
"""The program's codes, by the function of schema `syncer` that has their titles."""
LOOKUPS: Final = {"state": "states", "type": "types", "purpose": "purposes"}
"""The vendor's codes, by the view that lists them."""
COLUMNS: Final = {column: column for column in (*CODES, *LOOKUPS)} | {
    "last_outcome": "outcome",
    "last_error_kind": "error_kind",
    "from_state": "state",
    "to_state": "state",
    "target_state": "state",
    "list": "name_list",
    "target_list": "name_list",
    "group_scenario_type": "scenario_type",
}
"""Whose codes a column of a view has; in `notifications` and `name_lists`, others have the same names."""

Titles = dict[str, Text]


def vocabulary_of(view: str, column: str) -> str:
    """Returns whose codes a column has."""
    if (view, column) == ("name_lists", "last_outcome"):
        return "name_outcome"
    return f"notice_{column}" if view == "notifications" else COLUMNS[column]


async def titles_of_program(sql: asyncpg.Connection[Any], vocabulary: str) -> Titles:
    """Returns the titles of the program's codes."""
    query = f"select code, t[1], t[2] from unnest($1::text[]) code, syncer.{vocabulary}_title(code) t"  # noqa: S608 - from here
    return {code: Text(*title) for code, *title in await sql.fetch(query, CODES[vocabulary])}


async def titles_of_vendor(sql: asyncpg.Connection[Any], vocabulary: str) -> Titles:
    """Returns the titles of the vendor's codes; those that it does not document have none."""
    rows = await sql.fetch(f"select {vocabulary}, title_en, title_ru from analytics.{LOOKUPS[vocabulary]}")  # noqa: S608 - from here
    return {code: Text(*title) for code, *title in rows}


async def all_titles(sql: asyncpg.Connection[Any]) -> list[Text]:
    """Returns the titles of all codes."""
    found = [await titles_of_program(sql, one) for one in CODES] + [await titles_of_vendor(sql, one) for one in LOOKUPS]
    return [title for titles in found for title in titles.values()]


async def columns_with_codes(sql: asyncpg.Connection[Any]) -> list[tuple[str, str]]:
    """Returns each view with each of its columns that has codes."""
    rows = await sql.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'analytics'"
    )
    return sorted((view, column) for view, column in rows if column in COLUMNS and view not in LOOKUPS.values())


@pytest.mark.parametrize("vocabulary", CODES)
async def test_each_code_of_the_program_has_a_title_in_both_languages_of_its_own(
    sql: asyncpg.Connection[Any], vocabulary: str
) -> None:
    titles = await titles_of_program(sql, vocabulary)

    assert list(titles) == CODES[vocabulary]
    for language in LANGUAGES:
        words = [getattr(title, language) for title in titles.values()]
        assert all(words)
        assert len(set(words)) == len(words)
    assert await sql.fetchval(f"select syncer.{vocabulary}_title('of a later version')") is None


async def test_each_view_has_the_titles_of_its_codes(sql: asyncpg.Connection[Any]) -> None:
    found = {
        (view, column)
        for view, column in await sql.fetch(
            "select table_name, column_name from information_schema.columns where table_schema = 'analytics'"
        )
    }
    wanted = {
        (view, f"{column}_title_{language}") for view, column in await columns_with_codes(sql) for language in LANGUAGES
    }

    assert wanted - found == set()
    assert len(wanted) > 100


@pytest.mark.timeout(400)  # half a year of history is generated first
async def test_each_row_has_the_titles_of_its_codes(
    analyst: asyncpg.Connection[Any], sql: asyncpg.Connection[Any]
) -> None:
    titles = {one: await titles_of_program(sql, one) for one in CODES}
    titles |= {one: await titles_of_vendor(analyst, one) for one in LOOKUPS}
    for view, column in await columns_with_codes(sql):
        rows = await analyst.fetch(
            f"select distinct {column}, {column}_title_en, {column}_title_ru from analytics.{view}"  # noqa: S608 - from the catalog
        )
        known = titles[vocabulary_of(view, column)]

        assert {code: Text(*title) for code, *title in rows} == {
            code: known.get(code, Text(None, None))  # type: ignore[arg-type] # null of a null code
            for code, *_ in rows
        }, f"{view}.{column}"


async def test_the_examples_of_titles_are_those_of_the_example_of_the_code(sql: asyncpg.Connection[Any]) -> None:
    titles = {one: await titles_of_program(sql, one) for one in CODES}
    titles |= {one: await titles_of_vendor(sql, one) for one in LOOKUPS}
    examples = {(view, column): example_of(comment) for view, column, _, comment in await sql.fetch(COMMENTS)}

    assert {
        (view, column): Text(*(examples[view, f"{column}_title_{language}"] for language in LANGUAGES))
        for view, column in await columns_with_codes(sql)
    } == {
        (view, column): titles[vocabulary_of(view, column)][examples[view, column]]
        for view, column in await columns_with_codes(sql)
    }


async def test_the_page_calls_outcomes_as_the_views_do(sql: asyncpg.Connection[Any]) -> None:
    titles = await titles_of_program(sql, "outcome")

    assert {code: TEXTS[code] for code in titles} == {
        code: Text(*(word.lower() for word in title)) for code, title in titles.items()
    }


async def test_the_page_and_the_files_call_fields_as_the_views_do(sql: asyncpg.Connection[Any]) -> None:
    titles = await titles_of_program(sql, "field")
    redirects = titles.pop("from_redirect_numbers")

    assert titles == {code: Text(*(column_title(code, language) or "" for language in LANGUAGES)) for code in titles}
    assert Text(*(word.lower() for word in redirects)) == TEXTS["redirect_opened"]


async def test_notices_call_values_as_the_views_do(sql: asyncpg.Connection[Any]) -> None:
    assert {field: await titles_of_vendor(sql, field) for field in LOOKUPS} == VALUE_TITLES


async def test_notices_and_the_page_call_errors_as_the_views_do(sql: asyncpg.Connection[Any]) -> None:
    assert await titles_of_program(sql, "error_kind") == ERROR_TITLES


async def test_the_dashboards_translate_titles_as_the_views_do(sql: asyncpg.Connection[Any]) -> None:
    table_of_translations = yaml.safe_load(bundle.TABLE.read_text("utf-8"))
    titles = [title for title in await all_titles(sql) if title.en in table_of_translations]

    # A word that begins a label has a capital letter, also if the vendor's title has none.
    assert [table_of_translations[title.en].lower() for title in titles] == [title.ru.lower() for title in titles]
    assert len(titles) > 20


async def test_every_kind_and_outcome_has_a_colour_in_each_language(sql: asyncpg.Connection[Any]) -> None:
    titles = [*(await titles_of_program(sql, "kind")).values(), *(await titles_of_program(sql, "outcome")).values()]
    for language, files in zip(LANGUAGES, bundle.both(), strict=True):
        (colours,) = (
            file["metadata"]["label_colors"] for path, file in files.items() if path.startswith("dashboards/")
        )

        assert {getattr(title, language) for title in titles} <= colours.keys()
