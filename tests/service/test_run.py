"""`syncer run` on an external database: schedule, outages, shutdown."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from syncer.embedded import EmbeddedServer
from syncer.emulator import faults
from tests.builders import age_runs, connect
from tests.service.processes import TOKEN, Gate, wait_until
from tests.service.scenarios import run_concurrently
from tests.silence import SilentServer

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

OUTCOMES = "select array_agg(coalesce(error_kind, outcome) order by run_id) from syncer.sync_run"
# The mean number of seconds from the start of one run to the start of the next.
MEAN_INTERVAL = (
    "select extract(epoch from max(started_at) - min(started_at))::float8 / (count(*) - 1) from syncer.sync_run"
)


@run_concurrently
async def test_it_polls_on_schedule_in_spite_of_bad_responses_until_ctrl_c(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.queue(
        faults.Healthy(requests=2),
        faults.Status(status=500, requests=1),
        faults.Truncated(requests=1),
        faults.Reset(requests=1),
    )
    daemon = await syncer.start("run", poll_interval="1s", poll_intervall="1s")
    await wait_until(lambda: emulator.requests[TOKEN] >= 7)

    ended = await daemon.stop(signal.SIGINT, within=5)

    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes[:6] == ["applied", "unchanged", "http_status", "not_json", "network", "unchanged"]
    assert set(outcomes[6:]) == {"unchanged"}
    assert 0.75 <= await sql.fetchval(MEAN_INTERVAL) <= 3
    assert ended.result == (0, "")
    assert daemon.event_names[:2] == ["unknown_setting", "daemon_started"]
    assert daemon.event_names[-1] == "daemon_stopped"
    assert daemon.event_names.count("poll_finished") == 4  # unchanged polls are not logged
    failed = daemon.events("poll_finished", outcome="failed", level="warning")
    assert [one["error_kind"] for one in failed] == ["http_status", "not_json", "network"]
    assert daemon.events("unknown_setting")[0]["found"].startswith("SYNCER_POLL_INTERVALL is not a setting")


@run_concurrently
async def test_a_hanging_or_refused_account_delays_no_other_and_refused_ones_are_polled_less_often(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    names = ["good", "hanging", "expired", "stranger"]
    settings = syncer.accounts(*names) | {"poll_interval": "1s"}
    emulator.queue(
        faults.Hang(token="hanging-token"),
        faults.Status(status=401, token="expired-token"),
        faults.Status(status=403, token="stranger-token"),
    )
    first = await syncer.start("run", **settings, shutdown_timeout="1s")
    await wait_until(lambda: emulator.requests["good-token"] >= 4)

    # The hanging poll is cancelled after SYNCER_SHUTDOWN_TIMEOUT.
    ended = await first.stop(within=5)

    assert ended.code == 0
    assert [emulator.requests[f"{name}-token"] for name in names[1:]] == [1, 1, 1]
    (expired,) = first.events("poll_finished", account="expired")
    (stranger,) = first.events("poll_finished", account="stranger")
    assert (expired["error_kind"], stranger["error_kind"]) == ("unauthorized", "forbidden")
    assert "answered 401" in expired["error"]
    assert "allow-list" in stranger["error"]
    assert first.events("poll_finished", account="hanging") == []
    assert {*first.event_names} == {"daemon_started", "poll_finished", "finishing_polls", "daemon_stopped"}, ended.err
    assert await sql.fetchval(
        "select array_agg(a.name || ' ' || r.outcome order by a.name)"
        "  from syncer.sync_run r join syncer.account a using (account_id) where a.name <> 'good'"
    ) == ["expired failed", "hanging running", "stranger failed"]
    assert await sql.fetchval("select count(distinct account_id) from syncer.virtual_number") == 1

    # After a token is corrected, a restart polls without waiting.
    emulator.fault = None
    second = await syncer.start("run", **settings)
    for name in names[1:]:
        await second.wait_for_event("poll_finished", account=name, outcome="applied")
    assert (await second.stop(within=5)).code == 0
    assert await sql.fetchval(
        "select array_agg(r.outcome order by run_id) from syncer.sync_run r join syncer.account a using (account_id)"
        " where a.name = 'hanging' and outcome <> 'unchanged'"
    ) == ["abandoned", "applied"]


@run_concurrently
async def test_a_poll_in_progress_is_finished_before_the_daemon_stops(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    gate = Gate(opened=asyncio.Event())
    emulator.fault = gate
    daemon = await syncer.start("run", poll_interval="1s")
    await wait_until(lambda: emulator.requests[TOKEN] == 1)
    daemon.send(signal.SIGTERM)
    await daemon.wait_for_event("finishing_polls", polls=1)
    gate.opened.set()

    ended = await daemon.wait(within=5)

    assert ended.code == 0
    assert emulator.requests[TOKEN] == 1
    assert await sql.fetchval(OUTCOMES) == ["applied"]
    assert await sql.fetchval("select count(*) from syncer.virtual_number") == 200
    assert await sql.fetchval("select array_agg(lease_holder) from syncer.account_schedule") == [None]


@run_concurrently
async def test_a_database_that_accepts_connections_without_answering_does_not_block_the_shutdown(
    syncer: Program,
) -> None:
    async with SilentServer() as silent:
        daemon = await syncer.start("run", database_url=silent.url)
        await asyncio.wait_for(silent.connected.wait(), 20)
        await asyncio.sleep(1.2)  # more iterations are due while the first one waits
        ended = await daemon.stop(within=5)

    assert ended.result == (0, "")
    assert daemon.event_names == ["daemon_started", "daemon_stopped"], ended.err


async def test_it_waits_for_the_database_and_recovers_after_every_outage(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    server = EmbeddedServer(folder / "server", server_settings={"fsync": "off"})
    server.start()
    address = server.url
    server.stop()
    daemon = await syncer.start("run", poll_interval="1s", database_url=address, shutdown_timeout="5s")
    try:
        assert "database: " in (await daemon.wait_for_event("not_ready"))["error"]
        server.start()
        await daemon.wait_for_event("ready")
        await daemon.wait_for_event("poll_finished", outcome="applied")
        assert server.url == address

        sql = await connect(address)
        await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'syncer'")
        await sql.close()
        requests_before = emulator.requests[TOKEN]
        await wait_until(lambda: emulator.requests[TOKEN] >= requests_before + 2)
        # It is a matter of timing whether an iteration noticed the lost connections, and in how many ways.
        lines_before = len(daemon.err)

        server.stop()
        await wait_until(lambda: readiness(daemon) == "not_ready")
        asyncio.get_running_loop().call_later(2, server.start)  # long enough for several iterations without a server
        await wait_until(lambda: readiness(daemon) == "ready")
        requests_before = emulator.requests[TOKEN]
        await wait_until(lambda: emulator.requests[TOKEN] >= requests_before + 2)
        outage = [json.loads(line) for line in daemon.err[lines_before:]]
        reasons = [event["error"] for event in outage if event["event"] == "not_ready"]
        assert len(set(reasons)) == len(reasons), reasons
        assert [event["event"] for event in outage if event["event"] == "ready"] == ["ready"]

        server.stop()
        await wait_until(lambda: readiness(daemon) == "not_ready")
        assert (await daemon.stop(within=10)).code == 0
    finally:
        server.stop()


def readiness(daemon: Process) -> str:
    """The last event that says whether the daemon is ready."""
    events = [event["event"] for line in list(daemon.err) if "ready" in (event := json.loads(line))["event"]]
    return str(events[-1])


@run_concurrently
async def test_a_crontab_line_is_in_the_time_zone_of_the_account(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    zone = ZoneInfo("Asia/Vladivostok")
    expected = (datetime.now(zone) + timedelta(hours=6)).replace(second=0, microsecond=0)
    line = f"{expected.minute} {expected.hour} * * *"
    daemon = await syncer.start("run", poll_cron=line, timezone=zone.key)

    async def due() -> datetime | None:
        moment: datetime | None = await sql.fetchval("select due_at from syncer.account_schedule")
        return moment

    await wait_until(due)
    assert await due() == expected
    assert emulator.requests[TOKEN] == 0

    ahead = (expected - datetime.now(UTC)).total_seconds()
    await sql.execute(
        "create or replace function syncer.clock() returns timestamptz language sql stable parallel safe "
        f"begin atomic select clock_timestamp() + interval '{ahead} seconds'; end"
    )
    await daemon.wait_for_event("poll_finished", outcome="applied")

    async def is_due_tomorrow() -> bool:
        return await due() == expected + timedelta(days=1)

    await wait_until(is_due_tomorrow)
    assert (await daemon.stop(within=5)).code == 0
    assert emulator.requests[TOKEN] == 1


@run_concurrently
async def test_with_a_missing_or_newer_schema_it_polls_nothing_and_says_what_to_do(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    await sql.execute("drop schema syncer, analytics cascade")
    daemon = await syncer.start("run", poll_interval="1s", migrate_on_start="false")
    assert "run `syncer migrate`" in (await daemon.wait_for_event("not_ready"))["error"]
    assert emulator.requests[TOKEN] == 0

    assert (await syncer.run("migrate")).code == 0
    await daemon.wait_for_event("ready")
    await wait_until(lambda: emulator.requests[TOKEN] >= 2)

    current = await sql.fetchval("select version_num from syncer.alembic_version")
    await sql.execute("update syncer.alembic_version set version_num = '9999'")
    error = (await daemon.wait_for_event("not_ready", times=2))["error"]
    requests_before = emulator.requests[TOKEN]
    await asyncio.sleep(2.0)  # two polls would be due
    assert emulator.requests[TOKEN] == requests_before
    assert error == (
        f"the database's schema is 9999, which is newer than this version of syncer ({current}): "
        "install the newer version here too"
    )
    assert (await daemon.stop(within=5)).code == 0
    assert await sql.fetchval("select array_agg(distinct outcome) from syncer.sync_run") == ["applied", "unchanged"]


@run_concurrently
async def test_two_daemons_share_the_polls_and_one_takes_over_when_the_other_is_killed(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    daemons = [await syncer.start("run", poll_interval="1s", log_level="debug") for _ in range(2)]
    for daemon in daemons:
        await daemon.wait_for_event("daemon_started")
    await wait_until(lambda: emulator.requests[TOKEN] >= 5)
    emulator.fault = faults.Hang(requests=1)
    await wait_until(lambda: emulator.fault is None)  # a request has hit it
    assert await sql.fetchval(MEAN_INTERVAL) >= 0.75  # it would be 0.5 if each polled by itself

    holder = await sql.fetchval("select lease_holder from syncer.account_schedule")
    (victim,) = (daemon for daemon in daemons if f":{daemon.pid}:" in holder)
    (second,) = (daemon for daemon in daemons if daemon is not victim)
    requests_before, finished = emulator.requests[TOKEN], len(second.events("poll_finished"))
    await victim.kill()

    await wait_until(lambda: emulator.requests[TOKEN] > requests_before, within=15)

    assert (await second.wait_for_event("poll_finished", times=finished + 1))["outcome"] == "unchanged"
    assert (await second.stop(within=5)).code == 0
    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes.count("abandoned") == 1
    assert {*outcomes} == {"applied", "unchanged", "abandoned"}


@run_concurrently
async def test_old_runs_that_changed_nothing_are_aggregated_by_day(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    for _ in range(3):
        assert (await syncer.run("sync")).code == 0
    await sql.execute("update syncer.account set created_at = created_at - interval '5 days'")
    await age_runs(sql, timedelta(days=5))
    daemon = await syncer.start("run", poll_interval="1h", run_retention="2d")

    await wait_until(lambda: sql.fetchval("select sum(polls) from syncer.sync_day"))
    await wait_until(lambda: emulator.requests[TOKEN] == 4)

    assert (await daemon.stop(within=10)).code == 0
    assert await sql.fetchval("select sum(polls) from analytics.coverage") == 4
    assert (await sql.fetchval(OUTCOMES))[0] == "applied"
