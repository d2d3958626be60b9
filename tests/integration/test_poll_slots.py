"""How the slots for concurrent polls are shared: hanging accounts must not block the others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from syncer.emulator import faults
from tests.builders import accounts_named, running_daemon, settings_for
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from syncer.emulator import Emulator

HANGING: Final = [f"hanging {number}" for number in range(6)]
SETTINGS: Final[dict[str, Any]] = {"poll_interval": timedelta(seconds=1), "shutdown_timeout": timedelta()}


@pytest.fixture(autouse=True)
def limit_slots(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets four slots, two of them for failed accounts. Six accounts fail once and then hang; one always fails."""
    for name, value in {"CONCURRENT_POLLS": 4, "MAX_FAILING_POLLS": 2, "TICK_SECONDS": 0.05}.items():
        monkeypatch.setattr(f"syncer.daemon.scheduler.{name}", value)
    once = (faults.Status(status=500, requests=1, token=name) for name in HANGING)
    emulator.queue(*once, *(faults.Hang(token=name) for name in HANGING), faults.Status(status=500, token="failing"))


def hanging_count(emulator: Emulator) -> int:
    """Returns how many accounts hang by now."""
    return sum(max(emulator.requests[name] - 1, 0) for name in HANGING)


async def test_accounts_that_failed_and_then_hang_leave_slots_for_healthy_ones(
    emulator: Emulator, database: str
) -> None:
    async with running_daemon(emulator, database, names=[*HANGING, "well"], **SETTINGS):
        await wait_until(lambda: hanging_count(emulator) == 2)
        seen = emulator.requests["well"]

        await wait_until(lambda: emulator.requests["well"] >= seen + 3)

        assert hanging_count(emulator) == 2


async def test_a_failed_account_that_is_removed_and_added_again_counts_as_healthy(
    emulator: Emulator, database: str
) -> None:
    settings = settings_for(emulator, **SETTINGS)
    async with running_daemon(emulator, database, names=[*HANGING, "failing"], **SETTINGS) as daemon:
        await wait_until(lambda: hanging_count(emulator) == 2 and emulator.requests["failing"])
        daemon.set_accounts(accounts_named(settings, [*HANGING, "new"]))
        await wait_until(lambda: emulator.requests["new"])
        seen = emulator.requests["failing"]

        daemon.set_accounts(accounts_named(settings, [*HANGING, "failing"]))
        await wait_until(lambda: emulator.requests["failing"] > seen)

        assert hanging_count(emulator) == 2
