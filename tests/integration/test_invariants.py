"""`syncer check --data` reports nothing on data that polls wrote, and each violation that a test makes by hand."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from syncer.emulator import STATIC, Emulator
from syncer.store.engine import create_engine
from syncer.store.invariants import find_violations
from tests.builders import PolledAccount, connect, migrated_database, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

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
    engine = create_engine(lambda: url)
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


# Drops or disables the triggers, foreign keys, checks and unique indexes that would refuse the violations.
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
        engine = create_engine(lambda: self.url)
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
    await owner.execute(f"create database {name} template {polled_database}")
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
         using syncer.account a
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


class Corruption:
    """Statements that corrupt the data of account 1, and the expected violations: rule, subject and problem."""

    def __init__(self, statements: str, *violations: str) -> None:
        self.statements = statements
        self.violations = sorted(
            f"invariant {rule}: account 1, {problem}"
            for rule, _, problem in (violation.partition(", ") for violation in violations)
        )


CORRUPTIONS: dict[str, Corruption] = {
    "a second state period is open": Corruption(
        "update state_history set valid_to = null, closed_after = null, closed_run_id = null where (account_id, "
        "virtual_number_id, state) = (1, 1, 'active')",
        "1, number 1: its state period from 0h is open, but another begins at 2h",
    ),
    "the open state period is closed": Corruption(
        "update state_history set valid_to = observed_at(10), closed_after = started_at(9), closed_run_id = 21 where "
        "(account_id, virtual_number_id) = (1, 5)",
        "1, number 5: it has no open state period, though it is not removed",
        "5, run 21: rows refer to it, but it is unchanged",
    ),
    "a number has no state period": Corruption(
        "delete from state_history where (account_id, virtual_number_id) = (1, 5)",
        "1, number 5: it has no state period",
        "3, number 5: its version from 0h is in no state period",
        "5, run 1: created is 10, but its rows show 9; changed is 0, but its rows show 1",
    ),
    "a removed number's state period is open": Corruption(
        "update state_history set valid_to = null, closed_after = null, closed_run_id = null where (account_id, "
        "virtual_number_id) = (1, 6)",
        "1, number 6: it has an open state period, though it was removed at 7h",
        "5, run 15: changed is 1, but its rows show 2; removed is 1, but its rows show 0",
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
        "2, number 1: its state periods have a gap from 1.5h to 2h, but its versions do not",
        "2, number 1: its state period from 2h was opened by run 5, but the previous one was closed by run 5",
        "5, run 5: changed is 2, but its rows show 1; removed is 0, but its rows show 1; restored is 0, but its rows "
        "show 1; state_changes is 1, but its rows show 0",
    ),
    "a state period begins too late": Corruption(
        "update state_history set valid_from = observed_at(2.5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "2, number 1: its state periods have a gap from 2h to 2.5h, but its versions do not",
        "2, number 1: its state period from 2.5h was opened by run 5, but the previous one was closed by run 5",
        "3, number 1: no version begins with its state period from 2.5h",
        "3, number 1: its version from 2h has state freeze (a), but its state period from 0h has active",
        "5, run 5: changed is 2, but its rows show 1; removed is 0, but its rows show 1; restored is 0, but its rows "
        "show 1; state_changes is 1, but its rows show 0",
    ),
    "a restored number's state period begins before the removal": Corruption(
        "update state_history set valid_from = observed_at(3.5) where (account_id, virtual_number_id, state) = (1, 2, "
        "'freeze')",
        "2, number 2: its state period from 3.5h begins before the previous one ends, at 4h",
        "2, number 2: its versions have a gap from 4h to 6h, but its state periods do not",
        "3, number 2: its record has state freeze, but its state period from 0h has active",
        "3, number 2: its state period from 3.5h has changed_after 4h, which is not before it begins",
        "3, number 2: no version begins with its state period from 3.5h",
        "5, run 13: changed is 1, but its rows show 2; restored is 1, but its rows show 0; state_changes is 0, but its "
        "rows show 1",
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
    ),
    "an older version has no end": Corruption(
        "update virtual_number_history set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 4) and comment is null",
        "2, number 4: its version from 0h is open, but another begins at 2h",
    ),
    "an older version is missing": Corruption(
        "delete from virtual_number_history where (account_id, virtual_number_id, comment) = (1, 4, 'second')",
        "2, number 4: its versions have a gap from 2h to 8h, but its state periods do not",
        "5, run 5: changed is 2, but its rows show 1",
    ),
    "the first version is missing": Corruption(
        "delete from virtual_number_history where (account_id, virtual_number_id) = (1, 4) and comment is null",
        "2, number 4: first_seen_at is 0h, but its first version begins at 2h",
        "3, number 4: no version begins with its state period from 0h",
        "3, number 4: its version from 2h is in no state period",
        "3, number 4: its version from 8h is in no state period",
    ),
    "the current version begins before an older one": Corruption(
        "update virtual_number set changed_at = observed_at(1), changed_after = started_at(0) where (account_id, "
        "virtual_number_id) = (1, 4)",
        "1, number 4: it has an open state period, though it was removed at 8h",
        "2, number 4: its current version begins at 1h, but an older one at 2h",
        "2, number 4: its version from 1h is open, but another begins at 2h",
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
        "2, number 6: it was removed at 8h, but its state period ends at 7h",
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
        "update state_history set changed_after = started_at(5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'debt_lock')",
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
    "a closed period has no closed_after": Corruption(
        "update state_history set closed_after = null where (account_id, virtual_number_id, state) = (1, 2, 'active')",
        "3, number 2: its state period from 0h ends at 4h, but has no closed_after",
    ),
    "a closed period has no closed_run_id": Corruption(
        "update state_history set closed_run_id = null where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its state period from 0h ends at 7h, but has no closed_run_id",
        "5, run 15: changed is 1, but its rows show 2; removed is 1, but its rows show 0",
    ),
    "an open period has a closed_run_id": Corruption(
        "update state_history set closed_run_id = 21 where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its state period from 0h is open, but has closed_after or closed_run_id",
    ),
    "a period was closed by an earlier run than opened it": Corruption(
        "update state_history set closed_run_id = 1 where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its state period from 0h was opened by run 1 and closed by run 1",
        "4, number 6: run 1 changed its redirects at 0h, but everything else at 7h",
        "5, run 15: changed is 1, but its rows show 2; removed is 1, but its rows show 0",
        "5, run 1: removed is 0, but its rows show 1",
    ),
    "the record's state is not that of the open period": Corruption(
        "update virtual_number set state = 'freeze' where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its record has state freeze, but its state period from 0h has active",
    ),
    "the record's reason is null and that of the open period is not": Corruption(
        "update virtual_number set reason = null where (account_id, virtual_number_id) = (1, 1)",
        "3, number 1: its record has state debt_lock, but its state period from 3h has debt_lock (a)",
    ),
    "the record's reason is not null and that of the open period is": Corruption(
        "update virtual_number set reason = 'x' where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its record has state active (x), but its state period from 0h has active",
    ),
    "an older version has another state than its state period": Corruption(
        "update virtual_number_history set state = 'freeze' where (account_id, virtual_number_id, comment) = (1, 4, "
        "'second')",
        "3, number 4: its version from 2h has state freeze, but its state period from 0h has active",
    ),
    "a state period is split in two with the same state": Corruption(
        "update state_history set valid_to = observed_at(8), closed_after = started_at(7), closed_run_id = 17 where "
        "(account_id, virtual_number_id) = (1, 4); insert into state_history (account_id, virtual_number_id, state, "
        "valid_from, changed_after, run_id) values (1, 4, 'active', observed_at(8), started_at(7), 17)",
        "3, number 4: its state period from 8h has the same state as the previous one",
        "5, run 17: state_changes is 0, but its rows show 1",
    ),
    "a state period has another changed_after than its version": Corruption(
        "update state_history set changed_after = started_at(0) where (account_id, virtual_number_id, state) = (1, 10, "
        "'inactive'); update state_history set closed_after = started_at(0) where (account_id, virtual_number_id, "
        "state) = (1, 10, 'active')",
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
    "a redirect is open twice": Corruption(
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id, redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 from 0h is open, but begins again at 6h",
        "5, run 7: changed is 2, but its rows show 1; redirects_closed is 1, but its rows show 0",
    ),
    "a redirect's periods overlap": Corruption(
        "update virtual_number_redirect set valid_to = observed_at(7) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 begins at 6h, but its previous period ends at 7h",
        "5, run 7: its rows are dated 3h to 7h, but it ran from 3h to 3h",
    ),
    "a redirect's periods touch": Corruption(
        "update virtual_number_redirect set valid_to = observed_at(6) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 begins at 6h, but its previous period ends at 6h",
        "5, run 7: its rows are dated 3h to 6h, but it ran from 3h to 3h",
    ),
    "a removed number's redirect is open": Corruption(
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 from 0h is open, though the number was removed at 7h",
        "5, run 15: redirects_closed is 2, but its rows show 1",
    ),
    "a redirect ends after its number's removal": Corruption(
        "update virtual_number_redirect set valid_to = observed_at(8) where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 ends at 8h, though the number was removed at 7h",
        "4, number 6: run 15 changed its redirects at 8h, but everything else at 7h",
        "5, run 15: its rows are dated 7h to 8h, but it ran from 7h to 7h",
    ),
    "a redirect begins while its number is removed": Corruption(
        "update virtual_number_redirect set valid_from = observed_at(5) where (account_id, virtual_number_id) = (1, 2) "
        "and valid_to is null",
        "4, number 2: its redirect 249 begins at 5h, when the number is not listed",
        "4, number 2: run 13 changed its redirects at 5h, but everything else at 6h",
        "5, run 13: its rows are dated 5h to 6h, but it ran from 6h to 6h",
    ),
    "a redirect begins before its number": Corruption(
        "update virtual_number_redirect set valid_from = observed_at(-1) where (account_id, virtual_number_id) = (1, "
        "6)",
        "4, number 6: its redirect 678 begins at -1h, when the number is not listed",
        "4, number 6: run 1 changed its redirects at -1h, but everything else at 0h",
        "5, run 1: its rows are dated -1h to 0h, but it ran from 0h to 0h",
    ),
    "a redirect spans a removal": Corruption(
        "delete from virtual_number_redirect where (account_id, virtual_number_id) = (1, 2) and valid_to is null; "
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 2)",
        "4, number 2: its redirect 249 from 0h is open, though the number was removed at 4h",
        "5, run 13: redirects_opened is 2, but its rows show 1",
        "5, run 9: redirects_closed is 1, but its rows show 0",
    ),
    "a redirect ends before it begins": Corruption(
        "update virtual_number_redirect set valid_to = valid_from where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 from 0h ends at 0h, which is not after it begins",
        "4, number 6: run 15 changed its redirects at 0h, but everything else at 7h",
    ),
    "a redirect has another window than the version of its run": Corruption(
        "update virtual_number_redirect set changed_after = started_at(3) where (account_id, virtual_number_id) = (1, "
        "2) and valid_to is null",
        "4, number 2: run 13 changed its redirects after 3h, but everything else after 4h",
    ),
    "a redirect that a removal closed ends earlier": Corruption(
        "update virtual_number_redirect set valid_to = observed_at(6.5) where (account_id, virtual_number_id) = (1, 6)",
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
        "update virtual_number set changed_after = null where (account_id, virtual_number_id) = (1, 2); "
        "update state_history set changed_after = null where (account_id, virtual_number_id, state) = (1, 2, "
        "'freeze'); "
        "update virtual_number_redirect set changed_after = null where (account_id, virtual_number_id) = (1, 2) "
        "and valid_to is null",
        "2, number 2: its state period from 6h has changed_after null, but the previous one has closed_after 3h",
        "2, number 2: its version from 6h has changed_after null, but the previous one has closed_after 3h",
    ),
    "unconfirmed of the newest run is wrong": Corruption(
        "update sync_run set unconfirmed = 1 where (account_id, run_id) = (1, 21)",
        "5, run 21: held and unconfirmed are 2 and 1, but the rows show 2",
    ),
    "the newest believable run is unknown": Corruption(
        "update account set believable_run_id = null, believable_started_at = null where account_id = 1",
        "5, run 21: believable_run_id is null, after 10 of them",
    ),
    "the newest believable run is newer than the newest success": Corruption(
        "update account set believable_run_id = 23 where account_id = 1",
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
        "update state_history set run_id = 2 where (account_id, virtual_number_id) = (1, 5); update virtual_number "
        "set run_id = 2 where (account_id, virtual_number_id) = (1, 5)",
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
        "update state_history set changed_after = null where (account_id, virtual_number_id, state) = (1, 10, "
        "'inactive'); update virtual_number set changed_after = null where (account_id, virtual_number_id) = (1, 10)",
        "2, number 10: its state period from 9h has changed_after null, but the previous one has closed_after 8h",
        "2, number 10: its version from 9h has changed_after null, but the previous one has closed_after 8h",
    ),
    "rows are dated at another time than their run": Corruption(
        "update sync_run set started_at = started_at(1), finished_at = observed_at(1.5) where (account_id, run_id) = "
        "(1, 5)",
        "5, run 5: its rows are dated 2h to 2h, but it ran from 1h to 1.5h",
    ),
    "success_run_id of an account is an older run": Corruption(
        "update account set success_run_id = 19 where account_id = 1",
        "5, run 21: it is the newest success, but success_run_id of its account is 19",
    ),
    "applied_run_id of an account is an older run": Corruption(
        "update account set applied_run_id = 17 where account_id = 1",
        "3, number 7: last_read_at is 7h, but it is neither missing nor rejected",
        "5, run 21: run 19 is the newest applied run, but applied_run_id of its account is 17",
    ),
    "success_started_at of an account is earlier": Corruption(
        "update account set success_started_at = started_at(9) where account_id = 1",
        "5, run 21: it ran from 10h to 10h, but its account has 9h to 10h",
    ),
    "a redirect, the only change of a number, has no changed_after": Corruption(
        "update virtual_number_redirect set changed_after = null where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is null",
        "4, number 3: run 13 changed its redirects without a lower end of the window",
    ),
    "two redirects that a run opened have different changed_after": Corruption(
        "update virtual_number_redirect set changed_after = started_at(-1) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 678)",
        "4, number 3: run 1 changed its redirects after null and after -1h",
    ),
    "a number has no current row": Corruption(
        "delete from virtual_number where (account_id, virtual_number_id) = (1, 6)",
        "1, number 6: it has a state period, but no record",
        "3, number 6: no version begins with its state period from 0h",
        "4, number 6: run 1 changed its redirects without a lower end of the window",
    ),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_violation_is_reported_and_nothing_else(data: DatabaseCopy, corruption: Corruption) -> None:
    await data.sql.execute(corruption.statements)

    assert await data.violations() == corruption.violations
