"""`syncer demo`: runs database, emulated endpoint and daemon on this machine, and shows the changes live."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from collections import deque
from contextlib import AsyncExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from syncer.commands.demo_backfill import NUMBERS, TOKEN, backfill_account, settings_for
from syncer.commands.run import create_site
from syncer.commands.status import accounts_summary
from syncer.config.accounts import load_accounts
from syncer.daemon.scheduler import Daemon
from syncer.daemon.signals import install_stop_handlers, run_unless_stopped
from syncer.database import Database
from syncer.emulator import Emulator
from syncer.endpoint.client import Source
from syncer.errors import ConfigurationError, OutputError
from syncer.local_time import time_zone_or_utc
from syncer.poll import Poller
from syncer.printable import escape_unprintable
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.queries.change_feed import read_changes_after
from syncer.store.schema import migrate
from syncer.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.settings import Settings
    from syncer.store.queries.account_status import AccountStatus
    from syncer.store.queries.change_feed import FeedEntry
    from syncer.web.site import Site

POLL_INTERVAL: Final = timedelta(seconds=3)
STEP_SECONDS: Final = 2.0
_SEED: Final = 1
_MAX_LATEST_CHANGES: Final = 14
_MAX_CHANGES_PER_RUN: Final = 20


async def run_demo(history_days: int = 0) -> None:
    """Runs the demo until Ctrl-C or SIGTERM, and then leaves no process and no file behind.

    Args:
        history_days: How many days of history to generate first.
    """
    stop = install_stop_handlers()
    configure_logging("error", "console")
    with tempfile.TemporaryDirectory(prefix="syncer-demo-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - as root the server runs as another user, which needs access
        async with Emulator(numbers=NUMBERS, seed=_SEED, token=TOKEN) as emulator:
            settings = settings_for(emulator).model_copy(
                update={"poll_interval": POLL_INTERVAL, "data_dir": Path(folder)}
            )
            with Database(settings) as database:
                await migrate(database.owner_engine)
                async with Source(settings) as source, AsyncExitStack() as stack:
                    daemon = Daemon(database, Poller(database.engine, source, settings), load_accounts(settings))
                    site = await _start_site(stack, daemon, settings, database)
                    _print_introduction(folder, site.url, emulator.url)
                    if not history_days or await _backfill(stop, settings, database, emulator, history_days):
                        await _run_until(stop, daemon, database.engine, emulator)
                await database.dispose()


async def _start_site(stack: AsyncExitStack, daemon: Daemon, settings: Settings, database: Database) -> Site:
    """Starts the HTTP server on the default port, or on a free one if that is in use."""
    assert settings.http_listen is not None  # noqa: S101 - it is the default
    try:
        return await stack.enter_async_context(create_site(daemon, settings.http_listen, settings, database))
    except ConfigurationError:
        free_port_address = settings.http_listen._replace(port=0)
        return await stack.enter_async_context(create_site(daemon, free_port_address, settings, database))


async def _backfill(stop: asyncio.Event, settings: Settings, database: Database, emulator: Emulator, days: int) -> bool:
    """Generates the history, with a progress bar on a terminal.

    Returns:
        Whether it finished before `stop` was set.
    """
    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{days} days of history")

        def show_progress(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        return await run_unless_stopped(
            stop, backfill_account(emulator, database, settings, days, _SEED, on_progress=show_progress)
        )


async def _run_until(stop: asyncio.Event, daemon: Daemon, engine: AsyncEngine, emulator: Emulator) -> None:
    last_run_id = max((account.last_run_id or 0 for account in await read_account_statuses(engine)), default=0)
    try:
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(_step_emulator(emulator)),
                tasks.create_task(_show_changes(engine, last_run_id)),
            ]
            await daemon.run(stop)
            for task in background:
                task.cancel()
    except ExceptionGroup as group:
        if output_errors := group.subgroup(OutputError):
            raise output_errors.exceptions[0] from None
        raise


async def _step_emulator(emulator: Emulator) -> None:
    while True:
        await asyncio.sleep(STEP_SECONDS)
        emulator.step()


def _print_introduction(folder: str, page: str, endpoint: str) -> None:
    program = _program_command()
    data = f"SYNCER_DATA_DIR={shlex.quote(folder)}"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Open [bold]{page}[/bold] to watch; the changes are also listed below.")
    console.print(
        f"The emulated endpoint at {endpoint} has {NUMBERS} numbers, whose states change every {STEP_SECONDS:g} s."
    )
    console.print(
        f"The daemon polls it every {POLL_INTERVAL.seconds} s into an embedded PostgreSQL. Press Ctrl-C to stop."
    )
    console.print("While it runs, query the database from another terminal:")
    for arguments in (
        "",
        ' -c "select number, state, state_since, region from analytics.numbers limit 10"',
        ' -c "select number, from_state, to_state from analytics.state_changes order by run_id desc limit 10"',
    ):
        console.print(f"  {data} {program} psql{arguments}", style="cyan")
    console.print(f"  {data} {program} status", style="cyan")
    console.print()


def _program_command() -> str:
    """Returns the command that runs this program in another terminal, relative to this folder if it is below it."""
    program, here = Path(sys.argv[0]).absolute(), Path.cwd()
    if not os.access(program, os.X_OK):
        return shlex.join([sys.executable, "-m", "syncer"])
    return shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))


async def _show_changes(engine: AsyncEngine, last_run_id: int) -> None:
    """Shows the changes recorded after a run: a live view on a terminal, otherwise plain lines."""
    console = Console(highlight=False)
    latest: deque[FeedEntry] = deque(maxlen=_MAX_LATEST_CHANGES)
    with Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else nullcontext() as live:
        while True:
            changes = await read_changes_after(engine, last_run_id)
            if changes:
                last_run_id = changes[-1].run_id
                latest.extend(changes[-_MAX_CHANGES_PER_RUN:])
            if live is not None:
                live.update(live_view(await read_account_statuses(engine), latest), refresh=True)
            else:
                for line in plain_lines(changes):
                    console.print(line, markup=False, soft_wrap=True)
            await asyncio.sleep(0.5)


def live_view(accounts: Iterable[AccountStatus], latest: Iterable[FeedEntry]) -> RenderableType:
    """Returns what is shown on a terminal: the accounts, and the latest changes."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="latest changes", title_justify="left")
    for column in ("at", "number"):
        table.add_column(column, no_wrap=True)  # where the terminal is narrow, the others become narrower
    for column in ("what", "from", "to"):
        table.add_column(column)
    for change in latest:
        texts = [change.number, change.event, change.old_value or "", change.new_value or ""]
        cells = [Text(escape_unprintable(text), no_wrap=True, overflow="ellipsis") for text in texts]
        table.add_row(_time_of(change), *cells)
    return Group(accounts_summary(accounts), Text(), table)


def _time_of(change: FeedEntry) -> str:
    return f"{change.recorded_at.astimezone(time_zone_or_utc(change.time_zone)):%H:%M:%S}"


def plain_lines(changes: list[FeedEntry]) -> Iterator[str]:
    """Yields what is printed elsewhere: a line per change, up to a limit."""
    for change in changes[:_MAX_CHANGES_PER_RUN]:
        values = f"{change.old_value or '-'} → {change.new_value or '-'}"
        line = f"run {change.run_id}  {_time_of(change)}  {change.number}  {change.event}  {values}"
        yield escape_unprintable(line)
    if len(changes) > _MAX_CHANGES_PER_RUN:
        yield f"run {changes[-1].run_id}  and {len(changes) - _MAX_CHANGES_PER_RUN} more"
