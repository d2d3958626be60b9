"""PgBouncer in transaction mode: each transaction may run in another session of the server."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from syncer.emulator import faults
from syncer.store.engine import Engine, autocommit_connection
from tests.builders import connect
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
CONNECTIONS = 3
"""Server connections: fewer than the program's connections to PgBouncer, so that they are shared."""

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")


@pytest.fixture
def pooled(empty_database: str, folder: Path) -> Iterator[str]:
    """The address of an empty database, through a PgBouncer that the test starts."""
    parts = urlsplit(empty_database)
    name = parts.path.removeprefix("/")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"""
        [databases]
        {name} = host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = {CONNECTIONS}
        """.replace("        ", "")
    )
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    assert PGBOUNCER is not None
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([PGBOUNCER, configuration], user=user, stdout=log, stderr=log)
    try:
        yield f"postgresql://anybody@127.0.0.1:{port}/{name}"
    finally:
        process.terminate()
        process.wait()


async def accepts_connections(address: str) -> bool:
    try:
        await (await asyncpg.connect(address, statement_cache_size=0)).close()
    except OSError:
        return False
    return True


async def test_no_statement_stays_prepared_where_a_pooler_lends_sessions_for_one_transaction(pooled: str) -> None:
    await wait_until(lambda: accepts_connections(pooled))
    engine = Engine(lambda: pooled)

    async def ask(number: int) -> int:
        async with autocommit_connection(engine) as connection:
            answers = [await connection.fetchval("select $1::integer", number) for _ in range(20)]
            assert set(answers) == {number}
            kept: int = await connection.fetchval("select count(*) from pg_prepared_statements where name <> ''")
        return kept

    assert await asyncio.gather(*map(ask, range(10))) == [0] * 10
    await engine.dispose()


async def test_migrations_concurrent_polls_daemons_and_data_checks_work_through_pgbouncer(
    syncer: Program, emulator: Emulator, pooled: str, empty_database: str
) -> None:
    await wait_until(lambda: accepts_connections(pooled))
    for finished in await asyncio.gather(*(syncer.run("migrate", database_url=pooled) for _ in range(3))):
        assert finished.code == 0, finished.err

    names = ["first", "second", "third"]
    settings = syncer.accounts(*names) | {"database_url": pooled}
    syncs = await asyncio.gather(*(syncer.run("sync", "--json", **settings) for _ in range(3)))
    results = [json.loads(line) for finished in syncs for line in finished.out.splitlines()]
    assert [finished.code for finished in syncs] == [0, 0, 0], syncs
    assert len(results) == 9
    assert {one["outcome"] for one in results} <= {"applied", "unchanged", "superseded"}

    daemons = [await syncer.start("run", poll_interval="1s", log_level="debug", **settings) for _ in range(2)]
    emulator.requests.clear()
    emulator.fault = faults.UnknownState(count=4)
    await wait_until(lambda: all(emulator.requests[f"{name}-token"] >= 4 for name in names))
    for daemon in daemons:
        assert (await daemon.stop(within=20)).code == 0
        assert {*daemon.event_names} <= {
            "daemon_started",
            "poll_finished",
            "unknown_values",
            "finishing_polls",
            "daemon_stopped",
        }
        assert daemon.events("poll_finished", outcome="failed") == []

    checked = await syncer.run("check", "--data", **settings)
    assert checked.code == 0, checked.out
    sql = await connect(empty_database)
    ports = await sql.fetch("select count(*) from syncer.virtual_number where state = 'porting' group by account_id")
    used = await sql.fetchval("select count(*) from pg_stat_activity where datname = current_database()")
    await sql.close()
    assert [row[0] for row in ports] == [4, 4, 4]
    assert used <= CONNECTIONS + 1
