# ruff: noqa: S608 - the queries are put together from constants
"""`syncer export`: what it writes is what the view says, whole or not at all."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders import record, redirect
from tests.service.processes import environment, files_in, until

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from tests.builders import PolledAccount
    from tests.service.processes import Program

T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
COPIED = ("numbers_all", "number_history", "changes", "runs", "states")
# Enough to fill the pipes and buffers on the way.
MANY = "create view analytics.many as select i as account_id, repeat('x', 100) as text from generate_series(1, 50000) i"
ENDLESS = """
create view analytics.endless as
select i as account_id, case when i > 30000 then pg_sleep(60)::text else repeat('x', 100) end as text
  from generate_series(1, 40000) i
"""


SLEEPS = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
# Every backend but the test's own.
BREAK = """
select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()
"""


@pytest.fixture
async def polled(account: PolledAccount) -> PolledAccount:
    """An account with what is hard to write: nulls, empty texts, quotes, lines, formulas, JSON."""
    hard = 'a "quoted"; comma,\nline\r\n\\N'
    await account.poll_at(T0, record(1, comment=hard), record(2, comment="", future={"a": [1, "ё"]}), record(3))
    await account.poll_at(
        T0 + HOUR,
        record(1, state="debt_lock", reason="=1+1", from_redirect_numbers=[redirect(2, "79000000002")]),
        record(2, comment="-2+3", number="+79000000002", is_scenario_active=True, scenario_id=2**63 - 1),
        trigger="accept_removals",
    )
    return account


async def login(sql: asyncpg.Connection, database: str) -> str:
    """The address for a login that is an analyst's, and nothing else; it ends with the test's database."""
    name, password = f"analyst_{secrets.token_hex(4)}", secrets.token_hex(8)
    await sql.execute(f"create user {name} password '{password}' in role syncer_analyst")
    parts = urlsplit(database)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))


@pytest.mark.usefixtures("polled")
async def test_csv_read_back_is_the_view_to_the_last_value_and_an_analysts_rights_will_do(
    syncer: Program, sql: asyncpg.Connection, database: str
) -> None:
    address = await login(sql, database)
    exported = await asyncio.gather(
        *(syncer.run("export", view, database_url=address, api_token=None) for view in COPIED)
    )
    as_of = await syncer.run("export", "numbers", "--at", "2026-03-01T12:30", database_url=address)
    user = urlsplit(address).username
    await sql.execute(f"drop user {user}")

    sources = {f"analytics.{view}": one for view, one in zip(COPIED, exported, strict=True)}
    for source, finished in (sources | {"analytics.numbers_as_of('2026-03-01 12:30 Europe/Moscow')": as_of}).items():
        assert (finished.code, finished.err) == (0, "")
        await sql.execute(f"create temp table found as select * from {source} limit 0")
        await sql.copy_to_table("found", source=io.BytesIO(finished.out.encode()), format="csv", header=True)
        differing = (
            f"(table found except all select * from {source}) union all (select * from {source} except all table found)"
        )
        assert await sql.fetch(differing) == []
        assert await sql.fetchval("select count(*) from found") > 0
        await sql.execute("drop table found")


async def test_parquet_has_the_rows_of_the_view_in_types_that_tools_know(
    syncer: Program, polled: PolledAccount, folder: Path
) -> None:
    numbers, shares = folder / "numbers.parquet", folder / "shares"
    finished = await asyncio.gather(
        syncer.run("export", "numbers_all", "--output", str(numbers)),
        syncer.run("export", "state_share", "--format", "parquet", "--output", str(shares)),
    )

    assert [(one.code, one.out, one.err) for one in finished] == [(0, "", "")] * 2
    read = pq.read_table(numbers)
    wanted = [dict(row) for row in await polled.sql.fetch("select * from analytics.numbers_all")]
    assert by_number(read.to_pylist()) == by_number(wanted)
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
async def test_for_excel_decimals_have_commas_times_no_offset_and_no_text_becomes_a_formula(syncer: Program) -> None:
    numbers, shares = await asyncio.gather(
        syncer.run("export", "numbers", "--excel"), syncer.run("export", "state_share", "--excel")
    )

    assert numbers.out.startswith("\ufeffaccount_id;account;")
    head, *rows = (line.split(";") for line in numbers.out.removeprefix("\ufeff").splitlines())
    (first, second) = (dict(zip(head, row, strict=True)) for row in sorted(rows, key=lambda row: row[2]))
    assert (first["reason"], second["comment"]) == ("'=1+1", "'-2+3")
    assert (second["number"], second["is_scenario_active"]) == ("+79000000002", "true")
    assert first["state_since"].startswith("2026-03-01 13:00:00")
    (of_the_removed,) = (line.split(";") for line in shares.out.splitlines() if ";79000000003;" in line)
    assert of_the_removed[-2:] == ["1,00000000000000000000", "3600,000000"]


@pytest.mark.usefixtures("polled")
async def test_one_account_is_written_when_it_is_named(syncer: Program, sql: asyncpg.Connection) -> None:
    await sql.execute("insert into syncer.account (name, time_zone, created_at) values ('empty', 'UTC', now())")

    both, named = await asyncio.gather(
        syncer.run("export", "accounts"), syncer.run("export", "accounts", "--account", "empty")
    )

    assert [line.split(",")[1] for line in both.out.splitlines()] == ["account", "default", "empty"]
    assert [line.split(",")[1] for line in named.out.splitlines()] == ["account", "empty"]


@pytest.mark.usefixtures("polled")
async def test_what_cannot_be_exported_is_told_in_one_line(syncer: Program, empty_database: str, folder: Path) -> None:
    (folder / "pyarrow.py").write_text("raise ImportError")
    file = str(folder / "x.parquet")
    unknown, account, whose, moment, schema, extra, place, device = await asyncio.gather(
        syncer.run("export", "nombers"),
        syncer.run("export", "numbers", "--account", "nobody"),
        syncer.run("export", "states", "--account", "default"),
        syncer.run("export", "runs", "--at", "2026-03-01"),
        syncer.run("export", "numbers", database_url=empty_database),
        syncer.run("export", "numbers", "--output", file),
        syncer.run("export", "numbers", "--output", "/absent/numbers.csv"),
        syncer.run("export", "numbers", "--output", "/dev/stdout"),
    )

    assert [one.code for one in (unknown, account, whose, moment)] == [2, 2, 2, 2]
    assert [one.code for one in (schema, extra, place, device)] == [1, 1, 1, 1]
    assert unknown.complaint().startswith(
        "syncer: there is no view 'nombers': the views are accounts, changes, coverage,"
    )
    assert account.complaint() == "syncer: --account 'nobody' was never polled: the accounts are default"
    assert whose.complaint() == "syncer: --account: the view states is the same for all accounts"
    assert moment.complaint() == "syncer: --at works only with the view numbers, not with runs"
    assert schema.complaint() == "syncer: the database has no schema of syncer yet: run `syncer migrate`"
    assert extra.complaint() == "syncer: Parquet needs pyarrow: pip install pyarrow"
    assert place.complaint() == "syncer: /absent/numbers.csv cannot be written: No such file or directory"
    assert device.complaint().endswith("is not a file: omit --output to write to standard output")


async def test_a_reader_that_has_seen_enough_ends_it_without_a_word(syncer: Program, sql: asyncpg.Connection) -> None:
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

    assert await process.communicate() == (b"account_id,text\n", b"")


@pytest.mark.parametrize("name", ["endless.csv", "endless.parquet"])
@pytest.mark.parametrize("ending", ["it is told to end", "the database goes away"])
async def test_a_broken_run_leaves_the_file_that_was_there_and_nothing_else(
    syncer: Program, sql: asyncpg.Connection, folder: Path, name: str, ending: str
) -> None:
    await sql.execute(ENDLESS)
    kept = folder / "exported" / name
    kept.parent.mkdir()
    kept.write_text("the last one")

    exporting = await syncer.start("export", "endless", "--output", str(kept))
    await until(lambda: sql.fetchval(SLEEPS))
    assert len(files_in(kept.parent)) == 2
    if ending == "it is told to end":
        finished = await exporting.end(signal.SIGTERM)
        assert (finished.code, finished.out, finished.err) == (143, "", "")
    else:
        await sql.execute(BREAK)
        finished = await exporting.finished()
        assert finished.code == 1
        assert finished.complaint().startswith("syncer: database: ")

    assert files_in(kept.parent) == [kept]
    assert kept.read_text() == "the last one"
