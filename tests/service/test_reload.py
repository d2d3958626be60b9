"""SIGHUP: `syncer run` takes the accounts as the configuration has them by then, or says why not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.service.processes import TOKEN, environment, until
from tests.service.scenarios import told_at_once

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program


class AccountsFile:
    """The accounts file; each account's keys by its name."""

    def __init__(self, syncer: Program) -> None:
        self._syncer = syncer
        self.path = ""

    def write(self, **accounts: dict[str, str]) -> None:
        """Replaces it; an account without a token has the one that bears its name."""
        lines = []
        for name, keys in accounts.items():
            lines += ["[[account]]", f'name = "{name}"']
            lines += [f'{key} = "{value}"' for key, value in ({"token": f"{name}-token"} | keys).items()]
        self.path = self._syncer.write("accounts.toml", "\n".join(lines))

    @property
    def settings(self) -> dict[str, str | None]:
        """What tells the program of it."""
        return {"api_token": None, "accounts_file": self.path, "poll_interval": "1s"}


async def retired(sql: asyncpg.Connection) -> dict[str, bool]:
    """Which accounts are said to have left, as analysts read it."""
    rows = await sql.fetch("select account, retired_at is not null from analytics.freshness order by 1")
    return dict(map(tuple, rows))


async def reloaded(daemon: Process, times: int = 1) -> None:
    daemon.send(signal.SIGHUP)
    await daemon.says("accounts_reloaded", times=times)


@told_at_once
async def test_accounts_come_change_and_leave_at_sighup_and_may_come_back(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    requests = emulator.requests
    file = AccountsFile(syncer)
    file.write(stays={}, leaves={}, changes={"poll_interval": "1h"})
    daemon = await syncer.start("run", **file.settings)
    await until(lambda: all(requests[f"{name}-token"] for name in ("stays", "leaves", "changes")))

    file.write(stays={}, changes={"token": "changed-token", "poll_interval": "1s"}, comes={})
    await reloaded(daemon)
    await until(lambda: requests["comes-token"] >= 2 and requests["changed-token"] >= 2)
    seen = requests["leaves-token"]
    await until(lambda: requests["stays-token"] >= 8 and requests["comes-token"] >= 5)

    assert requests["leaves-token"] == seen
    assert requests["changes-token"] == 1
    assert await retired(sql) == {"changes": False, "comes": False, "leaves": True, "stays": False}
    lines = (await syncer.run("status")).out.splitlines()
    (line,) = (line for line in lines if "no configuration has it" in line)
    assert line.startswith("! leaves: no configuration has it since 20")
    assert line.endswith(": it is polled no more, and its data stay")
    (told,) = (line for line in (await syncer.run("status", "--json")).out.splitlines() if '"leaves"' in line)
    assert '"retired_at":"20' in told
    assert await sql.fetchval("select count(*) from analytics.numbers where account = 'leaves'") == 200

    file.write(leaves={})
    await reloaded(daemon, times=2)
    await until(lambda: requests["leaves-token"] > seen)
    assert await retired(sql) == {"changes": True, "comes": True, "leaves": False, "stays": True}
    assert (await daemon.end(within=10)).code == 0


@told_at_once
async def test_a_file_that_is_wrong_changes_nothing_and_is_said_in_one_line(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    file = AccountsFile(syncer)
    file.write(one={}, other={})
    daemon = await syncer.start("run", **file.settings)
    await until(lambda: emulator.requests["one-token"] and emulator.requests["other-token"])

    file.write(one={"poll_interval": "soon"}, new={})
    daemon.send(signal.SIGHUP)
    complaint = await daemon.says("accounts_not_reloaded", level="error")
    seen = dict(emulator.requests)
    await until(
        lambda: all(emulator.requests[f"{name}-token"] >= seen[f"{name}-token"] + 3 for name in ("one", "other"))
    )

    assert complaint["error"].startswith(f"{file.path}, account 'one': poll_interval is 'soon': it must be ")
    assert len(daemon.events("accounts_not_reloaded")) == 1
    assert emulator.requests["new-token"] == 0
    assert await retired(sql) == {"one": False, "other": False}
    assert (await daemon.end(within=10)).code == 0


@told_at_once
async def test_another_crontab_line_and_time_zone_count_from_the_moment_they_are_told(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    zone = ZoneInfo("Asia/Vladivostok")
    later = (datetime.now(zone) + timedelta(hours=6)).replace(second=0, microsecond=0)
    file = AccountsFile(syncer)
    file.write(one={"poll_interval": "2h"}, other={})
    daemon = await syncer.start("run", **file.settings)
    await until(lambda: emulator.requests["one-token"])

    async def due() -> Any:
        return await sql.fetchval(
            "select due_at from syncer.account_schedule join syncer.account using (account_id)"
            " where name = 'one' and lease_holder is null"
        )

    await until(due)
    file.write(one={"poll_cron": f"{later.minute} {later.hour} * * *", "time_zone": zone.key}, other={})
    await reloaded(daemon)
    seen = emulator.requests["other-token"]
    await until(lambda: emulator.requests["other-token"] >= seen + 2)

    assert await due() == later
    assert await sql.fetchval("select time_zone from analytics.accounts where account = 'one'") == zone.key
    assert emulator.requests["one-token"] == 1
    assert (await daemon.end(within=10)).code == 0


@told_at_once
async def test_a_token_in_a_file_is_read_again(syncer: Program, emulator: Emulator) -> None:
    token = syncer.write("token", "first-token")
    daemon = await syncer.start("run", api_token=None, api_token_file=token, poll_interval="1s")
    await until(lambda: emulator.requests["first-token"])

    syncer.write("token", "second-token")
    await reloaded(daemon)
    await until(lambda: emulator.requests["second-token"])
    assert (await daemon.end(within=10)).code == 0


@told_at_once
async def test_a_sighup_that_comes_while_it_starts_waits_until_it_can_be_heard(
    syncer: Program, emulator: Emulator
) -> None:
    daemon = await syncer.start("run")
    maps = Path(f"/proc/{daemon.pid}/maps")
    await until(lambda: "asyncpg" in maps.read_text())  # its modules are being loaded
    await reloaded(daemon)
    await until(lambda: emulator.requests[TOKEN])
    assert (await daemon.end(within=10)).code == 0


async def test_a_terminal_that_is_closed_ends_it_well(syncer: Program, emulator: Emulator) -> None:
    ours, theirs = os.openpty()
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "syncer", "run"],
        cwd=syncer.folder,
        env=environment(syncer.folder, {**syncer.settings, "poll_interval": "1s"}),
        preexec_fn=lambda: os.login_tty(theirs),
        pass_fds=[theirs],
    )
    os.close(theirs)
    await until(lambda: sum(emulator.requests.values()) >= 2)
    os.close(ours)
    assert await asyncio.to_thread(process.wait, 20) == 0
