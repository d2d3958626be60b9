"""The analysts' pages match the database: their queries return the printed results."""

from __future__ import annotations

import json
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


@pytest.mark.timeout(400)  # half a year of history is generated first
@pytest.mark.parametrize("path", PAGES)
async def test_every_query_returns_the_result_printed_below_it(path: Path, analyst: asyncpg.Connection[Any]) -> None:
    page = path.read_text()  # noqa: ASYNC240 - no other task is waiting
    examples = answers.find_examples(page)

    assert len(examples) >= 15
    assert page.count("```sql") == len(examples), "a query has no result below it"
    results = [await answers.run_query(analyst, example.query) for example in examples]
    assert [example.result for example in examples] == results, "make docs"


def test_both_pages_have_the_same_queries_in_the_same_order() -> None:
    english, russian = (path.read_text() for path in answers.PAGES)

    assert answers.find_examples(english) == answers.find_examples(russian)
    headings = [re.findall(r"^## (\d+)\. \S.*\?$", page, re.MULTILINE) for page in (english, russian)]
    assert headings == [[str(position) for position, _ in enumerate(answers.find_examples(english), start=1)]] * 2


@pytest.mark.parametrize("path", PAGES)
def test_no_result_depends_on_the_current_date(path: Path) -> None:
    for example in answers.find_examples(path.read_text()):
        assert not re.search(r"now\(\)|current_(date|time)|lag_seconds", example.query)


async def test_the_login_and_the_queries_of_the_page_on_bi_tools_work(demo_history: str) -> None:
    pages = [(answers.PAGES[0].with_name(name)).read_text() for name in ("bi.md", "bi.ru.md")]
    (create_login, *queries), russian = (
        re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) for page in pages
    )
    administrator = await asyncpg.connect(demo_history)
    await administrator.execute(create_login)
    parts = urlsplit(demo_history)
    url = urlunsplit(parts._replace(netloc=f"bi_reader:choose another@{parts.netloc.split('@')[1]}"))
    try:
        reader = await asyncpg.connect(url)
        results = [await reader.fetch(query) for query in queries]
        zone = await reader.fetchval("show timezone")
        await reader.close()
    finally:
        await administrator.execute("drop user bi_reader")
        await administrator.close()

    assert russian == [create_login, *queries]
    joined, changes, cursors = results
    assert joined
    assert {row["run_id"] > 709 for row in changes} == {True}
    (cursor,) = (json.loads(row["cursor"]) for row in cursors)
    assert {account: newest["run_id"] for account, newest in cursor.items()} == {
        "1": max(row["run_id"] for row in changes)
    }
    assert zone == "Europe/Moscow"


async def test_an_analyst_can_run_every_query_of_the_readme(sql: asyncpg.Connection[Any]) -> None:
    readme = README.read_text()
    queries = re.findall(r"^```sql\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    await sql.execute("set role syncer_analyst")

    assert len(queries) == 3
    for query in queries:
        await sql.fetch(query)
    views = await sql.fetch("select viewname from pg_views where schemaname = 'analytics'")
    table = "".join(re.findall(r"^\| `.*$", readme.partition("## Commands")[0], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", table)) == {view for (view,) in views}


async def test_the_dictionary_describes_every_object_of_the_newest_schema(database: str) -> None:
    english, russian = dictionary.PAGE.read_text(), dictionary.RUSSIAN_PAGE.read_text()

    assert english == await dictionary.page(database), "make dictionary"
    assert russian == await dictionary.russian_page(database), "make dictionary"
    for page in (english, russian):
        assert "|  |" not in page
        assert not re.search(r"^### \S+\n\n\n|`: $", page, re.MULTILINE)


COMMENTS = """
select c.relname as view, a.attname as name, format_type(a.atttypid, null) as type,
       col_description(c.oid, a.attnum) as comment
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
 where c.relnamespace = 'analytics'::regnamespace
 union all
select relname, null, null, obj_description(oid, 'pg_class')
  from pg_class where relnamespace = 'analytics'::regnamespace
 union all
select proname, null, null, obj_description(oid, 'pg_proc')
  from pg_proc where pronamespace = 'analytics'::regnamespace
"""


def example_of(comment: str) -> str:
    return comment.partition("\n")[0].partition("; example: ")[2]


async def test_each_comment_is_a_line_in_english_and_one_in_russian_with_the_same_example(
    sql: asyncpg.Connection[Any],
) -> None:
    for view, name, _, comment in await sql.fetch(COMMENTS):
        english, russian = comment.split("\n")
        assert re.search("[а-я]{2}", russian), (view, name)
        assert russian.partition("; пример: ")[2] == example_of(comment), (view, name)
        assert example_of(english) or view in {"e164", "readable"}, (view, name)


async def test_the_example_of_each_view_and_function_is_a_query_of_it_that_is_valid(
    sql: asyncpg.Connection[Any],
) -> None:
    await sql.execute("set role syncer_analyst")
    queries = {view: example_of(comment) for view, name, _, comment in await sql.fetch(COMMENTS) if name is None}

    for view, query in queries.items():
        if view not in {"e164", "readable"}:
            assert f"analytics.{view}" in query
            await sql.prepare(query)


async def test_the_example_of_each_column_is_a_value_that_it_can_have(sql: asyncpg.Connection[Any]) -> None:
    columns = [row for row in await sql.fetch(COMMENTS) if row["name"] is not None]
    examples = {(row["view"], row["name"]): example_of(row["comment"]) for row in columns}
    for row in columns:
        example = examples[row["view"], row["name"]]
        assert await sql.fetchval(f"select $1::text::{row['type']} is not null", example), row
    values = {
        "state": dict(await sql.fetch("select state, array[title_en, title_ru] from analytics.states")),
        "type": dict(await sql.fetch("select type, array[title_en, title_ru] from analytics.types")),
        "purpose": dict(await sql.fetch("select purpose, array[title_en, title_ru] from analytics.purposes")),
    }

    for (view, name), example in examples.items():
        titles = values.get(name.removeprefix("from_").removeprefix("to_"))
        if titles is not None:
            prefix = "" if view in {"states", "types", "purposes"} else f"{name}_"
            english, russian = (examples.get((view, f"{prefix}title_{language}")) for language in ("en", "ru"))
            assert example in titles
            assert [english, russian] in ([None, None], titles[example]), (view, name)
