"""The public contract, docs/contract.md, names what the newest schema has: no more and no less."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncer.store import invariants
from tests.contract_page import first_names, name, names, section, table

if TYPE_CHECKING:
    import asyncpg

RECORD = section("Tables").partition("*The record* stands for these columns:")[2].partition("\n\n")[0]


async def columns_of(sql: asyncpg.Connection, schema: str) -> dict[str, list[str]]:
    """The columns of each table and view of a schema, in order."""
    rows = await sql.fetch(
        """
        select c.relname, array_agg(a.attname::text order by a.attnum) as columns
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm') group by 1
        """,
        schema,
    )
    return {row["relname"]: row["columns"] for row in rows}


def columns_on_the_page(cell: str) -> list[str]:
    """The columns that a cell names, those of the record spelled out."""
    return names(cell.replace("*the record*", RECORD))


def record_last(columns: list[str]) -> list[str]:
    """The columns in order, those of the record last: the tables have a column that was added to it at their end."""
    record = set(names(RECORD))
    return [column for column in columns if column not in record] + sorted(record.intersection(columns))


async def test_every_table_and_its_columns_are_on_the_page_as_public_or_internal(sql: asyncpg.Connection) -> None:
    public = {name(relation): columns_on_the_page(columns) for relation, _, columns in table("table")}
    internal = {name(relation): columns_on_the_page(columns) for relation, columns, _ in table("internal table")}
    page = {
        relation: record_last(public.get(relation, []) + internal.get(relation, []))
        for relation in public.keys() | internal
    }
    found = await columns_of(sql, "syncer")

    assert page == {f"syncer.{relation}": record_last(columns) for relation, columns in found.items()}


async def test_every_view_and_its_columns_are_on_the_page_in_order(sql: asyncpg.Connection) -> None:
    page = {name(view): names(columns) for view, _, columns in table("view")}

    assert page == await columns_of(sql, "analytics")


async def test_every_function_an_analyst_may_call_is_on_the_page(sql: asyncpg.Connection) -> None:
    rows = await sql.fetch(
        "select oid::regprocedure::text as function from pg_proc where pronamespace = 'analytics'::regnamespace"
    )

    assert sorted(first_names("function")) == sorted(row["function"] for row in rows)


async def test_the_roles_on_the_page_exist_and_an_analyst_reads_the_views_alone(sql: asyncpg.Connection) -> None:
    (paragraph, *_) = section("Roles").strip().split("\n\n")
    roles = {role for role in names(paragraph) if role.startswith("syncer_")}
    found = await sql.fetch("select rolname from pg_roles where rolname like 'syncer%' and not rolcanlogin")
    assert roles == {row["rolname"] for row in found}

    privileges = await sql.fetch(
        """
        select distinct c.relnamespace::regnamespace::text as schema, p.privilege
          from pg_class c cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate']) p (privilege)
         where c.relnamespace::regnamespace::text in ('syncer', 'analytics') and c.relkind in ('r', 'p', 'v', 'm')
           and has_table_privilege('syncer_analyst', c.oid, p.privilege)
        """
    )
    assert [tuple(row) for row in privileges] == [("analytics", "select")]


async def test_the_daemons_role_may_write_what_the_page_says(sql: asyncpg.Connection) -> None:
    rows = await sql.fetch(
        """
        select c.relname, has_table_privilege('syncer_daemon', c.oid, 'insert') as insert,
               has_table_privilege('syncer_daemon', c.oid, 'update') as update,
               has_table_privilege('syncer_daemon', c.oid, 'delete') as delete,
               array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
                        and has_column_privilege('syncer_daemon', c.oid, a.attnum, 'insert') order by a.attnum)
                   as columns_to_insert,
               array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
                        and has_column_privilege('syncer_daemon', c.oid, a.attnum, 'update') order by a.attnum)
                   as columns_to_update
          from pg_class c where c.relnamespace = 'syncer'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
        """
    )

    def spelled(allowed: bool, columns: list[str]) -> str:
        return "yes" if allowed else ", ".join(f"`{column}`" for column in columns) or "no"

    found = {
        row["relname"]: (
            spelled(row["insert"], row["columns_to_insert"]),
            spelled(row["update"], row["columns_to_update"]),
            spelled(row["delete"], []),
        )
        for row in rows
    }
    page = {name(cells[0]): tuple(cells[1:]) for cells in table("table of schema `syncer`")}

    assert page == {relation: may for relation, may in found.items() if may != ("no", "no", "no")}


def test_the_invariants_that_are_verified_are_numbered_as_on_the_page() -> None:
    page = [int(number) for number in re.findall(r"^(\d+)\. ", section("Invariants"), re.MULTILINE)]
    queries = "\n".join(invariants._QUERIES)  # noqa: SLF001 - nothing else knows all rules
    spelled = re.findall(r"\bselect (\d)(?: as rule|, )|\bthen (\d) else (\d) end as rule", queries)
    verified = {int(rule) for rules in spelled for rule in rules if rule}

    assert page == [1, 2, 3, 4, 5, 6, 7, 8]
    assert verified == {1, 2, 3, 4, 5, 7, 8}
    assert "verifies all but number 6" in section("Invariants")
