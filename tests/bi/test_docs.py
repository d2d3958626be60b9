"""The pages for analysts say what the database says, and cannot rot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from docs import answers, dictionary

if TYPE_CHECKING:
    from pathlib import Path


README = answers.PAGES[0].parents[1] / "README.md"
PAGES = [pytest.param(path, id=path.name) for path in answers.PAGES]


@pytest.mark.timeout(400)  # half a year is told first
@pytest.mark.parametrize("path", PAGES)
async def test_every_query_returns_what_is_printed_below_it(path: Path, analyst: asyncpg.Connection[Any]) -> None:
    page = path.read_text()  # noqa: ASYNC240 - nothing waits for it
    asked = answers.asked_in(page)

    assert len(asked) >= 15
    assert page.count("```sql") == len(asked), "a query has no answer below it"
    assert [one.answer for one in asked] == [await answers.answer(analyst, one.query) for one in asked], "make docs"


def test_both_pages_ask_the_same_in_the_same_order() -> None:
    english, russian = (path.read_text() for path in answers.PAGES)

    assert answers.asked_in(english) == answers.asked_in(russian)
    headings = [re.findall(r"^## (\d+)\. \S.*\?$", page, re.MULTILINE) for page in (english, russian)]
    assert headings == [[str(position) for position, _ in enumerate(answers.asked_in(english), start=1)]] * 2


@pytest.mark.parametrize("path", PAGES)
def test_no_answer_depends_on_the_day_it_is_asked(path: Path) -> None:
    for asked in answers.asked_in(path.read_text()):
        assert not re.search(r"now\(\)|current_(date|time)|lag_seconds", asked.query)


async def test_an_analysts_login_is_made_and_reads_as_the_page_for_bi_tools_says(told: str) -> None:
    pages = [(answers.PAGES[0].with_name(name)).read_text() for name in ("bi.md", "bi.ru.md")]
    (made, *asked), in_russian = (re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) for page in pages)
    administrator = await asyncpg.connect(told)
    await administrator.execute(made)
    address = urlunsplit(
        urlsplit(told)._replace(netloc=f"bi_reader:choose another@{urlsplit(told).netloc.split('@')[1]}")
    )
    try:
        reader = await asyncpg.connect(address)
        found = [await reader.fetch(query) for query in asked]
        zone = await reader.fetchval("show timezone")
        await reader.close()
    finally:
        await administrator.execute("drop user bi_reader")
        await administrator.close()

    assert in_russian == [made, *asked]
    assert [len(rows) > 0 for rows in found] == [True, True]
    assert {row["run_id"] > 709 for row in found[1]} == {True}
    assert zone == "Europe/Moscow"


async def test_an_analyst_can_ask_all_that_the_readme_asks(sql: asyncpg.Connection[Any]) -> None:
    readme = README.read_text()
    queries = re.findall(r"^```sql\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    await sql.execute("set role syncer_analyst")

    assert len(queries) == 3
    for query in queries:
        await sql.fetch(query)
    views = await sql.fetch("select viewname from pg_views where schemaname = 'analytics'")
    table = "".join(re.findall(r"^\| `.*$", readme.partition("## Commands")[0], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", table)) - {"run_id"} == {view for (view,) in views}


async def test_the_dictionary_is_that_of_the_newest_schema_and_leaves_nothing_without_a_meaning(database: str) -> None:
    page = dictionary.PAGE.read_text()

    assert page == await dictionary.page(database), "make dictionary"
    assert "|  |" not in page
    assert not re.search(r"^### \S+\n\n\n", page, re.MULTILINE)


@pytest.mark.timeout(400)  # half a year is told first
async def test_every_view_says_how_it_is_asked_and_every_column_what_it_holds(analyst: asyncpg.Connection[Any]) -> None:
    said = await analyst.fetch(
        """select c.relname as view, a.attname as column, col_description(c.oid, a.attnum) as said
             from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
            where c.relnamespace = 'analytics'::regnamespace
            union all
           select c.relname, null, obj_description(c.oid) from pg_class c
            where c.relnamespace = 'analytics'::regnamespace"""
    )

    assert [(row["view"], row["column"]) for row in said if "; example: " not in row["said"]] == []
    for view, query in {
        row["view"]: row["said"].partition("; example: ")[2] for row in said if not row["column"]
    }.items():
        assert view in query
        await analyst.prepare(query)
