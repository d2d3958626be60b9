"""`syncer export --output FILE.xlsx`: the cells are the view's values, with their types, below a header for people."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from syncer.commands.column_titles import column_title
from syncer.web.translations import LANGUAGES
from tests.builders import record, redirect
from tests.service.processes import database_line, files_in

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg
    from openpyxl.worksheet.worksheet import Worksheet

    from syncer.web.translations import Language
    from tests.builders import PolledAccount
    from tests.service.processes import Program

T0 = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOSCOW = ZoneInfo("Europe/Moscow")
VIEWS = ("numbers_all", "number_history", "changes", "state_share", "daily_states", "runs", "coverage", "states")
COLUMNS = """
select c.relname as view, array_agg(a.attname order by a.attnum) as columns
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
 where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v' and a.attnum > 0
 group by 1
 order by 1
"""


@pytest.fixture
async def polled(account: PolledAccount) -> PolledAccount:
    """An account with values that Excel is known to change: long integers, leading zeros, formulas, times of day."""
    await account.poll_at(
        T0,
        record(1, number="0079000000001", comment="=1+1", scenario_id=2**63 - 1, employee_id=999_999_999_999_999),
        record(2, comment="", reason="1:18", future={"a": [1, "ё"]}),
        record(3, comment="<r><t>bold</t></r>", sip_uri="_x0041_"),
    )
    await account.poll_at(
        T0 + HOUR,
        record(1, state="debt_lock", comment="01.02", from_redirect_numbers=[redirect(2, "79000000002")]),
        record(2, is_scenario_active=True, scenario_id=-(10**15), comment="+79000000002"),
        trigger="accept_removals",
    )
    return account


def sheet_of(path: Path) -> Worksheet:
    workbook = openpyxl.load_workbook(path)
    (sheet,) = workbook.worksheets
    return sheet


def as_in_excel(value: Any) -> Any:
    """Returns what a cell has for a value of PostgreSQL; openpyxl reads times to the millisecond."""
    if isinstance(value, datetime):
        return value.astimezone(MOSCOW).replace(tzinfo=None, microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and abs(value) >= 10**15:
        return str(value)
    if isinstance(value, str):
        return value.replace("_x0041_", "_x005F_x0041_")  # openpyxl leaves Excel's escape
    return value


def kind(value: Any) -> type:
    """Returns the type of a cell's value; Excel has one type of number."""
    return float if type(value) is int else type(value)


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


@pytest.mark.parametrize("view", VIEWS)
async def test_each_cell_has_the_value_and_the_type_that_the_view_has(
    syncer: Program, polled: PolledAccount, folder: Path, view: str, database: str
) -> None:
    path = folder / "exported.xlsx"
    finished = await syncer.run("export", view, "--output", str(path))

    assert (finished.code, finished.out, finished.err) == (0, "", database_line(database))
    expected = await polled.sql.fetch(f"select * from analytics.{view}")  # noqa: S608 - one of ours
    header, *rows = sheet_of(path).iter_rows(values_only=True)
    assert header == tuple(expected[0].keys())
    assert in_order(rows) == in_order([tuple(as_in_excel(value) for value in row) for row in expected])
    assert {kind(value) for row in rows for value in row} == {
        kind(as_in_excel(value)) for row in expected for value in row
    }


async def test_the_header_is_frozen_and_can_be_filtered_by_and_has_the_titles_and_time_zone_asked_for(
    syncer: Program, polled: PolledAccount, folder: Path, database: str
) -> None:
    statement = await polled.sql.prepare("select * from analytics.numbers")
    columns = [attribute.name for attribute in statement.get_attributes()]
    names, english, russian = (folder / name for name in ("names.xlsx", "english.XLSX", "russian"))
    finished = await asyncio.gather(
        syncer.run("export", "numbers", "--output", str(names)),
        syncer.run("export", "numbers", "--output", str(english), "--language", "en", timezone="Asia/Vladivostok"),
        syncer.run("export", "numbers", "--output", str(russian), "--format", "xlsx", "--language", "ru"),
    )
    assert [(one.code, one.err) for one in finished] == [(0, database_line(database))] * 3

    (folder / "russian").rename(folder / "russian.xlsx")
    sheets = [sheet_of(path) for path in (names, english.rename(folder / "english.xlsx"), folder / "russian.xlsx")]
    headers = [dict(zip(columns, next(sheet.values), strict=True)) for sheet in sheets]
    assert list(headers[0].values()) == columns
    wanted = ("number_key", "number", "state", "state_title_ru", "state_since", "redirect_count", "app_id")
    assert [headers[1][name] for name in wanted] == [
        "Number key",
        "Number",
        "State",
        "State in Russian",
        "State since (Asia/Vladivostok)",
        "Redirects to it",
        "app_id",
    ]
    assert [headers[2][name] for name in wanted] == [
        "Ключ номера",
        "Номер",
        "Состояние",
        "Состояние по-русски",
        "В состоянии с (Europe/Moscow)",
        "Переадресаций на номер",
        "app_id",
    ]
    for sheet in sheets:
        assert (sheet.title, sheet.freeze_panes) == ("numbers", "A2")
        assert sheet.auto_filter.ref == sheet.dimensions
        assert all(cell.font.b for cell in sheet[1])
    since = columns.index("state_since")
    assert {sheet.cell(2, since + 1).value for sheet in sheets} == {
        datetime(2026, 3, 1, 13, 0, 0, 250_000),  # noqa: DTZ001 - Excel's times have no zone
        datetime(2026, 3, 1, 20, 0, 0, 250_000),  # noqa: DTZ001
    }
    assert sheets[0].cell(2, since + 1).number_format == "yyyy-mm-dd hh:mm:ss"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_column_of_each_view_has_a_title_and_no_two_of_a_view_have_the_same(
    sql: asyncpg.Connection, language: Language
) -> None:
    for view, columns in await sql.fetch(COLUMNS):
        titles = {name: column_title(name, language) for name in columns}
        assert [name for name, title in titles.items() if title is None] == [], "add them to column_titles.py"
        assert sorted(set(titles.values()), key=str) == sorted(titles.values(), key=str), view


async def test_a_view_of_somebody_else_is_exported_with_what_excel_has_no_type_for_as_text(
    syncer: Program, sql: asyncpg.Connection, folder: Path, database: str
) -> None:
    await sql.execute("""
        create view analytics."all sorts" as
        select 1 as number, '{1,2}'::int[] as items, interval '1 day' as term, 'NaN'::numeric as ratio,
               date '1899-12-31' as old, timestamptz '1900-02-28 12:00+00' as older, '\\x00ff'::bytea as bytes,
               repeat('😀', 20000) as long, repeat('x', 32767) as longest, null::text as nothing
    """)
    finished = await syncer.run("export", "all sorts", "--output", "sorts.xlsx", "--language", "ru")

    assert (finished.code, finished.err) == (0, database_line(database))
    sheet = sheet_of(folder / "sorts.xlsx")
    header, row = sheet.iter_rows(values_only=True)
    assert sheet.title == "data"
    assert header[:3] == ("Номер", "items", "term")
    assert row == (
        *(1, "{1,2}", "1 day", "nan", "1899-12-31", "1900-02-28 14:30:17", "\\x00ff"),
        *("😀" * 16383 + "…", "x" * 32767, None),
    )


async def test_more_rows_than_a_sheet_can_have_are_refused_before_anything_is_written(
    syncer: Program, sql: asyncpg.Connection, folder: Path
) -> None:
    await sql.execute("create view analytics.large as select i as account_id from generate_series(1, 1048576) i")

    finished = await syncer.run("export", "large", "--output", "large.xlsx")

    assert finished.code == 1
    assert finished.error_line() == (
        "syncer: large has more rows than the 1,048,575 that fit below the header of an Excel sheet: "
        "name some accounts with --account, or write .csv or .parquet"
    )
    assert "large.xlsx" not in {path.name for path in files_in(folder)}
