"""The statements of the program, as they are sent and as they are written, for servers that distribute the tables."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import syncer
from tests.builders import record
from tests.service.test_notices_and_polls import RecordingProxy

if TYPE_CHECKING:
    import asyncpg

    from tests.builders import PolledAccount


STATEMENT = re.compile(r"\s*(?:with|select|insert into|update|delete from)\s", re.IGNORECASE)
WRITES = re.compile(r"\bupdate (?:syncer\.|\?)|\bdo update\b|\bdelete from\b", re.IGNORECASE)


def statements(folder: str) -> dict[str, list[str]]:
    """Returns the SQL in the strings of modules, by their paths; what is formatted into one is a question mark."""
    root = Path(syncer.__file__).parent
    found = {}
    for path in sorted((root / folder).rglob("*.py")):
        strings = []
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Constant(value=str(text)):
                    strings.append(text)
                case ast.JoinedStr(values=parts):
                    strings.append(
                        "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in parts)
                    )
        found[str(path.relative_to(root))] = [string for string in strings if STATEMENT.match(string)]
    return found


async def test_the_clock_is_stable_since_a_distributed_update_may_not_call_a_volatile_function(
    sql: asyncpg.Connection,
) -> None:
    assert await sql.fetchval("select provolatile from pg_proc where oid = 'syncer.clock()'::regprocedure") == b"s"


async def test_an_unchanged_poll_needs_one_statement_to_begin_and_no_other_that_looks_for_its_account(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with RecordingProxy(database) as proxy, account.through(proxy) as process:
        await process.poll(record(1))
        proxy.statements.clear()
        assert (await process.poll(record(1))).outcome == "unchanged"

    # The driver sends most of them twice, to describe and to execute.
    assert [" ".join(statement.split()[:2]) for statement in dict.fromkeys(proxy.statements)] == [
        "with inserted",
        "BEGIN; do",
        "with locked",
        "select received,",
        "with succeeded",
        "COMMIT",
    ]


async def test_no_statement_that_changes_rows_calls_a_volatile_function(sql: asyncpg.Connection) -> None:
    rows = await sql.fetch(
        "select distinct proname from pg_proc join pg_namespace n on n.oid = pronamespace"
        " where provolatile = 'v' and prokind = 'f' and nspname in ('pg_catalog', 'syncer')"
    )
    volatile = {name for (name,) in rows}
    assert {"gen_random_uuid", "clock_timestamp", "set_config"} <= volatile

    writes = [text for texts in statements("store").values() for text in texts if WRITES.search(text)]
    called = {name for text in writes for name in re.findall(r"\b(\w+)\(", text)}

    assert len(writes) > 40
    assert "clock" in called
    assert called & volatile == set()


def test_no_limit_is_set_in_a_way_that_does_not_reach_the_server_with_the_rows() -> None:
    settings = {
        (module, name)
        for module, texts in statements(".").items()
        for text in texts
        for name in re.findall(r"set_config\((\S+),", text)
    }

    assert settings == {
        ("store/queries/export_views.py", "'TimeZone'"),
        ("store/queries/export_views.py", "'DateStyle'"),
        ("store/poll/runs.py", "'synchronous_commit'"),  # where it does not reach, the commit only takes longer
    }


def test_rows_are_found_by_their_place_in_one_account_only() -> None:
    by_place = [text for texts in statements(".").values() for text in texts if "ctid" in text]

    assert by_place == [
        "delete from ? where account_id = $1 and ctid = any(array(select ctid from ? where account_id = $1 limit ?))"
    ]


def test_retention_changes_one_table_a_statement() -> None:
    texts = statements("store")["store/retention.py"]

    assert [text for text in texts if "delete from syncer.sync_run" in text]
    assert [text for text in texts if len(re.findall(r"\binsert into|\bupdate syncer|\bdelete from", text)) > 1] == []
