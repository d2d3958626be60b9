"""How long a daemon's event loop stands still while it polls a large account: what /livez waits for.

    python -m benchmarks.stalls [--numbers 100000] [--rounds 1]

`syncer run`, as an operator starts it, polls the same sequence that `benchmarks.polls` measures, and is asked for
/livez all the while, each time as soon as it has answered. A wait is the loop's and the machine's: what it is with
nothing to do is told too, as the time between polls.
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
from benchmarks.polls.workload import IN_TURN, SCHEDULE, make, served
from benchmarks.processes import daemon
from benchmarks.server import connected, embedded_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from benchmarks.polls.workload import Workload

BETWEEN: Final = "between polls"
_PAUSE_SECONDS: Final = 0.002
_SETTLED_SECONDS: Final = 1.0
"""After a poll: until then, what it leaves behind may still be cleared away."""
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
_OUTCOMES: Final = {"unchanged": "unchanged", "shuffled": "unchanged"}
"""Of these steps; the others are applied."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One request for /livez: when it was sent, by the clock of the system, and how long its answer took."""

    sent_at: float
    seconds: float


class Asker(threading.Thread):
    """Asks for /livez until it is told to stop.

    Attributes:
        waits: What came of it, in order.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._told_to_stop = threading.Event()
        self.waits: list[Wait] = []

    def run(self) -> None:
        """Asks on one connection."""
        connection = HTTPConnection("127.0.0.1", self._port)
        while not self._told_to_stop.wait(_PAUSE_SECONDS):
            sent_at, begun = time.time(), time.perf_counter()
            try:
                connection.request("GET", "/livez")
                response = connection.getresponse()
                response.read()
            except OSError:
                connection.close()
                if self.waits:
                    raise
                continue  # it does not listen yet
            if response.status != HTTPStatus.OK:
                raise AssertionError(f"/livez answered {response.status}")
            self.waits.append(Wait(sent_at, time.perf_counter() - begun))

    def stop(self) -> None:
        """Asks no more."""
        self._told_to_stop.set()
        self.join()


async def _polls(database: str, process: subprocess.Popen[bytes]) -> list[tuple[float, float]]:
    """When each poll of the sequence began and ended, once all have, by the clock of the system."""
    async with connected(database) as connection:
        while True:
            runs = await connection.fetch(_RUNS, len(SCHEDULE))
            for step, run in zip(SCHEDULE, runs, strict=False):
                if run["outcome"] != _OUTCOMES.get(step, "applied"):
                    sys.exit(f"the poll '{step}' came to '{run['outcome']}': {run['error']}")
            if len(runs) == len(SCHEDULE):
                return [(run["begun"], run["ended"]) for run in runs]
            if process.poll() is not None:
                sys.exit(f"the daemon ended with exit code {process.returncode}")
            await asyncio.sleep(0.5)


def longest_waits(workload: Workload, databases: Databases) -> dict[str, float]:
    """Has a daemon poll the sequence once: the longest wait for /livez in each step, and between the polls."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with databases.one() as name, served(workload) as endpoint:
        settings = _SETTINGS | {
            "database_url": databases.url(name),
            "api_url": f"{endpoint}/{IN_TURN}",
            "http_listen": f"127.0.0.1:{port}",
        }
        asker = Asker(port)
        with daemon(**settings) as process:
            asker.start()
            polls = asyncio.run(_polls(databases.url(name), process))
            time.sleep(_SETTLED_SECONDS)
            asker.stop()
    return _by_step(asker.waits, polls)


def _by_step(waits: Sequence[Wait], polls: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The longest wait in each step; one that reaches into a poll is that poll's."""
    longest: defaultdict[str, float] = defaultdict(float)
    for wait in waits:
        under_way = [
            step
            for step, (begun, ended) in zip(SCHEDULE, polls, strict=True)
            if wait.sent_at < ended + _SETTLED_SECONDS and begun < wait.sent_at + wait.seconds
        ]
        if wait.sent_at > polls[0][0]:  # before it, the daemon was starting
            for step in under_way or [BETWEEN]:
                longest[step] = max(longest[step], wait.seconds)
    return dict(longest)


def table(numbers: int, rounds: Sequence[Mapping[str, float]]) -> Table:
    """The longest waits in milliseconds: of all rounds, and the median of the rounds' longest."""
    shown = Table("milliseconds", "longest", "median of the rounds' longest", title=f"/livez, {numbers:,} numbers")
    for step in (*SCHEDULE, BETWEEN):
        waits = [one[step] * 1000 for one in rounds if step in one]
        shown.add_row(step, f"{max(waits):.0f}", f"{median(waits):.0f}")
    return shown


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalls", description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncer-stalls-") as folder, embedded_server() as url:
        workload, databases = make(given.numbers, Path(folder)), Databases(url)
        rounds = [longest_waits(workload, databases) for _ in range(given.rounds)]
    Console().print(table(given.numbers, rounds))


if __name__ == "__main__":
    main()
