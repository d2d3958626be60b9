"""SIGHUP: `syncer run` reloads its accounts, or logs why it cannot."""

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

from tests.service.processes import TOKEN, environment, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program


class AccountsFile:
    """The accounts file of a test."""

    def __init__(self, syncer: Program) -> None:
        self._syncer = syncer
        self.path = ""

    def write(self, **accounts: dict[str, str]) -> None:
        """Replaces the file; the token of an account named `x` defaults to `x-token`."""
        lines = []
        for name, keys in accounts.items():
            lines += ["[[account]]", f'name = "{name}"']
            lines += [f'{key} = "{value}"' for key, value in ({"token": f"{name}-token"} | keys).items()]
        self.path = self._syncer.write("accounts.toml", "\n".join(lines))

    @property
    def settings(self) -> dict[str, str | None]:
        """The settings that make the program use the file."""
        return {"api_token": None, "accounts_file": self.path, "poll_interval": "1s"}


async def retired_accounts(sql: asyncpg.Connection) -> dict[str, bool]:
    """Returns for each account whether it is retired, from the view `analytics.freshness`."""
    rows = await sql.fetch("select account, retired_at is not null from analytics.freshness order by 1")
    return dict(map(tuple, rows))


async def reload_accounts(daemon: Process, times: int = 1) -> None:
    daemon.send(signal.SIGHUP)
    await daemon.wait_for_event("accounts_reloaded", times=times)


@run_concurrently
async def test_sighup_adds_changes_and_removes_accounts_and_can_add_them_again(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    requests = emulator.requests
    file = AccountsFile(syncer)
    file.write(kept={}, removed={}, changes={"poll_interval": "1h"})
    daemon = await syncer.start("run", **file.settings)
    await wait_until(lambda: all(requests[f"{name}-token"] for name in ("kept", "removed", "changes")))

    file.write(kept={}, changes={"token": "changed-token", "poll_interval": "1s"}, added={})
    await reload_accounts(daemon)
    await wait_until(lambda: requests["added-token"] >= 2 and requests["changed-token"] >= 2)
    seen = requests["removed-token"]
    await wait_until(lambda: requests["kept-token"] >= 8 and requests["added-token"] >= 5)

    assert requests["removed-token"] == seen
    assert requests["changes-token"] == 1
    assert await retired_accounts(sql) == {"changes": False, "added": False, "removed": True, "kept": False}
    lines = (await syncer.run("status")).out.splitlines()
    (line,) = (line for line in lines if "not configured since" in line)
    assert line.startswith("! removed: not configured since 20")
    assert line.endswith(": it is no longer polled, and its data are kept")
    (json_line,) = (line for line in (await syncer.run("status", "--json")).out.splitlines() if '"removed"' in line)
    assert '"retired_at":"20' in json_line
    kept = "select count(*) from analytics.numbers_all where account = 'removed' and retired_at is not null"
    assert await sql.fetchval(kept) == 200
    assert await sql.fetchval("select count(*) from analytics.numbers where account = 'removed'") == 0

    file.write(removed={})
    await reload_accounts(daemon, times=2)
    await wait_until(lambda: requests["removed-token"] > seen)
    assert await retired_accounts(sql) == {"changes": True, "added": True, "removed": False, "kept": True}
    assert (await daemon.stop(within=10)).code == 0


@run_concurrently
async def test_an_invalid_file_changes_nothing_and_logs_one_line(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    file = AccountsFile(syncer)
    file.write(one={}, other={})
    daemon = await syncer.start("run", **file.settings)
    await wait_until(lambda: emulator.requests["one-token"] and emulator.requests["other-token"])

    file.write(one={"poll_interval": "soon"}, new={})
    daemon.send(signal.SIGHUP)
    event = await daemon.wait_for_event("accounts_not_reloaded", level="error")
    seen = dict(emulator.requests)
    await wait_until(
        lambda: all(emulator.requests[f"{name}-token"] >= seen[f"{name}-token"] + 3 for name in ("one", "other"))
    )

    assert event["error"].startswith(f"{file.path}, account 'one': poll_interval is 'soon': it must be ")
    assert len(daemon.events("accounts_not_reloaded")) == 1
    assert emulator.requests["new-token"] == 0
    assert await retired_accounts(sql) == {"one": False, "other": False}
    assert (await daemon.stop(within=10)).code == 0


@run_concurrently
async def test_a_changed_crontab_line_and_time_zone_apply_after_the_reload(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    zone = ZoneInfo("Asia/Vladivostok")
    later = (datetime.now(zone) + timedelta(hours=6)).replace(second=0, microsecond=0)
    file = AccountsFile(syncer)
    file.write(one={"poll_interval": "2h"}, other={})
    daemon = await syncer.start("run", **file.settings)
    await wait_until(lambda: emulator.requests["one-token"])

    async def due() -> Any:
        return await sql.fetchval(
            "select due_at from syncer.account_schedule join syncer.account using (account_id)"
            " where name = 'one' and lease_holder is null"
        )

    await wait_until(due)
    file.write(one={"poll_cron": f"{later.minute} {later.hour} * * *", "time_zone": zone.key}, other={})
    await reload_accounts(daemon)
    seen = emulator.requests["other-token"]
    await wait_until(lambda: emulator.requests["other-token"] >= seen + 2)

    assert await due() == later
    assert await sql.fetchval("select time_zone from analytics.accounts where account = 'one'") == zone.key
    assert emulator.requests["one-token"] == 1
    assert (await daemon.stop(within=10)).code == 0


@run_concurrently
async def test_a_token_file_is_read_again(syncer: Program, emulator: Emulator) -> None:
    token = syncer.write("token", "first-token")
    daemon = await syncer.start("run", api_token=None, api_token_file=token, poll_interval="1s")
    await wait_until(lambda: emulator.requests["first-token"])

    syncer.write("token", "second-token")
    await reload_accounts(daemon)
    await wait_until(lambda: emulator.requests["second-token"])
    assert (await daemon.stop(within=10)).code == 0


@run_concurrently
async def test_a_sighup_during_startup_stays_pending_until_the_handler_is_installed(
    syncer: Program, emulator: Emulator
) -> None:
    daemon = await syncer.start("run")
    maps = Path(f"/proc/{daemon.pid}/maps")
    await wait_until(lambda: "asyncpg" in maps.read_text())  # the program is still importing modules
    await reload_accounts(daemon)
    await wait_until(lambda: emulator.requests[TOKEN])
    assert (await daemon.stop(within=10)).code == 0


async def test_closing_the_terminal_ends_the_daemon_with_exit_code_0(syncer: Program, emulator: Emulator) -> None:
    our_end, child_end = os.openpty()
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "syncer", "run"],
        cwd=syncer.folder,
        env=environment(syncer.folder, {**syncer.settings, "poll_interval": "1s"}),
        preexec_fn=lambda: os.login_tty(child_end),
        pass_fds=[child_end],
    )
    os.close(child_end)
    await wait_until(lambda: sum(emulator.requests.values()) >= 2)
    os.close(our_end)
    assert await asyncio.to_thread(process.wait, 20) == 0
