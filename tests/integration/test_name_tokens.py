"""Names are read only with a token that is known to be the account's: one of another account stores no name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import Emulator, faults
from tests.builders import accounts_named, record, running_daemon, settings_for
from tests.integration.test_notifier import until
from tests.named_account import NamedAccount, answering, employee, read_due

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.config.accounts import Account
    from syncer.daemon.scheduler import Daemon
    from syncer.emulator.fault import Fault
    from syncer.store.engine import Engine

SECOND = timedelta(seconds=1)
STORED = """
select account_id, object_id, name, position, first_seen_at, changed_at, unlisted_since, null from syncer.name
union all
select account_id, object_id, name, position, valid_from, valid_to, null, closed_after from syncer.name_history
 order by 1, 2, 6
"""
READ_SINCE = """
select count(*) = $2 from syncer.name_list join syncer.account using (account_id)
 where name = any($1::text[]) and success_at > $3
"""
WRONG = "select count(*) >= 2 from syncer.sync_run where error_kind = 'wrong_account'"


@pytest.fixture
async def named(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[NamedAccount]:
    async with NamedAccount(engine, emulator, sql, settings_for(emulator)) as account:
        yield account


async def stored(sql: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """Returns all names with their history."""
    return [tuple(row) for row in await sql.fetch(STORED)]


async def until_read(sql: asyncpg.Connection, *accounts: str, since: Any = None) -> None:
    """Waits until the employees of these accounts have been read since a time."""
    after = since or await sql.fetchval("select timestamptz '-infinity'")
    await until(lambda: sql.fetchval(READ_SINCE, accounts, len(accounts), after))


async def make_due(sql: asyncpg.Connection) -> Any:
    """Makes all lists due, that of the account "one" before the other; returns the time."""
    await sql.execute(
        "update syncer.name_list l set due_at = syncer.clock() - case a.name when 'one' then interval '1 hour' "
        "else interval '1 minute' end from syncer.account a where a.account_id = l.account_id"
    )
    return await sql.fetchval("select syncer.clock()")


def exchange_token(daemon: Daemon, emulator: Emulator) -> list[Account]:
    """Gives the account "one" the token of the other, as SIGHUP does; returns the accounts as they were."""
    settings = settings_for(emulator, names=("employees",), poll_interval=SECOND)
    one, other = accounts_named(settings, ["one", "other"])
    daemon.set_accounts([replace(one, token=other.token), other])
    return [one, other]


async def test_after_a_reload_with_the_token_of_another_account_no_name_changes_until_the_right_one_is_back(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    options: dict[str, Any] = {"names": ["one", "other"], "lists": ["employees"], "poll_interval": SECOND}
    async with running_daemon(emulator, database, **options) as daemon:
        await until_read(sql, "one", "other")
        before = await stored(sql)
        accounts = exchange_token(daemon, emulator)
        await until(lambda: sql.fetchval(WRONG))
        since = await make_due(sql)
        await until_read(sql, "other", since=since)
        assert emulator.requests_by_path["/employee"] == 3
        daemon.set_accounts(accounts)
        await until_read(sql, "one", since=since)

    assert await stored(sql) == before
    assert emulator.requests_by_path["/employee"] == 4


async def test_after_a_restart_with_the_token_of_another_account_no_name_changes(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    options: dict[str, Any] = {"names": ["one", "other"], "lists": ["employees"], "poll_interval": SECOND}
    async with running_daemon(emulator, database, **options):
        await until_read(sql, "one", "other")
    before = await stored(sql)
    since = await make_due(sql)
    async with running_daemon(emulator, database, **options) as daemon:
        exchange_token(daemon, emulator)
        await until_read(sql, "other", since=since)
        await until(lambda: sql.fetchval(WRONG))

    assert await stored(sql) == before
    assert emulator.requests_by_path["/employee"] == 3


async def read_with(named: NamedAccount, name: str) -> list[str]:
    """Reads the list of employees, in which the only one has this name; returns the names that are stored then."""
    named.emulator.queue(answering("employees", employee(41, name)))
    accounts = await named.accounts("employees", are_verified=False)
    reader = named.reader()
    await reader.register(accounts)
    await named.sql.execute("update syncer.name_list set due_at = syncer.clock()")
    await read_due(reader, accounts)
    return [row[1] for row in await named.names()]


async def test_names_are_read_after_the_first_poll_that_received_a_valid_record(named: NamedAccount) -> None:
    assert await read_with(named, "Орлова Анна") == []
    for records in ((), ({"id": 1},)):
        assert (await named.poll(*records)).outcome == "applied"
        assert await read_with(named, "Орлова Анна") == []
    await named.poll(record(1))
    assert await read_with(named, "Орлова Анна") == ["Орлова Анна"]
    named.restart()
    assert await read_with(named, "Белова Анна") == ["Орлова Анна"]
    assert (await named.poll(record(1))).outcome == "unchanged"
    assert await read_with(named, "Белова Анна") == ["Белова Анна"]


@pytest.mark.parametrize("fault", [faults.Status(status=500), faults.Html(), faults.Status(status=401)], ids=str)
async def test_a_poll_that_fails_for_another_reason_keeps_no_names_from_being_read(
    fault: Fault, named: NamedAccount
) -> None:
    await named.poll(record(1))
    named.emulator.fault = fault
    assert (await named.poll_again()).outcome == "failed"
    assert await read_with(named, "Орлова Анна") == ["Орлова Анна"]


async def test_a_poll_that_finds_another_account_keeps_names_from_being_read_until_one_succeeds(
    named: NamedAccount,
) -> None:
    await named.poll(record(1))
    assert (await named.poll(record(1, app_id=7))).error_kind == "wrong_account"
    assert await read_with(named, "Орлова Анна") == []
    await named.poll(record(1))
    assert await read_with(named, "Орлова Анна") == ["Орлова Анна"]


async def test_a_poll_that_another_one_overtook_lets_no_names_be_read(named: NamedAccount) -> None:
    await named.poll(record(1))
    named.restart()
    assert (await named.poll_superseded(record(1))).outcome == "superseded"
    assert await read_with(named, "Орлова Анна") == []


@pytest.mark.parametrize("changed", [{"api_url": "http://127.0.0.1:9"}, {"auth_scheme": "Bearer"}], ids=str)
async def test_another_address_or_scheme_needs_a_poll_of_its_own_and_another_interval_does_not(
    changed: dict[str, Any], named: NamedAccount
) -> None:
    await named.poll(record(1))
    right = named.account
    named.account = replace(right, **changed)
    assert await read_with(named, "Орлова Анна") == []
    named.account = replace(right, poll_interval=9 * SECOND)
    assert await read_with(named, "Орлова Анна") == ["Орлова Анна"]
