"""Who gets the places that there are for polls under way: accounts that hang must not keep the others waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.emulator import faults
from tests.builders import running_daemon
from tests.service.processes import until

if TYPE_CHECKING:
    import pytest

    from syncer.emulator import Emulator

HANGING = [f"hanging {number}" for number in range(6)]


async def test_accounts_that_failed_before_and_hang_now_leave_places_to_those_that_are_well(
    emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CONCURRENT_POLLS": 4, "FAILING_POLLS": 2, "BEGUN_AT_ONCE": 1, "TICK_SECONDS": 0.05}.items():
        monkeypatch.setattr(f"syncer.daemon.{name}", value)
    refused = [faults.Status(status=500, requests=1, token=name) for name in HANGING]
    emulator.queue(*refused, *(faults.Hang(token=name) for name in HANGING))

    def hang() -> int:
        return sum(max(emulator.requests[name] - 1, 0) for name in HANGING)

    a_second, at_once = timedelta(seconds=1), timedelta()
    names = [*HANGING, "well"]
    async with running_daemon(emulator, database, names=names, poll_interval=a_second, shutdown_timeout=at_once):
        await until(lambda: hang() == 2)
        seen = emulator.requests["well"]

        await until(lambda: emulator.requests["well"] >= seen + 3)

        assert hang() == 2
