"""The privileges of the roles: an analyst can only read the views, the daemon can only write what polls write."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from syncer.store.day_summaries import summarise_days
from syncer.store.engine import Engine
from syncer.store.queries.account_list import AccountTotals, Title, read_account_page, read_titles
from syncer.store.queries.recent_activity import read_recent_activity
from syncer.store.queries.state_timeline import read_timeline
from syncer.store.retention import prune, store_retention
from syncer.store.schema import migrations_folder
from tests.builders import PolledAccount, age_runs, connect, record, redirect, settings_for
from tests.named_account import NamedAccount, employee

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from syncer.emulator import Emulator

    Login = Callable[[str], Awaitable[str]]

PRIVILEGES = """
select kind, name, role, privilege
  from (select 'schema', nspname, nspacl from pg_namespace
        union all
        select relkind::text, oid::regclass::text, relacl from pg_class
        union all
        select 'column', format('%s.%I', attrelid::regclass, attname), attacl from pg_attribute
        union all
        select 'function', oid::regprocedure::text, proacl from pg_proc) object (kind, name, acl)
 cross join lateral (select grantee::regrole::text, privilege_type from aclexplode(acl)) granted (role, privilege)
 where role in ('syncer_analyst', 'syncer_daemon')
 order by 1, 2, 3, 4
"""

NUMBERS = [record(key, from_redirect_numbers=[redirect(key + 50, f"7495{key:07}")]) for key in range(1, 11)]


@pytest.fixture
async def login(database: str, sql: asyncpg.Connection) -> AsyncIterator[Login]:
    """Creates a user that is a member of one role, and returns the database's address with its credentials."""
    users: list[str] = []

    async def create_user(role: str) -> str:
        name, password = f"{role}_{secrets.token_hex(4)}", secrets.token_hex(8)
        await sql.execute(f"create user {name} password '{password}' in role {role}")
        users.append(name)
        parts = urlsplit(database)
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))

    yield create_user
    for name in users:
        await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", name)
        await sql.execute(f"drop user {name}")


async def test_an_analyst_reads_every_view_and_no_table(account: PolledAccount, login: Login) -> None:
    await account.poll(*NUMBERS)
    analyst = await connect(await login("syncer_analyst"))
    views = await account.rows("select table_name from information_schema.tables where table_schema = 'analytics'")
    tables = await account.rows("select tablename from pg_tables where schemaname = 'syncer'")

    assert len(views) == 36
    for (view,) in views:
        await analyst.fetch(f"select * from analytics.{view}")  # noqa: S608 - names from the catalog
    assert len(await analyst.fetch("select * from analytics.numbers_as_of(now())")) == 10
    for (table,) in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await analyst.fetch(f"select * from syncer.{table}")  # noqa: S608 - names from the catalog
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await analyst.execute("create table analytics.new_table ()")
    await analyst.close()


async def test_the_script_for_an_administrator_grants_what_the_migrations_grant(sql: asyncpg.Connection) -> None:
    granted_by_migrations = await sql.fetch(PRIVILEGES)
    await sql.execute("drop owned by syncer_analyst, syncer_daemon")
    assert await sql.fetch(PRIVILEGES) == []

    script = (migrations_folder() / "sql" / "roles.sql").read_text("utf-8")
    await sql.execute(script)
    assert await sql.fetch(PRIVILEGES) == granted_by_migrations
    await sql.execute(script)
    assert await sql.fetch(PRIVILEGES) == granted_by_migrations


async def test_the_daemons_role_can_read_everything_that_the_page_shows(account: PolledAccount, login: Login) -> None:
    await account.poll(*NUMBERS)
    await account.poll(record(1, state="porting"), *NUMBERS[1:], record(11, number=None))
    url = await login("syncer_daemon")
    engine = Engine(lambda: url)

    page = await read_account_page(engine, ["default"], None, 1, statement_seconds=5)
    numbers = await read_timeline(engine, None, timedelta(days=1), statement_seconds=5)
    activity = await read_recent_activity(engine, None, statement_seconds=5)

    assert page.totals == AccountTotals(accounts=1, rejected=1)
    assert numbers is not None
    assert {state: counts[-1] for state, counts in numbers.numbers.items()} == {"active": 9, "porting": 1}
    assert (len(activity.changed_runs), len(activity.runs), len(activity.rejected)) == (2, 2, 1)
    assert (await read_titles(engine, statement_seconds=5))["state", "freeze"] == Title("Frozen", "заморожен")
    await engine.dispose()


async def test_the_daemons_role_can_do_everything_that_polls_do(account: PolledAccount, login: Login) -> None:
    url = await login("syncer_daemon")
    engine = Engine(lambda: url)
    async with PolledAccount(engine, account.emulator, account.sql, account.settings) as daemon:
        results = [
            await daemon.poll(*NUMBERS),
            await daemon.poll(*NUMBERS),
            await daemon.poll(record(1, state="porting", region_name="Луна"), *NUMBERS[1:], record(11, number=None)),
            await daemon.poll(*NUMBERS[1:]),
            await daemon.poll(*NUMBERS, record(12)),
            await daemon.poll_body(b"nonsense"),
        ]
    assert await account.broken_invariants() == []
    await age_runs(account.sql, timedelta(days=3))
    await store_retention(account.engine, timedelta(days=1))
    assert await prune(engine, 1, timedelta(days=1)) == "done"
    await account.set_clock(datetime.now(UTC) + timedelta(days=2))
    await account.poll(*NUMBERS, record(12))
    assert await summarise_days(engine, 1) == "more"
    await engine.dispose()

    assert [result.outcome for result in results] == ["applied", "unchanged", "applied", "applied", "applied", "failed"]
    assert await account.rows("select sum(polls), sum(failed) from syncer.sync_day") == [(2, 1)]


@pytest.mark.parametrize(
    "statement",
    [
        "create table syncer.new_table ()",
        "alter table syncer.virtual_number add new_column integer",
        "drop view analytics.numbers",
        "delete from syncer.state_history",
        "delete from syncer.virtual_number_history",
        "delete from syncer.virtual_number_redirect_history",
        "delete from syncer.absence_history",
        "delete from syncer.virtual_number",
        "truncate syncer.state_history",
        "update syncer.virtual_number_history set comment = 'rewritten'",
        "update syncer.state_history set state = 'active'",
        "update syncer.state_history set valid_from = now()",
        "update syncer.virtual_number_redirect set number = '7'",
        "update syncer.virtual_number_redirect_history set valid_from = now()",
        "update syncer.absence_history set ended_by = 'returned'",
        "delete from syncer.rejected_record",
        "update syncer.rejected_record set payload = ''",
        "update syncer.retention set rejected_records = interval '0'",
        "update syncer.day_summary set numbers = '{}'",
        "truncate syncer.day_summary",
    ],
)
async def test_the_daemons_role_can_neither_change_the_schema_nor_delete_or_rewrite_history(
    login: Login, statement: str
) -> None:
    daemon = await connect(await login("syncer_daemon"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await daemon.execute(statement)
    await daemon.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update syncer.state_history set valid_to = now()",
        "update syncer.virtual_number_redirect_history set closed_run_id = 1",
        "update syncer.virtual_number_history set comment = 'rewritten'",
        "update syncer.absence_history set ended_by = 'returned'",
    ],
)
async def test_closed_history_cannot_be_rewritten_even_by_its_owner(account: PolledAccount, statement: str) -> None:
    await account.poll(*NUMBERS)
    await account.poll(*NUMBERS[1:])
    await account.poll(record(1, state="freeze", comment="x"), *NUMBERS[1:])

    with pytest.raises(asyncpg.RestrictViolationError, match="a closed row of"):
        await account.sql.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update syncer.sync_run set created = 0, changed = 0 where outcome = 'applied'",
        "update syncer.sync_run set outcome = 'failed'",
        "update syncer.sync_run set started_at = started_at - interval '1 year' where outcome = 'applied'",
        "update syncer.rejected_record set last_run_id = 0",
        "delete from syncer.sync_run where changed > 0",
        "update syncer.virtual_number set state = 'debt_lock' where virtual_number_id = 2",
        "update syncer.virtual_number set comment = 'rewritten', run_id = 1",
        "update syncer.virtual_number set changed_at = changed_at - interval '1 year'",
        "update syncer.virtual_number set run_id = 0",
    ],
)
async def test_the_daemons_role_can_rewrite_neither_what_runs_counted_nor_a_record_without_a_run(
    account: PolledAccount, login: Login, statement: str
) -> None:
    await account.poll(*NUMBERS, record(11, number=None))
    await account.poll(record(1, state="freeze"), *NUMBERS[1:])
    daemon = await connect(await login("syncer_daemon"))

    with pytest.raises(asyncpg.RestrictViolationError):
        await daemon.execute(statement)
    await daemon.close()
    assert await account.broken_invariants() == []


async def test_the_setting_with_which_an_owner_deletes_an_account_helps_nobody_else(
    account: PolledAccount, login: Login
) -> None:
    await account.poll(*NUMBERS)
    daemon = await connect(await login("syncer_daemon"))
    await daemon.execute("set syncer.erasing = 'on'")

    with pytest.raises(asyncpg.RestrictViolationError, match="a closed row of"):
        await daemon.execute("delete from syncer.sync_run where created > 0")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await daemon.execute("delete from syncer.state_history")
    await daemon.close()


async def test_the_daemons_role_can_delete_no_rejected_record_that_is_younger_than_its_owner_allows(
    account: PolledAccount, login: Login
) -> None:
    await account.poll(*NUMBERS, record(11, number=None))
    await account.poll(record(1, state="freeze"), *NUMBERS[1:])
    url = await login("syncer_daemon")
    engine = Engine(lambda: url)
    await age_runs(account.sql, timedelta(days=89))

    assert await prune(engine, 1, timedelta()) == "done"
    young = await account.rows("select virtual_number_id from syncer.rejected_record")
    await age_runs(account.sql, timedelta(days=2))
    assert await prune(engine, 1, timedelta()) == "done"
    old = await account.rows("select virtual_number_id from syncer.rejected_record")
    await engine.dispose()

    assert (young, old) == ([(11,)], [])


async def test_the_daemons_role_reads_lists_of_names_and_changes_no_former_name(
    emulator: Emulator, sql: asyncpg.Connection, login: Login
) -> None:
    url = await login("syncer_daemon")
    engine = Engine(lambda: url)
    async with NamedAccount(engine, emulator, sql, settings_for(emulator)) as named:
        await named.read_employees(employee(1), employee(2))
        await named.read_employees(employee(1, "Белова Анна"), employee(3))
        assert [row[1] for row in await named.history()] == ["Орлова Анна"]
        assert await named.broken_invariants() == []
    await engine.dispose()

    daemon = await connect(url)
    for statement in ("update syncer.name_history set name = 'x'", "delete from syncer.name"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await daemon.execute(statement)
    await daemon.close()


ADD_PERIOD = """
insert into syncer.state_history
       (account_id, virtual_number_id, state, valid_from, valid_to, closed_after, run_id, closed_run_id, ended_by,
        state_since, state_began_by, to_state)
select account_id, virtual_number_id, 'debt_lock', first_seen_at - interval '2 years', first_seen_at,
       first_seen_at - interval '1 day', run_id, run_id + 1, 'changed',
       first_seen_at - interval '2 years', 'created', state
  from syncer.virtual_number where virtual_number_id = 2
"""
REWRITE_WITH_RUN = """
update syncer.virtual_number set state = 'debt_lock', run_id = 2, changed_at = clock_timestamp()
 where virtual_number_id = 2
"""


@pytest.mark.parametrize(
    ("statement", "violation"),
    [
        (ADD_PERIOD, "number 2: its state period from"),
        (REWRITE_WITH_RUN, "run 2: changed is 1, but its"),
        ("update syncer.virtual_number set state_since = first_seen_at where virtual_number_id = 1", "has state_since"),
        ("delete from syncer.virtual_number_redirect where virtual_number_id = 2", "redirects_opened is 10, but its"),
    ],
)
async def test_what_the_daemons_role_can_falsify_is_found_by_the_check_of_the_data(
    account: PolledAccount, login: Login, statement: str, violation: str
) -> None:
    await account.poll(*NUMBERS)
    await account.poll(record(1, state="freeze"), *NUMBERS[1:])
    daemon = await connect(await login("syncer_daemon"))

    await daemon.execute(statement)

    await daemon.close()
    assert [found for found in await account.broken_invariants() if violation in found] != []
