"""Scenarios that mostly wait, all told at once: each in a thread with an event loop of its own, beside the other tests.

A scenario is a test like any other. It takes what it needs by name, as from fixtures: see `World`.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import STATIC, Emulator
from tests.builders import connect
from tests.service.processes import TOKEN, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

    import asyncpg

    from syncer.embedded import EmbeddedServer

    Scenario = Callable[..., Coroutine[Any, Any, None]]

AT_ONCE = 4
SCENARIOS: dict[str, Scenario] = {}


@dataclass(frozen=True)
class World:
    """What each scenario has for itself; the same as the fixtures of these names."""

    folder: Path
    database: str
    sql: asyncpg.Connection
    emulator: Emulator
    syncer: Program


def told_at_once(scenario: Scenario) -> Callable[[dict[str, Future[None]]], None]:
    """Makes a test that waits for what came of a scenario."""
    name = scenario.__name__
    assert SCENARIOS.setdefault(name, scenario) is scenario

    def test(told: dict[str, Future[None]]) -> None:
        told[name].result()

    test.__name__ = name
    return test


@pytest.fixture(scope="module", autouse=True)
def told(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[dict[str, Future[None]]]:
    """What comes of the file's scenarios, as far as they are among the chosen tests; they begin before the first."""
    chosen = [item.name for item in request.session.items if item.name in SCENARIOS and item.path == request.path]
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(tell, name, server.url) for name in chosen}
    pool.shutdown(cancel_futures=True)


def tell(name: str, server: str) -> None:
    """Tells a scenario to its end, in a database of its own on the server at this address."""

    async def tell_it() -> None:
        scenario = SCENARIOS[name]
        async with _world(server) as world:
            await scenario(**{needed: getattr(world, needed) for needed in inspect.signature(scenario).parameters})

    asyncio.run(tell_it())


@asynccontextmanager
async def _world(server: str) -> AsyncIterator[World]:
    name = f"scenario_{uuid.uuid4().hex[:12]}"
    database = f"{server.rpartition('/')[0]}/{name}"
    folder = open_folder()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
        owner = await connect(server)
        stack.push_async_callback(owner.close)
        await owner.execute(f"create database {name} template migrated")
        stack.push_async_callback(owner.execute, f"drop database {name} with (force)")
        sql = await connect(database)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=200, seed=1, rates=STATIC))
        syncer = program(folder, database, emulator.url)
        stack.push_async_callback(syncer.kill_all)
        yield World(folder, database, sql, emulator, syncer)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every user can reach."""
    made = open_folder()
    yield made
    shutil.rmtree(made)


def open_folder() -> Path:
    """A new folder that every user can reach, unlike tmp_path: as root the embedded server runs as another one."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-service-")).resolve()
    folder.chmod(0o755)
    return folder


def program(folder: Path, database: str, url: str) -> Program:
    """The program with one account called `default`."""
    settings = {"database_url": database, "api_url": url, "api_token": TOKEN}
    return Program(folder, settings | {"api_attempts": "1", "http_listen": "off"})
