"""`syncer demo`: runs everything on this machine, ignores the configuration, and leaves nothing behind."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp

from tests.service.processes import files_in, processes_of, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.service.processes import Program

CHANGE = re.compile(r"run (\d+)  \d\d:\d\d:\d\d  \d+  [a-z_ ]+  .+ → .+\n")


@run_concurrently
async def test_the_demo_shows_changes_as_they_are_recorded_and_leaves_nothing_behind(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    # The demo ignores the configuration: otherwise the emulator would get requests, and the database is unreachable.
    demo = await syncer.start("demo", database_url="postgresql://u:passw0rd@127.0.0.1:1/none")

    def runs() -> set[str]:
        return {found[1] for line in list(demo.out) if (found := CHANGE.fullmatch(line))}

    await wait_until(lambda: len(runs()) >= 2 or not demo.is_running)
    printed = "".join(demo.out)
    page, endpoint = re.findall(r"http://127\.0\.0\.1:\d+", printed)
    data = re.search(r"SYNCER_DATA_DIR=(\S+) (.+) status\n", printed)
    assert data is not None
    assert str(folder) in data[1]
    assert data[2] == shlex.join([sys.executable, "-m", "syncer"])
    async with (
        aiohttp.ClientSession(headers={"Authorization": "demo"}) as client,
        client.get(f"{endpoint}/numbers/virtual-number") as answer,
        client.get(page, headers={"Accept-Language": "ru"}) as shown,
    ):
        assert answer.status == 200
        assert len(await answer.json()) > 100
        assert shown.status == 200
        assert "Номера по состояниям" in await shown.text()
    status = await syncer.run("status", database_url=None, data_dir=data[1])
    assert "demo  " in status.out
    assert len(processes_of(folder)) > 1

    ended = await demo.stop(signal.SIGINT, within=20)

    assert (ended.code, ended.err) == (0, "")
    assert processes_of(folder) == set()
    assert files_in(folder) == []
    assert emulator.requests == {}
