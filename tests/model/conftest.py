"""One database, one event loop and one endpoint for all plans; and the statistics at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
import structlog

from tests.model import plan_run
from tests.model.action_statistics import ActionStatistics
from tests.model.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.embedded import EmbeddedServer
    from tests.model.plan_run import Plan

_STATISTICS: Final = ActionStatistics()


@pytest.fixture(scope="session")
def statistics() -> ActionStatistics:
    """What happened in all plans of the session."""
    return _STATISTICS


@pytest.fixture(scope="session")
def run_plan(server: EmbeddedServer, statistics: ActionStatistics) -> Iterator[Callable[[Plan], None]]:
    """Runs a plan on an empty database, in the program and in the model."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        database = runner.run(_make_database(server.url))
        environment = runner.run(Environment.build(stack, database))

        def run_plan(plan: Plan) -> None:
            statistics.begin_run()
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
            try:
                runner.run(plan_run.run_plan(environment, plan, statistics))
            finally:
                structlog.reset_defaults()  # tests of other files read what is logged

        yield run_plan
        runner.run(stack.aclose())


async def _make_database(url: str) -> str:
    connection = await asyncpg.connect(url)
    await connection.execute("create database model template migrated")
    await connection.close()
    return url.rpartition("/")[0] + "/model"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the statistics."""
    if _STATISTICS.runs and (os.environ.get("SYNCER_MODEL_EXAMPLES") or terminalreporter.config.option.verbose > 0):
        terminalreporter.section("model")
        for line in _STATISTICS.summary(plan_run.ACTIONS):
            terminalreporter.write_line(line)
