"""The program as an operator runs it: a process of its own, with an environment and a working directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
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
    """An answer that comes when the test opens the gate."""

    opened: Any

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Wait, then answer well."""
        await self.opened.wait()
        return await super().respond(context)


async def until(condition: Callable[[], Any], *, within: float = DEADLINE_SECONDS) -> None:
    """Waits for a condition, which may be awaitable; fails if it does not come true in time."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"it did not happen within {within:g} s"
        await asyncio.sleep(0.02)


def environment(folder: Path, settings: Mapping[str, str | None]) -> dict[str, str]:
    """Nothing of ours but the paths; each setting is the variable of its name."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    ours = {f"SYNCER_{name.upper()}": value for name, value in settings.items() if value is not None}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"} | ours


def processes_of(folder: Path) -> set[int]:
    """The live processes that were told of `folder` or stand in it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = process.joinpath("cmdline").read_bytes()
            stands_in = process.joinpath("cwd").readlink()
            if os.fsencode(folder) in words or folder in (stands_in, *stands_in.parents):
                found.add(int(process.name))
    return found


def files_in(folder: Path) -> list[Path]:
    """All that is left in a folder."""
    return sorted(folder.glob("**/*"))


def titles() -> str:
    """The command lines of all processes on this machine."""
    read = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            read.append(process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(read)


@dataclass(frozen=True)
class Finished:
    """What came of a process."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> tuple[int, str]:
        """The exit code, and what went to standard output."""
        return self.code, self.out

    def complaint(self) -> str:
        """The one line that it ended with, and nothing else."""
        (line,) = self.err.splitlines()
        assert self.out == ""
        return line


class Process:
    """A running command; its lines are read as they come."""

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
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was not yet seen to end."""
        return self._process.returncode is None

    def events(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """The log lines of this name, and with these values, so far."""
        told = [json.loads(line) for line in list(self.err)]
        return [one for one in told if one["event"] == name and fields.items() <= one.items()]

    @property
    def story(self) -> list[str]:
        """The names of its log lines so far."""
        return [json.loads(line)["event"] for line in list(self.err)]

    async def says(self, name: str, *, times: int = 1, **fields: object) -> dict[str, Any]:
        """The log line of this name, once it was said so many times."""
        await until(lambda: len(self.events(name, **fields)) >= times or not self.is_running)
        assert self.is_running, "".join(self.err)
        return self.events(name, **fields)[times - 1]

    async def prints(self, count: int = 1) -> str:
        """What it printed, once that is so many lines."""
        await until(lambda: len(self.out) >= count or not self.is_running)
        assert self.is_running, "".join(self.err)
        return "".join(self.out)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it alone."""
        self._process.send_signal(number)

    async def finished(self, *, within: float = DEADLINE_SECONDS) -> Finished:
        """What came of it, once it ended by itself; never a secret among it."""
        async with asyncio.timeout(within):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        finished = Finished(code, "".join(self.out), "".join(self.err))
        for secret in self._secrets:
            assert secret not in finished.out + finished.err
        return finished

    async def end(self, number: signal.Signals = signal.SIGTERM, *, within: float = DEADLINE_SECONDS) -> Finished:
        """What came of it after this signal."""
        self.send(number)
        return await self.finished(within=within)

    async def kill(self) -> None:
        """Ends it without asking."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)


@dataclass
class Program:
    """`syncer`, with settings that each command may add to; None takes one away.

    `variables` are those of the environment that are no settings. It is the `syncer` in the folder, if there is one.
    """

    folder: Path
    settings: Mapping[str, str | None]
    variables: Mapping[str, str] = field(default_factory=dict)
    _started: list[Process] = field(default_factory=list)

    def accounts(self, *names: str) -> dict[str, str | None]:
        """Settings of these accounts, each with `NAME-token` for a token."""
        entries = "".join(f'[[account]]\nname = "{name}"\ntoken = "{name}-token"\n' for name in names)
        return {"api_token": None, "accounts_file": self.write("accounts.toml", entries)}

    async def start(self, *arguments: str, **settings: str | None) -> Process:
        """Starts a command in a session, and so in a process group, of its own."""
        given = {**self.settings, **settings}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "syncer",
            *arguments,
            cwd=self.folder,
            env=environment(self.folder, given) | {**self.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
            start_new_session=True,
        )
        password = urlsplit(given.get("database_url") or "").password
        self._started.append(Process(process, {TOKEN, *([password] if password else [])}))
        return self._started[-1]

    async def run(self, *arguments: str, **settings: str | None) -> Finished:
        """Runs a command to its end."""
        return await (await self.start(*arguments, **settings)).finished()

    async def kill_all(self) -> None:
        """Ends what a test left running."""
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
