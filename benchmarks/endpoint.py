"""Serves an endpoint from a process of its own, so that its CPU time and memory are not counted as the program's."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

SPAWNED: Final = multiprocessing.get_context("spawn")
"""Starts processes that share no memory with this one."""
_PACED_BYTES: Final = 2**16
"""Bytes that are written at a time over a slow link: a few milliseconds of 100 Mbit/s."""


class Endpoint(NamedTuple):
    """The address of an endpoint, and the process that serves it."""

    url: str
    pid: int


@contextmanager
def endpoint(make_application: Callable[..., web.Application], *arguments: object) -> Iterator[Endpoint]:
    """Serves an application, which another process makes from the arguments, until the block ends."""
    ours, theirs = SPAWNED.Pipe()
    process = SPAWNED.Process(target=_serve, args=(theirs, make_application, *arguments), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


async def send_paced(
    request: web.Request, file: Path, bytes_per_second: float, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Sends a file as a link of this speed would deliver it: each piece is written when the link would have it."""
    content = memoryview(await asyncio.to_thread(file.read_bytes))
    response = web.StreamResponse(headers=headers)
    response.content_length = len(content)
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for start in range(0, len(content), _PACED_BYTES):
        piece = content[start : start + _PACED_BYTES]
        await asyncio.sleep(begun + (start + len(piece)) / bytes_per_second - loop.time())
        await response.write(piece)
    await response.write_eof()
    return response


def _serve(pipe: Connection, make_application: Callable[..., web.Application], *arguments: object) -> None:
    asyncio.run(_listen(pipe, make_application(*arguments)))


async def _listen(pipe: Connection, application: web.Application) -> None:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", os.getpid()))
    await asyncio.Event().wait()
