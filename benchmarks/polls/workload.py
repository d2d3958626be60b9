"""Makes the responses that every system polls, and serves them from a process of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from benchmarks.endpoint import SPAWNED, endpoint
from benchmarks.polls.systems.steps import STEPS
from syncer.emulator import STATIC, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TINY: Final = ("tiny", "tiny-changed")
"""Paths instead of a step: the responses of an account with few numbers; in the second, all of them are changed."""
IN_SEQUENCE: Final = "in-sequence"
"""A path instead of a step: the next response of `SEQUENCE` for each request, and then the last one again."""
SEQUENCE: Final = tuple(step for step in STEPS if not step.endswith("restarted"))
_TINY_NUMBERS: Final = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """The responses of one account.

    Attributes:
        folder: Contains one file per step.
        body_bytes: The size of the first one.
        checksums: By step, the checksum of the numbers that must be current afterwards.
    """

    folder: Path
    body_bytes: int
    checksums: Mapping[str, str]


def make(numbers: int, folder: Path) -> Workload:
    """Makes the responses of an account with this number of numbers; they are always the same."""
    # In a process of its own, so that its memory is free again before anything is measured.
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWNED) as maker:
        checksums = maker.submit(_make, numbers, folder).result()
    return Workload(folder, _file(folder, STEPS[0]).stat().st_size, checksums)


def _make(numbers: int, folder: Path) -> dict[str, str]:
    fleet = Fleet(numbers=numbers, seed=1, app_id=1200054, rates=STATIC)
    checksums, current = {}, ""
    for step in STEPS:
        if step == "shuffled":
            fleet.shuffle()
        elif step != "unchanged":
            fleet.change_fraction({"first load": 0.0, "all changed": 1.0}.get(step, 0.01))
            current = checksum(fleet.body())
        _file(folder, step).write_bytes(fleet.body())
        checksums[step] = current
    tiny = Fleet(numbers=_TINY_NUMBERS, seed=2, app_id=1200055, rates=STATIC)
    for step in TINY:
        _file(folder, step).write_bytes(tiny.body())
        tiny.change_fraction(1.0)
    return checksums


def _file(folder: Path, step: str) -> Path:
    return folder / f"{STEPS.index(step) if step in STEPS else step}.json"


class _Fields(msgspec.Struct, gc=False):
    id: int
    number: str
    state: str
    comment: str | None = None


def checksum(body: bytes) -> str:
    """Returns what the query `CHECKSUM` returns if these records are current."""
    records = msgspec.json.decode(body, type=list[_Fields])
    records.sort(key=lambda one: one.id)
    lines = "\n".join(f"{one.id} {one.number} {one.state} {one.comment or ''}" for one in records)
    return f"{len(records)} {hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest()}"


@contextmanager
def served(workload: Workload) -> Iterator[str]:
    """Serves the responses from another process; yields the address. `ADDRESS/POSITION` is the API of a step."""
    with endpoint(_application, workload.folder) as serving:
        yield serving.url


def _application(folder: Path) -> web.Application:
    remaining = list(SEQUENCE)

    async def answer(request: web.Request) -> web.StreamResponse:
        step = request.match_info["step"]
        if step == IN_SEQUENCE:
            return web.FileResponse(_file(folder, remaining.pop(0) if len(remaining) > 1 else remaining[0]))
        return web.FileResponse(folder / f"{step}.json")  # sent by the kernel, from the file cache

    application = web.Application()
    application.router.add_get(r"/{step:[\w-]+}/numbers/virtual-number", answer)
    return application
