"""Who gets the places that there are for polls under way: accounts that hang must not keep the others waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from syncer.emulator import faults
from tests.builders import accounts_of, running_daemon, settings_for
from tests.service.processes import until

if TYPE_CHECKING:
    from syncer.emulator import Emulator

HANGING: Final = [f"hanging {number}" for number in range(6)]
GIVEN: Final[dict[str, Any]] = {"poll_interval": timedelta(seconds=1), "shutdown_timeout": timedelta()}


@pytest.fixture(autouse=True)
def few_places(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four places, two of them for accounts that failed; six accounts fail once and then hang, one fails always."""
    for name, value in {"CONCURRENT_POLLS": 4, "MAX_FAILING_POLLS": 2, "MAX_STARTS_PER_ITERATION": 1, "TICK_SECONDS": 0.05}.items():
        monkeypatch.setattr(f"syncer.daemon.scheduler.{name}", value)
    once = (faults.Status(status=500, requests=1, token=name) for name in HANGING)
    emulator.queue(*once, *(faults.Hang(token=name) for name in HANGING), faults.Status(status=500, token="failing"))


def hang(emulator: Emulator) -> int:
    """How many accounts hang by now."""
    return sum(max(emulator.requests[name] - 1, 0) for name in HANGING)


async def test_accounts_that_failed_before_and_hang_now_leave_places_to_those_that_are_well(
    emulator: Emulator, database: str
) -> None:
    async with running_daemon(emulator, database, names=[*HANGING, "well"], **GIVEN):
        await until(lambda: hang(emulator) == 2)
        seen = emulator.requests["well"]

        await until(lambda: emulator.requests["well"] >= seen + 3)

        assert hang(emulator) == 2


async def test_an_account_that_failed_and_left_is_taken_for_well_when_it_returns(
    emulator: Emulator, database: str
) -> None:
    settings = settings_for(emulator, **GIVEN)
    async with running_daemon(emulator, database, names=[*HANGING, "failing"], **GIVEN) as daemon:
        await until(lambda: hang(emulator) == 2 and emulator.requests["failing"])
        daemon.set_accounts(accounts_of(settings, [*HANGING, "new"]))
        await until(lambda: emulator.requests["new"])
        seen = emulator.requests["failing"]

        daemon.set_accounts(accounts_of(settings, [*HANGING, "failing"]))
        await until(lambda: emulator.requests["failing"] > seen)

        assert hang(emulator) == 2
