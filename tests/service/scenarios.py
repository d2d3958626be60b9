"""Runs tests that mostly wait concurrently: each in a thread with its own event loop, while other tests run.

Such a test is written like any other. Its parameters are the fields of `ScenarioFixtures`, by name.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import STATIC, Emulator
from tests.builders import connect
from tests.folders import public_folder
from tests.service.processes import TOKEN, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import asyncpg

    from syncer.embedded import EmbeddedServer

    Scenario = Callable[..., Coroutine[Any, Any, None]]

MAX_CONCURRENT = 4
SCENARIOS: dict[str, Scenario] = {}


@dataclass(frozen=True)
class ScenarioFixtures:
    """The objects of one scenario; they correspond to the fixtures of the same names."""

    folder: Path
    database: str
    sql: asyncpg.Connection
    emulator: Emulator
    syncer: Program


def run_concurrently(scenario: Scenario) -> Callable[[dict[str, Future[None]]], None]:
    """Decorates a scenario: the resulting test waits for its result."""
    name = scenario.__name__
    assert SCENARIOS.setdefault(name, scenario) is scenario

    def test(scenario_results: dict[str, Future[None]]) -> None:
        scenario_results[name].result()

    test.__name__ = name
    return test


@pytest.fixture(scope="module", autouse=True)
def scenario_results(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[dict[str, Future[None]]]:
    """Starts the selected scenarios of the module before its first test; returns their futures by name."""
    selected = [item.name for item in request.session.items if item.name in SCENARIOS and item.path == request.path]
    pool = ThreadPoolExecutor(MAX_CONCURRENT)
    yield {name: pool.submit(run_scenario, name, server.url) for name in selected}
    pool.shutdown(cancel_futures=True)


def run_scenario(name: str, server: str) -> None:
    """Runs a scenario with a database of its own on the server at this address."""

    async def run() -> None:
        scenario = SCENARIOS[name]
        async with _create_fixtures(server) as fixtures:
            await scenario(
                **{parameter: getattr(fixtures, parameter) for parameter in inspect.signature(scenario).parameters}
            )

    asyncio.run(run())


@asynccontextmanager
async def _create_fixtures(server: str) -> AsyncIterator[ScenarioFixtures]:
    name = f"scenario_{uuid.uuid4().hex[:12]}"
    database = f"{server.rpartition('/')[0]}/{name}"
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(public_folder("syncer-service-"))
        owner = await connect(server)
        stack.push_async_callback(owner.close)
        await owner.execute(f"create database {name} template migrated strategy file_copy")
        stack.push_async_callback(owner.execute, f"drop database {name} with (force)")
        sql = await connect(database)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=200, seed=1, rates=STATIC))
        syncer = program(folder, database, emulator.url)
        stack.push_async_callback(syncer.kill_all)
        yield ScenarioFixtures(folder, database, sql, emulator, syncer)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every user can access."""
    with public_folder("syncer-service-") as created:
        yield created


def program(folder: Path, database: str, url: str) -> Program:
    """Returns the program with one account, `default`."""
    settings = {"database_url": database, "api_url": url, "api_token": TOKEN}
    return Program(folder, settings | {"api_attempts": "1", "http_listen": "off"})
