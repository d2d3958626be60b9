"""Connections to a server that may disappear silently, and what their errors show."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from syncer.errors import DatabaseError
from syncer.store.engine import (
    Connection,
    Engine,
    autocommit_connection,
    driver_connection,
    limited_transaction,
    read_snapshot,
)
from syncer.store.schema import schema_state
from tests.builders import PolledAccount, record
from tests.proxy import Proxy
from tests.service.processes import wait_until

if TYPE_CHECKING:
    import asyncpg

PASSWORD = "passw0rd-of-nobody"
SESSIONS = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
SLEEPING = f"{SESSIONS} and state = 'active' and query = 'select pg_sleep(300)'"
MAX_WAIT_SECONDS = 20.0
"""Far less than the timeouts of a statement and of a graceful close."""


async def keepalive_options(url: str) -> tuple[int, ...]:
    """Returns a connection's keepalive options: on or off, idle, interval, count, and TCP_USER_TIMEOUT in ms."""
    engine = Engine(lambda: url)
    async with engine.connect() as sqlalchemy_connection:
        connection = await driver_connection(sqlalchemy_connection)
        assert isinstance(connection, Connection)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        options = (
            connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            *(connection.socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names),
        )
    await engine.dispose()
    return options


@pytest.mark.skipif(sys.platform != "linux", reason="Linux names of the options")
async def test_keepalive_options_come_from_the_address_and_default_to_detecting_a_dead_connection_in_30_seconds(
    database: str,
) -> None:
    parameters = "keepalives_idle=40&keepalives_interval=7&keepalives_count=2&tcp_user_timeout=9000"
    assert await keepalive_options(database) == (1, 15, 5, 3, 30_000)
    assert await keepalive_options(f"{database}?{parameters}") == (1, 40, 7, 2, 9000)
    assert (await keepalive_options(f"{database}?keepalives=0"))[0] == 0


async def test_a_statement_stays_prepared_on_a_session_of_the_server(database: str) -> None:
    engine = Engine(lambda: database)
    kept = "select statement from pg_prepared_statements where statement like 'select $1%'"
    async with autocommit_connection(engine) as session:
        assert await session.fetchval("select $1::integer", 1) == 1
        assert [statement for (statement,) in await session.fetch(kept)] == ["select $1::integer"]
    await engine.dispose()


async def test_a_statement_of_sqlalchemy_does_not_stay_prepared(database: str) -> None:
    engine = Engine(lambda: database)
    async with engine.connect() as connection:
        # The statement looks for itself: one without a name is not listed.
        own = text("select count(*) from pg_prepared_statements where statement like :part")
        counts = [await connection.scalar(own, {"part": "%pg_prepared_statements%"}) for _ in range(2)]
    await engine.dispose()

    assert counts == [0, 0]


async def test_a_transaction_that_cannot_begin_leaves_its_connection_usable(database: str) -> None:
    engine = Engine(lambda: database, pool_size=1)
    with pytest.raises(DatabaseError, match="invalid value for parameter"):
        async with limited_transaction(engine, {"lock_timeout": "soon"}):
            pass

    async with autocommit_connection(engine) as session:
        assert await session.fetchval("select 1") == 1
    await engine.dispose()


@pytest.mark.parametrize(
    ("port", "message"), [("open", "password authentication failed"), ("closed", "check that the server is up")]
)
async def test_a_database_error_shows_neither_the_password_nor_a_chained_exception(
    database: str, port: str, message: str
) -> None:
    parts = urlsplit(database)
    netloc = f"postgres:{PASSWORD}@127.0.0.1:{parts.port if port == 'open' else 1}"
    engine = Engine(lambda: urlunsplit(parts._replace(netloc=netloc)))

    with pytest.raises(DatabaseError, match=message) as caught:
        await schema_state(engine)
    await engine.dispose()

    report = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert report.count("Traceback (most recent call last)") == 1
    assert PASSWORD not in report


async def use_connections(engine: Engine, connections: int) -> None:
    """Uses several connections of both pools at the same time."""

    async def use_sqlalchemy() -> None:
        async with engine.connect() as connection:
            await wait_for_all()
            await connection.execute(text("select 1"))

    async def use_asyncpg() -> None:
        async with engine.acquire() as connection:
            await wait_for_all()
            await connection.execute("select 1")

    async def wait_for_all() -> None:
        checked_out.release()
        await all_checked_out.wait()

    checked_out, all_checked_out = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(use()) for use in (use_sqlalchemy, use_asyncpg) for _ in range(connections)]
    for _ in tasks:
        await checked_out.acquire()
    all_checked_out.set()
    await asyncio.gather(*tasks)


async def test_pools_whose_network_drops_all_packets_are_disposed_of_without_waiting(database: str) -> None:
    async with Proxy(database) as proxy:
        engine = Engine(lambda: proxy.url)
        await use_connections(engine, 3)
        proxy.blackhole()
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await engine.dispose()
        proxy.resume()
        await use_connections(engine, 1)
        await engine.dispose()


async def sleep(engine: Engine, **settings: float) -> None:
    """Executes a statement that takes longer than any test."""
    async with autocommit_connection(engine) as connection:
        await connection.execute("select pg_sleep(300)", **settings)


async def test_a_statement_that_was_cancelled_or_timed_out_ends_on_the_server_and_its_place_is_free(
    database: str, sql: asyncpg.Connection
) -> None:
    engine = Engine(lambda: database, pool_size=1)
    statement = asyncio.create_task(sleep(engine))
    await wait_until(lambda: sql.fetchval(f"select count(*) = 1 {SLEEPING}"))
    waiting = asyncio.create_task(schema_state(engine))
    statement.cancel()
    assert (await waiting).is_known
    assert statement.cancelled()
    with pytest.raises(DatabaseError, match="PostgreSQL did not answer in time"):
        await sleep(engine, timeout=0.2)
    await wait_until(lambda: sql.fetchval(f"select count(*) = 0 {SLEEPING}"), within=MAX_WAIT_SECONDS)

    assert (await schema_state(engine)).is_known
    await engine.dispose()


async def test_a_transaction_that_was_left_open_is_rolled_back(database: str, sql: asyncpg.Connection) -> None:
    engine = Engine(lambda: database, pool_size=1)
    async with autocommit_connection(engine) as connection:
        await connection.execute("begin")
        left = await connection.fetchval("select pg_current_xact_id()")
    async with autocommit_connection(engine) as connection:
        assert await connection.fetchval("select pg_current_xact_id_if_assigned()") is None
    await engine.dispose()

    await wait_until(lambda: sql.fetchval("select pg_xact_status($1) = 'aborted'", left))


async def test_an_engine_that_is_disposed_of_leaves_statements_alone_and_closes_their_connections_afterwards(
    database: str, sql: asyncpg.Connection
) -> None:
    engine = Engine(lambda: database)
    async with autocommit_connection(engine) as connection, connection.transaction():
        await connection.execute("select pg_current_xact_id()")
        await engine.dispose()
        async with autocommit_connection(engine) as other:
            assert await other.fetchval("select 1") == 1
        assert await connection.fetchval("select 2") == 2
    assert await sql.fetchval(f"select count(*) {SESSIONS}") == 1  # the one of after that
    await engine.dispose()

    await wait_until(lambda: sql.fetchval(f"select count(*) = 0 {SESSIONS}"))


async def test_a_pool_whose_connections_are_all_in_use_is_an_error_that_says_so(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.store.engine.POOL_TIMEOUT", 0.1)
    engine = Engine(lambda: database, pool_size=2)
    async with autocommit_connection(engine), autocommit_connection(engine):
        with pytest.raises(DatabaseError, match=r"^database: all 2 connections were in use for 0 s; look at what "):
            await schema_state(engine)
    assert (await schema_state(engine)).is_known
    await engine.dispose()


async def test_one_connection_is_enough_to_read_the_schema_and_then_to_query(
    database: str, sql: asyncpg.Connection
) -> None:
    engine = Engine(lambda: database)
    assert (await schema_state(engine)).is_known
    async with read_snapshot(engine) as connection:
        assert await connection.scalar(text("select 1")) == 1
        await wait_until(lambda: sql.fetchval(f"select count(*) = 1 {SESSIONS}"))
    await engine.dispose()


async def test_a_poll_cancelled_on_a_network_that_drops_all_packets_does_not_wait_for_its_rollback(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, account.through(proxy) as behind_proxy:
        proxy.intercept(b"for no key update", b"for no key update", then="hold the response")
        task = asyncio.create_task(behind_proxy.poll(record(1, state="freeze")))
        await proxy.intercepted.wait()
        proxy.blackhole()
        task.cancel()
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    assert await account.row("select state from syncer.virtual_number") == ("active",)
    assert (await account.poll(record(1, state="freeze"))).state_changes == 1


async def test_a_connection_that_breaks_during_a_poll_is_reported_in_plain_words(
    account: PolledAccount, database: str
) -> None:
    async with Proxy(database) as proxy:
        engine = Engine(lambda: proxy.url)
        async with PolledAccount(engine, account.emulator, account.sql, account.settings) as behind:
            proxy.intercept(b"for no key update", then="drop the response")

            result = await behind.poll(record(1))

        await engine.dispose()
    assert (result.outcome, result.error_kind) == ("failed", "database")
    assert result.error == (
        "database: the connection broke; check that the server is up and SYNCER_DATABASE_URL is right"
    )


@pytest.mark.parametrize(
    ("statement", "arguments", "message"),
    [
        ("insert into syncer.account (name) values ($1)", ["79161234567"], 'null value in column "time_zone" of'),
        ("insert into syncer.region (name) values ($1), ($1)", ["79161234567"], "duplicate key value violates"),
        ("select $1::text::bigint", ["+7-916-123-45-67"], 'invalid input syntax for type bigint: "…"'),
        ("select $1::text::integer", ["79161234567"], 'value "…" is out of range for type integer'),
        ("select $1::bigint", ["79161234567"], "invalid input for query argument $1;"),
        ("select $1::jsonb", ['{"number": 79161234567'], "invalid input syntax for type json;"),
    ],
)
async def test_an_error_repeats_no_value_that_was_to_be_stored(
    engine: Engine, statement: str, arguments: list[str], message: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        async with autocommit_connection(engine) as connection:
            await connection.execute(statement, *arguments)

    assert str(caught.value).startswith(f"database: {message}")
    assert "123" not in str(caught.value)
    assert "DETAIL" not in str(caught.value)


async def test_a_session_that_the_server_ended_before_its_connection_closes_is_a_broken_connection(
    account: PolledAccount, database: str
) -> None:
    async with Proxy(database) as proxy, account.through(proxy) as behind_proxy:
        assert (await behind_proxy.poll(record(1))).outcome == "applied"
        proxy.hide_closes()
        await end_sessions(account, proxy)
        failed = await behind_proxy.poll(record(1, state="freeze"))
        again = await behind_proxy.poll(record(1, state="freeze"))
        await end_sessions(account, proxy)
        with pytest.raises(DatabaseError, match=r"^database: the connection broke \("):
            await schema_state(behind_proxy.engine)
        assert (await schema_state(behind_proxy.engine)).is_known

    assert (failed.outcome, failed.error_kind) == ("failed", "database")
    assert failed.error is not None
    assert failed.error.startswith("database: the connection broke (")
    assert failed.error.endswith("); check that the server is up and SYNCER_DATABASE_URL is right")
    assert (again.outcome, again.state_changes) == ("applied", 1)


async def end_sessions(account: PolledAccount, proxy: Proxy) -> None:
    """Has the server end all sessions but one, and waits until the program has received what it says about that."""
    proxy.hidden.clear()
    await account.sql.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    await proxy.hidden.wait()
    for _ in range(10):  # what the proxy has written is read in the next rounds of this event loop
        await asyncio.sleep(0)


@pytest.mark.parametrize("host", ["пример..рф", "a" * 64 + ".ru", "a" * 260, "xn--а.ru", "a%00b"])
async def test_a_host_name_of_the_database_that_cannot_be_encoded_is_an_error_in_plain_words(host: str) -> None:
    engine = Engine(lambda: f"postgresql://nobody:{PASSWORD}@{host}/none")

    with pytest.raises(DatabaseError) as caught:
        await schema_state(engine)

    message = str(caught.value)
    assert message.startswith("database: the host name in the address is not valid (")
    assert message.endswith("); check that the server is up and SYNCER_DATABASE_URL is right")
    assert PASSWORD not in message
