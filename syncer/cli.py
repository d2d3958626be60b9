"""The commands. No logic: each one finds what it needs, calls the room that does it, and says what came of it.

What a command does not need is not imported: the imports stand in the commands.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar

import typer

from syncer.daemon.signals import block_sighup, exit_cleanly_during_startup
from syncer.errors import ConfigurationError, SyncerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database

T = TypeVar("T")

app = typer.Typer(
    name="syncer",
    help="Keeps the history of MegaFon cloud PBX virtual numbers in PostgreSQL.",
    epilog="Nothing to configure for a first look: syncer demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
THREAD_SWITCH_SECONDS: Final = 0.0005
"""How long the event loop waits for a thread that computes: 5 ms by default, at each of its turns."""
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, one per account.")]


def main() -> NoReturn:
    """Runs the command line. What an operator can cause is told in one line, without a traceback."""
    gc.disable()  # until what the command needs is loaded: none of that is garbage
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    try:
        app(standalone_mode=True)
    except ConfigurationError as error:
        _exit_with_error(error, 2)
    except SyncerError as error:
        _exit_with_error(error, 1)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does: nothing more can be said, not even on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    raise SystemExit(0)


def _exit_with_error(error: SyncerError, code: int) -> NoReturn:
    typer.echo(f"syncer: {error}", err=True)
    raise SystemExit(code) from None


@app.command()
def run() -> None:
    """The daemon: polls every account when it is due, until SIGTERM or Ctrl-C; SIGHUP reads the accounts again."""
    exit_cleanly_during_startup()
    block_sighup()
    from syncer.commands.run import run_daemon
    from syncer.config.accounts import load_accounts
    from syncer.config.settings import load_settings

    settings = _load_settings()
    accounts = _load_accounts(settings)
    with _open_database(settings) as database:
        _run_async(run_daemon(settings, accounts, database, lambda: load_accounts(load_settings())))


@app.command()
def sync(
    account: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this account; repeatable.")] = None,
    *,
    accept_removals: Annotated[
        bool, typer.Option("--accept-removals", help="Believe that every number missing now is gone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """One poll now, of every account or of those named."""
    from syncer.commands.sync import json_line, sync_now, worst_exit_code

    settings = _load_settings()
    accounts = _select_accounts(_load_accounts(settings), account or [])
    with _open_database(settings) as database:
        results = _run_async(sync_now(settings, accounts, database, accept_removals=accept_removals))
    for result in results:
        typer.echo(json_line(result) if as_json else result.summary)
    raise SystemExit(worst_exit_code(results))


@app.command()
def migrate() -> None:
    """Brings the database to the newest schema; safe to run from several machines at once."""
    from syncer.commands.migrate import migrate_to_latest

    settings = _load_settings()
    with _open_database(settings, for_migration=True) as database:
        typer.echo(f"the schema is {_run_async(migrate_to_latest(database))}, the newest")


@app.command()
def check(
    *,
    data: Annotated[bool, typer.Option("--data", help="Verify the invariants on the stored data too.")] = False,
) -> None:
    """Says whether configuration, database, schema, endpoint and token are right, and what to do where not."""
    from syncer.commands.check import print_findings

    settings = _load_settings()
    with _open_database(settings) as database:
        raise SystemExit(_run_async(print_findings(settings, database, data=data)))


@app.command()
def status(*, as_json: Json = False) -> None:
    """The accounts: last success, last outcome, numbers by state, what needs attention."""
    from syncer.commands.status import print_status

    settings = _load_settings()
    with _open_database(settings) as database:
        _run_async(print_status(database, as_json=as_json))


@app.command()
def export(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view of schema analytics, such as numbers.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replaced once the new one is whole; without it, standard output."),
    ] = None,
    file_format: Annotated[
        Literal["csv", "parquet"] | None,
        typer.Option("--format", help="csv, unless the name of the file ends in .parquet."),
    ] = None,
    account: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this account; repeatable.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The view numbers as it was at this moment.")] = None,
    *,
    excel: Annotated[bool, typer.Option("--excel", help="CSV as Excel opens it where decimals have commas.")] = False,
) -> None:
    """A view of schema `analytics` as CSV or Parquet; an analyst's rights will do."""
    from syncer.commands.export import ExportOptions, parse_moment
    from syncer.commands.export import export as export_view

    settings = _load_settings()
    parquet = file_format == "parquet" or (file_format is None and output is not None and output.suffix == ".parquet")
    if parquet and (output is None or excel):
        raise typer.BadParameter("it needs --output FILE, and --excel is of CSV", param_hint="--format parquet")
    moment = None if at is None else _parse_option("--at", at, lambda text: parse_moment(text, settings.timezone))
    options = ExportOptions(view, output, parquet, excel, tuple(account or ()), moment)
    with _open_database(settings) as database:
        _run_async(export_view(options, database, settings.timezone))


@app.command()
def health() -> None:
    """Asks the daemon on this machine whether it lives, over HTTP at SYNCER_HTTP_LISTEN."""
    from syncer.commands.health import check_liveness
    from syncer.config.settings import load_settings

    alive, message = check_liveness(load_settings().http_listen)
    typer.echo(message, err=not alive)
    raise SystemExit(0 if alive else 1)


@app.command()
def demo(
    history: Annotated[
        str | None, typer.Option(metavar="DAYS", help="Begin with so much made-up history, such as 180d.")
    ] = None,
) -> None:
    """Everything on this machine with nothing configured: database, emulated endpoint, daemon, a live view."""
    exit_cleanly_during_startup()
    from syncer.commands.demo import run_demo
    from syncer.commands.demo_backfill import parse_days

    days = 0 if history is None else _parse_option("--history", history, parse_days)
    _run_async(run_demo(days))


@app.command()
def emulate(
    numbers: Annotated[int, typer.Option(min=0, metavar="N", help="How many numbers there are.")] = 200,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed tells the same story.")] = 1,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen.")] = "127.0.0.1:8081",
    file: Annotated[Path | None, typer.Option(metavar="JSON", help="Serve this response instead.")] = None,
) -> None:
    """The emulated endpoint alone, its numbers changing every few seconds."""
    exit_cleanly_during_startup()
    from syncer.commands.emulate import run_emulator
    from syncer.config.fields import ListenAddress

    address = _parse_option("--listen", listen, ListenAddress.parse)
    _run_async(run_emulator(numbers=numbers, seed=seed, listen=address, file=file))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
def psql(context: typer.Context) -> None:
    """`psql` on the database in use, the embedded one included; arguments are psql's."""
    from syncer.commands.psql import run_psql

    settings = _load_settings()
    with _open_database(settings) as database:
        raise SystemExit(run_psql(database, context.args))


@app.callback(invoke_without_command=True)
def _version(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from syncer import __version__

        typer.echo(f"syncer {__version__}")
        raise typer.Exit


def _run_async(work: Coroutine[Any, Any, T]) -> T:
    """Does what a command is for, once all that it needs is loaded: that stays, and is not looked through for garbage.

    To look through it took a third of a short command's time, most of it on the way out, and stopped the event loop.
    """
    gc.freeze()
    gc.enable()
    return asyncio.run(work)


def _parse_option(option: str, text: str, parse: Callable[[str], T]) -> T:
    """What an option's value means."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def _load_settings() -> Settings:
    from syncer.config.settings import load_settings
    from syncer.telemetry.logs import configure_logging

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings


def _load_accounts(settings: Settings) -> Sequence[Account]:
    from syncer.config.accounts import load_accounts
    from syncer.config.settings import describe_unknown_variables
    from syncer.telemetry.logs import log

    accounts = load_accounts(settings)
    for sentence in describe_unknown_variables({account.token_source for account in accounts}):
        log.warning("unknown_setting", found=sentence)
    return accounts


def _select_accounts(accounts: Sequence[Account], names: Sequence[str]) -> Sequence[Account]:
    known = {account.name: account for account in accounts}
    for name in names:
        if name not in known:
            raise ConfigurationError(f"--account {name!r} is not configured: those are {', '.join(sorted(known))}")
    return [known[name] for name in dict.fromkeys(names)] if names else accounts


def _open_database(settings: Settings, *, for_migration: bool = False) -> Database:
    from syncer.database import Database

    return Database(settings, for_migration=for_migration)
