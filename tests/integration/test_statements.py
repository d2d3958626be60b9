"""The statements of the program, as they are sent and as they are written, for servers that distribute the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import record
from tests.service.test_notices_and_polls import RecordingProxy

if TYPE_CHECKING:
    import asyncpg

    from tests.builders import PolledAccount


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
        "BEGIN; set",
        "with locked",
        "select received,",
        "with succeeded",
        "COMMIT",
    ]
