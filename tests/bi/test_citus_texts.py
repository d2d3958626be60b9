"""The texts of views and functions for Citus, in `migrations/sql/citus`: on one server they return the same rows.

They are installed in a transaction that is rolled back, in which `now()` does not move. A change of a view or a
function that has a text there changes the text too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from syncer.store.distribution import citus_scripts
from tests.builders import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

TEXTS: Final = {name: text for name, text in citus_scripts().items() if name not in ("distribute.sql", "grants.sql")}
SOURCES: Final = """
select format('%s.%I', relnamespace::regnamespace, relname) from pg_class
 where relkind = 'v' and relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
 order by relname
"""
# At which versions ended: of such a moment it matters which of them held.
MOMENTS: Final = """
select max(valid_to)
  from (select valid_to, ntile(5) over (order by valid_to) as part from syncer.virtual_number_history) v
 group by part order by 1
"""
# What a view or a function is, apart from its text.
SIGNATURES: Final = """
select c.oid::regclass::text as name, c.relacl::text as privileges, obj_description(c.oid, 'pg_class') as comment,
       array(select concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum))
               from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as columns
  from pg_class c
 where relkind = 'v' and relnamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
union all
select p.oid::regprocedure::text, p.proacl::text, obj_description(p.oid, 'pg_proc'),
       array[pg_get_function_result(p.oid), p.prosecdef::text, p.proconfig::text]
  from pg_proc p where pronamespace in ('syncer'::regnamespace, 'analytics'::regnamespace)
"""


@pytest.fixture
async def sql(demo_history: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the demo history, in a transaction that is rolled back."""
    connection = await connect(demo_history)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def install(sql: asyncpg.Connection[Any]) -> None:
    """Executes the texts, in their order."""
    for text in TEXTS.values():
        await sql.execute(text)


async def keep(sql: asyncpg.Connection[Any], source: str, table: str) -> None:
    """Stores the rows of a view or a function."""
    await sql.execute(f"create temp table {table} on commit drop as select * from {source}")  # noqa: S608 - the test's own


async def differing(sql: asyncpg.Connection[Any], source: str, table: str) -> tuple[int, int, int]:
    """Counts the rows that were kept, those of them that are missing now, and those that were not there."""
    row = await sql.fetchrow(
        f"select (select count(*) from {table}),"  # noqa: S608 - the test's own
        f" (select count(*) from (select * from {table} except all select * from {source}) missing),"
        f" (select count(*) from (select * from {source} except all select * from {table}) added)"
    )
    assert row is not None
    return row[0], row[1], row[2]


async def test_every_view_and_function_returns_the_rows_that_it_returns_on_one_server(
    sql: asyncpg.Connection[Any],
) -> None:
    sources = [source for (source,) in await sql.fetch(SOURCES)]
    sources += [f"analytics.numbers_as_of('{moment}')" for (moment,) in await sql.fetch(MOMENTS)]
    sources.append("analytics.changes_since('{}')")
    for index, source in enumerate(sources):
        await keep(sql, source, f"kept_{index}")

    await install(sql)

    found = {source: await differing(sql, source, f"kept_{index}") for index, source in enumerate(sources)}
    assert {source: counts for source, counts in found.items() if counts[1:] != (0, 0)} == {}
    assert [source for source, counts in found.items() if counts[0] == 0] == ["analytics.notifications"]


async def test_columns_comments_and_privileges_stay_and_what_is_added_has_comments(
    sql: asyncpg.Connection[Any],
) -> None:
    await sql.execute("grant select on analytics.changes to public")
    before = {row["name"]: tuple(row) for row in await sql.fetch(SIGNATURES)}

    await install(sql)

    after = {row["name"]: tuple(row) for row in await sql.fetch(SIGNATURES)}
    assert {name: after.get(name) for name in before} == before
    added = after.keys() - before
    assert {name.partition(".")[0] for name in added} == {"syncer"}
    assert [name for name in added if after[name][2] is None] == []


async def test_views_that_users_have_made_of_ours_survive(sql: asyncpg.Connection[Any]) -> None:
    await sql.execute(
        """
        create view public.recent as select * from analytics.changes where changed_at > '2025-06-01';
        create view public.locked as select number, reason from analytics.register where state_title_en like 'Locked%';
        create view public.former as select number, employee from analytics.numbers_as_of('2025-03-01 12:00Z');
        create view public.shares as
        select r.number, s.share from public.recent r
          join analytics.state_share s on s.day = r.changed_day and s.number_key = r.number_key
         where s.day = '2025-06-12';
        """
    )
    views = ("recent", "locked", "former", "shares")
    for view in views:
        await keep(sql, f"public.{view}", f"kept_{view}")

    await install(sql)
    await install(sql)

    found = {view: await differing(sql, f"public.{view}", f"kept_{view}") for view in views}
    assert {view for view, counts in found.items() if counts[0] == 0} == set()
    assert {counts[1:] for counts in found.values()} == {(0, 0)}


def test_the_texts_drop_nothing() -> None:
    dropping = re.compile(r"^\s*(drop|delete|truncate|alter (table|view))\b", re.MULTILINE | re.IGNORECASE)

    assert [name for name, text in TEXTS.items() if dropping.search(text)] == []
