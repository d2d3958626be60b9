# ruff: noqa: S608 - the queries are composed of constants
"""`syncer export`: the output equals the view, and a file is complete or not written."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import resource
import secrets
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders import record, redirect
from tests.service.processes import database_line, environment, files_in, wait_until
from tests.service.test_standard_streams import run_in_shell

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from tests.builders import PolledAccount
    from tests.service.processes import Program

T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
VIEWS = ("numbers_all", "number_history", "changes", "runs", "states")
# Enough rows to fill the pipes and buffers on the way.
MANY = "create view analytics.many as select i as account_id, repeat('x', 100) as text from generate_series(1, 50000) i"
INCOMPRESSIBLE = """
create view analytics.incompressible as
select i as account_id, repeat(md5(i::text), 3) as text from generate_series(1, 50000) i
"""
ENDLESS = """
create function text_or_sleep(i int) returns text stable language plpgsql as $$
begin
    perform pg_sleep(60) where i > 30000;
    return repeat('x', 100);
end $$;
create view analytics.endless as select i as account_id, text_or_sleep(i) as text from generate_series(1, 40000) i
"""


SLEEPS = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
# Every backend except the one of the test.
TERMINATE_BACKENDS = """
select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()
"""


@pytest.fixture
async def polled(account: PolledAccount) -> PolledAccount:
    """An account with values that are hard to export: nulls, empty texts, quotes, newlines, formulas, JSON."""
    special = 'a "quoted"; comma,\nline\r\n\\N'
    await account.poll_at(T0, record(1, comment=special), record(2, comment="", future={"a": [1, "ё"]}), record(3))
    await account.poll_at(
        T0 + HOUR,
        record(1, state="debt_lock", reason="=1+1", from_redirect_numbers=[redirect(2, "79000000002")]),
        record(2, comment="-2+3", number="+79000000002", is_scenario_active=True, scenario_id=2**63 - 1),
        trigger="accept_removals",
    )
    return account


async def login(sql: asyncpg.Connection, database: str) -> str:
    """Creates a login with only the rights of an analyst; returns its database URL."""
    name, password = f"analyst_{secrets.token_hex(4)}", secrets.token_hex(8)
    await sql.execute(f"create user {name} password '{password}' in role syncer_analyst")
    parts = urlsplit(database)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))


@pytest.mark.usefixtures("polled")
async def test_csv_read_back_equals_the_view_and_needs_only_the_rights_of_an_analyst(
    syncer: Program, sql: asyncpg.Connection, database: str
) -> None:
    address = await login(sql, database)
    exported = await asyncio.gather(
        *(syncer.run("export", view, database_url=address, api_token=None) for view in VIEWS)
    )
    as_of = await syncer.run("export", "numbers", "--at", "2026-03-01T12:30", database_url=address)
    user = urlsplit(address).username
    await sql.execute(f"drop user {user}")

    sources = {f"analytics.{view}": one for view, one in zip(VIEWS, exported, strict=True)}
    for source, finished in (sources | {"analytics.numbers_as_of('2026-03-01 12:30 Europe/Moscow')": as_of}).items():
        assert (finished.code, finished.err) == (0, database_line(database))
        await sql.execute(f"create temp table found as select * from {source} limit 0")
        await sql.copy_to_table("found", source=io.BytesIO(finished.out.encode()), format="csv", header=True)
        differing = (
            f"(table found except all select * from {source}) union all (select * from {source} except all table found)"
        )
        assert await sql.fetch(differing) == []
        assert await sql.fetchval("select count(*) from found") > 0
        await sql.execute("drop table found")


async def test_parquet_has_the_rows_of_the_view_with_standard_types(
    syncer: Program, polled: PolledAccount, folder: Path, database: str
) -> None:
    numbers, shares = folder / "numbers.parquet", folder / "shares"
    finished = await asyncio.gather(
        syncer.run("export", "numbers_all", "--output", str(numbers)),
        syncer.run("export", "state_share", "--format", "parquet", "--output", str(shares)),
    )

    assert [(one.code, one.out, one.err) for one in finished] == [(0, "", database_line(database))] * 2
    read = pq.read_table(numbers)
    expected = [dict(row) for row in await polled.sql.fetch("select * from analytics.numbers_all")]
    assert by_number(read.to_pylist()) == by_number(expected)
    types = {
        name: str(read.schema.field(name).type) for name in ("account_id", "virtual_number_id", "is_scenario_active")
    }
    assert types == {"account_id": "int32", "virtual_number_id": "int64", "is_scenario_active": "bool"}
    assert read.schema.field("state_since").type == pa.timestamp("us", tz="UTC")
    assert read.schema.field("extra").type == pa.string()
    share = pq.read_table(shares)
    assert share.num_rows == await polled.sql.fetchval("select count(*) from analytics.state_share")
    assert [share.schema.field(name).type for name in ("day", "share")] == [pa.date32(), pa.float64()]


def by_number(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {row["virtual_number_id"]: row | {"extra": json.loads(row["extra"])} for row in rows}


@pytest.mark.usefixtures("polled")
async def test_excel_csv_has_decimal_commas_times_without_offset_and_no_formulas(syncer: Program) -> None:
    numbers, shares = await asyncio.gather(
        syncer.run("export", "numbers", "--excel"), syncer.run("export", "state_share", "--excel")
    )

    assert numbers.out.startswith("\ufeffaccount_id;account;")
    rows = csv.DictReader(io.StringIO(numbers.out.removeprefix("\ufeff"), newline=""), delimiter=";")
    (first, second) = sorted(rows, key=lambda row: row["virtual_number_id"])
    assert (first["reason"], second["comment"]) == ("'=1+1", "'-2+3")
    assert (second["number"], second["is_scenario_active"]) == ("+79000000002", "true")
    assert first["state_since"].startswith("2026-03-01 13:00:00")
    (of_the_removed,) = (line for line in shares.out.splitlines() if ';"79000000003";' in line)
    assert of_the_removed.startswith('1;"default";3;"79000000003";"1:3";2026-03-01;"active";')
    assert of_the_removed.endswith(";1,00000000000000000000;3600,000000")


@pytest.mark.usefixtures("polled")
async def test_only_the_named_account_is_exported(syncer: Program, sql: asyncpg.Connection) -> None:
    await sql.execute("insert into syncer.account (name, time_zone, created_at) values ('empty', 'UTC', now())")
    await sql.execute(
        "insert into syncer.account_fence (account_id) select account_id from syncer.account on conflict do nothing"
    )

    both, named = await asyncio.gather(
        syncer.run("export", "accounts"), syncer.run("export", "accounts", "--account", "empty")
    )

    header, *rows = both.out.splitlines()
    assert (header.split(",")[1], sorted(row.split(",")[1] for row in rows)) == ("account", ["default", "empty"])
    assert [line.split(",")[1] for line in named.out.splitlines()] == ["account", "empty"]


@pytest.mark.usefixtures("polled")
async def test_an_impossible_export_is_reported_in_one_line(syncer: Program, empty_database: str, folder: Path) -> None:
    (folder / "pyarrow.py").write_text("raise ImportError")
    file = str(folder / "x.parquet")
    unknown, account, shared_view, moment, schema, extra, place, device = await asyncio.gather(
        syncer.run("export", "nombers"),
        syncer.run("export", "numbers", "--account", "nobody"),
        syncer.run("export", "states", "--account", "default"),
        syncer.run("export", "runs", "--at", "2026-03-01"),
        syncer.run("export", "numbers", database_url=empty_database),
        syncer.run("export", "numbers", "--output", file),
        syncer.run("export", "numbers", "--output", "/absent/numbers.csv"),
        syncer.run("export", "numbers", "--output", "/dev/stdout"),
    )

    assert [one.code for one in (unknown, account, shared_view, moment)] == [2, 2, 2, 2]
    assert [one.code for one in (schema, extra, place, device)] == [1, 1, 1, 1]
    assert unknown.error_line().startswith(
        "syncer: there is no view 'nombers': the views are absences, accounts, assignments,"
    )
    assert account.error_line().startswith(
        "syncer: --account 'nobody' was never polled: the accounts are default (database: "
    )
    assert shared_view.error_line() == "syncer: --account: the view states is the same for all accounts"
    assert moment.error_line() == "syncer: --at works only with the view numbers, not with runs"
    assert schema.error_line() == (
        "syncer: the database has no schema of syncer yet: run `syncer migrate` "
        f"(database: {empty_database.rpartition('@')[2]})"
    )
    assert extra.error_line() == "syncer: Parquet needs pyarrow: pip install pyarrow"
    assert place.error_line() == "syncer: /absent/numbers.csv cannot be written: No such file or directory"
    assert device.error_line().endswith("is not a file: omit --output to write to standard output")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--output", "x.xls"],
            "--output x.xls: the name must end in .csv, .xlsx or .parquet, or --format must say what to write",
        ),
        (
            ["--output", "numbers", "--excel"],
            "--output numbers: the name must end in .csv, .xlsx or .parquet, or --format must say what to write",
        ),
        (
            ["--output", "x.xlsx", "--format", "csv"],
            "--output x.xlsx does not go with --format csv: rename it, or omit --format",
        ),
        (["--format", "xlsx"], "--format xlsx needs --output FILE"),
        (["--format", "parquet"], "--format parquet needs --output FILE"),
        (["--output", "x.XLSX", "--excel"], "--excel is for CSV, and x.XLSX is to be xlsx: omit --excel"),
        (
            ["--output", "x", "--format", "parquet", "--excel"],
            "--excel is for CSV, and x is to be parquet: omit --excel",
        ),
        (
            ["--output", "x.csv", "--language", "ru"],
            "--language is for the header of an Excel file: name one with --output FILE.xlsx",
        ),
    ],
)
async def test_a_file_name_that_says_something_else_than_the_options_is_refused_and_not_written(
    syncer: Program, folder: Path, arguments: list[str], error: str
) -> None:
    finished = await syncer.run("export", "numbers", *arguments)

    assert (finished.code, finished.error_line()) == (2, f"syncer: {error}")
    assert [path.name for path in files_in(folder) if path.name[0] in "xn"] == []


async def test_a_new_file_is_readable_by_its_user_only_and_one_that_is_replaced_keeps_its_mode(
    syncer: Program, folder: Path
) -> None:
    shared = folder / "shared.csv"
    shared.touch()
    shared.chmod(0o640)
    await asyncio.gather(*(syncer.run("export", "states", "--output", name) for name in ("new.csv", "shared.csv")))

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (folder / "new.csv", shared)}
    assert modes == {"new.csv": "0o600", "shared.csv": "0o640"}


async def test_a_format_that_is_asked_for_is_written_whatever_the_name_ends_in(
    syncer: Program, folder: Path, database: str
) -> None:
    finished = await syncer.run("export", "states", "--format", "csv", "--output", "states.txt")

    assert (finished.code, finished.err) == (0, database_line(database))
    head, *states = (folder / "states.txt").read_text().splitlines()
    assert (head, len(states)) == ("state,title_en,title_ru,documented", 6)


async def test_a_closed_pipe_ends_the_export_with_one_line(syncer: Program, sql: asyncpg.Connection) -> None:
    await sql.execute(MANY)
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        f'"{sys.executable}" -m syncer export many | head -n 1',
        cwd=syncer.folder,
        env=environment(syncer.folder, syncer.settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    assert await process.communicate() == (
        b"account_id,text\n",
        b"syncer: standard output cannot be written: its reader has closed it\n",
    )


@pytest.mark.parametrize(("name", "files"), [("endless.csv", 2), ("endless.parquet", 2), ("endless.xlsx", 4)])
@pytest.mark.parametrize("ending", ["SIGTERM", "the connection is lost"])
async def test_an_interrupted_export_keeps_the_existing_file_and_leaves_no_other(
    syncer: Program, sql: asyncpg.Connection, folder: Path, name: str, files: int, ending: str
) -> None:
    await sql.execute(ENDLESS)
    existing = folder / "exported" / name
    existing.parent.mkdir()
    existing.write_text("the last one")

    exporting = await syncer.start("export", "endless", "--output", str(existing))
    await wait_until(lambda: sql.fetchval(SLEEPS))
    assert len(files_in(existing.parent)) == files
    if ending == "SIGTERM":
        finished = await exporting.stop(signal.SIGTERM)
        assert (finished.code, finished.out, finished.err) == (143, "", "")
    else:
        await sql.execute(TERMINATE_BACKENDS)
        finished = await exporting.wait()
        assert finished.code == 1
        assert finished.error_line().startswith("syncer: database: ")

    assert files_in(existing.parent) == [existing]
    assert existing.read_text() == "the last one"


@pytest.mark.parametrize("name", ["incompressible.csv", "incompressible.parquet", "incompressible.xlsx"])
async def test_an_export_for_which_there_is_no_room_keeps_the_existing_file_and_leaves_no_other(
    syncer: Program, sql: asyncpg.Connection, folder: Path, name: str
) -> None:
    await sql.execute(INCOMPRESSIBLE)
    existing = folder / "exported" / name
    existing.parent.mkdir()
    existing.write_text("the last one")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncer", "export", "incompressible", "--output", str(existing)),
        cwd=syncer.folder,
        env=environment(syncer.folder, syncer.settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )

    assert await process.communicate() == (b"", f"syncer: {existing} cannot be written: File too large\n".encode())
    assert process.returncode == 1
    assert files_in(existing.parent) == [existing]
    assert existing.read_text() == "the last one"


class TextFile:
    """A small file in the folder of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def text(self) -> str | None:
        """Its content; None if there is no such file."""
        return self.path.read_text() if self.path.exists() else None

    def write(self, text: str) -> None:
        """Writes its content."""
        self.path.write_text(text)


@pytest.fixture
def cursor(folder: Path) -> TextFile:
    """The file of the option `--since`, which does not exist yet."""
    return TextFile(folder / "cursor")


async def test_changes_are_exported_once_with_a_file_that_keeps_the_cursor(
    syncer: Program, polled: PolledAccount, cursor: TextFile, folder: Path, database: str
) -> None:
    first = await syncer.run("export", "changes", "--since", str(cursor))
    nothing = await syncer.run("export", "changes", "--since", str(cursor))
    await polled.poll_at(T0 + 2 * HOUR, record(2, comment="new"))
    file = TextFile(folder / "new.csv")
    second = await syncer.run("export", "changes", "--since", str(cursor), "--output", str(file))

    assert [(one.code, one.err) for one in (first, nothing, second)] == [(0, database_line(database))] * 3
    header = first.out.partition("\n")[0]
    assert nothing.out == f"{header}\n"
    assert cursor.text is not None
    assert json.loads(cursor.text)["1"]["run_id"] == 3
    await polled.sql.execute("create temp table found as select * from analytics.changes limit 0")
    for text in (first.out, file.text or ""):
        await polled.sql.copy_to_table("found", source=io.BytesIO(text.encode()), format="csv", header=True)
    identity = "change_id, number, recorded_at, changed_at, changed_after, old_value, new_value"
    assert await polled.rows(f"select {identity} from found order by change_id") == await polled.rows(
        f"select {identity} from analytics.changes order by change_id"
    )
    assert files_in(folder) == [cursor.path, file.path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "this is no cursor that `syncer export` has written"),
        ("id;number\n1;2\n", "this is no cursor that `syncer export` has written"),
        ('{"1": "709"}', "this is no cursor that `syncer export` has written"),
        ('{"1": true}', "this is no cursor that `syncer export` has written"),
        ("[" * 100_000, "this is no cursor that `syncer export` has written"),
        ('{"1": 709}', "this database does not have all that its cursor says was copied"),
        ('{"7": 1}', "this database does not have all that its cursor says was copied"),
        ('{"1": {"id": 1}}', "this is no cursor that `syncer export` has written"),
        (
            '{"1": {"run_id": 1, "started_at": "2026-03-01T09:00:01"}}',
            "this database does not have all that its cursor says was copied",
        ),
    ],
)
@pytest.mark.usefixtures("polled")
async def test_a_damaged_or_foreign_cursor_is_one_line_and_is_left_as_it_is(
    syncer: Program, cursor: TextFile, content: str, message: str
) -> None:
    cursor.write(content)
    finished = await syncer.run("export", "changes", "--since", str(cursor))

    assert (finished.code, finished.out) == (2, "")
    assert f"--since {cursor}: {message}" in finished.err
    assert finished.err.count("\n") == 1
    assert cursor.text == content


@pytest.mark.usefixtures("polled")
async def test_a_file_with_a_cursor_of_an_earlier_version_works_and_is_replaced(
    syncer: Program, cursor: TextFile, database: str
) -> None:
    cursor.write('{"1": 1}')
    finished = await syncer.run("export", "changes", "--since", str(cursor))

    assert (finished.code, finished.err) == (0, database_line(database))
    assert {row["run_id"] for row in csv.DictReader(io.StringIO(finished.out))} == {"2"}
    assert cursor.text is not None
    assert json.loads(cursor.text)["1"].keys() == {"run_id", "started_at"}


@pytest.mark.parametrize(
    "arguments",
    [("numbers",), ("changes", "--account", "default"), ("changes", "--format", "csv", "--output", "{cursor}")],
)
@pytest.mark.usefixtures("polled")
async def test_a_cursor_is_for_all_changes_and_has_a_file_of_its_own(
    syncer: Program, cursor: TextFile, arguments: tuple[str, ...]
) -> None:
    finished = await syncer.run("export", *(one.format(cursor=cursor) for one in arguments), "--since", str(cursor))

    assert (finished.code, finished.out) == (2, "")
    assert "--since" in finished.err
    assert finished.err.count("\n") == 1
    assert cursor.text is None


@pytest.mark.usefixtures("polled")
async def test_the_cursor_stays_as_it_is_until_the_output_is_complete(
    syncer: Program, cursor: TextFile, folder: Path
) -> None:
    cursor.write('{"1": 1}')
    unwritable = await syncer.run(
        "export", "changes", "--since", str(cursor), "--output", str(folder / "no" / "file.csv")
    )
    assert (unwritable.code, cursor.text) == (1, '{"1": 1}')

    full = await run_in_shell(syncer, ">/dev/full", "export", "changes", "--since", str(cursor))
    assert (full[0], cursor.text) == (1, '{"1": 1}')
