"""Writes the data dictionary, dictionary.md, from the database's own comments and foreign keys.

make dictionary
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from docs import demo_data

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).with_name("dictionary.md")
_HEAD: Final = """# Data dictionary

What every view, table and column means, as the database itself says (`\\d+` in psql). Ask the views of schema
`analytics`; [analytics.md](analytics.md) shows how. The tables of schema `syncer` are what they are made of.

This page is generated: `make dictionary` writes it anew.
"""
_SCHEMAS: Final = {"analytics": "Schema analytics: the views", "syncer": "Schema syncer: the tables"}
_INTERNAL: Final = "alembic_version"

_RELATIONS: Final = """
select n.nspname as schema, c.relname as name, obj_description(c.oid, 'pg_class') as meaning
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm') and c.relname <> $2
 order by 1, 2
"""
_COLUMNS: Final = """
select n.nspname as schema, c.relname as relation, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       c.relkind in ('r', 'p') and not a.attnotnull as nullable, col_description(c.oid, a.attnum) as meaning,
       exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p' and a.attnum = any(k.conkey))
           as is_key,
       exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'f' and a.attnum = any(k.conkey))
           as refers
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
 order by 1, 2, a.attnum
"""
_FOREIGN_KEYS: Final = """
select k.confrelid::regclass::text as target, k.conrelid::regclass::text as source,
       (select string_agg(a.attname, ', ' order by o.place)
          from unnest(k.conkey) with ordinality as o (number, place)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.number) as columns,
       exists (select from pg_attribute a
                where a.attrelid = k.conrelid and a.attnum = any(k.conkey) and not a.attnotnull) as nullable
  from pg_constraint k
  join pg_namespace n on n.oid = k.connamespace
 where k.contype = 'f' and n.nspname = 'syncer'
 order by 1, 2, 3
"""
_FUNCTIONS: Final = """
select n.nspname as schema, p.oid::regprocedure::text as signature, obj_description(p.oid, 'pg_proc') as meaning
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = any($1) and obj_description(p.oid, 'pg_proc') is not null
 order by 1, 2
"""


class Column(NamedTuple):
    """A column as the catalog has it; `is_key` is part of the primary key, `refers` part of a foreign one."""

    name: str
    type: str
    nullable: bool
    meaning: str | None
    is_key: bool
    refers: bool


Columns = dict[tuple[str, str], list[Column]]


async def page(url: str) -> str:
    """The dictionary of a database that has the newest schema."""
    connection = await asyncpg.connect(url)
    schemas = list(_SCHEMAS)
    relations = await connection.fetch(_RELATIONS, schemas, _INTERNAL)
    columns: Columns = defaultdict(list)
    for schema, relation, *column in await connection.fetch(_COLUMNS, schemas):
        columns[schema, relation].append(Column(*column))
    functions = await connection.fetch(_FUNCTIONS, schemas)
    foreign_keys = await connection.fetch(_FOREIGN_KEYS)
    await connection.close()
    parts = [_HEAD]
    for schema, title in _SCHEMAS.items():
        names = [relation["name"] for relation in relations if relation["schema"] == schema]
        lines = _joins(names, columns) if schema == "analytics" else _references(names, columns, foreign_keys)
        parts += [f"## {title}\n", _diagram(lines)]
        parts += [_described(relation, columns) for relation in relations if relation["schema"] == schema]
        told = [f"- `{one['signature']}`: {one['meaning']}" for one in functions if one["schema"] == schema]
        parts += ["### Functions\n", "\n".join([*told, ""])]
    return "\n".join(parts)


def _joins(views: list[str], columns: Columns) -> Iterator[str]:
    """Views join on `number_key` where they have one, else on `account_id`; numbers have the dimensions' words."""
    for view in views:
        named = {column.name for column in columns["analytics", view]}
        if view in {"accounts", "numbers_all"}:
            continue
        if "number_key" in named:
            yield f"numbers_all ||--o{'|' if view == 'numbers' else '{'} {view} : number_key"
        elif "account_id" in named:
            yield f"accounts ||--o{{ {view} : account_id"
        else:
            yield f"{view} |o--o{{ numbers_all : {columns['analytics', view][0].name}"
    yield "accounts ||--o{ numbers_all : account_id"


def _references(tables: list[str], columns: Columns, foreign_keys: list[Any]) -> Iterator[str]:
    """Tables with their keys, and the foreign keys between them."""
    for target, source, names, nullable in foreign_keys:
        label = f'"{names}"' if "," in names else names
        yield f"{_bare(target)} {'|o' if nullable else '||'}--o{{ {_bare(source)} : {label}"
    for table in tables:
        yield f"{table} {{"
        for column in columns["syncer", table]:
            if column.is_key or column.refers:
                roles = ", ".join(["PK"] * column.is_key + ["FK"] * column.refers)
                yield f"    {column.type.split()[0]} {column.name} {roles}"
        yield "}"


def _bare(table: str) -> str:
    return table.removeprefix("syncer.")


def _diagram(lines: Iterator[str]) -> str:
    return "\n".join(["```mermaid", "erDiagram", *(f"    {line}" for line in lines), "```", ""])


def _described(relation: asyncpg.Record, columns: Columns) -> str:
    lines = [f"### {relation['schema']}.{relation['name']}", "", relation["meaning"] or "", ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    for column in columns[relation["schema"], relation["name"]]:
        kind = {"timestamp with time zone": "timestamptz"}.get(column.type, column.type)
        null = ", null" if column.nullable else ""
        lines.append(f"| `{column.name}` | {kind}{null} | {_cell(column.meaning or '')} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


async def _write(url: str) -> None:
    await demo_data.fill(url, days=0)
    PAGE.write_text(await page(url))


if __name__ == "__main__":
    with demo_data.server() as address:
        asyncio.run(_write(address))
