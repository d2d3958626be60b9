"""The endpoint answers what it must not: the run fails with its kind, nothing is written, memory stays bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.service.processes import TOKEN
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

LIMIT_MEBIBYTES = 32
OUTCOMES = "select array_agg(coalesce(error_kind, outcome) order by run_id) from syncer.sync_run"
WRONG = {
    "redirect": (faults.Redirect(requests=1), "http_status"),
    "HTML with 200": (faults.Html(requests=1), "not_json"),
    "half a body": (faults.Truncated(requests=1), "not_json"),
    "half a body, and the connection ends": (faults.CutOff(requests=1), "network"),
    "slow drip": (faults.SlowDrip(chunk=100, interval=0.01, requests=1), "timeout"),
    "gzip bomb": (faults.GzipBomb(mebibytes=1024, requests=1), "too_large"),
    "crumbs": (faults.Body(body="[" + "0," * 2**23 + "0]", requests=1), "not_an_array"),
}


def peak_mebibytes(process: Process) -> float:
    """The most memory that the process ever had in use."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@run_concurrently
async def test_a_redirect_a_page_half_a_body_a_slow_drip_and_a_gzip_bomb_fail_with_their_kind_and_memory_stays_bounded(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Healthy(requests=2), *(fault for fault, _ in WRONG.values()))
    limit = f"{LIMIT_MEBIBYTES}MiB"
    daemon = await syncer.start("run", poll_interval="1s", api_timeout="3s", api_max_bytes=limit)
    await daemon.wait_for_event("poll_finished", outcome="failed")
    before = peak_mebibytes(daemon)

    await daemon.wait_for_event("poll_finished", outcome="failed", times=len(WRONG))

    grown = peak_mebibytes(daemon) - before
    failures = daemon.events("poll_finished", outcome="failed")
    assert [one["error_kind"] for one in failures] == [kind for _, kind in WRONG.values()]
    assert grown < 2 * LIMIT_MEBIBYTES
    assert (await daemon.stop(within=10)).code == 0
    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes[: len(WRONG) + 2] == ["applied", "unchanged", *(kind for _, kind in WRONG.values())]
    assert {*outcomes[len(WRONG) + 2 :]} <= {"unchanged"}
    assert await sql.fetchval("select count(*) from syncer.rejected_record") == 0
    assert (await syncer.run("check", "--data")).code == 0


@run_concurrently
async def test_a_retry_after_is_waited_for_within_the_poll_interval_and_one_beyond_it_is_not(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    asked = {"api_attempts": "3", "poll_interval": "30s"}
    for status in (429, 503):
        emulator.requests.clear()
        emulator.fault = faults.Status(status=status, retry_after=1, requests=2)
        assert (await syncer.run("sync", **asked)).code == 0
        assert emulator.requests[TOKEN] == 3
    waited = "select bool_and(finished_at - started_at > interval '2 seconds') from syncer.sync_run"
    assert await sql.fetchval(waited)

    for status, kind in ((429, "rate_limited"), (503, "http_status")):
        emulator.requests.clear()
        emulator.fault = faults.Status(status=status, retry_after=31)
        refused = await syncer.run("sync", "--json", **asked)
        assert refused.code == 1
        result = json.loads(refused.out)
        assert (result["error_kind"], emulator.requests[TOKEN]) == (kind, 1)
        assert "31 s" in result["error"]
    assert await sql.fetchval(OUTCOMES) == ["applied", "unchanged", "rate_limited", "http_status"]
