"""A login that may see some accounts only sees nothing of the others, whatever it tries."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import text

from deploy.superset import bundle
from syncer.store.schema import migrate
from syncer.store.viewers import drop_viewer_schemas, make_viewer, make_viewer_schemas, revoke_viewer
from tests.builders import PolledAccount, accounts_named, connect, record, redirect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.store.engine import Engine

LEAK = """
create function pg_temp.leak(value text) returns boolean language plpgsql cost 0.0000001 as
$$ begin raise notice 'leak %', value; return true; end $$
"""
NAMES = """
with names as (
    insert into syncer.name (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                             first_seen_at, changed_at)
    select account_id, list, id, 'name of ' || $2, 'position of ' || $2, 'informer', 'employees', id, now(), now()
      from syncer.account, unnest(array['employees', 'groups', 'employee_groups', 'scenarios', 'group_scenarios']) list,
           generate_series(1, 29) id
     where syncer.account.name = $1
    returning *
)
insert into syncer.name_history (account_id, list, object_id, name, position, scenario_type, target_list, target_id,
                                 valid_from, valid_to, closed_after)
select account_id, list, object_id, 'former ' || name, position, scenario_type, target_list, target_id,
       changed_at - interval '1 day', changed_at, changed_at - interval '1 hour' from names
"""
"""An account's names; those of account `theirs` have 7999 in them, as its numbers have."""
PLANS = (
    "enable_seqscan",
    "enable_indexscan",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_nestloop",
)


@pytest.fixture
async def viewer(account: PolledAccount, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A login that sees account `mine` and not account `theirs`, which has numbers that begin with 7999."""
    for name, prefix in (("mine", "7911"), ("theirs", "7999")):
        (account.account,) = accounts_named(account.settings, [name])
        for state in ("active", "debt_lock"):
            await account.poll(
                *(
                    record(
                        id_,
                        number=f"{prefix}{id_:07}",
                        state=state,
                        comment=f"comment of {prefix}",
                        from_redirect_numbers=[redirect(id_ + 100, f"{prefix}9{id_:06}")],
                        app_id=1 if name == "mine" else 2,
                        employee_id=id_,
                        group_id=id_,
                        scenario_id=id_,
                        group_scenario_id=id_,
                    )
                    for id_ in range(1, 30)
                )
            )
        await account.sql.execute(NAMES, name, prefix)
    await account.sql.execute("analyze")
    await make_viewer(account.engine, "clerk", [1], "secret")
    parts = urlsplit(database)
    connection = await connect(urlunsplit(parts._replace(netloc=f"clerk:secret@{parts.hostname}:{parts.port}")))
    yield connection
    await connection.close()
    await revoke_viewer(account.engine, "clerk")
    await account.sql.execute("drop role clerk")


async def views(sql: asyncpg.Connection[Any]) -> list[str]:
    rows = await sql.fetch("select viewname from pg_views where schemaname = 'analytics_clerk' order by 1")
    return [name for (name,) in rows]


def without_times(rows: list[asyncpg.Record]) -> list[tuple[Any, ...]]:
    """Returns rows without moments, durations and fractions, which have the digits 7999 now and then."""
    kinds = (date, timedelta, Decimal, float)
    return [tuple(value for value in row if not isinstance(value, kinds)) for row in rows]


async def test_a_viewer_sees_all_of_its_account_and_nothing_of_another(
    account: PolledAccount, viewer: asyncpg.Connection[Any]
) -> None:
    names = await views(account.sql)
    assert len(names) > 25
    for view in names:
        rows = await viewer.fetch(f"select * from {view}")  # noqa: S608 - from the catalog
        assert "7999" not in repr(without_times(rows)), view
        assert "theirs" not in repr(without_times(rows)), view
    mine = "select count(*) from analytics.{} where account_id = 1"
    for view in ("numbers", "changes", "state_history", "number_history", "redirect_history", "runs"):
        assert await viewer.fetchval(f"select count(*) from {view}") == await account.sql.fetchval(mine.format(view))  # noqa: S608 - from here
    assert await viewer.fetchval("select count(*) from numbers_as_of(now())") == 29
    assert "7999" not in repr(without_times(await viewer.fetch("select * from numbers_as_of(now())")))
    assert await viewer.fetchval("select count(distinct employee) from number_history") == 2
    assert await viewer.fetchval("select count(*) from employees where name = 'name of 7911'") == 29


async def test_the_dashboards_of_a_viewer_read_its_schema_and_nothing_of_another(
    viewer: asyncpg.Connection[Any],
) -> None:
    for files in bundle.both():
        found = bundle.in_schema(files, "analytics_clerk")
        datasets = {path: content["sql"] for path, content in found.items() if "sql" in content}
        assert datasets.keys() == {path for path in found if path.startswith("datasets/")}
        for path, query in datasets.items():
            assert "7999" not in repr(await viewer.fetch(query)), path


@pytest.mark.parametrize(
    "query",
    [
        "select * from analytics.numbers",
        "select * from syncer.virtual_number",
        "select * from analytics.numbers_as_of(now())",
        "select * from analytics.changes_cursor",
        "select syncer.make_viewer_schema('clerk')",
        "create table analytics_clerk.mine (a int)",
        "insert into syncer.viewer values ('clerk', '{1,2}', now())",
        "select * from syncer.hash_key",
    ],
)
async def test_a_viewer_may_do_nothing_else(viewer: asyncpg.Connection[Any], query: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await viewer.fetch(query)


async def test_no_function_of_a_viewer_is_shown_a_row_of_another_account(
    viewer: asyncpg.Connection[Any],
) -> None:
    shown: list[str] = []
    viewer.add_log_listener(lambda _, notice: shown.append(notice.message))
    await viewer.execute(LEAK)
    for plan in (None, *PLANS):
        if plan is not None:
            await viewer.execute(f"set {plan} = off")
        for query in (
            "select count(*) from numbers where pg_temp.leak(number)",
            "select count(*) from changes where pg_temp.leak(new_value)",
            "select count(*) from number_history where pg_temp.leak(comment)",
            "select count(*) from redirect_history where pg_temp.leak(redirect_from)",
            "select count(*) from numbers_as_of(now()) where pg_temp.leak(number)",
            "select count(*) from numbers_as_of(now()) where pg_temp.leak(employee)",
            "select count(*) from numbers where pg_temp.leak(scenario_target)",
            "select count(*) from number_history where pg_temp.leak(employee_position)",
            "select count(*) from employees where pg_temp.leak(name)",
            "select count(*) from groups where pg_temp.leak(name)",
            "select count(*) from name_history where pg_temp.leak(name)",
            "select count(*) from numbers n join changes c using (virtual_number_id) where pg_temp.leak(c.number)",
        ):
            await viewer.fetch(query)
    assert len(shown) > 100
    assert [message for message in shown if "7999" in message] == []


async def test_statistics_and_plans_show_nothing_of_another_account(viewer: asyncpg.Connection[Any]) -> None:
    assert await viewer.fetchval("select count(*) from pg_stats where schemaname in ('syncer', 'analytics')") == 0
    plan = "\n".join(
        line for (line,) in await viewer.fetch("explain (verbose) select * from numbers where number like '7999%'")
    )
    assert "theirs" not in plan
    assert await viewer.fetchval("show search_path") == "analytics_clerk"
    assert await viewer.fetchval("show statement_timeout") == "1min"


async def test_a_migration_can_change_views_and_those_of_viewers_follow(
    viewer: asyncpg.Connection[Any], engine: Engine
) -> None:
    """As migrations/env.py does around each migration."""
    async with engine.begin() as connection:
        await connection.run_sync(drop_viewer_schemas)
        await connection.execute(text("drop view analytics.runs"))
        await connection.execute(
            text("create view analytics.runs as select account_id, run_id, 1 as more from syncer.sync_run")
        )
        await connection.run_sync(make_viewer_schemas)

    assert await viewer.fetchval("select count(*) filter (where account_id <> 1) from runs where more = 1") == 0
    assert await viewer.fetchval("select count(*) from runs") == 2


async def test_a_downgrade_takes_the_schemas_of_viewers_away(
    account: PolledAccount, viewer: asyncpg.Connection[Any], engine: Engine
) -> None:
    await migrate(engine, "base")
    await migrate(engine)

    assert await views(account.sql) == []
    with pytest.raises(asyncpg.UndefinedTableError):
        await viewer.fetch("select * from numbers")


async def test_a_role_that_sees_all_accounts_is_refused(account: PolledAccount) -> None:
    await account.sql.execute("create role everything login in role syncer_analyst")
    try:
        with pytest.raises(Exception, match="the role 'everything' sees all accounts already"):
            await make_viewer(account.engine, "everything", [1], None)
    finally:
        await account.sql.execute("drop role everything")
