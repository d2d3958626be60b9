"""The wall clock of the daemon's host decides nothing: neither its steps nor TZ change when accounts are polled.

libfaketime moves the clock of the daemon alone, and the test reads when it polled from the database's clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import Program, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))), None)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
POLLS = 6
MAX_GAP_SECONDS = 12  # the shortest gap that a step of the clock caused was 24 s
RUNS = "select count(*) from syncer.sync_run"
LONGEST_GAP = """
select extract(epoch from max(gap))::float8
  from (select started_at - lag(started_at) over (order by started_at) as gap from syncer.sync_run) gaps
"""
ZONES = ("MSK-3", "<+03>-3", "EST5EDT,M3.2.0,M11.1.0", ":Europe/Moscow", "Nowhere/Unknown", "")


async def poll_through(syncer: Program, sql: asyncpg.Connection, steps: Sequence[tuple[str, float]]) -> None:
    """Polls every second while the host's clock is moved; asserts that no poll came late.

    Args:
        syncer: The program.
        sql: A connection to its database, whose clock is right.
        steps: By how much to move the clock, as libfaketime writes it, and how many seconds to leave it so.
    """
    offset = Path(syncer.write("offset", "+0s"))
    variables = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }

    async def runs_until(count: int) -> None:
        async def enough() -> bool:
            return bool(await sql.fetchval(RUNS) >= count)

        await wait_until(enough)

    daemon = await replace(syncer, variables=variables).start("run", poll_interval="1s")
    await runs_until(3)
    for step, seconds in steps:
        replacement = offset.with_suffix(".new")
        replacement.write_text(step)
        replacement.rename(offset)
        await asyncio.sleep(seconds)
    await runs_until(await sql.fetchval(RUNS) + POLLS)

    assert (await daemon.stop(within=10)).code == 0
    assert await sql.fetchval(LONGEST_GAP) < MAX_GAP_SECONDS
    assert {*daemon.event_names} - {"finishing_polls"} == {"daemon_started", "poll_finished", "daemon_stopped"}


@run_concurrently
async def test_polls_go_on_when_the_hosts_clock_goes_back_a_minute(syncer: Program, sql: asyncpg.Connection) -> None:
    await poll_through(syncer, sql, [("-60s", 0)])


@run_concurrently
async def test_polls_go_on_when_the_hosts_clock_goes_back_eight_minutes(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await poll_through(syncer, sql, [("-480s", 0)])


@run_concurrently
async def test_polls_go_on_when_the_hosts_clock_goes_back_for_one_second(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await poll_through(syncer, sql, [("-40s", 1), ("+0s", 0)])


@run_concurrently
async def test_polls_go_on_when_the_hosts_clock_goes_forward_thirty_days(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await poll_through(syncer, sql, [("+30d", 0)])


@run_concurrently
async def test_polls_go_on_when_the_hosts_clock_goes_forward_two_thousand_days(
    syncer: Program, sql: asyncpg.Connection
) -> None:
    await poll_through(syncer, sql, [("+2000d", 0)])


@run_concurrently
async def test_the_daemon_polls_whatever_time_zone_the_host_has(syncer: Program, sql: asyncpg.Connection) -> None:
    for zone in ZONES:
        before = await sql.fetchval(RUNS)
        daemon = await replace(syncer, variables={"TZ": zone}).start("run", poll_interval="1s")

        async def has_polled_twice(before: int = before) -> bool:
            return bool(await sql.fetchval(RUNS) >= before + 2)

        await wait_until(has_polled_twice)
        ended = await daemon.stop(within=10)
        assert (ended.code, "Traceback" in ended.err) == (0, False), zone
