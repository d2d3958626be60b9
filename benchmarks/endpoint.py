"""An endpoint in a process of its own, so that what it takes is not the program's."""

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
"""Makes processes that begin with nothing in memory."""


class Endpoint(NamedTuple):
    """Where it is served, and by which process."""

    url: str
    pid: int


@contextmanager
def endpoint(make: Callable[..., web.Application], *arguments: object) -> Iterator[Endpoint]:
    """Serves on this machine until the block ends what `make`, in the other process, makes of the arguments."""
    ours, theirs = SPAWNED.Pipe()
    process = SPAWNED.Process(target=_serve, args=(theirs, make, *arguments), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(told: Connection, make: Callable[..., web.Application], *arguments: object) -> None:
    asyncio.run(_listen(told, make(*arguments)))


async def _listen(told: Connection, application: web.Application) -> None:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.send(Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", os.getpid()))
    await asyncio.Event().wait()
