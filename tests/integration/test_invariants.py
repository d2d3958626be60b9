"""What `syncer check --data` says: nothing of what polls wrote, and of each invariant broken by hand who breaks it."""

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
from tests.builders import PolledAccount, connect, kept_database, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

    from syncer.embedded import EmbeddedServer

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?")


def life() -> list[list[Any]]:
    """What ten numbers look like from hour to hour; an hour without any is one in which the endpoint is ill."""
    numbers = {key: record(key) for key in range(1, 11)}
    one, another = redirect(249, "74994088157"), redirect(678, "78009966666")
    for key, redirects in {2: [one], 3: [one, another], 6: [another]}.items():
        numbers[key]["from_redirect_numbers"] = redirects
    hours: list[list[Any]] = []

    def look(**changes: dict[str, Any] | None) -> None:
        for name, fields in changes.items():
            key = int(name.removeprefix("n"))
            if fields is None:
                del numbers[key]
            else:
                numbers[key] = numbers.get(key, record(key)) | fields
        hours.append(list(numbers.values()))

    look()
    look()
    look(n1={"state": "freeze", "reason": "a"}, n4={"comment": "second"})
    look(n1={"state": "debt_lock"}, n3={"from_redirect_numbers": [another]})
    look(n2=None)
    hours.append([])
    look(n2={"state": "freeze", "from_redirect_numbers": [one]}, n3={"from_redirect_numbers": [one, another]})
    look(n6=None, n3={"from_redirect_numbers": [one]})
    look(n7={"number": None}, n4={"comment": "third"})
    look(n8=None, n9=None, n10={"state": "inactive"})
    look()
    return hours


async def live(url: str) -> None:
    """Two accounts live the same life, poll by poll: runs of the first have odd numbers, of the other even ones."""
    engine = create_engine(lambda: url)
    sql = await connect(url)
    async with Emulator(numbers=1, rates=STATIC) as emulator:
        settings = [settings_for(emulator, account_name=name) for name in ("default", "other")]
        async with (
            PolledAccount(engine, emulator, sql, settings[0]) as first,
            PolledAccount(engine, emulator, sql, settings[1]) as other,
        ):
            outcomes = []
            for hour, records in enumerate(life()):
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
def lived(server: EmbeddedServer) -> Iterator[str]:
    """The name of a database in which that was lived."""
    name = f"lived_{uuid.uuid4().hex[:12]}"
    with kept_database(server.url, name) as url:
        asyncio.run(live(url))
        yield name


def address_of(server: EmbeddedServer, name: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{name}"


# What the schema itself would refuse has to come to pass: its triggers and foreign keys, its checks and its indexes go.
UNGUARD = """
set session_replication_role = replica;
do $$
declare
    named record;
begin
    for named in select conrelid::regclass as place, conname from pg_constraint
                  where contype = 'c' and connamespace = 'syncer'::regnamespace loop
        execute format('alter table %s drop constraint %I', named.place, named.conname);
    end loop;
end
$$;
drop index syncer.state_history_open_idx, syncer.virtual_number_redirect_open_idx;
set search_path = syncer, public;
create function public.began(hours numeric) returns timestamptz language sql
return timestamptz '2026-03-01 12:00:00Z' + hours * interval '1 hour';
create function public.seen(hours numeric) returns timestamptz language sql
return began(hours) + interval '1 microsecond';
"""


class Lived(NamedTuple):
    """A copy of that database, for one test."""

    url: str
    sql: asyncpg.Connection

    async def broken(self) -> list[str]:
        """What is said of it, with times as hours since the first poll."""
        engine = create_engine(lambda: self.url)
        found = [str(violation) async for violation in find_violations(engine)]
        await engine.dispose()
        return sorted(TIME.sub(lambda time: hours_since(time[0]), sentence) for sentence in found)


def hours_since(time: str) -> str:
    hours = (datetime.fromisoformat(time) - T0) / HOUR
    return f"{round(hours, 3):g}h"


@pytest.fixture
async def data(server: EmbeddedServer, lived: str) -> AsyncIterator[Lived]:
    owner = await connect(server.url)
    name = f"test_{uuid.uuid4().hex[:12]}"
    await owner.execute(f"create database {name} template {lived}")
    sql = await connect(address_of(server, name))
    await sql.execute(UNGUARD)
    yield Lived(address_of(server, name), sql)
    await sql.close()
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


async def test_what_polls_wrote_breaks_no_invariant(data: Lived) -> None:
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
    assert await data.broken() == []


async def test_runs_that_changed_nothing_may_be_deleted(data: Lived) -> None:
    deleted = await data.sql.execute(
        """
        delete from syncer.sync_run r
         using syncer.account a
         where a.account_id = r.account_id and r.run_id <> a.success_run_id and r.outcome <> 'applied'
        """
    )
    assert deleted == "DELETE 4"
    assert await data.broken() == []


async def test_an_account_that_was_never_polled_with_success_breaks_no_invariant(data: Lived) -> None:
    await data.sql.execute(
        """
        insert into syncer.account (name, time_zone, created_at) values ('new', 'Europe/Moscow', now());
        insert into syncer.sync_run (account_id, trigger, started_at, outcome)
        select account_id, 'schedule', now(), 'running' from syncer.account where name = 'new'
        """
    )
    assert await data.broken() == []


class Breakage:
    """Statements that break the data of account 1, and all that is said of it: the rule, who, and what is wrong."""

    def __init__(self, statements: str, *says: str) -> None:
        self.statements = statements
        self.says = sorted(
            f"invariant {rule}: account 1, {what}" for rule, _, what in (one.partition(", ") for one in says)
        )


BREAKAGES: dict[str, Breakage] = {
    "a second state period is open": Breakage(
        "update state_history set valid_to = null, closed_after = null, closed_run_id = null where (account_id, "
        "virtual_number_id, state) = (1, 1, 'active')",
        "1, number 1: its state period from 0h is open, but another begins at 2h",
    ),
    "the open state period is closed": Breakage(
        "update state_history set valid_to = seen(10), closed_after = began(9), closed_run_id = 21 where "
        "(account_id, virtual_number_id) = (1, 5)",
        "1, number 5: it has no open state period, though it is not removed",
        "5, run 21: rows carry it, but it is unchanged",
    ),
    "a number has no state period": Breakage(
        "delete from state_history where (account_id, virtual_number_id) = (1, 5)",
        "1, number 5: it has no state period",
        "3, number 5: its version from 0h lies in no state period",
        "5, run 1: it says created 10, its rows 9; changed 0, its rows 1",
    ),
    "a removed number's state period is open": Breakage(
        "update state_history set valid_to = null, closed_after = null, closed_run_id = null where (account_id, "
        "virtual_number_id) = (1, 6)",
        "1, number 6: it has an open state period, though it was removed at 7h",
        "5, run 15: it says changed 1, its rows 2; removed 1, its rows 0",
    ),
    "state periods overlap": Breakage(
        "update state_history set valid_to = seen(2.5) where (account_id, virtual_number_id, state) = (1, 1, 'active')",
        "2, number 1: its state period from 2h begins before the one before it ends, at 2.5h",
        "5, run 5: it says removed 0, its rows 1",
    ),
    "between state periods is a gap": Breakage(
        "update state_history set valid_to = seen(1.5), closed_after = began(1) where (account_id, "
        "virtual_number_id, state) = (1, 1, 'active')",
        "2, number 1: it has no state between 1.5h and 2h, and no removal",
        "2, number 1: its state period from 2h was opened by run 5, the one before it closed by run 5",
        "5, run 5: it says changed 2, its rows 1; removed 0, its rows 1; restored 0, its rows 1; state_changes 1, "
        "its rows 0",
    ),
    "a state period begins too late": Breakage(
        "update state_history set valid_from = seen(2.5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'freeze')",
        "2, number 1: it has no state between 2h and 2.5h, and no removal",
        "2, number 1: its state period from 2.5h was opened by run 5, the one before it closed by run 5",
        "3, number 1: its state period from 2.5h begins without a version",
        "3, number 1: its version from 2h says freeze (a), its state period from 0h says active",
        "5, run 5: it says changed 2, its rows 1; removed 0, its rows 1; restored 0, its rows 1; state_changes 1, "
        "its rows 0",
    ),
    "a restored number's state period begins before the removal": Breakage(
        "update state_history set valid_from = seen(3.5) where (account_id, virtual_number_id, state) = (1, 2, "
        "'freeze')",
        "2, number 2: its state period from 3.5h begins before the one before it ends, at 4h",
        "2, number 2: its versions say that it was removed from 4h to 6h, its states do not",
        "3, number 2: its record says freeze, its state period from 0h says active",
        "3, number 2: its state period from 3.5h begins without a version",
        "5, run 13: it says changed 1, its rows 2; restored 1, its rows 0; state_changes 0, its rows 1",
    ),
    "versions overlap": Breakage(
        "update virtual_number_history set valid_to = seen(2.5) where (account_id, virtual_number_id) = (1, 4) and "
        "comment is null",
        "2, number 4: its version from 2h begins before the one before it ends, at 2.5h",
    ),
    "between versions is a gap": Breakage(
        "update virtual_number_history set valid_to = seen(1.5) where (account_id, virtual_number_id) = (1, 4) and "
        "comment is null",
        "2, number 4: its version from 2h was opened by run 5, the one before it closed by run 5",
        "2, number 4: its versions say that it was removed from 1.5h to 2h, its states do not",
    ),
    "a superseded version has no end": Breakage(
        "update virtual_number_history set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 4) and comment is null",
        "2, number 4: its version from 0h is open, but another begins at 2h",
    ),
    "a superseded version is lost": Breakage(
        "delete from virtual_number_history where (account_id, virtual_number_id, comment) = (1, 4, 'second')",
        "2, number 4: its version from 8h began after 7h, the one before it ended after 1h",
        "2, number 4: its versions say that it was removed from 2h to 8h, its states do not",
        "5, run 5: it says changed 2, its rows 1",
    ),
    "a first version is lost": Breakage(
        "delete from virtual_number_history where (account_id, virtual_number_id) = (1, 4) and comment is null",
        "2, number 4: it was first seen at 0h, but has a version of 2h",
        "3, number 4: its state period from 0h begins without a version",
        "3, number 4: its version from 2h lies in no state period",
        "3, number 4: its version from 8h lies in no state period",
    ),
    "the current version is older than a superseded one": Breakage(
        "update virtual_number set changed_at = seen(1), changed_after = began(0) where (account_id, "
        "virtual_number_id) = (1, 4)",
        "1, number 4: it has an open state period, though it was removed at 8h",
        "2, number 4: its current version is of 1h, but a superseded one of 2h",
        "2, number 4: its version from 1h is open, but another begins at 2h",
        "5, run 17: its rows are of 1h to 1h, but it ran from 8h to 8h",
    ),
    "a number was first seen at another time": Breakage(
        "update virtual_number set first_seen_at = seen(1) where (account_id, virtual_number_id) = (1, 5)",
        "2, number 5: it was first seen at 1h, but has a version of 0h",
    ),
    "the versions forget a removal": Breakage(
        "update virtual_number_history set valid_to = seen(6) where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: it has no state between 4h and 6h, and no removal",
        "2, number 2: its version from 6h was opened by run 13, the one before it closed by run 9",
    ),
    "a version that a removal closed ended after another poll": Breakage(
        "update virtual_number_history set closed_after = began(2) where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its removal of 4h came after 2h, by its states after 3h",
        "2, number 2: its version from 6h began after 3h, the one before it ended after 2h",
    ),
    "a version that a removal closed was closed by another run": Breakage(
        "update virtual_number_history set closed_run_id = 7 where (account_id, virtual_number_id) = (1, 2)",
        "2, number 2: its removal of 4h is by run 7, by its states by run 9",
    ),
    "a removal is of another time by the record": Breakage(
        "update virtual_number set removed_at = seen(8), missing_since = seen(8) where (account_id, "
        "virtual_number_id) = (1, 6)",
        "2, number 6: it was removed at 8h, but its state period ends at 7h",
    ),
    "a period was opened by another run than closed the one before": Breakage(
        "update state_history set run_id = 7 where (account_id, virtual_number_id, state) = (1, 1, 'freeze')",
        "2, number 1: its state period from 2h was opened by run 7, the one before it closed by run 5",
        "3, number 1: its state period from 2h is of run 7, its version of run 5",
        "3, number 1: its state period from 2h was opened by run 7 and closed by run 7",
        "5, run 5: it says state_changes 1, its rows 0",
        "5, run 7: it says state_changes 1, its rows 2",
    ),
    "windows of adjoining periods differ": Breakage(
        "update state_history set closed_after = began(0) where (account_id, virtual_number_id, state) = (1, 1, "
        "'active')",
        "2, number 1: its state period from 2h began after 1h, the one before it ended after 0h",
    ),
    "a state period ends before it begins": Breakage(
        "update state_history set valid_to = valid_from - interval '1 hour' where (account_id, virtual_number_id) = "
        "(1, 6)",
        "2, number 6: it was removed at 7h, but its state period ends at -1h",
        "3, number 6: its state period from 0h ends at -1h, not after it begins",
        "4, number 6: its redirect 678 begins at 0h, when the number is not listed",
        "4, number 6: run 15 changed its redirects at 7h, but all else at -1h",
    ),
    "a state period began after it begins": Breakage(
        "update state_history set changed_after = began(5) where (account_id, virtual_number_id, state) = (1, 1, "
        "'debt_lock')",
        "2, number 1: its state period from 3h began after 5h, the one before it ended after 2h",
        "3, number 1: its state period from 3h began after 5h, its version after 2h",
        "3, number 1: its state period from 3h began after 5h, which is later",
    ),
    "a version ended after it ends": Breakage(
        "update virtual_number_history set closed_after = valid_to where (account_id, virtual_number_id, comment) = "
        "(1, 4, 'second')",
        "2, number 4: its version from 8h began after 7h, the one before it ended after 8h",
        "3, number 4: its version from 2h ends at 8h, but after 8h, which is later",
    ),
    "a closed period does not say after what it ended": Breakage(
        "update state_history set closed_after = null where (account_id, virtual_number_id, state) = (1, 2, 'active')",
        "2, number 2: its state period from 6h began after 3h, the one before it ended after nothing",
        "3, number 2: its state period from 0h ends at 4h, but not after what",
    ),
    "a closed period does not say which run closed it": Breakage(
        "update state_history set closed_run_id = null where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its state period from 0h ends at 7h, but by no run",
        "5, run 15: it says changed 1, its rows 2; removed 1, its rows 0",
    ),
    "an open period says which run closed it": Breakage(
        "update state_history set closed_run_id = 21 where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its state period from 0h is open, but says after what or by which run it was closed",
    ),
    "a period was closed by an earlier run than opened it": Breakage(
        "update state_history set closed_run_id = 1 where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: its state period from 0h was opened by run 1 and closed by run 1",
        "4, number 6: run 1 changed its redirects at 0h, but all else at 7h",
        "5, run 15: it says changed 1, its rows 2; removed 1, its rows 0",
        "5, run 1: it says removed 0, its rows 1",
    ),
    "the record's state is not that of the open period": Breakage(
        "update virtual_number set state = 'freeze' where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its record says freeze, its state period from 0h says active",
    ),
    "the record's reason is null and that of the open period is not": Breakage(
        "update virtual_number set reason = null where (account_id, virtual_number_id) = (1, 1)",
        "3, number 1: its record says debt_lock, its state period from 3h says debt_lock (a)",
    ),
    "the record's reason is not null and that of the open period is": Breakage(
        "update virtual_number set reason = 'x' where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: its record says active (x), its state period from 0h says active",
    ),
    "a superseded version says another state": Breakage(
        "update virtual_number_history set state = 'freeze' where (account_id, virtual_number_id, comment) = (1, 4, "
        "'second')",
        "3, number 4: its version from 2h says freeze, its state period from 0h says active",
    ),
    "a state period is split in two that say the same": Breakage(
        "update state_history set valid_to = seen(8), closed_after = began(7), closed_run_id = 17 where (account_id, "
        "virtual_number_id) = (1, 4); insert into state_history (account_id, virtual_number_id, state, valid_from, "
        "changed_after, run_id) values (1, 4, 'active', seen(8), began(7), 17)",
        "3, number 4: its state period from 8h says the same as the one before it",
        "5, run 17: it says state_changes 0, its rows 1",
    ),
    "a state period began after another poll than its version": Breakage(
        "update state_history set changed_after = began(0) where (account_id, virtual_number_id, state) = (1, 10, "
        "'inactive'); update state_history set closed_after = began(0) where (account_id, virtual_number_id, state) "
        "= (1, 10, 'active')",
        "3, number 10: its state period from 9h began after 0h, its version after 8h",
    ),
    "a missing number has no last reading": Breakage(
        "update virtual_number set last_read_at = null where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: it is missing since 9h, but last_read_at is null",
    ),
    "a missing number was read later": Breakage(
        "update virtual_number set last_read_at = began(9.5) where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: it is missing since 9h, but was read after 9.5h",
    ),
    "a removed number is not missing": Breakage(
        "update virtual_number set missing_since = null where (account_id, virtual_number_id) = (1, 6)",
        "3, number 6: removed_at is 7h, but missing_since is null",
    ),
    "a number is missing since after the newest success": Breakage(
        "update virtual_number set missing_since = seen(11) where (account_id, virtual_number_id) = (1, 8)",
        "3, number 8: it is missing since 11h, later than the newest success of 10h",
    ),
    "a number that is read by each poll was read last": Breakage(
        "update virtual_number set last_read_at = began(8) where (account_id, virtual_number_id) = (1, 5)",
        "3, number 5: it was last read at 8h, but is neither missing nor rejected",
    ),
    "a rejected number is read by each poll": Breakage(
        "update virtual_number set last_read_at = null where (account_id, virtual_number_id) = (1, 7)",
        "3, number 7: last_read_at is null, but the newest applied run rejected its record",
    ),
    "a rejected number is missing": Breakage(
        "update virtual_number set missing_since = seen(8) where (account_id, virtual_number_id) = (1, 7)",
        "3, number 7: it is missing since 8h, but the newest applied run rejected its record",
        "5, run 21: it says held 2, the rows 3",
    ),
    "a redirect is open twice": Breakage(
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id, redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 from 0h is open, but begins again at 6h",
        "5, run 7: it says changed 2, its rows 1; redirects_closed 1, its rows 0",
    ),
    "a redirect's periods overlap": Breakage(
        "update virtual_number_redirect set valid_to = seen(7) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 begins at 6h, but its period before lasts until 7h",
        "5, run 7: its rows are of 3h to 7h, but it ran from 3h to 3h",
    ),
    "a redirect's periods touch": Breakage(
        "update virtual_number_redirect set valid_to = seen(6) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is not null",
        "4, number 3: its redirect 249 begins at 6h, but its period before lasts until 6h",
        "5, run 7: its rows are of 3h to 6h, but it ran from 3h to 3h",
    ),
    "a removed number's redirect is open": Breakage(
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 from 0h is open, though the number was removed at 7h",
        "5, run 15: it says redirects_closed 2, its rows 1",
    ),
    "a redirect ends after its number's removal": Breakage(
        "update virtual_number_redirect set valid_to = seen(8) where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 ends at 8h, though the number was removed at 7h",
        "4, number 6: run 15 changed its redirects at 8h, but all else at 7h",
        "5, run 15: its rows are of 7h to 8h, but it ran from 7h to 7h",
    ),
    "a redirect begins while its number is removed": Breakage(
        "update virtual_number_redirect set valid_from = seen(5) where (account_id, virtual_number_id) = (1, 2) and "
        "valid_to is null",
        "4, number 2: its redirect 249 begins at 5h, when the number is not listed",
        "4, number 2: run 13 changed its redirects at 5h, but all else at 6h",
        "5, run 13: its rows are of 5h to 6h, but it ran from 6h to 6h",
    ),
    "a redirect begins before its number": Breakage(
        "update virtual_number_redirect set valid_from = seen(-1) where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 begins at -1h, when the number is not listed",
        "4, number 6: run 1 changed its redirects at -1h, but all else at 0h",
        "5, run 1: its rows are of -1h to 0h, but it ran from 0h to 0h",
    ),
    "a redirect spans a removal": Breakage(
        "delete from virtual_number_redirect where (account_id, virtual_number_id) = (1, 2) and valid_to is null; "
        "update virtual_number_redirect set valid_to = null, closed_after = null, closed_run_id = null where "
        "(account_id, virtual_number_id) = (1, 2)",
        "4, number 2: its redirect 249 from 0h is open, though the number was removed at 4h",
        "5, run 13: it says redirects_opened 2, its rows 1",
        "5, run 9: it says redirects_closed 1, its rows 0",
    ),
    "a redirect ends before it begins": Breakage(
        "update virtual_number_redirect set valid_to = valid_from where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: its redirect 678 from 0h ends at 0h, not after it begins",
        "4, number 6: run 15 changed its redirects at 0h, but all else at 7h",
    ),
    "a redirect has another window than the version of its run": Breakage(
        "update virtual_number_redirect set changed_after = began(4) where (account_id, virtual_number_id) = (1, 2) "
        "and valid_to is null",
        "4, number 2: run 13 changed its redirects after 4h, but all else after 3h",
    ),
    "a redirect that a removal closed ended earlier": Breakage(
        "update virtual_number_redirect set valid_to = seen(6.5) where (account_id, virtual_number_id) = (1, 6)",
        "4, number 6: run 15 changed its redirects at 6.5h, but all else at 7h",
    ),
    "a run says another number of created": Breakage(
        "update sync_run set created = created + 1 where (account_id, run_id) = (1, 1)",
        "5, run 1: it says created 11, its rows 10",
    ),
    "a run says another number of changed": Breakage(
        "update sync_run set changed = changed + 1 where (account_id, run_id) = (1, 19)",
        "5, run 19: it says changed 2, its rows 1",
    ),
    "a run says another number of removed": Breakage(
        "update sync_run set removed = removed + 1 where (account_id, run_id) = (1, 9)",
        "5, run 9: it says removed 2, its rows 1",
    ),
    "a run says another number of restored": Breakage(
        "update sync_run set restored = restored + 1 where (account_id, run_id) = (1, 13)",
        "5, run 13: it says restored 2, its rows 1",
    ),
    "a run says another number of state_changes": Breakage(
        "update sync_run set state_changes = state_changes + 1 where (account_id, run_id) = (1, 5)",
        "5, run 5: it says state_changes 2, its rows 1",
    ),
    "a run says another number of redirects_opened": Breakage(
        "update sync_run set redirects_opened = redirects_opened + 1 where (account_id, run_id) = (1, 13)",
        "5, run 13: it says redirects_opened 3, its rows 2",
    ),
    "a run says another number of redirects_closed": Breakage(
        "update sync_run set redirects_closed = redirects_closed + 1 where (account_id, run_id) = (1, 15)",
        "5, run 15: it says redirects_closed 3, its rows 2",
    ),
    "the newest run says another number of held": Breakage(
        "update sync_run set held = 3 where (account_id, run_id) = (1, 21)",
        "5, run 21: it says held 3, the rows 2",
    ),
    "the newest run says another number of rejected": Breakage(
        "update sync_run set rejected = 0 where (account_id, run_id) = (1, 21)",
        "5, run 21: it says rejected 0, the rows 1",
    ),
    "a run that rows carry is deleted": Breakage(
        "delete from sync_run where (account_id, run_id) = (1, 5)",
        "5, run 5: rows carry it, but there is no such run",
    ),
    "a run that rows carry is the other account's": Breakage(
        "update state_history set run_id = 2 where (account_id, virtual_number_id) = (1, 5); update virtual_number "
        "set run_id = 2 where (account_id, virtual_number_id) = (1, 5)",
        "5, run 1: it says created 10, its rows 9",
        "5, run 2: rows carry it, but there is no such run",
    ),
    "a run that rows carry is unchanged": Breakage(
        "update sync_run set outcome = 'unchanged' where (account_id, run_id) = (1, 9)",
        "5, run 9: rows carry it, but it is unchanged",
    ),
    "a run that rows carry is failed": Breakage(
        "update sync_run set outcome = 'failed' where (account_id, run_id) = (1, 9)",
        "5, run 9: rows carry it, but it is failed",
    ),
    "an unchanged run says that it changed something": Breakage(
        "update sync_run set changed = 1, unchanged = unchanged - 1 where (account_id, run_id) = (1, 3)",
        "5, run 3: it says changed 1, its rows 0",
    ),
    "a failed run counts numbers": Breakage(
        "update sync_run set received = 10, unchanged = 10 where (account_id, run_id) = (1, 11)",
        "5, run 11: it is failed, but counts numbers",
    ),
    "a run received fewer than it accounts for": Breakage(
        "update sync_run set received = 9 where (account_id, run_id) = (1, 7)",
        "5, run 7: it received 9, but accounts for 10",
    ),
    "a run does not say what it received": Breakage(
        "update sync_run set received = null where (account_id, run_id) = (1, 7)",
        "5, run 7: it received nothing, but accounts for 10",
    ),
    "rows of a later run have no lower end of their window": Breakage(
        "update state_history set changed_after = null where (account_id, virtual_number_id, state) = (1, 10, "
        "'inactive'); update virtual_number set changed_after = null where (account_id, virtual_number_id) = (1, 10)",
        "2, number 10: its state period from 9h began after nothing, the one before it ended after 8h",
        "2, number 10: its version from 9h began after nothing, the one before it ended after 8h",
    ),
    "rows are of another time than their run": Breakage(
        "update sync_run set started_at = began(1), finished_at = seen(1.5) where (account_id, run_id) = (1, 5)",
        "5, run 5: its rows are of 2h to 2h, but it ran from 1h to 1.5h",
    ),
    "an account takes an older run for its newest success": Breakage(
        "update account set success_run_id = 19 where account_id = 1",
        "5, run 21: it is the newest success, but its account says run 19",
    ),
    "an account takes an older run for the newest applied one": Breakage(
        "update account set applied_run_id = 17 where account_id = 1",
        "3, number 7: it was last read at 7h, but is neither missing nor rejected",
        "5, run 21: run 19 is the newest applied one, but its account says run 17",
    ),
    "an account takes its newest success to have begun earlier": Breakage(
        "update account set success_started_at = began(9) where account_id = 1",
        "5, run 21: it ran from 10h to 10h, but its account says from 9h to 10h",
    ),
    "a redirect that alone changed does not say after what it began": Breakage(
        "update virtual_number_redirect set changed_after = null where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 249) and valid_to is null",
        "4, number 3: run 13 changed its redirects without saying after what",
    ),
    "two redirects that a run opened began after different polls": Breakage(
        "update virtual_number_redirect set changed_after = began(-1) where (account_id, virtual_number_id, "
        "redirect_number_id) = (1, 3, 678)",
        "4, number 3: run 1 changed its redirects after nothing and after -1h",
    ),
    "a number has no record": Breakage(
        "delete from virtual_number where (account_id, virtual_number_id) = (1, 6)",
        "1, number 6: it has a state period, but no record",
        "3, number 6: its state period from 0h begins without a version",
        "4, number 6: run 1 changed its redirects without saying after what",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
async def test_who_breaks_an_invariant_is_named_and_nobody_else(data: Lived, breakage: Breakage) -> None:
    await data.sql.execute(breakage.statements)

    assert await data.broken() == breakage.says
