# ruff: noqa: S608 - the queries are those of the dashboard, and constants of this file
"""The Grafana dashboard of the numbers: what each panel shows of the demo history equals a query of the tables."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from docs.demo_data import UNTIL
from tests.builders import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import asyncpg

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = json.loads((ROOT / "deploy" / "grafana" / "numbers.json").read_text())
DATA_SOURCE: Final = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
PANELS: Final = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
# Neither a whole number of days nor of weeks.
SINCE: Final = (UNTIL - timedelta(days=100, hours=3)).astimezone(UTC)
TO: Final = (UNTIL - timedelta(days=2, hours=5)).astimezone(UTC)
MACRO: Final = re.compile(r"\$(\w+)\(([^)]*)\)")  # as Grafana finds them
BEFORE_THE_FIRST_POLL: Final = SINCE - timedelta(days=100)
# In the expected queries, which get the beginning as a parameter.
SINCE_LOCAL: Final = "$1::timestamptz at time zone 'Europe/Moscow'"
TO_LOCAL: Final = f"timestamptz '{TO}' at time zone 'Europe/Moscow'"


def expanded(sql: str, accounts: list[str], since: datetime) -> str:
    """Returns the SQL that Grafana sends for a panel's query."""
    start, end = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in (since, TO))
    macros: dict[str, Callable[[str], str]] = {
        "__timeFrom": lambda _: start,
        "__timeTo": lambda _: end,
        "__timeFilter": lambda column: f"{column} BETWEEN {start} AND {end}",
    }
    quoted = ",".join("'" + account.replace("'", "''") + "'" for account in accounts)
    assert "$" not in MACRO.sub("", sql.replace("${account:sqlstring}", ""))
    return MACRO.sub(lambda found: macros[found[1]](found[2]), sql.replace("${account:sqlstring}", quoted))


@pytest.fixture
async def owner(demo_history: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the owner's, in a transaction, in which now() stands still."""
    connection = await connect(demo_history)
    await connection.execute("set timezone to 'Europe/Moscow'")
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def copy_account(owner: asyncpg.Connection[Any]) -> None:
    """Copies the account with all of its data, as the account `copy`."""
    tables = [
        table
        for (table,) in await owner.fetch("""
            select c.oid::regclass::text from pg_class c
             where c.relnamespace = 'syncer'::regnamespace and c.relkind = 'r'
               and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id')
        """)
    ]
    await owner.execute("set local session_replication_role to replica")  # in any order of the tables
    for table in tables:
        new = {"account_id": 1000} | ({"name": "copy"} if table == "syncer.account" else {})
        await owner.execute(
            f"insert into {table} overriding system value select (jsonb_populate_record(t, $${json.dumps(new)}$$)).*"
            f" from {table} t"
        )
    await owner.execute("set local session_replication_role to origin")


async def shown(
    owner: asyncpg.Connection[Any], title: str, accounts: list[str], since: datetime = SINCE
) -> list[tuple[Any, ...]]:
    """Returns the rows of a panel, as an analyst gets them."""
    await owner.execute("set local role syncer_analyst")
    rows = await owner.fetch(expanded(PANELS[title]["targets"][0]["rawSql"], accounts, since))
    await owner.execute("set local role none")
    return [tuple(row.values()) for row in rows]


# The periods of states from the tables, without what is stored about how they began and ended: only their order counts.
PERIODS: Final = """
periods as (
    select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after,
           lag(state) over each as before, lag(valid_to) over each = valid_from as follows,
           lead(state) over each as after, lead(valid_from) over each = valid_to as is_followed,
           row_number() over each = 1 as is_first
      from (select account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after
              from syncer.state_history
             union all
            select account_id, virtual_number_id, state, reason, reason_since, null, reason_since_earliest
              from syncer.virtual_number
             where removed_at is null) p
    window each as (partition by account_id, virtual_number_id order by valid_from)
)"""
WEEKS: Final = f"""
weeks as (
    select generate_series(date_trunc('week', {SINCE_LOCAL}), {TO_LOCAL}, '7 days')::timestamptz as week
)"""
# A lock is an unbroken series of periods with this state: it begins at one that follows no other of the same state.
LOCKS: Final = """
locks as (
    select b.account_id, b.virtual_number_id, b.valid_from as began, e.valid_to as ended,
           e.is_followed as is_unlocked, e.reason
      from periods b
      cross join lateral (
           select * from periods e
            where e.account_id = b.account_id and e.virtual_number_id = b.virtual_number_id
              and e.valid_from >= b.valid_from and e.state = 'debt_lock'
              and not (e.is_followed is true and e.after = 'debt_lock')
            order by e.valid_from limit 1) e
     where b.state = 'debt_lock' and not (b.follows is true and b.before = 'debt_lock')
)"""
IN_WEEK: Final = "between w.week and w.week + interval '7 days' - interval '1 microsecond'"
LISTED: Final = "syncer.virtual_number n where n.removed_at is null"

EXPECTED: Final = {
    "Numbers": f"select count(*) from {LISTED}",
    "Active": f"select count(*) filter (where n.state = 'active') / count(*)::numeric from {LISTED}",
    "Locked for debt": f"select count(*) from {LISTED} and n.state = 'debt_lock'",
    "Removals held": """
        select r.held::bigint from syncer.sync_run r where outcome <> 'failed' order by run_id desc limit 1
    """,
    "Records rejected": """
        select r.rejected::bigint from syncer.sync_run r where outcome <> 'failed' order by run_id desc limit 1
    """,
    "Age of the data": """
        select extract(epoch from now() - max(finished_at))
          from syncer.sync_run where outcome in ('applied', 'unchanged')
    """,
    "States now": f"""
        select coalesce((select title_en from syncer.number_state s where s.state = n.state), n.state), count(*)
          from {LISTED} group by 1 order by 2 desc, 1
    """,
    "Regions now": f"""
        select coalesce((select name from syncer.region r where r.region_id = n.region_id), 'no region'), count(*),
               count(*) - count(*) filter (where n.state = 'active')
          from {LISTED} group by 1 order by 2 desc, 1
    """,
    "Numbers that are not active, by day": f"""
        with {PERIODS},
        shown as (
            select day::timestamptz as time, p.state, count(p.virtual_number_id) as numbers
              from generate_series(({SINCE_LOCAL})::date, ({TO_LOCAL})::date, '1 day') day
             cross join syncer.number_state s
              left join periods p
                on p.state = s.state and p.valid_from < (day + interval '1 day')::timestamptz
               and (p.valid_to is null or p.valid_to >= (day + interval '1 day')::timestamptz)
             where s.state <> 'active'
             group by 1, s.state, 2
        )
        select d.time, coalesce(s.title_en, s.state), coalesce(n.numbers, 0)::numeric
          from (select distinct time from shown) d
         cross join syncer.number_state s
          left join shown n on n.time = d.time and n.state = s.state
         where s.state <> 'active' and exists (select from periods p where p.state = s.state)
         order by 1, 2
    """,
    "Locks and unlocks, by week": f"""
        with {PERIODS}, {WEEKS}
        select w.week,
               (select count(*) from periods p where p.valid_from {IN_WEEK} and p.follows and p.state = 'debt_lock'
                   and p.before <> 'debt_lock'),
               (select count(*) from periods p where p.valid_to {IN_WEEK} and p.is_followed and p.state = 'debt_lock'
                   and p.after <> 'debt_lock')
          from weeks w order by 1
    """,
    "Arrivals and removals, by week": f"""
        with {PERIODS}, {WEEKS}
        select w.week,
               (select count(*) from periods p where p.valid_from {IN_WEEK} and p.is_first
                   and p.valid_from > (select min(valid_from) from periods)),
               (select count(*) from periods p where p.valid_from {IN_WEEK} and not p.is_first and not p.follows),
               -(select count(*) from periods p where p.valid_to {IN_WEEK} and p.is_followed is not true)
          from weeks w order by 1
    """,
    "Median lock": f"""
        with {PERIODS}, {LOCKS}
        select percentile_cont(0.5) within group (order by extract(epoch from ended - began))
          from locks where is_unlocked and ended between $1 and '{TO}'
    """,
    "Longest locks now": f"""
        with {PERIODS}, {LOCKS}
        select n.number, r.name, l.reason, l.began,
               extract(epoch from (select observed_until from analytics.accounts) - l.began)
          from locks l
          join syncer.virtual_number n using (account_id, virtual_number_id)
          left join syncer.region r using (region_id)
         where l.ended is null order by l.began, n.account_id || ':' || n.virtual_number_id limit 20
    """,
    "Longest time without a successful poll, by day": f"""
        with moments as (
            select started_at as moment from syncer.sync_run where outcome in ('applied', 'unchanged')
             union
            select generate_series(date_trunc('day', {SINCE_LOCAL}), {TO_LOCAL} + '1 day'::interval, '1 day')
                   ::timestamptz
        )
        select date_trunc('day', moment), 'demo', max(extract(epoch from next - moment))
          from (select moment, lead(moment) over (order by moment) as next from moments) m
         where moment >= date_trunc('day', {SINCE_LOCAL})::timestamptz
           and moment < date_trunc('day', {TO_LOCAL} + interval '1 day')::timestamptz
         group by 1 order by 1
    """,
    "Polls, by day": f"""
        select date_trunc('day', started_at), count(*) filter (where outcome <> 'failed'),
               count(*) filter (where outcome = 'failed')
          from syncer.sync_run
         where started_at >= date_trunc('day', {SINCE_LOCAL})::timestamptz
           and started_at < date_trunc('day', {TO_LOCAL} + interval '1 day')::timestamptz
         group by 1 order by 1
    """,
    "Accounts": """
        select 'demo', r.finished_at, extract(epoch from now() - r.finished_at), r.outcome, r.error, r.held,
               r.unconfirmed, r.rejected
          from syncer.sync_run r order by run_id desc limit 1
    """,
}

ADDED_UP: Final = {
    "Numbers",
    "Locked for debt",
    "Records rejected",
    "States now",
    "Regions now",
    "Numbers that are not active, by day",
    "Locks and unlocks, by week",
    "Arrivals and removals, by week",
    "Polls, by day",
}
OF_NOW: Final = {*list(EXPECTED)[:8], "Longest locks now", "Accounts"}
WITHOUT_A_FIRST_DAY: Final = ("Locks and unlocks, by week", "Arrivals and removals, by week", "Median lock")


def test_each_panel_has_an_expected_answer() -> None:
    assert list(PANELS) == list(EXPECTED)


@pytest.mark.parametrize(
    ("title", "since"),
    [(title, SINCE) for title in EXPECTED] + [(title, BEFORE_THE_FIRST_POLL) for title in WITHOUT_A_FIRST_DAY],
)
async def test_a_panel_shows_what_the_tables_contain(
    owner: asyncpg.Connection[Any], title: str, since: datetime
) -> None:
    parameters = [since] if "$1" in EXPECTED[title] else []
    expected = [tuple(row.values()) for row in await owner.fetch(EXPECTED[title], *parameters)]

    found = await shown(owner, title, ["somebody's", "demo"], since)

    assert found == expected
    assert any(value for row in found for value in row[1:] or row) or title in {"Removals held", "Records rejected"}


@pytest.mark.parametrize("title", EXPECTED)
async def test_a_panel_shows_nothing_of_an_account_that_is_not_selected(
    owner: asyncpg.Connection[Any], title: str
) -> None:
    found = await shown(owner, title, ["somebody's"])

    assert {value for row in found for value in row if not isinstance(value, datetime)} <= {0, None}


@pytest.mark.parametrize("title", ["Locks and unlocks, by week", "Median lock"])
async def test_a_number_that_was_locked_from_its_arrival_to_its_removal_is_neither_a_lock_nor_an_unlock(
    owner: asyncpg.Connection[Any], title: str
) -> None:
    before = await shown(owner, title, ["demo"])

    await owner.execute("""
        insert into syncer.state_history
        select (jsonb_populate_record(h, jsonb_build_object(
               'state', 'debt_lock', 'from_state', null, 'to_state', null,
               'state_began_by', 'created', 'ended_by', 'removed',
               'state_since', h.valid_from - interval '9 days', 'state_since_earliest', null,
               'valid_from', h.valid_from - interval '9 days', 'changed_after', null,
               'valid_to', h.valid_from - interval '2 days', 'closed_after', h.valid_from - interval '3 days'))).*
          from syncer.state_history h
         where state_began_by = 'created' and h.valid_from = h.state_since
         order by h.valid_from desc limit 1
    """)

    assert await shown(owner, title, ["demo"]) == before
    assert await owner.fetchval("select count(*) from analytics.state_spells where ended_by = 'removed'") > 0


@pytest.mark.parametrize("title", sorted(ADDED_UP))
async def test_a_panel_adds_up_the_selected_accounts(owner: asyncpg.Connection[Any], title: str) -> None:
    alone = await shown(owner, title, ["demo"])
    await copy_account(owner)

    both = await shown(owner, title, ["demo", "copy"])

    assert both == [tuple(value * 2 if isinstance(value, int | Decimal) else value for value in row) for row in alone]
    assert await shown(owner, title, ["copy"]) == alone


@pytest.mark.parametrize("title", sorted(OF_NOW))
async def test_a_panel_of_now_shows_nothing_of_an_account_that_is_polled_no_more(
    owner: asyncpg.Connection[Any], title: str
) -> None:
    await owner.execute("update syncer.account set retired_at = now()")

    assert {value for row in await shown(owner, title, ["demo"]) for value in row} <= {0, None}


async def test_the_accounts_to_select_are_those_that_were_ever_polled(analyst: asyncpg.Connection[Any]) -> None:
    (_, account) = DASHBOARD["templating"]["list"]

    assert await analyst.fetch(account["query"]) == [("demo",)]


def test_every_panel_has_a_description_and_queries_the_selected_data_source() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS.values():
        assert panel["description"].endswith(".")
        (target,) = panel["targets"]
        assert (panel["datasource"], target["datasource"]) == (DATA_SOURCE, DATA_SOURCE)
        assert (target["format"] == "time_series") == (panel["type"] == "timeseries")
    source, account = DASHBOARD["templating"]["list"]
    assert (source["name"], source["query"]) == ("datasource", DATA_SOURCE["type"])
    assert (account["name"], account["datasource"]) == ("account", DATA_SOURCE)


def test_no_panel_overlaps_another() -> None:
    occupied: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {(grid["x"] + column, grid["y"] + row) for column in range(grid["w"]) for row in range(grid["h"])}
        assert max(column for column, _ in cells) < 24
        assert not cells & occupied, panel["title"]
        occupied |= cells
