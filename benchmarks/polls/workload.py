"""Makes the responses that every system polls, and serves them from a process of its own."""

from __future__ import annotations

import gzip
import hashlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from benchmarks.endpoint import SPAWNED, endpoint, send_paced
from benchmarks.polls.systems.steps import GZIP, LINK, STEPS
from syncer.emulator import STATIC, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TINY: Final = ("tiny", "tiny-changed")
"""Paths instead of a step: the responses of an account with few numbers; in the second, all of them are changed."""
IN_SEQUENCE: Final = "in-sequence"
"""A path instead of a step: the next response of `SEQUENCE` for each request, and then the last one again."""
SEQUENCE: Final = tuple(step for step in STEPS if not step.endswith("restarted"))
_LINK_BYTES_PER_SECOND: Final = 12_500_000
_TINY_NUMBERS: Final = 5
_GZIP_LEVEL: Final = 6
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Workload:
    """The responses of one account.

    Attributes:
        folder: Contains one file per step, and the same compressed.
        body_bytes: The size of the first one.
        gzip_bytes: Its size compressed.
        checksums: By step, the checksum of the numbers that must be current afterwards.
    """

    folder: Path
    body_bytes: int
    gzip_bytes: int
    checksums: Mapping[str, str]


def make(numbers: int, folder: Path) -> Workload:
    """Makes the responses of an account with this number of numbers; they are always the same."""
    # In a process of its own, so that its memory is free again before anything is measured.
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWNED) as maker:
        checksums = maker.submit(_make, numbers, folder).result()
    first = _file(folder, STEPS[0])
    return Workload(folder, first.stat().st_size, _compressed(first).stat().st_size, checksums)


def _make(numbers: int, folder: Path) -> dict[str, str]:
    fleet = Fleet(numbers=numbers, seed=1, app_id=1200054, rates=STATIC)
    checksums, current = {}, ""
    for step in STEPS:
        if step == "shuffled":
            fleet.shuffle()
        elif step != "unchanged":
            fleet.change_fraction({"first load": 0.0, "all changed": 1.0}.get(step, 0.01))
            current = checksum(fleet.body())
        _write(_file(folder, step), fleet.body())
        checksums[step] = current
    tiny = Fleet(numbers=_TINY_NUMBERS, seed=2, app_id=1200055, rates=STATIC)
    for step in TINY:
        _write(_file(folder, step), tiny.body())
        tiny.change_fraction(1.0)
    return checksums


def _file(folder: Path, step: str) -> Path:
    return folder / f"{STEPS.index(step) if step in STEPS else step}.json"


def _compressed(file: Path) -> Path:
    return file.with_suffix(".json.gzip")


def _write(file: Path, body: bytes) -> None:
    """Writes a response, and the same compressed as servers do: equal bytes from equal ones."""
    file.write_bytes(body)
    _compressed(file).write_bytes(gzip.compress(body, _GZIP_LEVEL, mtime=0))


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
    """Serves the responses from another process; yields the address. `ADDRESS/POSITION` is the API of a step.

    None has `ETag` or `Last-Modified`, as the vendor's have none: an unchanged response is sent as a whole.
    """
    with endpoint(_application, workload.folder) as serving:
        yield serving.url


def _application(folder: Path) -> web.Application:
    remaining = list(SEQUENCE)

    async def answer(is_compressed: bool, is_slow: bool, request: web.Request) -> web.StreamResponse:
        step = request.match_info["step"]
        if step == IN_SEQUENCE:
            file = _file(folder, remaining.pop(0) if len(remaining) > 1 else remaining[0])
        else:
            file = folder / f"{step}.json"
        headers = _JSON
        if is_compressed:
            file, headers = _compressed(file), _JSON | {"Content-Encoding": "gzip"}
        if is_slow:
            return await send_paced(request, file, _LINK_BYTES_PER_SECOND, headers)
        return web.FileResponse(file, headers=headers)  # sent by the kernel, from the file cache

    application = web.Application()
    for link in ("", LINK):
        for coding in ("", GZIP):
            path = link + coding + r"/{step:[\w-]+}/numbers/virtual-number"
            application.router.add_get(path, partial(answer, bool(coding), bool(link)))
    application.on_response_prepare.append(_remove_validators)
    return application


async def _remove_validators(_: web.Request, response: web.StreamResponse) -> None:
    for name in ("ETag", "Last-Modified"):
        response.headers.pop(name, None)
