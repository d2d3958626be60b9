"""Measures how long a daemon's event loop is blocked while it polls a large account: how long /livez waits.

    python -m benchmarks.stalls [--numbers 100000] [--rounds 1]

`syncer run`, started as by an operator, polls the same responses that `benchmarks.polls` measures. Meanwhile /livez is
requested continuously. Part of each wait comes from the machine, not from the event loop: for comparison, the waits
between the polls are measured too.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from benchmarks.polls.databases import Databases
from benchmarks.polls.workload import IN_SEQUENCE, SEQUENCE, make, served
from benchmarks.processes import daemon
from benchmarks.server import connection_to, embedded_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from benchmarks.polls.workload import Workload

BETWEEN: Final = "between polls"
_PAUSE_SECONDS: Final = 0.002
_CLEANUP_SECONDS: Final = 1.0
"""The time after a poll in which its objects may still be freed: waits then count as part of the poll."""
_SETTINGS: Final = {
    "api_token": "token",
    "api_attempts": "1",
    "api_timeout": "10m",
    "api_max_bytes": "4GiB",
    "poll_interval": "3s",
    "log_level": "error",
}
_RUNS: Final = """
select extract(epoch from started_at)::float8 as begun, extract(epoch from finished_at)::float8 as ended, outcome, error
  from syncer.sync_run
 where finished_at is not null
 order by run_id
 limit $1
"""
_EXPECTED_OUTCOMES: Final = {"unchanged": "unchanged", "shuffled": "unchanged"}
"""The outcomes of these steps; the others are applied."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One request for /livez: when it was sent, by the system's clock, and how long the response took."""

    sent_at: float
    seconds: float


class LivezClient(threading.Thread):
    """Requests /livez continuously until it is stopped.

    Attributes:
        waits: The requests, in order.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._stopped = threading.Event()
        self.waits: list[Wait] = []

    def run(self) -> None:
        """Sends the requests on one connection."""
        connection = HTTPConnection("127.0.0.1", self._port)
        while not self._stopped.wait(_PAUSE_SECONDS):
            sent_at, begun = time.time(), time.perf_counter()
            try:
                connection.request("GET", "/livez")
                response = connection.getresponse()
                response.read()
            except OSError:
                connection.close()
                if self.waits:
                    raise
                continue  # the daemon does not listen yet
            if response.status != HTTPStatus.OK:
                raise AssertionError(f"/livez returned {response.status}")
            self.waits.append(Wait(sent_at, time.perf_counter() - begun))

    def stop(self) -> None:
        """Stops sending requests."""
        self._stopped.set()
        self.join()


async def _wait_for_polls(database: str, process: subprocess.Popen[bytes]) -> list[tuple[float, float]]:
    """Waits for all polls of the sequence; returns when each began and ended, by the system's clock."""
    async with connection_to(database) as connection:
        while True:
            runs = await connection.fetch(_RUNS, len(SEQUENCE))
            for step, run in zip(SEQUENCE, runs, strict=False):
                if run["outcome"] != _EXPECTED_OUTCOMES.get(step, "applied"):
                    sys.exit(f"the poll '{step}' was '{run['outcome']}': {run['error']}")
            if len(runs) == len(SEQUENCE):
                return [(run["begun"], run["ended"]) for run in runs]
            if process.poll() is not None:
                sys.exit(f"the daemon ended with exit code {process.returncode}")
            await asyncio.sleep(0.5)


def longest_waits(workload: Workload, databases: Databases) -> dict[str, float]:
    """Lets a daemon poll the sequence once; returns the longest wait for /livez in each step and between the polls."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with databases.new() as name, served(workload) as endpoint:
        settings = _SETTINGS | {
            "database_url": databases.url(name),
            "api_url": f"{endpoint}/{IN_SEQUENCE}",
            "http_listen": f"127.0.0.1:{port}",
        }
        client = LivezClient(port)
        with daemon(**settings) as process:
            client.start()
            polls = asyncio.run(_wait_for_polls(databases.url(name), process))
            time.sleep(_CLEANUP_SECONDS)
            client.stop()
    return _longest_by_step(client.waits, polls)


def _longest_by_step(waits: Sequence[Wait], polls: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Returns the longest wait in each step; a wait that overlaps a poll belongs to that poll."""
    longest: defaultdict[str, float] = defaultdict(float)
    for wait in waits:
        overlapping = [
            step
            for step, (begun, ended) in zip(SEQUENCE, polls, strict=True)
            if wait.sent_at < ended + _CLEANUP_SECONDS and begun < wait.sent_at + wait.seconds
        ]
        if wait.sent_at > polls[0][0]:  # before, the daemon was starting
            for step in overlapping or [BETWEEN]:
                longest[step] = max(longest[step], wait.seconds)
    return dict(longest)


def table(numbers: int, rounds: Sequence[Mapping[str, float]]) -> Table:
    """Returns the longest waits in milliseconds: the maximum and the median of the rounds."""
    printed = Table(
        "milliseconds", "maximum of the rounds", "median of the rounds", title=f"/livez, {numbers:,} numbers"
    )
    for step in (*SEQUENCE, BETWEEN):
        waits = [one[step] * 1000 for one in rounds if step in one]
        printed.add_row(step, f"{max(waits):.0f}", f"{median(waits):.0f}")
    return printed


def main() -> None:
    """Measures and prints the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalls", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncer-stalls-") as folder, embedded_server() as url:
        workload, databases = make(arguments.numbers, Path(folder)), Databases(url)
        rounds = [longest_waits(workload, databases) for _ in range(arguments.rounds)]
    Console().print(table(arguments.numbers, rounds))


if __name__ == "__main__":
    main()
