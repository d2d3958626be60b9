"""Each index is used by a documented query or by a statement of the program."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.history import generate_history
from benchmarks.queries import QUERIES
from docs import answers
from syncer.notices.notifier import notify_once
from syncer.store.account_deletion import delete_account
from syncer.store.engine import Engine
from syncer.store.erasures import erasing
from syncer.store.invariants import find_violations
from syncer.store.notices import prune_notices
from syncer.store.queries.notice_list import read_notices
from syncer.store.queries.number_search import find_numbers, spellings
from syncer.store.queries.recent_activity import read_recent_activity
from syncer.store.retention import prune
from syncer.telemetry.metrics import Metrics
from tests.bi.test_grafana import PANELS, SINCE, expanded
from tests.bi.test_superset import ENGLISH
from tests.builders import PolledAccount, connect, execute, migrated_database, record, redirect, settings_for
from tests.integration.test_notices import file_with
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator

PAGES = [Path(__file__).parents[2] / name for name in ("README.md", "docs/analytics.md", "docs/bi.md")]
SQL_BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNUSED = """
select indexrelname::text from pg_stat_user_indexes join pg_index using (indexrelid)
 where schemaname = 'syncer' and idx_scan = 0
"""
PRIMARY_KEYS = {"alembic_version_pkc", "hash_key_pkey", "retention_pkey", "viewer_pkey"}
"""They keep a table from having more than one row, or a login from being listed twice."""
# Digests that wait for their time, of an account for simplicity.
MANY_DIGESTS = """
insert into syncer.notice_cursor (account_id, rule, channel, planned_at)
select 1, 'digest ' || n, 'duty', now() from generate_series(1, 2000) n;
insert into syncer.notice (account_id, rule, channel, kind, events, message_id, made_at, due_at)
select account_id, rule, channel, 'changes', '{}', gen_random_uuid(), now(), now() + interval '9 hours'
  from syncer.notice_cursor;
analyze syncer.notice;
"""


@pytest.fixture(scope="module")
def database_in_use(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database with two years of history, in which indexes are used where that is possible.

    Tables of this size are read as a whole faster than by an index, as no account's are in the end.
    """
    with migrated_database(server.url, "index_use") as url:
        asyncio.run(generate_history(url, 1000, accounts=2))
        asyncio.run(execute(url, "alter database index_use set enable_seqscan = off"))
        yield url


async def run_documented_queries(url: str) -> None:
    """Runs what the pages for analysts, the dashboards and the benchmark ask."""
    queries = [query for page in PAGES for query in SQL_BLOCK.findall(page.read_text())]
    queries += [path.read_text() for path in QUERIES]
    queries += [
        expanded(target["rawSql"], ["account 1"], SINCE) for panel in PANELS.values() for target in panel["targets"]
    ]
    queries += [file["sql"] for file in ENGLISH.values() if "sql" in file]
    analyst = await answers.connect_as_analyst(url)
    await analyst.execute("set search_path = analytics")  # as a login of the page on BI tools has it
    for query in queries:
        if "create user" not in query:
            await analyst.fetch(query)
    await analyst.close()


async def run_program(account: PolledAccount, receiver: Receiver) -> None:
    """Polls, removes, restores, prunes, erases, sends notices, searches, checks and deletes."""
    engine = account.engine

    async def notify() -> None:
        account_id = await account.sql.fetchval("select account_id from syncer.account where name = 'default'")
        await notify_once(engine, Metrics().notices, file_with(receiver), {account_id: account.account})

    records = [
        record(number, employee_id=number, from_redirect_numbers=[redirect(number, "74994088157")])
        for number in range(1, 301)
    ]
    locked = [fields | {"state": "debt_lock"} for fields in records[:10]]
    await account.sql.execute(MANY_DIGESTS)
    await account.poll(*records, *({"id": -number} for number in range(1, 1000)))
    await account.sql.execute("vacuum analyze syncer.rejected_record")
    await notify()
    rejected = [*locked, *records[10:], {"id": -1}]
    for response in (rejected, records[20:], records, records[200:], records[200:], records):
        await account.poll(*response)
        await notify()
    ids = [account_id for (account_id,) in await account.rows("select account_id from syncer.account")]
    for account_id in ids:
        await prune(engine, account_id, timedelta(days=90))
    async with erasing(engine, ids[-1], confirmed=True) as eraser:
        await eraser.erase_employee(299, "a request", comments=True)
    await find_numbers(engine, spellings("79260000001"), None, seconds_if_found=10, seconds_if_not=10)
    await read_notices(engine, None, statement_seconds=10)
    await prune_notices(engine, timedelta(days=90), batch=100)
    await read_recent_activity(engine, None, statement_seconds=10)
    assert [violation async for violation in find_violations(engine)] == []
    await delete_account(engine, ids[0], lambda _: None)


@pytest.mark.timeout(400)  # two years of history are generated first
async def test_each_index_is_used_except_primary_keys_of_tables_with_few_rows(
    database_in_use: str, emulator: Emulator
) -> None:
    engine = Engine(lambda: database_in_use)
    sql = await connect(database_in_use)
    await sql.execute("select pg_stat_reset()")
    await run_documented_queries(database_in_use)
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account, Receiver() as receiver:
        await run_program(account, receiver)
    await engine.dispose()

    unused = {name for (name,) in await sql.fetch(UNUSED)}
    await sql.close()

    assert unused == PRIMARY_KEYS
