"""What the program does when things go wrong: a row a fault, played with the program as a process.

`test_table.py` has the rows, and beside each the tests that play it, here or where they were at home already.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.scenarios import open_folder, program, telling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from concurrent.futures import Future

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator
    from tests.service.processes import Program


@pytest.fixture(scope="session", autouse=True)
def told(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[dict[str, Future[None]]]:
    """What comes of the scenarios that are among the chosen tests."""
    with telling(request.session.items, Path(__file__).parent, server.url) as futures:
        yield futures


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every user can reach."""
    made = open_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def syncer(folder: Path, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account called `default`, on a database that the test names."""
    made = program(folder, "postgresql://nobody@127.0.0.1:1/none", emulator.url)
    yield made
    await made.kill_all()
