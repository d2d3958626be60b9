"""`syncer check --data` reports nothing on data that polls wrote, and each violation that a test makes by hand."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import text

from syncer.emulator import STATIC, Emulator
from syncer.errors import DatabaseError
from syncer.store.day_summaries import summarise_days
from syncer.store.engine import Engine, read_snapshot
from syncer.store.invariants import find_violations
from tests.builders import PolledAccount, connect, migrated_database, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from syncer.embedded import EmbeddedServer

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?")


def hourly_responses() -> list[list[Any]]:
    """Returns the records of ten numbers hour by hour; an empty hour is one in which the endpoint fails."""
    numbers = {key: record(key) for key in range(1, 11)}
    one, another = redirect(249, "74994088157"), redirect(678, "78009966666")
    for key, redirects in {2: [one], 3: [one, another], 6: [another]}.items():
        numbers[key]["from_redirect_numbers"] = redirects
    hours: list[list[Any]] = []

    def add_hour(**changes: dict[str, Any] | None) -> None:
        for name, fields in changes.items():
            key = int(name.removeprefix("n"))
            if fields is None:
                del numbers[key]
            else:
                numbers[key] = numbers.get(key, record(key)) | fields
        hours.append(list(numbers.values()))

    add_hour()
    add_hour()
    add_hour(n1={"state": "freeze", "reason": "a"}, n4={"comment": "second"})
    add_hour(n1={"state": "debt_lock"}, n3={"from_redirect_numbers": [another]})
    add_hour(n2=None)
    hours.append([])
    add_hour(n2={"state": "freeze", "from_redirect_numbers": [one]}, n3={"from_redirect_numbers": [one, another]})
    add_hour(n6=None, n3={"from_redirect_numbers": [one]})
    add_hour(n7={"number": None}, n4={"comment": "third"})
    add_hour(n8=None, n9=None, n10={"state": "inactive"})
    add_hour()
    return hours


async def poll_all_hours(url: str) -> None:
    """Polls two accounts with the same responses in turn: the runs of the first are odd, those of the other even."""
    engine = Engine(lambda: url)
    sql = await connect(url)
    async with Emulator(numbers=1, rates=STATIC) as emulator:
        settings = [settings_for(emulator, account_name=name) for name in ("default", "other")]
        async with (
            PolledAccount(engine, emulator, sql, settings[0]) as first,
            PolledAccount(engine, emulator, sql, settings[1]) as other,
        ):
            outcomes = []
            for hour, records in enumerate(hourly_responses()):
                for account in (first, other):
                    await account.set_clock(T0 + hour * HOUR)
                    result = await (account.poll(*records) if records else account.poll_body(b"<html>"))
                    outcomes.append(result.outcome)
            assert outcomes[::2] == outcomes[1::2]
            assert outcomes[::2] == ["applied", "unchanged", *["applied"] * 3, "failed", *["applied"] * 4, "unchanged"]
            assert (result.held, result.rejected) == (2, 1)
    await sql.close()
    await engine.dispose()


@pytest.fixture(scope="module")
def polled_database(server: EmbeddedServer) -> Iterator[str]:
    """The name of a database with the data of these polls."""
    name = f"polled_{uuid.uuid4().hex[:12]}"
    with migrated_database(server.url, name) as url:
        asyncio.run(poll_all_hours(url))
        yield name


def address_of(server: EmbeddedServer, name: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{name}"


# Drops or disables the triggers, foreign keys and checks that would refuse the violations.
DROP_CONSTRAINTS = """
set session_replication_role = replica;
do $$
declare
    constraint_row record;
begin
    for constraint_row in select conrelid::regclass as table_name, conname from pg_constraint
                           where contype = 'c' and connamespace = 'syncer'::regnamespace loop
        execute format('alter table %s drop constraint %I', constraint_row.table_name, constraint_row.conname);
    end loop;
end
$$;
set search_path = syncer, public;
create function public.started_at(hours numeric) returns timestamptz language sql
return timestamptz '2026-03-01 12:00:00Z' + hours * interval '1 hour';
create function public.observed_at(hours numeric) returns timestamptz language sql
return started_at(hours) + interval '1 microsecond';
"""


class DatabaseCopy(NamedTuple):
    """A copy of that database, for one test."""

    url: str
    sql: asyncpg.Connection

    async def violations(self) -> list[str]:
        """Returns the violations, sorted, with times as hours since the first poll."""
        engine = Engine(lambda: self.url)
        sentences = [str(violation) async for violation in find_violations(engine)]
        await engine.dispose()
        return sorted(TIME.sub(lambda time: hours_since_first_poll(time[0]), sentence) for sentence in sentences)


def hours_since_first_poll(time: str) -> str:
    hours = (datetime.fromisoformat(time) - T0) / HOUR
    return f"{round(hours, 3):g}h"


@pytest.fixture
async def data(server: EmbeddedServer, polled_database: str) -> AsyncIterator[DatabaseCopy]:
    owner = await connect(server.url)
    name = f"test_{uuid.uuid4().hex[:12]}"
    await owner.execute(f"create database {name} template {polled_database} strategy file_copy")
    sql = await connect(address_of(server, name))
    await sql.execute(DROP_CONSTRAINTS)
    yield DatabaseCopy(address_of(server, name), sql)
    await sql.close()
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


async def test_data_that_polls_wrote_violates_no_invariant(data: DatabaseCopy) -> None:
    counted = await data.sql.fetchrow(
        """
        select sum(created) > 0, sum(changed) > 0, sum(removed) > 0, sum(restored) > 0, sum(state_changes) > 0,
               sum(redirects_opened) > 0, sum(redirects_closed) > 0, sum(held) > 0, sum(rejected) > 0,
               count(*) filter (where outcome = 'failed') > 0, count(distinct account_id) = 2
          from syncer.sync_run
        """
    )
    assert counted is not None
    assert set(counted.values()) == {True}
    assert await data.violations() == []


async def test_deleting_runs_that_changed_nothing_violates_no_invariant(data: DatabaseCopy) -> None:
    deleted = await data.sql.execute(
        """
        delete from syncer.sync_run r
         using syncer.account_fence a
         where a.account_id = r.account_id and r.run_id <> a.success_run_id and r.outcome <> 'applied'
        """
    )
    assert deleted == "DELETE 4"
    assert await data.violations() == []


async def test_an_account_without_a_successful_poll_violates_no_invariant(data: DatabaseCopy) -> None:
    await data.sql.execute(
        """
        insert into syncer.account (name, time_zone, created_at) values ('new', 'Europe/Moscow', now());
        insert into syncer.sync_run (account_id, trigger, started_at, outcome)
        select account_id, 'schedule', now(), 'running' from syncer.account where name = 'new'
        """
    )
    assert await data.violations() == []


async def test_absences_that_ended_with_the_return_of_numbers_violate_no_invariant(
    account: PolledAccount, sql: asyncpg.Connection
) -> None:
    numbers = [record(key) for key in range(1, 11)]
    results = [await account.poll(*numbers), await account.poll(*numbers[:5]), await account.poll(*numbers)]

    absences = await sql.fetch(
        "select virtual_number_id, run_id, closed_run_id, ended_by from syncer.absence_history order by 1"
    )
    assert [result.held for result in results] == [0, 5, 0]
    assert [tuple(row) for row in absences] == [
        (key, results[1].run_id, results[2].run_id, "returned") for key in range(6, 11)
    ]
    assert [violation async for violation in find_violations(account.engine)] == []


ONE_WRONG_COUNTER = "update sync_run set created = created + 1 where (account_id, run_id) = (1, 1)"
ITS_VIOLATION = "invariant 5: account 1, run 1: created is 11, but its rows show 10"


async def test_a_login_that_may_open_one_connection_finds_the_same(data: DatabaseCopy) -> None:
    await data.sql.execute(ONE_WRONG_COUNTER)
    login = f"single_{uuid.uuid4().hex[:12]}"
    await data.sql.execute(f"create role {login} login password 'x' connection limit 1 in role syncer_daemon")
    parts = urlsplit(data.url)

    limited = data._replace(url=urlunsplit(parts._replace(netloc=f"{login}:x@{parts.hostname}:{parts.port}")))
    violations = await limited.violations()

    await data.sql.execute(f"drop role {login}")
    assert violations == [ITS_VIOLATION]


async def test_a_check_does_not_wait_for_further_connections(data: DatabaseCopy) -> None:
    await data.sql.execute(ONE_WRONG_COUNTER)
    engine = Engine(lambda: data.url, query_pool_size=6)
    async with AsyncExitStack() as stack:
        for _ in range(5):  # of the six that the engine opens at most
            await stack.enter_async_context(engine.connect())
        begun = time.monotonic()
        violations = [str(violation) async for violation in find_violations(engine)]
        seconds = time.monotonic() - begun
    await engine.dispose()

    assert violations == [ITS_VIOLATION]
    assert seconds < 20  # the pool waits 30 s for a connection


async def test_a_query_that_fails_ends_the_check_with_its_error(data: DatabaseCopy) -> None:
    await data.sql.execute("alter table sync_run rename column unconfirmed to other")

    with pytest.raises(DatabaseError, match=r"column r\.unconfirmed does not exist"):
        await data.violations()


async def test_a_transaction_sees_the_snapshot_that_another_exported(data: DatabaseCopy) -> None:
    engine = Engine(lambda: data.url)
    created = text("select created from syncer.sync_run where (account_id, run_id) = (1, 1)")
    async with read_snapshot(engine) as first:
        snapshot = (await first.execute(text("select pg_export_snapshot()"))).scalar_one()
        await data.sql.execute(ONE_WRONG_COUNTER)
        async with read_snapshot(engine, exported=snapshot) as second, read_snapshot(engine) as other:
            seen = [(await connection.execute(created)).scalar_one() for connection in (first, second, other)]
    await engine.dispose()

    assert seen == [10, 10, 11]


@pytest.mark.parametrize("column", ["valid_to", "closed_after", "closed_run_id", "ended_by"])
@pytest.mark.parametrize("table", ["state_history", "virtual_number_history", "virtual_number_redirect_history"])
async def test_a_row_of_history_without_an_end_is_refused(data: DatabaseCopy, table: str, column: str) -> None:
    with pytest.raises(asyncpg.NotNullViolationError, match=f'"{column}" of relation "{table}"'):
        await data.sql.execute(f"update {table} set {column} = null")  # noqa: S608 - names from this test


class Corruption:
    """Statements that corrupt the data of account 1, and the expected violations: rule, subject and problem."""

    def __init__(self, statements: str, *violations: str) -> None:
        self.statements = statements
        self.violations = sorted(
            f"invariant {rule}: account 1, {problem}"
            for rule, _, problem in (violation.partition(", ") for violation in violations)
        )


CORRUPTIONS: dict[str, Corruption] = {
    "the open state period begins before an ended one": Corruption(
        "update virtual_number set reason_since = observed_at(1), state_since = observed_at(1) where (account_id, "
        "virtual_number_id) = (1, 1)",
        "2, number 1: its state period from 1h begins before the previous one ends, at 3h",
        "3, number 1: its record has state debt_lock (a), but its state period from 2h has freeze (a)",
        "3, number 1: its state period from 1h has changed_after 2h, which is not before it begins",
        "3, number 1: its state period from 1h has state_since 1h, state_since_earliest 2h, from_state freeze, but "
        "the periods around it show 2h, 1h, active",
        "3, number 1: no version begins with its state period from 1h",
        "5, run 5: removed is 0, but its rows show 1",
        "5, run 7: removed is 0, but its rows show 1",
    ),
    "a removal is only in the record": Corruption(
        "update virtual_number set removed_at = missing_since, removed_run_id = 19 where (account_id, "
        "virtual_number_id) = (1, 8)",
        "1, number 8: it was removed at 9h, but nothing ended then",
        "3, number 8: it was removed at 9h, but no absence began then",
        "5, run 1: created is 10, but its rows show 9",
        "5, run 21: held and unconfirmed are 2 and 0, but the rows show 1",
    ),
    "a number has no state period": Corruption(
        "delete from state_history where (account_id, virtual_number_id) = (1, 6)",
        "1, number 6: it has no state period",
        "3, number 6: its version from 0h is in no state period",
        "4, number 6: its redirect 678 begins at 0h, when the number is not listed",
        "5, run 15: changed is 1, but its rows show 2; removed is 1, but its rows show 0",
        "5, run 1: created is 10, but its rows show 9; changed is 0, but its rows show 1",
    ),
    "a removed number's record is not removed": Corruption(
        "update virtual_number set removed_at = null, removed_run_id = null where (account_id, virtual_number_id) = "
        "(1, 6)",
        "2, number 6: its state period from 0h begins before the previous one ends, at 7h",
        "2, number 6: its version from 0h begins before the previous one ends, at 7h",
        "3, number 6: its absence from 7h begins before the previous one ended, at 7h",
        "3, number 6: its state period from 0h has to_state null, ended_by removed, but the periods around it show "
        "active, changed",
        "3, number 6: its version from 0h has ended_by removed, but the versions around it show changed",
        "5, run 1: changed is 0, but its rows show 1; state_changes is 0, but its rows show 1",
        "5, run 21: held and unconfirmed are 2 and 0, but the rows show 3",
    ),
    "state periods overlap": Corruption(
        "update state_history set valid_to = observed_at(2.5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'active')",
        "2, number 1: its state period from 2h begins before the previous one ends, at 2.5h",
        "5, run 5: removed is 0, but its rows show 1",
    ),
    "state periods have a gap": Corruption(
        "update state_history set valid_to = observed_at(1.5), closed_after = started_at(1) where (account_id, "
        "virtual_number_id, state) = (1, 1, 'active')",
        "2, number 1: its state period from 2h was opened by run 5, but the previous one was closed by run 5",
        "2, number 1: its state periods have a gap from 1.5h to 2h, but its versions do not",
        "3, number 1: its state period from 0h has to_state freeze, ended_by changed, but the periods around it show "
        "null, removed",
        "3, number 1: its state period from 2h has from_state active, state_began_by changed, but the periods around "
        "it show null, restored",
        "5, run 5: changed is 2, but its rows show 1; removed is 0, but its rows show 1; restored is 0, but its rows "
        "show 1; state_changes is 1, but its rows show 0",
    ),
    "a state period begins too late": Corruption(
        "update state_history set valid_from = observed_at(2.5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "2, number 1: its state period from 2.5h was opened by run 5, but the previous one was closed by run 5",
        "2, number 1: its state periods have a gap from 2h to 2.5h, but its versions do not",
        "3, number 1: its state period from 0h has to_state freeze, ended_by changed, but the periods around it show "
        "null, removed",
        "3, number 1: its state period from 2.5h has state_since 2h, from_state active, state_began_by changed, but "
        "the periods around it show 2.5h, null, restored",
        "3, number 1: its version from 2h has state freeze (a), but its state period from 0h has active",
        "3, number 1: no version begins with its state period from 2.5h",
        "5, run 5: changed is 2, but its rows show 1; removed is 0, but its rows show 1; restored is 0, but its rows "
        "show 1; state_changes is 1, but its rows show 0",
    ),
    "a restored number's state period begins before the removal": Corruption(
        "update virtual_number set reason_since = observed_at(3.5), state_since = observed_at(3.5) where (account_id, "
        "virtual_number_id) = (1, 2)",
        "2, number 2: its state period from 3.5h begins before the previous one ends, at 4h",
        "2, number 2: its versions have a gap from 4h to 6h, but its state periods do not",
        "3, number 2: its record has state freeze, but its state period from 0h has active",
        "3, number 2: its state period from 0h has to_state null, ended_by removed, but the periods around it show "
        "freeze, changed",
        "3, number 2: its state period from 3.5h has changed_after 4h, which is not before it begins",
        "3, number 2: its state period from 3.5h has from_state null, but the periods around it show active",
        "3, number 2: no version begins with its state period from 3.5h",
        "5, run 13: changed is 1, but its rows show 2; restored is 1, but its rows show 0; state_changes is 0, but "
        "its rows show 1",
    ),
    "versions overlap": Corruption(
        "update virtual_number_history set valid_to = observed_at(2.5) where (account_id, virtual_number_id) = (1, 4) "
        "and comment is null",
        "2, number 4: its version from 2h begins before the previous one ends, at 2.5h",
    ),
    "versions have a gap": Corruption(
        "update virtual_number_history set valid_to = observed_at(1.5) where (account_id, virtual_number_id) = (1, 4) "
        "and comment is null",
        "2, number 4: its version from 2h was opened by run 5, but the previous one was closed by run 5",
        "2, number 4: its versions have a gap from 1.5h to 2h, but its state periods do not",
        "3, number 4: its version from 0h has ended_by changed, but the versions around it show removed",
        "3, number 4: its version from 2h has began_by changed, but the versions around it show restored",
    ),
    "an older version is missing": Corruption(
        "delete from virtual_number_history where (account_id, virtual_number_id, comment) = (1, 4, 'second')",
        "2, number 4: its versions have a gap from 2h to 8h, but its state periods do not",
        "3, number 4: its version from 0h has ended_by changed, but the versions around it show removed",
        "5, run 5: changed is 2, but its rows show 1",
    ),
    "the first version is missing": Corruption(
        "delete from virtual_number_history where (account_id, virtual_number_id) = (1, 4) and comment is null",
        "2, number 4: first_seen_at is 0h, but its first version begins at 2h",
        "3, number 4: its version from 2h has began_by changed, but the versions around it show created",
        "3, number 4: its version from 2h is in no state period",
        "3, number 4: its version from 8h is in no state period",
        "3, number 4: no version begins with its state period from 0h",
    ),
    "the current version begins before an older one": Corruption(
        "update virtual_number set changed_at = observed_at(1), changed_after = started_at(0) where (account_id, "
        "virtual_number_id) = (1, 4)",
        "2, number 4: its version from 1h begins before the previous one ends, at 8h",
        "5, run 17: its rows are dated 1h to 1h, but it ran from 8h to 8h",
    ),
    "first_seen_at is not when the first version begins": Corruption(
        "update virtual_number set first_seen_at = observed_at(1) where (account_id, virtual_number_id) = (1, 5)",
        "2, number 5: first_seen_at is 1h, but its first version begins at 0h",
    ),
    "the versions have no gap at a removal": Corruption(
        "update virtual_number_history set valid_to = observed_at(6) where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its state periods have a gap from 4h to 6h, but its versions do not",
        "2, number 2: its version from 6h has changed_after 4h, but the previous one has closed_after 3h",
        "2, number 2: listed_since is 6h, but its versions show 0h",
        "3, number 2: its version from 0h has ended_by removed, but the versions around it show changed",
    ),
    "a removal has another closed_after in its version": Corruption(
        "update virtual_number_history set closed_after = started_at(2) where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its removal at 4h has closed_after 2h in its versions, but 3h in its state periods",
    ),
    "a removal has another run in its version": Corruption(
        "update virtual_number_history set closed_run_id = 7 where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its removal at 4h is by run 7 in its versions, but by run 9 in its state periods",
    ),
    "a removal has another time in the current record": Corruption(
        "update virtual_number set removed_at = observed_at(8), missing_since = observed_at(8) where (account_id, "
        "virtual_number_id) = (1, 6)",
        "2, number 6: it was removed at 8h, but its last version ends at 7h",
        "3, number 6: it was removed at 8h, but no absence began then",
    ),
    "a period was opened by another run than closed the previous one": Corruption(
        "update state_history set run_id = 7 where (account_id, virtual_number_id, state) = (1, 1, 'freeze')",
        "2, number 1: its state period from 2h was opened by run 7, but the previous one was closed by run 5",
        "3, number 1: its state period from 2h was opened by run 7, but its version by run 5",
        "3, number 1: its state period from 2h was opened by run 7 and closed by run 7",
        "5, run 5: state_changes is 1, but its rows show 0",
        "5, run 7: state_changes is 1, but its rows show 2",
    ),
    "windows of adjoining periods differ": Corruption(
        "update state_history set closed_after = started_at(0) where (account_id, virtual_number_id, state) = (1, 1, "
        "'active')",
        "2, number 1: its state period from 2h has changed_after 1h, but the previous one has closed_after 0h",
    ),
    "a state period ends before it begins": Corruption(
        "update state_history set valid_to = valid_from - interval '1 hour' where (account_id, virtual_number_id) = "
        "(1, 6)",
        "2, number 6: it was removed at 7h, but its state period ends at -1h",
        "3, number 6: its state period from 0h ends at -1h, which is not after it begins",
        "4, number 6: its redirect 678 begins at 0h, when the number is not listed",
        "4, number 6: run 15 changed its redirects at 7h, but everything else at -1h",
    ),
    "a state period has changed_after later than its beginning": Corruption(
        "update virtual_number set reason_since_earliest = started_at(5), state_since_earliest = started_at(5) where "
        "(account_id, virtual_number_id) = (1, 1)",
        "2, number 1: its state period from 3h has changed_after 5h, but the previous one has closed_after 2h",
        "3, number 1: its state period from 3h has changed_after 5h, but its version has 2h",
        "3, number 1: its state period from 3h has changed_after 5h, which is not before it begins",
    ),
    "a version has closed_after no earlier than its end": Corruption(
        "update virtual_number_history set closed_after = valid_to where (account_id, virtual_number_id, comment) = "
        "(1, 4, 'second')",
        "2, number 4: its version from 8h has changed_after 7h, but the previous one has closed_after 8h",
        "3, number 4: its version from 2h ends at 8h, but has closed_after 8h, which is not earlier",
    ),
    "a period was closed by an earlier run than opened it": Corruption(
        "update state_history set closed_run_id = 1 where (account_id, virtual_number_id) = (1, 6)",
        "2, number 6: its removal at 7h is by run 15 in its versions, but by run 1 in its state periods",
        "3, number 6: its state period from 0h was opened by run 1 and closed by run 1",
        "4, number 6: run 1 changed its redirects at 0h, but everything else at 7h",
        "5, run 15: changed is 1, but its rows show 2; removed is 1, but its rows show 0",
        "5, run 1: removed is 0, but its rows show 1",
    ),
    "the record's state is not what the previous period says": Corruption(
        "update virtual_number set state = 'frozen' where (account_id, virtual_number_id) = (1, 1)",
        "3, number 1: its state period from 2h has to_state debt_lock, but the periods around it show frozen",
    ),
    "the record's state is that of the previous period": Corruption(
        "update virtual_number set state = 'freeze' where (account_id, virtual_number_id) = (1, 1)",
        "3, number 1: its state period from 2h has to_state debt_lock, but the periods around it show freeze",
        "3, number 1: its state period from 3h has state_since 3h, state_since_earliest 2h, from_state freeze, but "
        "the periods around it show 2h, 1h, active",
        "3, number 1: its state period from 3h has the same state as the previous one",
    ),
    "a version's reason is null and that of its state period is not": Corruption(
        "update virtual_number_history set reason = null where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "3, number 1: its version from 2h has state freeze, but its state period from 2h has freeze (a)",
    ),
    "a version's reason is not null and that of its state period is": Corruption(
        "update virtual_number_history set reason = 'x' where (account_id, virtual_number_id, comment) = (1, 4, "
        "'second')",
        "3, number 4: its version from 2h has state active (x), but its state period from 0h has active",
    ),
    "an older version has another state than its state period": Corruption(
        "update virtual_number_history set state = 'freeze' where (account_id, virtual_number_id, comment) = (1, 4, "
        "'second')",
        "3, number 4: its version from 2h has state freeze, but its state period from 0h has active",
    ),
    "a state period is split in two with the same state": Corruption(
        "insert into state_history (account_id, virtual_number_id, state, valid_from, valid_to, closed_after, run_id, "
        "closed_run_id, ended_by, state_since, state_began_by, to_state) values (1, 4, 'active', observed_at(0), "
        "observed_at(8), started_at(7), 1, 17, 'changed', observed_at(0), 'created', 'active'); update virtual_number "
        "set reason_since = observed_at(8), reason_since_earliest = started_at(7), reason_run_id = 17 where "
        "(account_id, virtual_number_id) = (1, 4)",
        "3, number 4: its state period from 8h has the same state as the previous one",
        "5, run 17: state_changes is 0, but its rows show 1",
    ),
    "a state period has another changed_after than its version": Corruption(
        "update virtual_number set reason_since_earliest = started_at(0), state_since_earliest = started_at(0) where "
        "(account_id, virtual_number_id) = (1, 10); update state_history set closed_after = started_at(0) where "
        "(account_id, virtual_number_id) = (1, 10)",
        "3, number 10: its state period from 9h has changed_after 0h, but its version has 8h",
    ),
    "a missing number has no last_read_at": Corruption(
        "update virtual_number set last_read_at = null where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: missing_since is 9h, but last_read_at is null",
    ),
    "a missing number has a later last_read_at": Corruption(
        "update virtual_number set last_read_at = started_at(9.5) where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: missing_since is 9h, but it was read after 9.5h",
    ),
    "a removed number has no missing_since": Corruption(
        "update virtual_number set missing_since = null where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: removed_at is 7h, but missing_since is null",
    ),
    "missing_since is later than the newest success": Corruption(
        "update virtual_number set missing_since = observed_at(11) where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: missing_since is 11h, which is later than the newest success at 10h",
    ),
    "a number that every poll reads has a last_read_at": Corruption(
        "update virtual_number set last_read_at = started_at(8) where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: last_read_at is 8h, but it is neither missing nor rejected",
    ),
    "a rejected number has no last_read_at": Corruption(
        "update virtual_number set last_read_at = null where (account_id, virtual_number_id) = (1, 7)",
        "3, number 7: last_read_at is null, but the newest applied run rejected its record",
    ),
    "a rejected number has a missing_since": Corruption(
        "update virtual_number set missing_since = observed_at(8) where (account_id, virtual_number_id) = (1, 7)",
        "3, number 7: missing_since is 8h, but the newest applied run rejected its record",
        "5, run 21: held and unconfirmed are 2 and 0, but the rows show 3",
    ),
    "an open redirect begins before an ended one": Corruption(
        "update virtual_number_redirect set valid_from = observed_at(0), changed_after = null, run_id = 1 where "
        "(account_id, virtual_number_id) = (1, 3)",
        "4, number 3: its redirect 249 begins at 0h, but its previous period ends at 3h",
        "5, run 13: changed is 1, but its rows show 0; redirects_opened is 2, but its rows show 1",
        "5, run 1: redirects_opened is 4, but its rows show 5",
    ),
    "a redirect's periods overlap": Corruption(
        "update virtual_number_redirect_history set valid_to = observed_at(7) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249)",
        "4, number 3: its redirect 249 begins at 6h, but its previous period ends at 7h",
        "5, run 7: its rows are dated 3h to 7h, but it ran from 3h to 3h",
    ),
    "a redirect's periods touch": Corruption(
        "update virtual_number_redirect_history set valid_to = observed_at(6) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249)",
        "4, number 3: its redirect 249 begins at 6h, but its previous period ends at 6h",
        "5, run 7: its rows are dated 3h to 6h, but it ran from 3h to 3h",
    ),
    "a removed number's redirect is open": Corruption(
        "with ended as (delete from virtual_number_redirect_history where (account_id, virtual_number_id) = (1, 6) "
        "returning *) insert into virtual_number_redirect select account_id, virtual_number_id, redirect_number_id, "
        "number, valid_from, changed_after, run_id from ended",
        "4, number 6: its redirect 678 from 0h is open, though the number was removed at 7h",
        "5, run 15: redirects_closed is 2, but its rows show 1",
    ),
    "a redirect ends after its number's removal": Corruption(
        "update virtual_number_redirect_history set valid_to = observed_at(8) where (account_id, virtual_number_id) = "
        "(1, 6)",
        "4, number 6: its redirect 678 ends at 8h, though the number was removed at 7h",
        "4, number 6: run 15 changed its redirects at 8h, but everything else at 7h",
        "5, run 15: its rows are dated 7h to 8h, but it ran from 7h to 7h",
    ),
    "a redirect begins while its number is removed": Corruption(
        "update virtual_number_redirect set valid_from = observed_at(5) where (account_id, virtual_number_id) = (1, 2)",
        "4, number 2: its redirect 249 begins at 5h, when the number is not listed",
        "4, number 2: run 13 changed its redirects at 5h, but everything else at 6h",
        "5, run 13: its rows are dated 5h to 6h, but it ran from 6h to 6h",
    ),
    "a redirect begins before its number": Corruption(
        "update virtual_number_redirect_history set valid_from = observed_at(-1) where (account_id, "
        "virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 begins at -1h, when the number is not listed",
        "4, number 6: run 1 changed its redirects at -1h, but everything else at 0h",
        "5, run 1: its rows are dated -1h to 0h, but it ran from 0h to 0h",
    ),
    "a redirect spans a removal": Corruption(
        "delete from virtual_number_redirect where (account_id, virtual_number_id) = (1, 2); with ended as (delete "
        "from virtual_number_redirect_history where (account_id, virtual_number_id) = (1, 2) returning *) insert into "
        "virtual_number_redirect select account_id, virtual_number_id, redirect_number_id, number, valid_from, "
        "changed_after, run_id from ended",
        "4, number 2: its redirect 249 from 0h is open, though the number was removed at 4h",
        "5, run 13: redirects_opened is 2, but its rows show 1",
        "5, run 9: redirects_closed is 1, but its rows show 0",
    ),
    "a redirect ends before it begins": Corruption(
        "update virtual_number_redirect_history set valid_to = valid_from where (account_id, virtual_number_id) = (1, "
        "6)",
        "4, number 6: its redirect 678 from 0h ends at 0h, which is not after it begins",
        "4, number 6: run 15 changed its redirects at 0h, but everything else at 7h",
    ),
    "a redirect has another window than the version of its run": Corruption(
        "update virtual_number_redirect set changed_after = started_at(3) where (account_id, virtual_number_id) = (1, "
        "2)",
        "4, number 2: run 13 changed its redirects after 3h, but everything else after 4h",
    ),
    "a redirect that a removal closed ends earlier": Corruption(
        "update virtual_number_redirect_history set valid_to = observed_at(6.5) where (account_id, virtual_number_id) "
        "= (1, 6)",
        "4, number 6: run 15 changed its redirects at 6.5h, but everything else at 7h",
    ),
    "created of a run is wrong": Corruption(
        "update sync_run set created = created + 1 where (account_id, run_id) = (1, 1)",
        "5, run 1: created is 11, but its rows show 10",
    ),
    "changed of a run is wrong": Corruption(
        "update sync_run set changed = changed + 1 where (account_id, run_id) = (1, 19)",
        "5, run 19: changed is 2, but its rows show 1",
    ),
    "removed of a run is wrong": Corruption(
        "update sync_run set removed = removed + 1 where (account_id, run_id) = (1, 9)",
        "5, run 9: removed is 2, but its rows show 1",
    ),
    "restored of a run is wrong": Corruption(
        "update sync_run set restored = restored + 1 where (account_id, run_id) = (1, 13)",
        "5, run 13: restored is 2, but its rows show 1",
    ),
    "state_changes of a run is wrong": Corruption(
        "update sync_run set state_changes = state_changes + 1 where (account_id, run_id) = (1, 5)",
        "5, run 5: state_changes is 2, but its rows show 1",
    ),
    "redirects_opened of a run is wrong": Corruption(
        "update sync_run set redirects_opened = redirects_opened + 1 where (account_id, run_id) = (1, 13)",
        "5, run 13: redirects_opened is 3, but its rows show 2",
    ),
    "redirects_closed of a run is wrong": Corruption(
        "update sync_run set redirects_closed = redirects_closed + 1 where (account_id, run_id) = (1, 15)",
        "5, run 15: redirects_closed is 3, but its rows show 2",
    ),
    "a restored number appeared at an unknown time": Corruption(
        "update virtual_number set changed_after = null, reason_since_earliest = null, state_since_earliest = null "
        "where (account_id, virtual_number_id) = (1, 2); update virtual_number_redirect set changed_after = null "
        "where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its state period from 6h has changed_after null, but the previous one has closed_after 3h",
        "2, number 2: its version from 6h has changed_after null, but the previous one has closed_after 3h",
    ),
    "unconfirmed of the newest run is wrong": Corruption(
        "update sync_run set unconfirmed = 1 where (account_id, run_id) = (1, 21)",
        "5, run 21: held and unconfirmed are 2 and 1, but the rows show 2",
    ),
    "the newest believable run is unknown": Corruption(
        "update account_fence set believable_run_id = null, believable_started_at = null where account_id = 1",
        "5, run 21: believable_run_id is null, after 10 of them",
    ),
    "the newest believable run is newer than the newest success": Corruption(
        "update account_fence set believable_run_id = 23 where account_id = 1",
        "5, run 21: believable_run_id is 23, after 10 of them",
    ),
    "held of the newest run is wrong": Corruption(
        "update sync_run set held = 3 where (account_id, run_id) = (1, 21)",
        "5, run 21: held and unconfirmed are 3 and 0, but the rows show 2",
    ),
    "rejected of the newest run is wrong": Corruption(
        "update sync_run set rejected = 0 where (account_id, run_id) = (1, 21)",
        "5, run 21: rejected is 0, but the rows show 1",
    ),
    "a run that rows refer to is deleted": Corruption(
        "delete from sync_run where (account_id, run_id) = (1, 5)",
        "5, run 5: rows refer to it, but it does not exist",
    ),
    "a run that rows refer to is the other account's": Corruption(
        "update virtual_number set run_id = 2, reason_run_id = 2 where (account_id, virtual_number_id) = (1, 5)",
        "5, run 1: created is 10, but its rows show 9",
        "5, run 2: rows refer to it, but it does not exist",
    ),
    "a run that rows refer to is unchanged": Corruption(
        "update sync_run set outcome = 'unchanged' where (account_id, run_id) = (1, 9)",
        "5, run 9: rows refer to it, but it is unchanged",
    ),
    "a run that rows refer to is failed": Corruption(
        "update sync_run set outcome = 'failed' where (account_id, run_id) = (1, 9)",
        "5, run 9: rows refer to it, but it is failed",
    ),
    "an unchanged run counts a change": Corruption(
        "update sync_run set changed = 1, unchanged = unchanged - 1 where (account_id, run_id) = (1, 3)",
        "5, run 3: changed is 1, but its rows show 0",
    ),
    "a failed run counts numbers": Corruption(
        "update sync_run set received = 10, unchanged = 10 where (account_id, run_id) = (1, 11)",
        "5, run 11: it is failed, but has counters",
    ),
    "received is less than the other counters of a run": Corruption(
        "update sync_run set received = 9 where (account_id, run_id) = (1, 7)",
        "5, run 7: received is 9, but its other counters add up to 10",
    ),
    "received is null": Corruption(
        "update sync_run set received = null where (account_id, run_id) = (1, 7)",
        "5, run 7: received is null, but its other counters add up to 10",
    ),
    "rows of a later run have no changed_after": Corruption(
        "update virtual_number set changed_after = null, reason_since_earliest = null, state_since_earliest = null "
        "where (account_id, virtual_number_id) = (1, 10)",
        "2, number 10: its state period from 9h has changed_after null, but the previous one has closed_after 8h",
        "2, number 10: its version from 9h has changed_after null, but the previous one has closed_after 8h",
    ),
    "rows are dated at another time than their run": Corruption(
        "update sync_run set started_at = started_at(1), finished_at = observed_at(1.5) where (account_id, run_id) = "
        "(1, 5)",
        "5, run 5: its rows are dated 2h to 2h, but it ran from 1h to 1.5h",
    ),
    "success_run_id of an account is an older run": Corruption(
        "update account_fence set success_run_id = 19 where account_id = 1",
        "5, run 21: it is the newest success, but success_run_id of its account is 19",
    ),
    "applied_run_id of an account is an older run": Corruption(
        "update account_fence set applied_run_id = 17 where account_id = 1",
        "3, number 7: last_read_at is 7h, but it is neither missing nor rejected",
        "5, run 21: run 19 is the newest applied run, but applied_run_id of its account is 17",
    ),
    "success_started_at of an account is earlier": Corruption(
        "update account_fence set success_started_at = started_at(9) where account_id = 1",
        "5, run 21: it ran from 10h to 10h, but its account has 9h to 10h",
    ),
    "first_success_at of an account is null": Corruption(
        "update account_fence set first_success_at = null where account_id = 1",
        "5, run 21: it was recorded at 10h, but its account has first_success_at null",
    ),
    "a redirect, the only change of a number, has no changed_after": Corruption(
        "update virtual_number_redirect set changed_after = null where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249)",
        "4, number 3: run 13 changed its redirects without a lower end of the window",
    ),
    "two redirects that a run opened have different changed_after": Corruption(
        "update virtual_number_redirect_history set changed_after = started_at(-1) where (account_id, "
        "virtual_number_id, redirect_number_id) = (1, 3, 678)",
        "4, number 3: run 1 changed its redirects after null and after -1h",
    ),
    "a number has no current row": Corruption(
        "delete from virtual_number where (account_id, virtual_number_id) = (1, 6)",
        "1, number 6: it has a version from 0h, but no record",
    ),
    "state_since of a state period is not when its state began": Corruption(
        "update state_history set state_since = observed_at(0) where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "3, number 1: its state period from 2h has state_since 0h, but the periods around it show 2h",
    ),
    "state_since_earliest of a state period is not the window in which its state began": Corruption(
        "update state_history set state_since_earliest = started_at(0) where (account_id, virtual_number_id, state) = "
        "(1, 1, 'freeze')",
        "3, number 1: its state period from 2h has state_since_earliest 0h, but the periods around it show 1h",
    ),
    "state_since_earliest of a state period is unknown": Corruption(
        "update state_history set state_since_earliest = null where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "3, number 1: its state period from 2h has state_since_earliest null, but the periods around it show 1h",
    ),
    "from_state of a state period is not the previous state": Corruption(
        "update state_history set from_state = 'debt_lock' where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "3, number 1: its state period from 2h has from_state debt_lock, but the periods around it show active",
    ),
    "a state period began by a creation, though it follows another": Corruption(
        "update state_history set from_state = null, state_began_by = 'created' where (account_id, virtual_number_id, "
        "state) = (1, 1, 'freeze')",
        "3, number 1: its state period from 2h has from_state null, state_began_by created, but the periods around it "
        "show active, changed",
    ),
    "to_state of a state period is not the next state": Corruption(
        "update state_history set to_state = 'active' where (account_id, virtual_number_id, state) = (1, 1, 'freeze')",
        "3, number 1: its state period from 2h has to_state active, but the periods around it show debt_lock",
    ),
    "a state period ended by a removal, though another follows": Corruption(
        "update state_history set to_state = null, ended_by = 'removed' where (account_id, virtual_number_id, state) "
        "= (1, 1, 'freeze')",
        "3, number 1: its state period from 2h has to_state null, ended_by removed, but the periods around it show "
        "debt_lock, changed",
    ),
    "a removed number's state period ended by a change": Corruption(
        "update state_history set to_state = 'freeze', ended_by = 'changed' where (account_id, virtual_number_id) = "
        "(1, 2)",
        "3, number 2: its state period from 0h has to_state freeze, ended_by changed, but the periods around it show "
        "null, removed",
    ),
    "the first state period began by a restoration": Corruption(
        "update state_history set state_began_by = 'restored' where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its state period from 0h has state_began_by restored, but the periods around it show created",
    ),
    "state_since of an open state period is not when its state began": Corruption(
        "update virtual_number set state_since = observed_at(2) where (account_id, virtual_number_id) = (1, 1)",
        "3, number 1: its state period from 3h has state_since 2h, but the periods around it show 3h",
    ),
    "state_since_earliest of an open state period is unknown": Corruption(
        "update virtual_number set state_since_earliest = null where (account_id, virtual_number_id) = (1, 10)",
        "3, number 10: its state period from 9h has state_since_earliest null, but the periods around it show 8h",
    ),
    "from_state of an open state period is unknown": Corruption(
        "update virtual_number set from_state = null where (account_id, virtual_number_id) = (1, 10)",
        "3, number 10: its state period from 9h has from_state null, but the periods around it show active",
    ),
    "a restored number has a from_state": Corruption(
        "update virtual_number set from_state = 'active' where (account_id, virtual_number_id) = (1, 2)",
        "3, number 2: its state period from 6h has from_state active, but the periods around it show null",
    ),
    "the first version began by a change": Corruption(
        "update virtual_number_history set began_by = 'changed' where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its version from 0h has began_by changed, but the versions around it show created",
    ),
    "a version began by a restoration, though it follows another": Corruption(
        "update virtual_number_history set began_by = 'restored' where (account_id, virtual_number_id, comment) = (1, "
        "4, 'second')",
        "3, number 4: its version from 2h has began_by restored, but the versions around it show changed",
    ),
    "a version ended by a removal, though another follows": Corruption(
        "update virtual_number_history set ended_by = 'removed' where (account_id, virtual_number_id, comment) = (1, "
        "4, 'second')",
        "3, number 4: its version from 2h has ended_by removed, but the versions around it show changed",
    ),
    "a removed number's version ended by a change": Corruption(
        "update virtual_number_history set ended_by = 'changed' where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its version from 0h has ended_by changed, but the versions around it show removed",
    ),
    "a redirect ended by a change when its number was removed": Corruption(
        "update virtual_number_redirect_history set ended_by = 'changed' where (account_id, virtual_number_id) = (1, "
        "6)",
        "4, number 6: its redirect 678 from 0h has ended_by changed, but run 15 removed the number",
    ),
    "a redirect ended by a removal, though its number was not removed": Corruption(
        "update virtual_number_redirect_history set ended_by = 'removed' where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 678)",
        "4, number 3: its redirect 678 from 0h has ended_by removed, but run 15 did not remove the number",
    ),
    "listed_since is not when the first version begins": Corruption(
        "update virtual_number set listed_since = observed_at(-1) where (account_id, virtual_number_id) = (1, 5)",
        "2, number 5: listed_since is -1h, but its versions show 0h",
    ),
    "listed_since of a restored number is when it was first seen": Corruption(
        "update virtual_number set listed_since = first_seen_at where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: listed_since is 0h, but its versions show 6h",
    ),
    "listed_since of a removed number is later": Corruption(
        "update virtual_number set listed_since = observed_at(1) where (account_id, virtual_number_id) = (1, 6)",
        "2, number 6: listed_since is 1h, but its versions show 0h",
    ),
    "a removed number's record is rewritten": Corruption(
        "update virtual_number set comment = 'x', state = 'freeze', reason = 'y' where (account_id, "
        "virtual_number_id) = (1, 6)",
        "3, number 6: its record and what its removal ended differ in comment, state, reason",
    ),
    "a removed number's record has another window": Corruption(
        "update virtual_number set changed_at = observed_at(1), changed_after = started_at(0), run_id = 3, "
        "last_read_at = started_at(5) where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its record and what its removal ended differ in changed_at, changed_after, last_read_at, run_id",
    ),
    "a removed number's state has lasted since another time": Corruption(
        "update virtual_number set state_since = observed_at(1), state_since_earliest = started_at(0), from_state = "
        "'freeze' where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its record and what its removal ended differ in state_since, state_since_earliest, from_state",
    ),
    "a removed number's reason has lasted since another time": Corruption(
        "update virtual_number set reason_since = observed_at(1), reason_since_earliest = started_at(0), "
        "reason_run_id = 3 where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its record and what its removal ended differ in reason_since, reason_since_earliest, "
        "reason_run_id",
    ),
    "a removal has another run in the current record": Corruption(
        "update virtual_number set removed_run_id = 13 where (account_id, virtual_number_id) = (1, 6)",
        "2, number 6: it was removed by run 13, but its last version was closed by run 15",
    ),
    "a removed number has no version": Corruption(
        "delete from virtual_number_history where (account_id, virtual_number_id) = (1, 6)",
        "1, number 6: it has a state period, but no version",
        "3, number 6: no version begins with its state period from 0h",
        "4, number 6: run 1 changed its redirects without a lower end of the window",
    ),
    "absences overlap": Corruption(
        "insert into absence_history values (1, 5, observed_at(2), 5, observed_at(6), 13, 'returned'), (1, 5, "
        "observed_at(4), 9, observed_at(7), 15, 'returned')",
        "3, number 5: its absence from 4h begins before the previous one ended, at 6h",
    ),
    "absences touch": Corruption(
        "insert into absence_history values (1, 5, observed_at(2), 5, observed_at(4), 9, 'returned'), (1, 5, "
        "observed_at(4), 9, observed_at(7), 15, 'returned')",
        "3, number 5: its absence from 4h begins before the previous one ended, at 4h",
    ),
    "a missing number was absent before, and later than it is missing": Corruption(
        "insert into absence_history values (1, 8, observed_at(7), 15, observed_at(10), 21, 'returned')",
        "3, number 8: its absence from 9h begins before the previous one ended, at 10h",
    ),
    "an absence ends before it begins": Corruption(
        "insert into absence_history values (1, 5, observed_at(4), 5, observed_at(2), 9, 'returned')",
        "3, number 5: its absence from 4h ended at 2h, which is before it began",
    ),
    "an absence ended with an earlier run than it began": Corruption(
        "insert into absence_history values (1, 5, observed_at(2), 9, observed_at(4), 5, 'returned')",
        "3, number 5: its absence from 2h began with run 9 and ended with run 5",
    ),
    "a number returned in the run that first missed it": Corruption(
        "insert into absence_history values (1, 5, observed_at(2), 5, observed_at(2), 5, 'returned')",
        "3, number 5: its absence from 2h began with run 5 and ended with run 5",
    ),
    "an absence ended with a removal that no state period ended with": Corruption(
        "insert into absence_history values (1, 5, observed_at(2), 5, observed_at(4), 9, 'removed')",
        "3, number 5: its absence from 2h ended with a removal, but nothing else did",
    ),
    "an absence ended with a removal by another run": Corruption(
        "update absence_history set closed_run_id = 17 where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its absence from 7h ended with a removal by run 17, but its number was removed by run 15",
    ),
    "a removed number's absence ended with its return": Corruption(
        "update absence_history set closed_run_id = 17, ended_by = 'returned' where (account_id, virtual_number_id) = "
        "(1, 6)",
        "3, number 6: its absence from 7h ended with its return, but its number was removed by run 15",
    ),
    "a removed number has no absence": Corruption(
        "delete from absence_history where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: it was removed at 7h, but no absence began then",
    ),
    "a removed number's absence began with another run": Corruption(
        "update absence_history set run_id = 13 where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: missing_run_id is 15, but its absence began with run 13",
    ),
    "a number that is not missing has a missing_run_id": Corruption(
        "update virtual_number set missing_run_id = 19 where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: missing_run_id is 19, but missing_since is null",
    ),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_violation_is_reported_and_nothing_else(data: DatabaseCopy, corruption: Corruption) -> None:
    await data.sql.execute(corruption.statements)

    assert await data.violations() == corruption.violations


@pytest.mark.parametrize(
    ("statement", "problems"),
    [
        (
            "update syncer.day_summary set numbers = array[7] where day = '2026-03-02'",
            ["2026-03-02 is not what the history says"],
        ),
        (
            "delete from syncer.day_summary where day = '2026-03-02'",
            ["2026-03-02 is missing, though there are later ones"],
        ),
        (
            "update syncer.day_summary set day = '2026-02-28' where day = '2026-03-01'",
            [
                "2026-02-28 is there, but the account had no numbers then",
                "2026-03-01 is missing, though there are later ones",
            ],
        ),
        (
            """
            insert into syncer.day_summary
            select c.*
              from syncer.account a
             cross join lateral syncer.last_day_summary(a.account_id, a.time_zone, 'infinity') s
             cross join lateral syncer.count_days(a.account_id, a.time_zone, s, '2026-03-05 00:00+03') c
             where c.day = '2026-03-04'
            """,
            ["2026-03-04 is there, but the newest success was at 2026-03-04 12:00:00.000001+00, before its end"],
        ),
    ],
    ids=["changed", "missing", "too early", "too late"],
)
async def test_a_summary_of_a_day_that_is_not_what_the_history_says_is_reported(
    account: PolledAccount, statement: str, problems: list[str]
) -> None:
    for day in range(4):
        await account.poll_at(T0 + day * 24 * HOUR, record(1))
    while await summarise_days(account.engine, 1) == "more":
        pass
    assert await account.broken_invariants() == []

    await account.sql.execute(statement)

    assert sorted(await account.broken_invariants()) == [
        f"invariant 7: account 1: the summary of {problem}" for problem in problems
    ]
