"""Starts processes: the daemon as an operator does, and interpreters that come to an end or answer line by line."""

from __future__ import annotations

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


@contextmanager
def daemon(**settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`syncer run` with these settings and no others, stopped as an operator does."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "run"],
        env=kept | {f"SYNCER_{name.upper()}": value for name, value in settings.items()},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def run(python: str, *arguments: str, settings: Mapping[str, str] | None = None, told: str = "") -> float:
    """Runs an interpreter to its end.

    Args:
        python: The interpreter.
        arguments: Those of its command line.
        settings: Variables beside those of this process.
        told: What comes on its standard input.

    Returns:
        How many seconds that took.

    Raises:
        SystemExit: It failed.
    """
    begun = time.perf_counter()
    with _started(python, arguments, settings, errors=subprocess.PIPE) as process:
        _, complaint = process.communicate(told)
    seconds = time.perf_counter() - begun
    if process.returncode:
        sys.exit(f"{_shown(arguments)} ended with exit code {process.returncode}: {complaint}")
    return seconds


@contextmanager
def conversation(python: str, *arguments: str) -> Iterator[Callable[[str], str]]:
    """An interpreter that answers each line with a line: what tells it one, and returns its answer."""
    with _started(python, arguments) as process:
        told, answers = process.stdin, process.stdout
        if told is None or answers is None:
            raise AssertionError("both are pipes")

        def tell(line: str) -> str:
            told.write(f"{line}\n")
            told.flush()
            answer = answers.readline()
            if not answer:
                sys.exit(f"{_shown(arguments)} ended with exit code {process.wait()} when it was told {line!r}")
            return answer

        yield tell


def _shown(arguments: Sequence[str]) -> str:
    """As much of a command as holds no password."""
    return " ".join(("python", *arguments[:3]))


def _started(
    python: str, arguments: Sequence[str], settings: Mapping[str, str] | None = None, *, errors: int | None = None
) -> subprocess.Popen[str]:
    """An interpreter in the checkout, whose standard input and output are pipes."""
    return subprocess.Popen(  # noqa: S603 - no shell: the project's modules, in the interpreter that the caller names
        [python, *arguments],
        cwd=_CHECKOUT,
        env=os.environ | (settings or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
