"""Generated ids that are behind the data, as after a copy or a cutover by logical replication."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import Identity

from syncer.commands.check import Check
from syncer.database import Database
from syncer.store import identities
from syncer.store.engine import Engine
from syncer.store.identities import advance_identities, find_identities_behind
from syncer.store.poll import runs
from syncer.store.tables import metadata
from tests.builders import PolledAccount, accounts_named, record, running_daemon, settings_for
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.emulator import Emulator

RUNS = "select run_id, outcome from syncer.sync_run order by run_id"
COPIED = "as after a copy or a cutover without its sequences"


async def set_behind(account: PolledAccount, table: str, column: str) -> None:
    """Makes the next generated id the first one, as in a copy that has the rows alone."""
    await account.sql.execute(f"alter table syncer.{table} alter column {column} restart with 1")


async def copy_newest_run(account: PolledAccount, run_id: int) -> None:
    """Adds a newest success with this id, as replication does, which leaves the sequence alone."""
    await account.sql.execute(
        """
        insert into syncer.sync_run (account_id, run_id, trigger, started_at, finished_at, outcome, received, unchanged)
        overriding system value
        select account_id, $1, trigger, started_at, finished_at, 'unchanged', 1, 1
          from syncer.sync_run order by run_id desc limit 1
        """,
        run_id,
    )
    await account.sql.execute("update syncer.account_fence set success_run_id = $1", run_id)


@pytest.fixture
async def limited_login(account: PolledAccount, database: str) -> AsyncIterator[str]:
    """The address for a login that is a poller, but may not advance sequences."""
    await account.sql.execute("create role limited_login login password 'x' in role syncer_daemon")
    await account.sql.execute("revoke update on all sequences in schema syncer from syncer_daemon")
    parts = urlsplit(database)
    yield urlunsplit(parts._replace(netloc=f"limited_login:x@{parts.hostname}:{parts.port}"))
    await account.sql.execute("drop owned by limited_login; drop role limited_login")


def test_all_generated_ids_are_looked_after() -> None:
    columns = [column for table in metadata.tables.values() for column in table.columns]
    generated = {
        f"{column.table.fullname}.{column.name}" for column in columns if isinstance(column.server_default, Identity)
    }

    assert generated == {name for name in generated if f"'{name}'" in identities._BEHIND}  # noqa: SLF001 - the query
    assert len(generated) == 6


async def test_a_run_whose_id_is_behind_the_newest_success_gets_a_new_id_and_records_what_changed(
    account: PolledAccount,
) -> None:
    for state in ("active", "freeze", "active"):
        await account.poll(record(1, state=state))
    await set_behind(account, "sync_run", "run_id")

    result = await account.poll(record(1, state="freeze"))

    assert (result.run_id, result.outcome, result.state_changes) == (1004, "applied", 1)
    assert await account.rows(RUNS) == [(1, "applied"), (2, "applied"), (3, "applied"), (1004, "applied")]
    assert (await account.poll(record(1))).run_id == 1005
    assert await account.broken_invariants() == []


async def test_a_run_whose_id_is_free_but_behind_leaves_no_row(account: PolledAccount) -> None:
    await account.poll(record(1))
    await account.poll(record(1))
    await copy_newest_run(account, 50)

    result = await account.poll(record(1, state="freeze"))

    assert (result.run_id, result.outcome) == (1051, "applied")
    assert await account.rows(RUNS) == [(1, "applied"), (2, "unchanged"), (50, "unchanged"), (1051, "applied")]


async def test_a_login_that_may_not_put_the_ids_right_says_which_statement_the_owner_has_to_run(
    account: PolledAccount, limited_login: str
) -> None:
    await account.poll(record(1))
    await account.sql.execute("select setval('syncer.sync_run_run_id_seq', 17)")
    await copy_newest_run(account, 40)
    engine = Engine(lambda: limited_login)
    async with PolledAccount(engine, account.emulator, account.sql, account.settings) as limited:
        result = await limited.poll(record(1, state="freeze"))
    await engine.dispose()

    statement = "select setval('syncer.sync_run_run_id_seq', 1040)"
    assert (result.run_id, result.outcome, result.error_kind) == (None, "failed", "database")
    assert result.error == (
        f"database: syncer.sync_run.run_id was generated up to 18, but the data have 40 already, {COPIED}: let the "
        f"schema's owner run {statement}"
    )
    await account.sql.execute(statement)
    assert (await account.poll(record(1, state="freeze"))).run_id == 1041


async def test_new_accounts_and_regions_get_ids_though_those_that_exist_were_copied(account: PolledAccount) -> None:
    await account.poll(*(record(number, region_name=f"регион {number}") for number in (1, 2, 3)))
    await set_behind(account, "account", "account_id")
    await set_behind(account, "region", "region_id")

    first = await account.poll(record(1, region_name="новый"), record(2), record(3))
    (account.account,) = accounts_named(account.settings, ["other"])
    second = await account.poll(record(1))

    assert (first.outcome, first.changed) == ("applied", 3)
    assert second.outcome == "applied"
    assert await account.rows("select account_id, name from syncer.account order by 1") == [
        (1, "default"),
        (1002, "other"),
    ]
    assert await account.row("select region_id from syncer.region where name = 'новый'") == (1004,)


async def test_a_run_that_is_overtaken_by_a_newer_one_is_still_superseded(account: PolledAccount) -> None:
    await account.poll(record(1))
    run = await runs.begin(account.engine, "default", "Europe/Moscow", "schedule", {})
    assert (await account.poll(record(1, state="freeze"))).run_id == 3

    async with runs.fence(account.engine, run) as fence:
        assert fence.is_superseded
    assert run.identities_behind == ()


async def test_a_daemon_puts_the_ids_of_all_accounts_right_at_its_start(
    account: PolledAccount, emulator: Emulator, database: str
) -> None:
    for _ in range(3):
        await account.poll(record(1))
    await set_behind(account, "sync_run", "run_id")
    async with running_daemon(emulator, database, names=["new"]):
        await wait_until(
            lambda: account.sql.fetchval("select count(*) = 1 from syncer.account_fence where success_run_id > 3")
        )
    assert await find_identities_behind(account.engine) == []


async def test_the_check_names_ids_that_are_behind(account: PolledAccount, emulator: Emulator, database: str) -> None:
    await account.poll(record(1))
    settings = settings_for(emulator, database_url=SecretStr(database))

    check = Check(settings, (), set(), with_data=False)

    async def lines() -> list[str]:
        with Database(settings) as connected:
            found = [finding.text async for finding in check.findings(connected) if finding.subject == "ids"]
            await connected.dispose()
        return found

    assert await lines() == []
    await set_behind(account, "sync_run", "run_id")
    (line,) = await lines()
    assert line == (
        f"syncer.sync_run.run_id was generated up to 0, but the data have 1 already, {COPIED}: `syncer run` and "
        "`syncer sync` put it right"
    )
    assert [one.column for one in await advance_identities(account.engine)] == ["syncer.sync_run.run_id"]
    assert await lines() == []
