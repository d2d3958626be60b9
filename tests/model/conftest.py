"""One database, one event loop and one endpoint for all plays; and the tally at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
import structlog

from tests.model.stage import KINDS, Ground, Plan
from tests.model.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.embedded import EmbeddedServer

_TALLY: Final = Tally()


@pytest.fixture(scope="session")
def tally() -> Tally:
    """What happened in all plays of the session."""
    return _TALLY


@pytest.fixture(scope="session")
def play(server: EmbeddedServer, tally: Tally) -> Iterator[Callable[[Plan], None]]:
    """Plays a plan, from an empty database, in the program and in the model."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        database = runner.run(_make_database(server.url))
        ground = runner.run(Ground.build(stack, database))

        def play(plan: Plan) -> None:
            tally.play()
            runner.run(ground.play(plan, tally))

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        yield play
        structlog.reset_defaults()
        runner.run(stack.aclose())


async def _make_database(url: str) -> str:
    connection = await asyncpg.connect(url)
    await connection.execute("create database model template migrated")
    await connection.close()
    return url.rpartition("/")[0] + "/model"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tells how often what happened."""
    if _TALLY.plays and (os.environ.get("SYNCER_MODEL_EXAMPLES") or terminalreporter.config.option.verbose > 0):
        terminalreporter.section("model")
        for line in _TALLY.lines(KINDS):
            terminalreporter.write_line(line)
