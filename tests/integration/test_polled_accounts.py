"""What is stored of an account that is polled, also while its polls fail, and of one that is not polled any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.store.accounts import register_accounts, retire_account, retire_other_accounts
from syncer.store.schedule import claim, read_clock, set_due_times
from tests.builders import connect, record

if TYPE_CHECKING:
    import asyncpg

    from syncer.store.engine import Engine
    from tests.builders import PolledAccount

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ATTEMPTED = "select attempted_at from syncer.account_fence"
RETIRED = "select array(select name from syncer.account where retired_at is not null order by name)"
ROWS = "select name, retired_at, xmin from syncer.account order by name"


async def fail_at(account: PolledAccount, moment: datetime) -> None:
    await account.set_clock(moment)
    assert (await account.poll_body(b"no list")).outcome == "failed"


async def test_an_account_says_once_an_hour_that_its_polls_fail(account: PolledAccount) -> None:
    await account.poll_at(NOON, record(1))
    assert await account.row(ATTEMPTED) == (None,)

    stored = []
    for later in (HOUR, HOUR * 1.5, HOUR * 2, HOUR * 2 + timedelta(minutes=1)):
        await fail_at(account, NOON + later)
        stored.append((await account.row(ATTEMPTED))[0] - NOON)

    assert stored == [HOUR, HOUR, HOUR, HOUR * 2 + timedelta(minutes=1)]


async def test_a_failed_poll_does_not_wait_for_a_transaction_that_holds_the_fence(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    other = await connect(database)
    async with other.transaction():
        await other.execute("select from syncer.account_fence for no key update")

        assert (await account.poll_body(b"no list")).outcome == "failed"

    assert await account.row(ATTEMPTED) == (None,)
    await other.close()


async def test_an_account_counts_until_now_while_its_polls_fail_and_until_its_last_success_once_they_end(
    account: PolledAccount,
) -> None:
    await account.poll_at(NOON, record(1))
    until = "select observed_until = now(), observed_until < now() - interval '1 day' from analytics.accounts"
    assert await account.row(until) == (False, True)

    await account.set_clock(None)
    assert (await account.poll_body(b"no list")).outcome == "failed"
    assert await account.row(until) == (True, False)

    await account.sql.execute("update syncer.account_fence set attempted_at = now() - interval '25 hours'")
    assert await account.row(until) == (False, True)


async def test_retiring_accounts_writes_only_those_that_are_not_retired_yet(
    engine: Engine, sql: asyncpg.Connection
) -> None:
    ids = await register_accounts(engine, dict.fromkeys(("a", "b", "c"), "Europe/Moscow"))
    await retire_account(engine, "a")
    (a, *_) = await sql.fetch(ROWS)

    await retire_account(engine, "a")
    await retire_other_accounts(engine, [ids["c"]])

    assert await sql.fetchval(RETIRED) == ["a", "b"]
    rows = await sql.fetch(ROWS)
    assert rows[0] == a

    await retire_other_accounts(engine, [ids["c"]])
    assert await sql.fetch(ROWS) == rows

    await retire_other_accounts(engine, [ids["b"], ids["c"]])
    assert await sql.fetchval(RETIRED) == ["a"]


async def test_a_daemon_that_claims_an_account_which_another_one_has_retired_takes_it_back(
    engine: Engine, sql: asyncpg.Connection
) -> None:
    ids = await register_accounts(engine, dict.fromkeys(("a", "b"), "Europe/Moscow"))
    now = await read_clock(engine)
    await set_due_times(engine, dict.fromkeys(ids.values(), now), {})
    await retire_other_accounts(engine, [ids["b"]])
    kept = await sql.fetchrow("select xmin from syncer.account where name = 'b'")

    claimed = await claim(engine, {*ids.values()}, "daemon", timedelta(minutes=1), limit=2)

    assert sorted(one.account_id for one in claimed) == sorted(ids.values())
    assert await sql.fetchval(RETIRED) == []
    assert await sql.fetchrow("select xmin from syncer.account where name = 'b'") == kept


async def test_of_many_accounts_the_longest_overdue_are_claimed_however_many_others_have_been_due_for_longer(
    engine: Engine,
) -> None:
    names = [f"account {number}" for number in range(3500)]
    ids = list((await register_accounts(engine, dict.fromkeys(names, "Europe/Moscow"))).values())
    now = await read_clock(engine)
    others, own = ids[:1500], ids[1500:]
    due = {key: now - HOUR + timedelta(seconds=position) for position, key in enumerate(reversed(own[:5]))}
    await set_due_times(engine, dict.fromkeys(own, now + HOUR) | due, {})
    lease = timedelta(minutes=1)

    first = await claim(engine, {*own}, "daemon", lease, limit=2)
    await set_due_times(engine, dict.fromkeys(others, now - 2 * HOUR), {})
    second = await claim(engine, {*own}, "daemon", lease, limit=2)
    third = await claim(engine, {*own}, "daemon", lease, limit=2)

    claimed = [[one.account_id for one in claims] for claims in (first, second, third)]
    assert [sorted(keys) for keys in claimed] == [own[3:5], own[1:3], own[:1]]
    assert await claim(engine, {*own}, "daemon", lease, limit=2) == []
