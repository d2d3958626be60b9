"""What the program does when things go wrong: a row a fault, played with the program as a process.

`test_table.py` has the rows, and beside each the tests that play it, here or where they were at home already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.scenarios import folder, program, scenario_results

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program


__all__ = ["folder", "scenario_results"]


@pytest.fixture
async def syncer(folder: Path, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account called `default`, on a database that the test names."""
    made = program(folder, "postgresql://nobody@127.0.0.1:1/none", emulator.url)
    yield made
    await made.kill_all()
