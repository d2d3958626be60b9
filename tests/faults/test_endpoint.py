"""Faults of the endpoint: the run fails with an error kind, nothing else is written, and memory stays bounded."""

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
INVALID_RESPONSES = {
    "redirect": (faults.Redirect(requests=1), "http_status"),
    "HTML with 200": (faults.Html(requests=1), "not_json"),
    "half a body": (faults.Truncated(requests=1), "not_json"),
    "half a body, then the connection closes": (faults.CutOff(requests=1), "network"),
    "slow drip": (faults.SlowDrip(chunk=100, interval=0.01, requests=1), "timeout"),
    "gzip bomb": (faults.GzipBomb(mebibytes=1024, requests=1), "too_large"),
    "tiny elements": (faults.Body(body="[" + "0," * 2**23 + "0]", requests=1), "not_an_array"),
}


def peak_mebibytes(process: Process) -> float:
    """Returns the peak memory of the process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@run_concurrently
async def test_every_invalid_response_fails_the_poll_with_its_error_kind_and_memory_stays_bounded(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.queue(faults.Healthy(requests=2), *(fault for fault, _ in INVALID_RESPONSES.values()))
    limit = f"{LIMIT_MEBIBYTES}MiB"
    daemon = await syncer.start("run", poll_interval="1s", api_timeout="3s", api_max_bytes=limit)
    await daemon.wait_for_event("poll_finished", outcome="failed")
    before = peak_mebibytes(daemon)

    await daemon.wait_for_event("poll_finished", outcome="failed", times=len(INVALID_RESPONSES))

    grown = peak_mebibytes(daemon) - before
    failures = daemon.events("poll_finished", outcome="failed")
    assert [one["error_kind"] for one in failures] == [kind for _, kind in INVALID_RESPONSES.values()]
    assert grown < 2 * LIMIT_MEBIBYTES
    assert (await daemon.stop(within=10)).code == 0
    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes[: len(INVALID_RESPONSES) + 2] == [
        "applied",
        "unchanged",
        *(kind for _, kind in INVALID_RESPONSES.values()),
    ]
    assert {*outcomes[len(INVALID_RESPONSES) + 2 :]} <= {"unchanged"}
    assert await sql.fetchval("select count(*) from syncer.rejected_record") == 0
    assert (await syncer.run("check", "--data")).code == 0


@run_concurrently
async def test_a_retry_after_within_the_poll_interval_is_obeyed_and_a_longer_one_is_not(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = {"api_attempts": "3", "poll_interval": "30s"}
    for status in (429, 503):
        emulator.requests.clear()
        emulator.fault = faults.Status(status=status, retry_after=1, requests=2)
        assert (await syncer.run("sync", **settings)).code == 0
        assert emulator.requests[TOKEN] == 3
    has_waited = "select bool_and(finished_at - started_at > interval '2 seconds') from syncer.sync_run"
    assert await sql.fetchval(has_waited)

    for status, kind in ((429, "rate_limited"), (503, "http_status")):
        emulator.requests.clear()
        emulator.fault = faults.Status(status=status, retry_after=31)
        failed = await syncer.run("sync", "--json", **settings)
        assert failed.code == 1
        result = json.loads(failed.out)
        assert (result["error_kind"], emulator.requests[TOKEN]) == (kind, 1)
        assert "31 s" in result["error"]
    assert await sql.fetchval(OUTCOMES) == ["applied", "unchanged", "rate_limited", "http_status"]
