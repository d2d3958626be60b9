"""Runs the program as an operator does: as a process with its own environment and working directory."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from syncer.emulator.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from syncer.emulator.fault import FaultContext

TOKEN = "s3cr3t-t0ken-0f-the-test"
DEADLINE_SECONDS = 40.0


class Gate(Fault, frozen=True, tag="gate"):
    """A fault that delays the response until the test opens the gate."""

    opened: Any

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Waits, then responds correctly."""
        await self.opened.wait()
        return await super().respond(context)


async def wait_until(condition: Callable[[], Any], *, within: float = DEADLINE_SECONDS) -> None:
    """Waits until a condition, which may be awaitable, is true; fails if that takes longer than `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"the condition did not become true within {within:g} s"
        await asyncio.sleep(0.02)


def environment(folder: Path, settings: Mapping[str, str | None]) -> dict[str, str]:
    """Returns an environment with the search paths of ours, and one SYNCER_ variable per setting."""
    names = ("PATH", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")  # the last: to be measured by coverage
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    variables = {f"SYNCER_{name.upper()}": value for name, value in settings.items() if value is not None}
    return inherited | {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"} | variables


def processes_of(folder: Path) -> set[int]:
    """Returns the running processes that have `folder` as an argument or work in it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = process.joinpath("cmdline").read_bytes()
            working_folder = process.joinpath("cwd").readlink()
            if os.fsencode(folder) in arguments or folder in (working_folder, *working_folder.parents):
                found.add(int(process.name))
    return found


def files_in(folder: Path) -> list[Path]:
    """Returns all files and folders in a folder."""
    return sorted(folder.glob("**/*"))


def database_line(address: str) -> str:
    """Returns the line by which a command says on standard error which database it used."""
    return f"database: {address.rpartition('@')[2].partition('?')[0]}\n"


def command_lines() -> str:
    """Returns the command lines of all processes on this machine."""
    read = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            read.append(process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(read)


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a process that has ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> tuple[int, str]:
        """The exit code and the standard output."""
        return self.code, self.out

    def error_line(self) -> str:
        """Returns the single line on standard error; asserts that there is no other output."""
        (line,) = self.err.splitlines()
        assert self.out == ""
        return line


class Process:
    """A running command; its output is read line by line as it arrives."""

    def __init__(self, process: asyncio.subprocess.Process, secrets: set[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._secrets = secrets
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    @staticmethod
    async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            lines.append(line.decode())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    def events(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """Returns the log events so far with this name and these values."""
        events = [json.loads(line) for line in list(self.err)]
        return [event for event in events if event["event"] == name and fields.items() <= event.items()]

    @property
    def event_names(self) -> list[str]:
        """The names of the log events so far."""
        return [json.loads(line)["event"] for line in list(self.err)]

    async def wait_for_event(self, name: str, *, times: int = 1, **fields: object) -> dict[str, Any]:
        """Waits until an event was logged `times` times, and returns the last of these."""
        await wait_until(lambda: len(self.events(name, **fields)) >= times or not self.is_running)
        assert self.is_running, "".join(self.err)
        return self.events(name, **fields)[times - 1]

    async def wait_for_output(self, count: int = 1) -> str:
        """Waits until `count` lines were printed, and returns the output."""
        await wait_until(lambda: len(self.out) >= count or not self.is_running)
        assert self.is_running, "".join(self.err)
        return "".join(self.out)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to this process only."""
        self._process.send_signal(number)

    async def wait(self, *, within: float = DEADLINE_SECONDS) -> Finished:
        """Waits until the process ends; asserts that its output contains no secret."""
        async with asyncio.timeout(within):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        finished = Finished(code, "".join(self.out), "".join(self.err))
        for secret in self._secrets:
            assert secret not in finished.out + finished.err
        return finished

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = DEADLINE_SECONDS) -> Finished:
        """Sends a signal and waits until the process ends."""
        self.send(number)
        return await self.wait(within=within)

    async def kill(self) -> None:
        """Kills the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)


@dataclass
class Program:
    """`syncer` with default settings, which each command can add to; None removes a setting.

    `variables` are environment variables that are not settings. `open_files` are the soft and the hard limit of open
    files; None leaves them as they are. A `syncer` package in the folder takes precedence. `python` runs it.
    """

    folder: Path
    settings: Mapping[str, str | None]
    variables: Mapping[str, str] = field(default_factory=dict)
    open_files: tuple[int, int] | None = None
    python: str = sys.executable
    _started: list[Process] = field(default_factory=list)

    def without_coverage(self) -> Program:
        """Returns the same program, which coverage does not measure even if it measures the tests.

        It takes several times as long if measured, and more memory, and needs files to open when it ends.
        """
        return replace(self, variables={**self.variables, "COVERAGE_PROCESS_CONFIG": ""})

    def accounts(self, *names: str) -> dict[str, str | None]:
        """Returns settings for these accounts, each with the token `NAME-token`."""
        entries = "".join(f'[[account]]\nname = "{name}"\ntoken = "{name}-token"\n' for name in names)
        return {"api_token": None, "accounts_file": self.write("accounts.toml", entries)}

    async def start(self, *arguments: str, **settings: str | None) -> Process:
        """Starts a command in a session, and thus a process group, of its own."""
        all_settings = {**self.settings, **settings}
        limit_files = self.open_files and partial(resource.setrlimit, resource.RLIMIT_NOFILE, self.open_files)
        process = await asyncio.create_subprocess_exec(
            self.python,
            "-m",
            "syncer",
            *arguments,
            cwd=self.folder,
            env=environment(self.folder, all_settings) | {**self.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
            start_new_session=True,
            preexec_fn=limit_files,
        )
        password = urlsplit(all_settings.get("database_url") or "").password
        self._started.append(Process(process, {TOKEN, *([password] if password else [])}))
        return self._started[-1]

    async def run(self, *arguments: str, **settings: str | None) -> Finished:
        """Runs a command until it ends."""
        return await (await self.start(*arguments, **settings)).wait()

    async def kill_all(self) -> None:
        """Kills the commands that are still running."""
        for process in self._started:
            if process.is_running:
                await process.kill()

    def write(self, name: str, text: str) -> str:
        """Writes a file into the working directory.

        Returns:
            Its path.
        """
        (self.folder / name).write_text(text)
        return str(self.folder / name)
