"""What every system is given: the same responses in the same order, by an endpoint in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from benchmarks.polls.systems.turn import STEPS
from syncer.emulator import STILL
from syncer.emulator.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Workload:
    """The responses of one account.

    Attributes:
        bodies: By step, the response in bytes.
        current: By step, the fingerprint of what must be current afterwards.
    """

    bodies: Mapping[str, bytes]
    current: Mapping[str, str]


def make(numbers: int) -> Workload:
    """The responses of an account of so many numbers; always the same ones."""
    fleet = Fleet(numbers=numbers, seed=1, app_id=1200054, rates=STILL)
    bodies = {}
    for step in STEPS:
        if step == "shuffled":
            fleet.shuffle()
        elif step.startswith("1 %"):
            fleet.change(0.01)
        elif step == "all changed":
            fleet.change(1.0)
        bodies[step] = fleet.body()
    return Workload(bodies, {step: fingerprint(msgspec.json.decode(body)) for step, body in bodies.items()})


def fingerprint(records: list[dict[str, Any]]) -> str:
    """What `CURRENT` returns where these records are current."""
    lines = (f"{one['id']} {one['number']} {one['state']} {one['comment'] or ''}" for one in records)
    ordered = "\n".join(sorted(lines, key=lambda line: int(line.partition(" ")[0])))
    return f"{len(records)} {hashlib.md5(ordered.encode()).hexdigest()}"  # noqa: S324 - as PostgreSQL makes it


@contextmanager
def served(workload: Workload) -> Iterator[str]:
    """Serves the responses from another process: `URL/<step's position>` is the base address of a step."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(workload, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(workload: Workload, ready: Connection) -> None:
    asyncio.run(_answer(workload, ready))


async def _answer(workload: Workload, ready: Connection) -> None:
    async def answer(request: web.Request) -> web.Response:
        step = STEPS[int(request.match_info["step"])]
        return web.Response(body=workload.bodies[step], content_type="application/json")

    application = web.Application()
    application.router.add_get("/{step}/numbers/virtual-number", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready.send(runner.addresses[0][1])
    await asyncio.Event().wait()
