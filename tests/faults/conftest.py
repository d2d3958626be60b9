"""Tests of the program under faults, run as a process.

`test_table.py` lists the faults, and for each the tests that cover it, in this folder or elsewhere.
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
    """The program with one account called `default`; a test passes the address of its database."""
    made = program(folder, "postgresql://nobody@127.0.0.1:1/none", emulator.url)
    yield made
    await made.kill_all()
