"""`syncer run` on a database elsewhere: when it polls, what it lives through, how it stops."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from syncer.embedded import EmbeddedServer
from syncer.emulator import faults
from tests.builders import connect
from tests.service.processes import TOKEN, Gate, until
from tests.service.scenarios import told_at_once
from tests.silence import SilentServer

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Program

OUTCOMES = "select array_agg(coalesce(error_kind, outcome) order by run_id) from syncer.sync_run"
# From one run's beginning to the next one's, on average, in seconds.
PACE = "select extract(epoch from max(started_at) - min(started_at))::float8 / (count(*) - 1) from syncer.sync_run"


@told_at_once
async def test_it_polls_on_schedule_through_bad_answers_until_ctrl_c(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    emulator.queue(
        faults.Healthy(requests=2),
        faults.Status(status=500, requests=1),
        faults.Truncated(requests=1),
        faults.Reset(requests=1),
    )
    daemon = await syncer.start("run", poll_interval="1s", poll_intervall="1s")
    await until(lambda: emulator.requests[TOKEN] >= 7)

    ended = await daemon.end(signal.SIGINT, within=5)

    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes[:6] == ["applied", "unchanged", "http_status", "not_json", "network", "unchanged"]
    assert set(outcomes[6:]) == {"unchanged"}
    assert 0.75 <= await sql.fetchval(PACE) <= 3
    assert ended.result == (0, "")
    assert daemon.story[:2] == ["unknown_setting", "daemon_started"]
    assert daemon.story[-1] == "daemon_stopped"
    assert daemon.story.count("poll_finished") == 4  # what is unchanged is not worth a line
    failed = daemon.events("poll_finished", outcome="failed", level="warning")
    assert [one["error_kind"] for one in failed] == ["http_status", "not_json", "network"]
    assert daemon.events("unknown_setting")[0]["found"].startswith("SYNCER_POLL_INTERVALL is not a setting")


@told_at_once
async def test_one_account_that_hangs_or_is_refused_keeps_no_other_waiting_and_refused_ones_are_asked_less_often(
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
    await until(lambda: emulator.requests["good-token"] >= 4)

    # The poll that hangs is given up after SYNCER_SHUTDOWN_TIMEOUT.
    ended = await first.end(within=5)

    assert ended.code == 0
    assert [emulator.requests[f"{name}-token"] for name in names[1:]] == [1, 1, 1]
    (expired,) = first.events("poll_finished", account="expired")
    (stranger,) = first.events("poll_finished", account="stranger")
    assert (expired["error_kind"], stranger["error_kind"]) == ("unauthorized", "forbidden")
    assert "answered 401" in expired["error"]
    assert "allow-list" in stranger["error"]
    assert first.events("poll_finished", account="hanging") == []
    assert {*first.story} == {"daemon_started", "poll_finished", "finishing_polls", "daemon_stopped"}, ended.err
    assert await sql.fetchval(
        "select array_agg(a.name || ' ' || r.outcome order by a.name)"
        "  from syncer.sync_run r join syncer.account a using (account_id) where a.name <> 'good'"
    ) == ["expired failed", "hanging running", "stranger failed"]
    assert await sql.fetchval("select count(distinct account_id) from syncer.virtual_number") == 1

    # Whoever corrects a token and starts the daemon again need not wait.
    emulator.fault = None
    second = await syncer.start("run", **settings)
    for name in names[1:]:
        await second.says("poll_finished", account=name, outcome="applied")
    assert (await second.end(within=5)).code == 0
    assert await sql.fetchval(
        "select array_agg(r.outcome order by run_id) from syncer.sync_run r join syncer.account a using (account_id)"
        " where a.name = 'hanging' and outcome <> 'unchanged'"
    ) == ["abandoned", "applied"]


@told_at_once
async def test_a_poll_in_flight_is_finished_before_it_stops(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    gate = Gate(opened=asyncio.Event())
    emulator.fault = gate
    daemon = await syncer.start("run", poll_interval="1s")
    await until(lambda: emulator.requests[TOKEN] == 1)
    daemon.send(signal.SIGTERM)
    await daemon.says("finishing_polls", polls=1)
    gate.opened.set()

    ended = await daemon.finished(within=5)

    assert ended.code == 0
    assert emulator.requests[TOKEN] == 1
    assert await sql.fetchval(OUTCOMES) == ["applied"]
    assert await sql.fetchval("select count(*) from syncer.virtual_number") == 200
    assert await sql.fetchval("select array_agg(lease_holder) from syncer.account_schedule") == [None]


@told_at_once
async def test_a_database_that_takes_connections_and_never_answers_does_not_keep_it_from_stopping(
    syncer: Program,
) -> None:
    async with SilentServer() as silent:
        daemon = await syncer.start("run", database_url=silent.url)
        await asyncio.wait_for(silent.connected.wait(), 20)
        await asyncio.sleep(1.2)  # more ticks come while the first one waits
        ended = await daemon.end(within=5)

    assert ended.result == (0, "")
    assert daemon.story == ["daemon_started", "daemon_stopped"], ended.err


async def test_it_waits_for_the_database_and_comes_back_after_every_outage(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    server = EmbeddedServer(folder / "server", server_settings={"fsync": "off"})
    server.start()
    address = server.url
    server.stop()
    daemon = await syncer.start("run", poll_interval="1s", database_url=address)
    try:
        assert "database: " in (await daemon.says("not_ready"))["error"]
        server.start()
        await daemon.says("ready")
        await daemon.says("poll_finished", outcome="applied")
        assert server.url == address

        sql = await connect(address)
        await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'syncer'")
        await sql.close()
        seen = emulator.requests[TOKEN]
        await until(lambda: emulator.requests[TOKEN] >= seen + 2)
        complaints = len(daemon.events("not_ready"))  # whether a tick met its end is chance

        server.stop()
        await daemon.says("not_ready", times=complaints + 1)
        asyncio.get_running_loop().call_later(2, server.start)  # long enough for several looks at a server that is gone
        await daemon.says("ready", times=complaints + 1)
        seen = emulator.requests[TOKEN]
        await until(lambda: emulator.requests[TOKEN] >= seen + 2)
        assert len(daemon.events("not_ready")) == complaints + 1, daemon.events("not_ready")
        assert len(daemon.events("ready")) == complaints + 1

        server.stop()
        await daemon.says("not_ready", times=complaints + 2)
        assert (await daemon.end(within=10)).code == 0
    finally:
        server.stop()


@told_at_once
async def test_a_crontab_line_is_meant_in_the_accounts_time_zone(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    zone = ZoneInfo("Asia/Vladivostok")
    expected = (datetime.now(zone) + timedelta(hours=6)).replace(second=0, microsecond=0)
    line = f"{expected.minute} {expected.hour} * * *"
    daemon = await syncer.start("run", poll_cron=line, timezone=zone.key)

    async def due() -> datetime | None:
        moment: datetime | None = await sql.fetchval("select due_at from syncer.account_schedule")
        return moment

    await until(due)
    assert await due() == expected
    assert emulator.requests[TOKEN] == 0

    ahead = (expected - datetime.now(UTC)).total_seconds()
    await sql.execute(
        "create or replace function syncer.clock() returns timestamptz language sql volatile parallel safe "
        f"begin atomic select clock_timestamp() + interval '{ahead} seconds'; end"
    )
    await daemon.says("poll_finished", outcome="applied")

    async def is_due_tomorrow() -> bool:
        return await due() == expected + timedelta(days=1)

    await until(is_due_tomorrow)
    assert (await daemon.end(within=5)).code == 0
    assert emulator.requests[TOKEN] == 1


@told_at_once
async def test_with_a_schema_that_is_not_its_own_it_polls_nothing_and_says_what_to_do(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    await sql.execute("drop schema syncer, analytics cascade")
    daemon = await syncer.start("run", poll_interval="1s", migrate_on_start="false")
    assert "run `syncer migrate`" in (await daemon.says("not_ready"))["error"]
    assert emulator.requests[TOKEN] == 0

    assert (await syncer.run("migrate")).code == 0
    await daemon.says("ready")
    await until(lambda: emulator.requests[TOKEN] >= 2)

    own = await sql.fetchval("select version_num from syncer.alembic_version")
    await sql.execute("update syncer.alembic_version set version_num = '9999'")
    complaint = (await daemon.says("not_ready", times=2))["error"]
    seen = emulator.requests[TOKEN]
    await asyncio.sleep(2.0)  # two polls would be due
    assert emulator.requests[TOKEN] == seen
    assert complaint == (
        f"the database's schema is 9999, which is newer than this version of syncer ({own}): "
        "install the newer version here too"
    )
    assert (await daemon.end(within=5)).code == 0
    assert await sql.fetchval("select array_agg(distinct outcome) from syncer.sync_run") == ["applied", "unchanged"]


@told_at_once
async def test_two_daemons_share_the_polls_and_one_takes_over_when_the_other_is_killed(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    daemons = [await syncer.start("run", poll_interval="1s", log_level="debug") for _ in range(2)]
    for daemon in daemons:
        await daemon.says("daemon_started")
    await until(lambda: emulator.requests[TOKEN] >= 5)
    emulator.fault = faults.Hang(requests=1)
    await until(lambda: emulator.fault is None)  # a request has met it
    assert await sql.fetchval(PACE) >= 0.75  # and not 0.5, as if each polled for itself

    holder = await sql.fetchval("select lease_holder from syncer.account_schedule")
    (victim,) = (daemon for daemon in daemons if f":{daemon.pid}:" in holder)
    (heir,) = (daemon for daemon in daemons if daemon is not victim)
    seen, finished = emulator.requests[TOKEN], len(heir.events("poll_finished"))
    await victim.kill()

    await until(lambda: emulator.requests[TOKEN] > seen, within=15)

    assert (await heir.says("poll_finished", times=finished + 1))["outcome"] == "unchanged"
    assert (await heir.end(within=5)).code == 0
    outcomes = await sql.fetchval(OUTCOMES)
    assert outcomes.count("abandoned") == 1
    assert {*outcomes} == {"applied", "unchanged", "abandoned"}


@told_at_once
async def test_old_runs_that_changed_nothing_are_summed_up_by_the_day(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    for _ in range(3):
        assert (await syncer.run("sync")).code == 0
    await sql.execute("update syncer.account set created_at = created_at - interval '5 days'")
    await sql.execute("update syncer.sync_run set started_at = started_at - interval '5 days'")
    daemon = await syncer.start("run", poll_interval="1h", run_retention="2d")

    await until(lambda: sql.fetchval("select sum(polls) from syncer.sync_day"))
    await until(lambda: emulator.requests[TOKEN] == 4)

    assert (await daemon.end(within=10)).code == 0
    assert await sql.fetchval("select sum(polls) from analytics.coverage") == 4
    assert (await sql.fetchval(OUTCOMES))[0] == "applied"
