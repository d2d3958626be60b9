"""What `syncer check --data` says: nothing of what polls wrote, and of each invariant broken by hand who breaks it."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from syncer.emulator import STILL, Emulator
from syncer.store.engine import create_engine
from syncer.store.invariants import violations
from tests.builders import PolledAccount, connect, record, redirect, settings_for

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
    numbers[2]["from_redirect_numbers"] = [redirect(249, "74994088157")]
    numbers[3]["from_redirect_numbers"] = [redirect(249, "74994088157"), redirect(678, "78009966666")]
    numbers[6]["from_redirect_numbers"] = [redirect(100, "74950000100")]
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
    look(n1={"state": "debt_lock"}, n3={"from_redirect_numbers": [redirect(678, "78009966666")]})
    look(n2=None)
    hours.append([])
    look(n2={"state": "freeze"}, n3={"from_redirect_numbers": record(3)["from_redirect_numbers"]})
    look(n6=None, n3={"from_redirect_numbers": [redirect(249, "74994088157")]})
    look(n7={"number": None}, n4={"comment": "third"})
    look(n8=None, n9=None, n10={"state": "inactive"})
    look()
    return hours


async def live(url: str) -> None:
    """Two accounts live the same life, poll by poll: runs of the first have odd numbers, of the other even ones."""
    engine = create_engine(lambda: url)
    sql = await connect(url)
    async with Emulator(numbers=1, rates=STILL) as emulator:
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

    async def execute(statement: str) -> None:
        connection = await connect(server.url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f"create database {name} template migrated"))
    asyncio.run(live(address_of(server, name)))
    yield name
    asyncio.run(execute(f"drop database {name} with (force)"))


def address_of(server: EmbeddedServer, name: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{name}"


class Lived(NamedTuple):
    """A copy of that database, for one test."""

    url: str
    sql: asyncpg.Connection

    async def broken(self) -> list[str]:
        """What is said of it, with times as hours since the first poll."""
        engine = create_engine(lambda: self.url)
        found = [str(violation) async for violation in violations(engine)]
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


async def test_the_same_is_found_without_statistics_and_with_little_memory(data: Lived) -> None:
    await data.sql.execute(
        "delete from pg_statistic; update syncer.virtual_number set state = 'inactive' where account_id = 2"
    )
    assert len(await data.broken()) == 8
