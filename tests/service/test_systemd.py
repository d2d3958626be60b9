"""What systemd is told, over a socket like its own."""

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
from tests.service.scenarios import told_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

DEADLINE_SECONDS = 40.0


@contextmanager
def service_manager(name: str) -> Iterator[socket.socket]:
    """A socket that hears what services say; `@` before its name makes it one without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0", 1))
        heard.setblocking(False)
        yield heard


async def next_of(heard: socket.socket) -> list[str]:
    """The next message, a fact each."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        return (await asyncio.get_running_loop().sock_recv(heard, 4096)).decode().split("\n")


async def next_other_than(heard: socket.socket, *expected: str) -> list[str]:
    """The next message that does not say this."""
    while (said := await next_of(heard)) == [*expected]:
        pass
    return said


@told_at_once
async def test_the_daemon_says_that_it_is_ready_lives_cannot_work_works_again_and_stops(
    syncer: Program, folder: Path, emulator: Emulator
) -> None:
    name = str(folder / "notify")
    program = replace(syncer, variables={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "300000"})
    with service_manager(name) as heard:
        daemon = await program.start("run", poll_interval="1s", database_url="postgresql://u:passw0rd@127.0.0.1:1/none")
        assert await next_of(heard) == ["READY=1"]
        said = await next_other_than(heard, "WATCHDOG=1")
        assert said[0].startswith("STATUS=database: ")
        assert "passw0rd" not in said[0]
        assert await next_of(heard) == ["WATCHDOG=1"]
        assert (await daemon.end()).code == 0
        assert await next_other_than(heard, "WATCHDOG=1") == ["STOPPING=1"]

        daemon = await program.start("run", poll_interval="1s")
        assert await next_of(heard) == ["READY=1"]
        assert [await next_of(heard) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        await daemon.says("poll_finished", outcome="applied")
        daemon.send(signal.SIGTERM)
        assert await next_other_than(heard, "WATCHDOG=1") == ["STOPPING=1"]
        assert (await daemon.finished()).code == 0
    assert emulator.requests[TOKEN] >= 1


@told_at_once
async def test_the_daemon_says_why_it_did_not_read_its_accounts_again_until_it_does(
    syncer: Program, folder: Path
) -> None:
    name, right = str(folder / "notify"), f'[[account]]\nname = "a"\ntoken = "{TOKEN}"\n'
    program = replace(syncer, variables={"NOTIFY_SOCKET": name})
    file = program.write("accounts.toml", right)
    with service_manager(name) as heard:
        daemon = await program.start("run", api_token=None, accounts_file=file)
        await daemon.says("poll_finished")
        program.write("accounts.toml", right + "[[account")
        daemon.send(signal.SIGHUP)
        while not (said := (await next_of(heard))[0]).startswith("STATUS="):
            pass
        assert said.startswith(f"STATUS=the accounts were not read again: SYNCER_ACCOUNTS_FILE names {file}, which is")
        program.write("accounts.toml", right)
        daemon.send(signal.SIGHUP)
        while not (said := (await next_of(heard))[0]).startswith("STATUS="):
            pass
        assert said == "STATUS=polling"
        assert (await daemon.end()).code == 0


async def test_a_daemon_that_does_not_do_its_work_gives_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@syncer-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    asked: list[int] = []

    def is_live() -> bool:
        asked.append(len(asked))
        return len(asked) > 5

    stop = asyncio.Event()
    with service_manager(name) as heard:
        telling = asyncio.create_task(systemd.notify_until(stop, is_live))
        assert await next_of(heard) == ["READY=1"]
        assert await next_of(heard) == ["WATCHDOG=1"]
        assert len(asked) > 5
        stop.set()
        await telling
        assert await next_other_than(heard, "WATCHDOG=1") == ["STOPPING=1"]


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}])
async def test_signs_of_life_are_given_only_where_they_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    name = f"@syncer-test-{os.getpid()}"
    for variable, value in ({"NOTIFY_SOCKET": name} | variables).items():
        monkeypatch.setenv(variable, value)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    with service_manager(name) as heard:
        await systemd.notify_until(stop, lambda: True)

        assert [await next_of(heard) for _ in range(2)] == [["READY=1"], ["STOPPING=1"]]


async def test_while_the_configuration_is_read_again_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@syncer-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with service_manager(name) as heard:
        with systemd.reloading():
            reloading, since = await next_of(heard)
            assert reloading == "RELOADING=1"
            assert since.removeprefix("MONOTONIC_USEC=").isdigit()
        assert await next_of(heard) == ["READY=1"]


def test_nobody_to_tell_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("", str(tmp_path / "gone")):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.sd_notify("READY=1")
