"""Serves an endpoint from a process of its own, so that its CPU time and memory are not counted as the program's."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

SPAWNED: Final = multiprocessing.get_context("spawn")
"""Starts processes that share no memory with this one."""


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


def _serve(pipe: Connection, make_application: Callable[..., web.Application], *arguments: object) -> None:
    asyncio.run(_listen(pipe, make_application(*arguments)))


async def _listen(pipe: Connection, application: web.Application) -> None:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", os.getpid()))
    await asyncio.Event().wait()
