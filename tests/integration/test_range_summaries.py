"""A vacuum after a change of many numbers completes the BRIN indexes of the history; the log says nothing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.embedded import EmbeddedServer
from syncer.store import schema
from syncer.store.engine import Engine
from tests.builders import PolledAccount, connect, record, settings_for
from tests.folders import public_folder
from tests.service.processes import wait_until

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator

NUMBERS = 51_000
"""More than the rows after which the history is vacuumed, and than a server keeps requests to summarize ranges for."""
# The last range of a table is not full, and no vacuum summarizes it.
LEFT_TO_SUMMARIZE = """
select brin_summarize_new_values('syncer.virtual_number_history_order_idx'),
       brin_summarize_new_values('syncer.state_history_order_idx')
"""
VACUUMED = """
select bool_and(autovacuum_count > 0) from pg_stat_user_tables
 where relname in ('virtual_number_history', 'state_history')
"""


async def test_a_change_of_many_numbers_loses_no_request_and_a_vacuum_summarizes_their_ranges(
    emulator: Emulator,
) -> None:
    note = "о" * 400
    numbers = [record(number, comment=note) for number in range(1, NUMBERS + 1)]
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with public_folder("syncer-ranges-") as folder:
        with EmbeddedServer(folder, server_settings=fast) as server:
            engine, sql = Engine(lambda: server.url, command_timeout=None), await connect(server.url)
            await schema.migrate(engine)
            await vacuum_every(sql, "1h")  # not between the polls
            async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account:
                await account.poll(*numbers)
                await account.poll(*(number | {"state": "debt_lock"} for number in numbers))
            await vacuum_every(sql, "1s")
            await wait_until(lambda: sql.fetchval(VACUUMED), within=90)
            left = [tuple(row) for row in await sql.fetch(LEFT_TO_SUMMARIZE)]
            await sql.close()
            await engine.dispose()
        log = (folder / "postgres.log").read_text()

    assert "was not recorded" not in log
    assert left == [(1, 1)]


async def vacuum_every(sql: asyncpg.Connection, interval: str) -> None:
    """Sets how often the server looks for tables to vacuum."""
    await sql.execute(f"alter system set autovacuum_naptime = '{interval}'")
    await sql.execute("select pg_reload_conf()")
