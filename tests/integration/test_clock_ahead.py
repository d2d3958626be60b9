"""The database's clock was a day ahead for a while: nothing waits for a day, and no age is told that is not true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from syncer.commands.check import Check
from syncer.commands.status import attention_lines
from syncer.daemon.gauges import Gauges
from syncer.database import Database
from syncer.store.queries.account_list import read_account_page
from syncer.store.queries.account_status import describe_clock, read_account_statuses
from tests.builders import PolledAccount, record, running_daemon, settings_for
from tests.service.processes import wait_until

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNS = "select count(*) from syncer.sync_run"


async def fail_at(account: PolledAccount, moment: datetime) -> None:
    await account.set_clock(moment)
    assert (await account.poll_body(b"nonsense")).outcome == "failed"


async def lag_at(account: PolledAccount, moment: datetime) -> tuple[timedelta | None, bool]:
    """Returns the age that `status` shows at this moment, and whether it says that the clock was ahead."""
    await account.set_clock(moment)
    (status,) = await read_account_statuses(account.engine)
    return None if status.lag_seconds is None else timedelta(seconds=status.lag_seconds), status.clock_ahead


async def test_an_age_is_told_from_the_first_poll_that_began_after_the_clock_was_put_right(
    account: PolledAccount,
) -> None:
    await account.poll_at(NOW + DAY, record(1))
    assert await lag_at(account, NOW + MINUTE) == (None, True)

    await fail_at(account, NOW + DAY + 2 * MINUTE)  # the clock is still ahead
    assert await lag_at(account, NOW + 3 * MINUTE) == (None, True)

    await fail_at(account, NOW + 5 * MINUTE)
    await fail_at(account, NOW + 10 * MINUTE)
    assert await lag_at(account, NOW + 12 * MINUTE) == (7 * MINUTE, True)
    assert await lag_at(account, NOW + DAY / 2) == (DAY / 2 - 5 * MINUTE, True)
    # That the clock has caught up does not make the success younger.
    assert await lag_at(account, NOW + 2 * DAY) == (2 * DAY - 5 * MINUTE, True)


async def test_the_age_of_a_success_after_the_clock_was_put_right_counts_from_its_beginning(
    account: PolledAccount,
) -> None:
    await account.poll_at(NOW + DAY, record(1))
    await account.poll_at(NOW + 5 * MINUTE, record(1))
    assert await lag_at(account, NOW + 12 * MINUTE) == (7 * MINUTE, True)
    await account.poll_at(NOW + DAY + 5 * MINUTE, record(1))
    assert await lag_at(account, NOW + DAY + 6 * MINUTE) == (MINUTE - timedelta(microseconds=1), False)


async def test_the_age_is_told_as_before_while_the_clock_is_right_or_a_little_ahead(account: PolledAccount) -> None:
    await account.poll_at(NOW, record(1))
    await fail_at(account, NOW + 5 * MINUTE)
    microsecond = timedelta(microseconds=1)
    assert await lag_at(account, NOW + 6 * MINUTE) == (6 * MINUTE - microsecond, False)
    assert await lag_at(account, NOW - 4 * MINUTE) == (-4 * MINUTE - microsecond, False)


async def test_freshness_names_the_case_and_tells_what_is_known(account: PolledAccount) -> None:
    query = "select lag_seconds::float8, clock_ahead from analytics.freshness"
    await account.sql.execute(
        "insert into syncer.account (name, time_zone, created_at) values ('default', 'Europe/Moscow', now())"
    )
    assert await account.row(query) == (None, False)
    now = datetime.now(UTC)
    await account.poll_at(now + DAY, record(1))
    assert await account.row(query) == (None, True)

    await fail_at(account, now - 10 * MINUTE)
    lag, clock_ahead = await account.row(query)
    assert (lag == pytest.approx(600, abs=60), clock_ahead) == (True, True)


async def test_status_and_check_name_the_case(account: PolledAccount, database: str) -> None:
    await account.poll_at(NOW + DAY, record(1))
    await fail_at(account, NOW + 5 * MINUTE)
    await account.set_clock(NOW + 12 * MINUTE)

    statuses = await read_account_statuses(account.engine)
    sentence = (
        "the database's clock was ahead when the last successful poll was recorded, at 2026-03-02 15:00:00 "
        "Europe/Moscow: it is at least 0:07:00 old; check that the server synchronizes its clock"
    )
    assert describe_clock(statuses[0]) == sentence
    assert f"default: {sentence}" in list(attention_lines(statuses))

    settings = settings_for(account.emulator, database_url=SecretStr(database))
    with Database(settings) as connected:
        findings = [finding async for finding in Check(settings, (), set(), with_data=False).findings(connected)]
        await connected.dispose()
    assert [(one.subject, one.text, one.is_ok) for one in findings if one.subject.startswith("clock")] == [
        ("clock of default", sentence, False)
    ]


async def test_an_account_becomes_stale_and_the_page_shows_its_age(account: PolledAccount) -> None:
    await account.poll_at(NOW + DAY, record(1))
    await fail_at(account, NOW + 5 * MINUTE)
    await account.set_clock(NOW + 12 * MINUTE)

    gauges = Gauges(account.engine, account.poller.metrics)
    account.poller.metrics.set_accounts(["default"])
    await gauges.refresh({1: account.account})

    def sample(name: str) -> float | None:
        return account.poller.metrics.registry.get_sample_value(name, {"account": "default"})

    assert sample("syncer_stale_from_timestamp_seconds") == (NOW + 20 * MINUTE).timestamp()
    assert sample("syncer_last_success_timestamp_seconds") == (NOW + 5 * MINUTE).timestamp()
    page = await read_account_page(account.engine, ["default"], None, 1, statement_seconds=5)
    assert [one.last_success_at for one in page.accounts] == [NOW + 5 * MINUTE]


async def test_the_daemon_polls_on_when_the_databases_clock_is_set_back_by_a_day(
    database: str, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async def set_clock(ahead: str) -> None:
        await sql.execute(
            "create or replace function syncer.clock() returns timestamptz language sql stable"
            f" as $$ select clock_timestamp() + interval '{ahead}' $$"
        )

    async def polled(times: int) -> bool:
        return bool(await sql.fetchval(RUNS) >= times)

    await set_clock("1 day")
    async with running_daemon(emulator, database, names=["one", "two"], poll_interval=SECOND):
        await wait_until(lambda: polled(4))
        await set_clock("0 days")
        # As left by a daemon that died meanwhile.
        await sql.execute(
            "update syncer.account_schedule set lease_holder = 'dead', lease_until = now() + interval '1 day'"
            " where account_id = 1"
        )

        async def both_have_polled() -> bool:
            polls = await sql.fetch(
                "select account_id from syncer.sync_run where started_at < now() group by 1 having count(*) >= 2"
            )
            return len(polls) == 2

        await wait_until(both_have_polled, within=20)
