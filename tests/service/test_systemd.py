"""The notifications that systemd gets, received over a socket like its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncer.daemon import systemd
from tests.service.processes import TOKEN
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

DEADLINE_SECONDS = 40.0


def test_an_error_in_the_status_adds_no_assignment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with notify_socket(str(tmp_path / "socket")) as receiver:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
        systemd.sd_notify("STATUS=error\nMAINPID=1\x1b[31m", "READY=1")
        assert receiver.recv(1000) == b"STATUS=error\\u000aMAINPID=1\\u001b[31m\nREADY=1"


@contextmanager
def notify_socket(name: str) -> Iterator[socket.socket]:
    """Opens a notification socket; a name that begins with `@` is in the abstract namespace, without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1))
        receiver.setblocking(False)
        yield receiver


async def next_message(receiver: socket.socket) -> list[str]:
    """Returns the next message as a list of assignments."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        return (await asyncio.get_running_loop().sock_recv(receiver, 4096)).decode().split("\n")


async def next_message_except(receiver: socket.socket, *expected: str) -> list[str]:
    """Returns the next message that differs from `expected`."""
    while (message := await next_message(receiver)) == [*expected]:
        pass
    return message


@run_concurrently
async def test_the_daemon_reports_ready_status_watchdog_and_stopping(
    syncer: Program, folder: Path, emulator: Emulator
) -> None:
    name = str(folder / "notify")
    program = replace(syncer, variables={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "300000"})
    with notify_socket(name) as receiver:
        daemon = await program.start("run", poll_interval="1s", database_url="postgresql://u:passw0rd@127.0.0.1:1/none")
        assert await next_message(receiver) == ["READY=1"]
        message = await next_message_except(receiver, "WATCHDOG=1")
        assert message[0].startswith("STATUS=database: ")
        assert "passw0rd" not in message[0]
        assert await next_message(receiver) == ["WATCHDOG=1"]
        assert (await daemon.stop()).code == 0
        assert await next_message_except(receiver, "WATCHDOG=1") == ["STOPPING=1"]

        daemon = await program.start("run", poll_interval="1s")
        assert await next_message(receiver) == ["READY=1"]
        assert await next_message_except(receiver, "WATCHDOG=1") == ["STATUS=polling"]
        assert [await next_message(receiver) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        await daemon.wait_for_event("poll_finished", outcome="applied")
        daemon.send(signal.SIGTERM)
        assert await next_message_except(receiver, "WATCHDOG=1") == ["STOPPING=1"]
        assert (await daemon.wait()).code == 0
    assert emulator.requests[TOKEN] >= 1


@run_concurrently
async def test_the_daemon_reports_why_a_reload_failed_until_one_succeeds(syncer: Program, folder: Path) -> None:
    name, valid_file = str(folder / "notify"), f'[[account]]\nname = "a"\ntoken = "{TOKEN}"\n'
    program = replace(syncer, variables={"NOTIFY_SOCKET": name})
    file = program.write("accounts.toml", valid_file)
    with notify_socket(name) as receiver:
        daemon = await program.start("run", api_token=None, accounts_file=file)
        await daemon.wait_for_event("poll_finished")
        assert [await next_message(receiver) for _ in range(2)] == [["READY=1"], ["STATUS=polling"]]
        program.write("accounts.toml", valid_file + "[[account")
        daemon.send(signal.SIGHUP)
        while not (message := (await next_message(receiver))[0]).startswith("STATUS="):
            pass
        assert message.startswith(f"STATUS=the accounts were not reloaded: SYNCER_ACCOUNTS_FILE names {file}, which is")
        program.write("accounts.toml", valid_file)
        daemon.send(signal.SIGHUP)
        while not (message := (await next_message(receiver))[0]).startswith("STATUS="):
            pass
        assert message == "STATUS=polling"
        assert (await daemon.stop()).code == 0


async def test_a_daemon_that_is_not_live_sends_no_watchdog_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@syncer-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    is_live_calls: list[int] = []

    def is_live() -> bool:
        is_live_calls.append(len(is_live_calls))
        return len(is_live_calls) > 5

    stop = asyncio.Event()
    with notify_socket(name) as receiver:
        notify_task = asyncio.create_task(systemd.notify_until(stop, is_live))
        assert await next_message(receiver) == ["READY=1"]
        assert await next_message(receiver) == ["WATCHDOG=1"]
        assert len(is_live_calls) > 5
        stop.set()
        await notify_task
        assert await next_message_except(receiver, "WATCHDOG=1") == ["STOPPING=1"]


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}])
async def test_watchdog_pings_are_sent_only_if_systemd_expects_them_of_this_process(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    name = f"@syncer-test-{os.getpid()}"
    for variable, value in ({"NOTIFY_SOCKET": name} | variables).items():
        monkeypatch.setenv(variable, value)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    with notify_socket(name) as receiver:
        await systemd.notify_until(stop, lambda: True)

        assert [await next_message(receiver) for _ in range(2)] == [["READY=1"], ["STOPPING=1"]]


async def test_a_reload_is_reported_and_followed_by_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@syncer-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with notify_socket(name) as receiver:
        with systemd.reloading():
            reloading, since = await next_message(receiver)
            assert reloading == "RELOADING=1"
            assert since.removeprefix("MONOTONIC_USEC=").isdigit()
        assert await next_message(receiver) == ["READY=1"]


def test_a_missing_notification_socket_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("", str(tmp_path / "gone")):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.sd_notify("READY=1")
