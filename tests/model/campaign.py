"""Runs as many polls as are asked for, of plans that follow from one seed, in several processes.

Each plan is made from an integer of its own, which follows from the seed and the plan's position: that integer alone
replays it. Each process has a server of its own, and both run on one processor: a poll is one or the other working.
Rows and views are compared after every few polls and at the end of each plan, and after every poll when a plan is
replayed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
import structlog
from rich.console import Console
from rich.progress import Progress

from tests.conftest import running_server
from tests.model.action_statistics import ActionStatistics
from tests.model.environment import Environment
from tests.model.plan_run import ACTIONS, run_plan
from tests.model.plans import random_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing import SimpleQueue

    from tests.model.plan_run import Plan, Step

STATES: Final = Path(__file__).parents[2] / "build" / "model"
PLANS_PER_PART: Final = 5
"""The number of plans that a process runs before it reports."""


class Part(NamedTuple):
    """What some consecutive plans came to: their statistics, and the first that failed, with the difference."""

    statistics: ActionStatistics
    failed: int | None = None
    error: str = ""


class PlanRunner:
    """Runs plans in a database of its own."""

    def __init__(self, server_url: str) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        database = self._runner.run(_make_database(server_url))
        self._environment = self._runner.run(Environment.build(self._stack, database))

    def run(self, plan: Plan, statistics: ActionStatistics) -> str:
        """Runs a plan; returns how the program and the model differ, or that something else went wrong."""
        statistics.begin_run()
        try:
            self._runner.run(run_plan(self._environment, plan, statistics))
        except Exception as error:  # noqa: BLE001 - whatever it is, the plan that leads to it is printed
            return f"{type(error).__name__}: {error}"
        return ""

    def close(self) -> None:
        """Closes the connections."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


async def _make_database(server_url: str) -> str:
    name = f"model_{os.getpid()}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"create database {name} template migrated strategy file_copy")
    await connection.close()
    return f"{server_url.rpartition('/')[0]}/{name}"


def number_of_plan(seed: int, position: int) -> int:
    """Returns the integer from which a plan is made."""
    return int.from_bytes(sha256(f"{seed} {position}".encode()).digest()[:8])


# What a process of the campaign keeps from one part to the next.
_RUNNERS: Final[list[PlanRunner]] = []
_PROCESSOR: Final = ExitStack()


@contextmanager
def _running_on(processor: int) -> Iterator[None]:
    """Runs this process, and those that it starts meanwhile, on one processor, where the system can do that."""
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[processor % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _start_process(servers: SimpleQueue[tuple[int, str]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends when the parts that have begun have ended
    processor, server_url = servers.get()
    _PROCESSOR.enter_context(_running_on(processor))
    _RUNNERS.append(PlanRunner(server_url))


def _run_part(seed: int, first: int) -> Part:
    statistics = ActionStatistics()
    for position in range(first, first + PLANS_PER_PART):
        number = number_of_plan(seed, position)
        if error := _RUNNERS[0].run(random_plan(number), statistics):
            return Part(statistics, number, error)
    return Part(statistics)


def run_campaign(seed: int, polls: int, *, processes: int, resume: bool) -> int:
    """Runs plans until so many polls were made, or one fails; prints statistics, and returns the exit code."""
    console = Console(width=120)
    state = STATES / f"{seed}.json"
    total, seconds = _read_state(state) if resume and state.exists() else (ActionStatistics(), 0.0)
    part = Part(total)
    spawn = multiprocessing.get_context("spawn")
    servers: SimpleQueue[tuple[int, str]] = spawn.SimpleQueue()
    with ExitStack() as stack, Progress(console=console) as progress:
        for processor in range(processes):
            with _running_on(processor):
                servers.put((processor, stack.enter_context(running_server()).url))
        begun = time.monotonic() - seconds
        task = progress.add_task(f"seed {seed}", total=polls, completed=total.polls)
        with ProcessPoolExecutor(processes, spawn, _start_process, (servers,)) as pool:
            try:
                for part in _run_in_order(pool, seed, total.runs, processes):
                    total.add(part.statistics)
                    rate = total.polls / (time.monotonic() - begun)
                    progress.update(task, completed=total.polls, description=f"seed {seed}, {rate:.0f} polls/s")
                    if part.error:
                        break
                    _write_state(state, total, time.monotonic() - begun)
                    if total.polls >= polls:
                        break
            except KeyboardInterrupt:
                progress.console.print(f"interrupted; go on with --seed {seed} --polls {polls} --resume")
            pool.shutdown(cancel_futures=True)
    for line in (*total.table(time.monotonic() - begun), *total.summary(ACTIONS)):
        console.print(line, markup=False, highlight=False)
    if part.failed is not None:
        console.print(f"{part.error}\n\nplan {part.failed} failed: python -m tests.model --replay {part.failed}")
    return int(bool(part.error) or total.polls < polls)


def _run_in_order(pool: ProcessPoolExecutor, seed: int, first: int, processes: int) -> Iterator[Part]:
    """Yields what the parts come to in their order; each process has the next part ready."""
    positions = itertools.count(first, PLANS_PER_PART)
    futures = deque(pool.submit(_run_part, seed, next(positions)) for _ in range(2 * processes))
    while True:
        yield futures.popleft().result()
        futures.append(pool.submit(_run_part, seed, next(positions)))


def _read_state(state: Path) -> tuple[ActionStatistics, float]:
    stored = json.loads(state.read_text())
    return ActionStatistics.from_json(stored["statistics"]), stored["seconds"]


def _write_state(state: Path, statistics: ActionStatistics, seconds: float) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(".partial")
    partial.write_text(json.dumps({"statistics": statistics.to_json(), "seconds": seconds}))
    partial.replace(state)


def replay(number: int) -> int:
    """Runs one plan alone and compares everything after each poll; prints the shortest that fails likewise."""
    console = Console(width=120)
    with running_server() as server, closing(PlanRunner(server.url)) as runner:
        plan = replace(random_plan(number), compared_every=1, views_compared_every=1)
        error = runner.run(plan, ActionStatistics())
        if not error:
            console.print(f"plan {number}: the program and the model agree after each of its polls")
            return 0
        console.print(f"plan {number} fails; making it shorter ...")
        shortest, error = _shorten(plan, error, runner)
    console.print(error, markup=False, highlight=False)
    console.print(repr(shortest), markup=False, highlight=False)
    return 1


def _shorten(plan: Plan, error: str, runner: PlanRunner) -> tuple[Plan, str]:
    """Leaves out steps, then single actions, as long as the plan fails; returns the plan and its error."""

    def fails(steps: tuple[Step, ...]) -> bool:
        nonlocal plan, error
        shorter = replace(plan, steps=steps)
        if found := runner.run(shorter, ActionStatistics()):
            plan, error = shorter, found
        return bool(found)

    size = len(plan.steps) // 2
    while size:
        first = 0
        while first < len(plan.steps):
            if not fails((*plan.steps[:first], *plan.steps[first + size :])):
                first += size
        size //= 2
    for index, step in enumerate(plan.steps):
        for action in step:
            kept = tuple(one for one in plan.steps[index] if one is not action)
            fails((*plan.steps[:index], kept, *plan.steps[index + 1 :]))
    return plan, error
