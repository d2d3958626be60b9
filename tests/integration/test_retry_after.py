"""A `Retry-After` that is longer than the poll interval: the daemon obeys it, also after a restart, and says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from structlog.testing import capture_logs

from syncer.emulator import faults
from tests.builders import accounts_named, running_daemon, settings_for
from tests.service.processes import wait_until

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount

SETTINGS: Final[dict[str, Any]] = {"poll_interval": timedelta(seconds=1), "shutdown_timeout": timedelta()}
HOUR: Final = timedelta(hours=1)
SECONDS_OF_LEEWAY: Final = timedelta(seconds=20)


async def due_in(sql: asyncpg.Connection, name: str = "default") -> timedelta | None:
    """Returns how long from now the account is due; None while it is being polled."""
    remaining: timedelta | None = await sql.fetchval(
        "select due_at - clock_timestamp() from syncer.account_schedule join syncer.account using (account_id)"
        " where name = $1 and lease_holder is null",
        name,
    )
    return remaining


async def wait_until_postponed(sql: asyncpg.Connection, wait: timedelta) -> datetime:
    """Waits until the account is due in about `wait`, and returns the due time."""

    async def is_postponed() -> bool:
        remaining = await due_in(sql)
        return remaining is not None and wait - SECONDS_OF_LEEWAY < remaining <= wait + timedelta(seconds=2)

    await wait_until(is_postponed)
    due_at: datetime = await sql.fetchval("select due_at from syncer.account_schedule")
    return due_at


@pytest.mark.parametrize("status", [429, 503, 401])
async def test_the_next_poll_is_not_before_the_time_that_the_endpoint_asked_for(
    status: int, emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Status(status=status, retry_after=3600))
    with capture_logs() as logs:
        async with running_daemon(emulator, database, **SETTINGS):
            due_at = await wait_until_postponed(sql, HOUR)
            assert await sql.fetchval(
                "select not_before between due_at - interval '1 s' and due_at from syncer.account_schedule"
            )
    (postponed,) = [entry for entry in logs if entry["event"] == "poll_postponed"]
    assert postponed == {
        "event": "poll_postponed",
        "log_level": "warning",
        "account": "default",
        "asked_wait": "60 min",
        "due_at": due_at.isoformat(timespec="seconds"),
    }
    assert emulator.requests["token"] == 1


async def test_a_wait_of_more_than_a_day_is_obeyed_for_a_day(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Status(status=429, retry_after=999_999_999))
    with capture_logs() as logs:
        async with running_daemon(emulator, database, **SETTINGS):
            await wait_until_postponed(sql, timedelta(days=1))
    assert [entry["asked_wait"] for entry in logs if entry["event"] == "poll_postponed"] == ["11574 days"]


async def test_a_restart_or_a_reload_does_not_forget_the_wait(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Status(status=429, retry_after=3600, token="asks"))
    async with running_daemon(emulator, database, names=["asks", "other"], **SETTINGS):
        await wait_until(lambda: emulator.requests["asks"])
        await wait_until(lambda: emulator.requests["other"] >= 2)
    before = await sql.fetchval("select due_at from syncer.account_schedule where not_before is not null")

    async with running_daemon(emulator, database, names=["asks", "other"], **SETTINGS) as daemon:
        seen = emulator.requests["other"]
        await wait_until(lambda: emulator.requests["other"] >= seen + 2)
        daemon.set_accounts(accounts_named(settings_for(emulator, **SETTINGS), ["asks", "other"]))
        await wait_until(lambda: emulator.requests["other"] >= seen + 4)

    assert await sql.fetchval("select due_at from syncer.account_schedule where not_before is not null") == before
    assert emulator.requests["asks"] == 1


async def test_once_the_wait_is_over_the_account_is_polled_on_schedule_again(
    emulator: Emulator, database: str, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Status(status=429, retry_after=2, requests=1))
    async with running_daemon(emulator, database, **SETTINGS):
        await wait_until(lambda: emulator.requests["token"] >= 3)

        async def is_forgotten() -> bool:
            return await sql.fetchval("select not_before is null from syncer.account_schedule") is True

        await wait_until(is_forgotten)


async def test_the_wait_is_in_the_result_and_in_words_in_the_error(account: PolledAccount) -> None:
    account.emulator.fault = faults.Status(status=429, retry_after=3600)

    result = await account.poll_again(trigger="command")

    assert result.retry_after_seconds == 3600.0
    assert result.summary == (
        f"default: failed: {account.emulator.url.removeprefix('http://')} answered 429, too many requests, and asks to "
        "wait 60 min: raise SYNCER_POLL_INTERVAL if this persists"
    )


async def test_a_wait_that_is_a_date_is_obeyed_whatever_this_machines_clock_says(account: PolledAccount) -> None:
    account.emulator.fault = faults.Status(status=503, retry_after=3600, retry_after_as_date=True)
    result = await account.poll_again()
    assert result.retry_after_seconds is not None
    assert 3600 <= result.retry_after_seconds <= 3601
