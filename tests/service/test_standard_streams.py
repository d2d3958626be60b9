"""Standard output and standard error that are closed, full, or that nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import TOKEN, environment, wait_until
from tests.service.test_http import get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Program

PIPE_BYTES = 4096
REASONS = {
    ">/dev/full": "No space left on device",
    ">&-": "it is closed",
    "| true": "its reader has closed it",
}


async def run_in_shell(syncer: Program, redirection: str, *arguments: str) -> tuple[int, str, str]:
    """Runs a command with its streams redirected; returns its exit code and what reached the shell's streams."""
    delayed = "sleep 0.2; exec" if redirection.startswith("|") else "exec"  # until the reader is gone
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f'({delayed} "$@") {redirection}; exit ${{PIPESTATUS[0]}}',
        "bash",
        sys.executable,
        "-m",
        "syncer",
        *arguments,
        cwd=syncer.folder,
        env=environment(syncer.folder, syncer.settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("redirection", REASONS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["export", "--help"],
        ["status"],
        ["status", "--json"],
        ["sync"],
        ["check"],
        ["migrate"],
        ["export", "numbers"],
        ["emulate", "--listen", "127.0.0.1:0"],
    ],
    ids=" ".join,
)
async def test_a_standard_output_that_cannot_be_written_ends_a_command_with_one_line_and_exit_code_1(
    syncer: Program, account: PolledAccount, arguments: Sequence[str], redirection: str
) -> None:
    await account.poll_again()

    code, out, err = await run_in_shell(syncer, redirection, *arguments)

    lines = [line for line in err.splitlines() if not line.startswith("{")]  # sync logs, too
    assert (code, out) == (1, "")
    assert lines == [f"syncer: standard output cannot be written: {REASONS[redirection]}"]


@pytest.mark.parametrize("redirection", REASONS)
async def test_the_demo_ends_with_one_line_where_standard_output_cannot_be_written(
    syncer: Program, redirection: str
) -> None:
    result = await run_in_shell(syncer, redirection, "demo")

    assert result == (1, "", f"syncer: standard output cannot be written: {REASONS[redirection]}\n")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
async def test_a_standard_error_that_cannot_be_written_changes_no_exit_code(syncer: Program, redirection: str) -> None:
    has_output = not redirection.startswith(">")

    wrong = await run_in_shell(syncer, redirection, "bogus")
    version = await run_in_shell(syncer, redirection, "--version")
    synced = await run_in_shell(syncer, redirection, "sync")

    assert wrong == (2, "", "")
    assert version == ((0, "syncer 0.2.0\n", "") if has_output else (1, "", ""))
    assert synced[0] == (0 if has_output else 1)
    assert synced[1:] == (
        "default: applied: 200 received, 200 created, 87 redirects opened\n" if has_output else "",
        "",
    )


@pytest.fixture
async def unread_daemon(syncer: Program) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, str]]:
    """A daemon with thirty accounts whose log goes into a small pipe; also the pipe's end to read, and its URL."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {**syncer.settings, **syncer.accounts(*(f"account-{number}" for number in range(30)))}
    settings |= {"poll_interval": "1s", "log_level": "debug", "http_listen": address}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "syncer",
        "run",
        cwd=syncer.folder,
        env=environment(syncer.folder, settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=writer,
    )
    os.close(writer)
    yield process, reader, f"http://{address}"
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    os.close(reader)


def unread_bytes(reader: int) -> int:
    """Returns how many bytes of a pipe wait to be read."""
    (count,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))
    return int(count)


async def test_a_log_that_nobody_reads_stops_neither_polls_nor_livez_nor_sigterm(
    unread_daemon: tuple[asyncio.subprocess.Process, int, str], emulator: Emulator
) -> None:
    process, reader, url = unread_daemon
    await wait_until(lambda: unread_bytes(reader) > PIPE_BYTES - 1000)
    before = sum(emulator.requests.values())

    await wait_until(lambda: sum(emulator.requests.values()) > before + 90)

    assert await get(f"{url}/livez") == (200, "live\n")
    assert await get(f"{url}/readyz") == (200, "ready\n")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_log_reader_that_comes_back_gets_the_lines_that_waited_up_to_the_last_one(
    unread_daemon: tuple[asyncio.subprocess.Process, int, str], emulator: Emulator
) -> None:
    process, reader, _ = unread_daemon
    await wait_until(lambda: unread_bytes(reader) > PIPE_BYTES - 1000 and len(emulator.requests) == 30)

    process.send_signal(signal.SIGTERM)
    with open(reader, "rb", closefd=False) as pipe:  # noqa: ASYNC230 - the process ends it
        log = await asyncio.to_thread(pipe.read)

    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert await process.wait() == 0
    assert events[-1] == "daemon_stopped"
    assert events.count("poll_finished") >= 30
    assert "log_lines_dropped" not in events
    assert TOKEN.encode() not in log


async def test_a_daemon_whose_log_reader_has_closed_the_pipe_goes_on(
    unread_daemon: tuple[asyncio.subprocess.Process, int, str], emulator: Emulator
) -> None:
    process, reader, url = unread_daemon
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reader)  # closes the pipe
    os.close(null)
    await wait_until(lambda: sum(emulator.requests.values()) > 90)

    assert await get(f"{url}/livez") == (200, "live\n")
    status, metrics = await get(f"{url}/metrics")
    assert status == 200
    (dropped,) = [line for line in metrics.splitlines() if line.startswith("syncer_log_lines_dropped_total ")]
    assert float(dropped.split()[1]) > 60
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
