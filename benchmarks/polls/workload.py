"""What every system is given: the same responses in the same order, by an endpoint in a process of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from benchmarks.endpoint import SPAWNED, endpoint
from benchmarks.polls.systems.turn import STEPS
from syncer.emulator import STATIC, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TINY: Final = ("tiny", "tiny-changed")
"""In place of a step: the responses of an account of a few numbers, the second with all of them changed."""
IN_TURN: Final = "in-turn"
"""In place of a step: that of `SCHEDULE` which comes next, and the last one again in the end."""
SCHEDULE: Final = tuple(step for step in STEPS if not step.endswith("restarted"))
_TINY_NUMBERS: Final = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """The responses of one account.

    Attributes:
        folder: Where they lie, a file a step.
        body_bytes: How long the first one is.
        current: By step, the fingerprint of what must be current afterwards.
    """

    folder: Path
    body_bytes: int
    current: Mapping[str, str]


def make(numbers: int, folder: Path) -> Workload:
    """The responses of an account of so many numbers; always the same ones."""
    # In a process of its own, so that the memory that it takes is free again before anything is measured.
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWNED) as maker:
        current = maker.submit(_make, numbers, folder).result()
    return Workload(folder, _file(folder, STEPS[0]).stat().st_size, current)


def _make(numbers: int, folder: Path) -> dict[str, str]:
    fleet = Fleet(numbers=numbers, seed=1, app_id=1200054, rates=STATIC)
    current, found = {}, ""
    for step in STEPS:
        if step == "shuffled":
            fleet.shuffle()
        elif step != "unchanged":
            fleet.change_fraction({"first load": 0.0, "all changed": 1.0}.get(step, 0.01))
            found = fingerprint(fleet.body())
        _file(folder, step).write_bytes(fleet.body())
        current[step] = found
    tiny = Fleet(numbers=_TINY_NUMBERS, seed=2, app_id=1200055, rates=STATIC)
    for step in TINY:
        _file(folder, step).write_bytes(tiny.body())
        tiny.change_fraction(1.0)
    return current


def _file(folder: Path, step: str) -> Path:
    return folder / f"{STEPS.index(step) if step in STEPS else step}.json"


class _Fields(msgspec.Struct, gc=False):
    id: int
    number: str
    state: str
    comment: str | None = None


def fingerprint(body: bytes) -> str:
    """What `CURRENT` returns where these records are current."""
    records = msgspec.json.decode(body, type=list[_Fields])
    records.sort(key=lambda one: one.id)
    lines = "\n".join(f"{one.id} {one.number} {one.state} {one.comment or ''}" for one in records)
    return f"{len(records)} {hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest()}"


@contextmanager
def served(workload: Workload) -> Iterator[str]:
    """Serves the responses from another process: `URL/<step's position>` is the base address of a step."""
    with endpoint(_application, workload.folder) as serving:
        yield serving.url


def _application(folder: Path) -> web.Application:
    to_come = list(SCHEDULE)

    async def answer(request: web.Request) -> web.StreamResponse:
        step = request.match_info["step"]
        if step == IN_TURN:
            return web.FileResponse(_file(folder, to_come.pop(0) if len(to_come) > 1 else to_come[0]))
        return web.FileResponse(folder / f"{step}.json")  # the kernel sends it, from its cache

    application = web.Application()
    application.router.add_get(r"/{step:[\w-]+}/numbers/virtual-number", answer)
    return application
