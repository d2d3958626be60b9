"""Starts processes: the daemon, commands that run to their end, and programs that answer line by line."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_CHECKOUT: Final = Path(__file__).parents[1]


def compile_program() -> None:
    """Writes the bytecode of the program, as its installation does; what runs it here may be kept from that."""
    for package in ("syncer", "migrations"):
        compileall.compile_dir(_CHECKOUT / package, quiet=1)


@contextmanager
def daemon(**settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `syncer run` with only these settings, and stops it with SIGTERM at the end of the block."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "run"],
        env=inherited | {f"SYNCER_{name.upper()}": value for name, value in settings.items()},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def run(python: str, *arguments: str, settings: Mapping[str, str] | None = None, stdin: str = "") -> float:
    """Runs a Python interpreter and waits until it exits.

    Args:
        python: The interpreter.
        arguments: Its arguments.
        settings: Environment variables in addition to those of this process.
        stdin: Its standard input.

    Returns:
        The duration in seconds.

    Raises:
        SystemExit: It exited with an error.
    """
    begun = time.perf_counter()
    with _start(python, arguments, settings, stderr=subprocess.PIPE) as process:
        _, stderr = process.communicate(stdin)
    seconds = time.perf_counter() - begun
    if process.returncode:
        sys.exit(f"{_describe(arguments)} ended with exit code {process.returncode}: {stderr}")
    return seconds


@contextmanager
def line_exchange(python: str, *arguments: str) -> Iterator[Callable[[str], str]]:
    """Starts a Python program that answers each line with a line; yields a function that sends one and returns one."""
    with _start(python, arguments) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both are pipes")

        def exchange(line: str) -> str:
            stdin.write(f"{line}\n")
            stdin.flush()
            answer = stdout.readline()
            if not answer:
                sys.exit(f"{_describe(arguments)} ended with exit code {process.wait()} at the input {line!r}")
            return answer

        yield exchange


def _describe(arguments: Sequence[str]) -> str:
    """Returns the start of a command; the addresses further on contain passwords."""
    return " ".join(("python", *arguments[:3]))


def _start(
    python: str, arguments: Sequence[str], settings: Mapping[str, str] | None = None, *, stderr: int | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - no shell: the project's modules, in the interpreter that the caller names
        [python, *arguments],
        cwd=_CHECKOUT,
        env=os.environ | (settings or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
