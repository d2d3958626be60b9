"""Faults of the disk: the database's disk is full."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer.emulator import faults
from tests.builders import connect, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from syncer.embedded import EmbeddedServer
    from syncer.emulator import Emulator
    from tests.service.processes import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk")

PAGE = 4096
DISK_MEBIBYTES = 48


@pytest.fixture
async def small_disk(folder: Path, server: EmbeddedServer) -> AsyncIterator[Path]:
    """A disk of a few megabytes that the server may write to."""
    sql = await connect(server.url)
    data = Path(await sql.fetchval("show data_directory"))
    await sql.close()
    with mounted(folder / "disk", owner=data) as disk:
        yield disk


@contextlib.contextmanager
def mounted(disk: Path, *, owner: Path) -> Iterator[Path]:
    """Mounts a disk whose owner is that of another folder."""
    disk.mkdir()
    status = owner.stat()
    options = f"size={DISK_MEBIBYTES}m,uid={status.st_uid},gid={status.st_gid},mode=0700"
    # The path of these programs differs between systems.
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "syncer-test", disk], check=True)  # noqa: S607 - see above
    yield disk
    subprocess.run(["umount", disk], check=True)  # noqa: S607 - see above


def fill(file: Path) -> None:
    """Fills the remaining space of a disk."""
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(PAGE))
    available = os.statvfs(file.parent).f_bavail
    assert available == 0


async def test_on_a_full_disk_the_poll_fails_and_writes_nothing_and_polls_succeed_again_when_there_is_space(
    syncer: Program, emulator: Emulator, server: EmbeddedServer, small_disk: Path
) -> None:
    owner = await connect(server.url)
    await owner.execute(f"create tablespace small location '{small_disk}'")
    await owner.execute("create database small template migrated tablespace small")
    database = server.url.rpartition("/")[0] + "/small"
    sql = await connect(database)
    try:
        daemon = await syncer.start("run", poll_interval="1s", database_url=database)
        await daemon.wait_for_event("poll_finished", outcome="applied", created=200)
        fill(small_disk / "ballast")
        rows = await sql.fetch("select * from syncer.virtual_number order by 1, 2")

        emulator.fault = faults.Body(body=json.dumps([record(key, app_id=None) for key in range(1, 5_001)]))
        failed = await daemon.wait_for_event("poll_finished", outcome="failed")

        assert failed["error_kind"] == "database"
        assert "No space left on device" in failed["error"]
        assert failed["error"].endswith("make room on the database server")
        assert await sql.fetch("select * from syncer.virtual_number order by 1, 2") == rows
        (small_disk / "ballast").unlink()
        applied = await daemon.wait_for_event("poll_finished", outcome="applied", times=2)
        assert applied["received"] == 5_000
        assert (await daemon.stop(within=20)).code == 0
        checked = await syncer.run("check", "--data", database_url=database)
        assert checked.code == 0, checked.out
    finally:
        await syncer.kill_all()
        await sql.close()
        await owner.execute("drop database if exists small with (force)")
        await owner.execute("drop tablespace small")
        await owner.close()
