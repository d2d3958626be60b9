"""The command line. Each command loads what it needs, calls the module that does the work, and prints the result.

Imports are inside the commands, so that a command does not import what only others need.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar

import typer

from syncer.daemon.signals import block_sighup, exit_cleanly_during_startup
from syncer.errors import (
    ConfigurationError,
    DatabaseError,
    EmbeddedServerError,
    OutputError,
    SchemaError,
    SyncerError,
)
from syncer.printable import escape_unprintable
from syncer.standard_streams import discard_standard_output, prepare_standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database

T = TypeVar("T")

Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="NAME", help="Only this account; can be repeated.")
]
AccountName = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per account, one per line.")]

app = typer.Typer(
    name="syncer",
    help="Keeps the history of MegaFon cloud PBX virtual numbers in PostgreSQL.",
    epilog="Settings are environment variables: `syncer settings` lists them. For a first look, with nothing to "
    "configure: syncer demo",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
account_app = typer.Typer(help="List, rename, retire or delete accounts.", no_args_is_help=True)
app.add_typer(account_app, name="account")
_DEFAULT_DEMO_DAYS: Final = 180
THREAD_SWITCH_SECONDS: Final = 0.0005
"""The interpreter's thread switch interval: how long the event loop waits each time a worker thread holds the GIL.

Python's default is 5 ms."""


def main() -> NoReturn:
    """Runs the command line. An error that an operator can cause is printed as one line, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # during the imports: none of what they load is garbage
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    prepare_standard_streams()
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except ConfigurationError as error:
        _exit_with_error(error, 2)
    except OutputError as error:
        discard_standard_output()  # without this, the flush at exit would fail too
        _exit_with_error(error, 1)
    except SyncerError as error:
        _exit_with_error(error, 1)
    raise SystemExit(0)


def _exit_with_error(error: SyncerError, code: int) -> NoReturn:
    for problem in error.problems if isinstance(error, ConfigurationError) else (str(error),):
        typer.echo(f"syncer: {escape_unprintable(problem + _database_of(error, problem))}", err=True)
    raise SystemExit(code) from None


def _database_of(error: SyncerError, problem: str) -> str:
    """Returns which database was in use, as the end of a message that does not say so yet."""
    if error.database is None or error.database in problem or not isinstance(error, DatabaseError | SchemaError):
        return ""
    return f" ({error.database})" if problem.startswith("database: ") else f" (database: {error.database})"


@app.command()
def run() -> None:
    """Run the daemon. It polls every account on its schedule until SIGTERM or Ctrl-C; SIGHUP reloads the accounts."""
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
    account: Accounts = None,
    *,
    accept_removals: Annotated[
        bool, typer.Option("--accept-removals", help="Remove all numbers that are missing now, without the hold.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Poll every account once now, or only the named ones."""
    from syncer.commands.sync import json_line, sync_now, worst_exit_code

    settings = _load_settings()
    configured = _load_accounts(settings)
    accounts = _select_accounts(configured, account or [])
    names = [one.name for one in configured]
    with _open_database(settings) as database:
        results = _run_async(sync_now(settings, accounts, database, names, accept_removals=accept_removals))
    for result in results:
        typer.echo(escape_unprintable(json_line(result) if as_json else result.summary))
    raise SystemExit(worst_exit_code(results))


@app.command()
def migrate() -> None:
    """Upgrade the database to the newest schema. Safe to run on several machines at the same time."""
    from syncer.commands.migrate import migrate_to_latest

    settings = _load_settings()
    with _open_database(settings, for_migration=True) as database:
        typer.echo(f"the schema is {_run_async(migrate_to_latest(database, settings))}, the newest")
        _name_database(database)


@app.command()
def check(
    *,
    data: Annotated[bool, typer.Option("--data", help="Also verify the invariants of the stored data.")] = False,
) -> None:
    """Check configuration, database, schema, endpoint and tokens. Each problem is shown with how to fix it."""
    from syncer.commands.check import Check

    settings, problems, wrong_fields = _load_valid_settings()
    check = Check(settings, problems, wrong_fields, with_data=data)
    try:
        with _open_database(settings, may_create=False) as database:
            is_ok = _run_async(check.print_findings(database))
    except (ConfigurationError, EmbeddedServerError) as error:
        is_ok = _run_async(check.print_findings(error))
    if problems:
        raise ConfigurationError("the settings that are marked WRONG have to be corrected first")
    raise SystemExit(0 if is_ok else 1)


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show the accounts and what needs attention. The table has last success, last outcome and numbers by state."""
    from syncer.commands.status import print_status

    settings = _load_settings()
    with _open_database(settings, may_create=False) as database:
        _run_async(print_status(database, as_json=as_json))
        _name_database(database)


@account_app.command("list")
def list_accounts() -> None:
    """List the accounts of the database and of the configuration."""
    from syncer.commands.account import print_accounts

    settings = _load_settings()
    with _open_database(settings, may_create=False) as database:
        _run_async(print_accounts(database, _configured_names(settings)))
        _name_database(database)


@account_app.command("rename")
def rename_account(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The account's name until now.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name from now on.")],
) -> None:
    """Give an account another name; its history goes on. Stop the daemon and change the configuration first."""
    from syncer.commands.account import rename
    from syncer.config.fields import check_account_name

    settings = _load_settings()
    name = _parse_option("NEW", new, check_account_name)
    with _open_database(settings, may_create=False, for_migration=True) as database:
        typer.echo(escape_unprintable(_run_async(rename(database, old, name, _configured_names(settings)))))
        _name_database(database)


@account_app.command("retire")
def retire_account(name: AccountName) -> None:
    """Stop counting the numbers of an account that is polled no more; its history is kept."""
    from syncer.commands.account import retire

    settings = _load_settings()
    with _open_database(settings, may_create=False) as database:
        typer.echo(escape_unprintable(_run_async(retire(database, name, _configured_names(settings)))))
        _name_database(database)


@account_app.command("delete")
def delete_account(
    name: AccountName,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it, only say how many rows that would be.")
    ] = False,
) -> None:
    """Delete an account that is polled no more, with all its data, as the owner of the schema."""
    from syncer.commands.account import delete

    settings = _load_settings()
    with _open_database(settings, may_create=False, for_migration=True) as database:
        _run_async(delete(database, name, _configured_names(settings), confirmed=yes))
        _name_database(database)


@account_app.command("accept-app-id")
def accept_app_id(name: AccountName) -> None:
    """Accept that the vendor gave this account's Личный кабинет another app_id: the next poll records it."""
    from syncer.commands.account import accept_app_id as accept

    settings = _load_settings()
    with _open_database(settings, may_create=False) as database:
        typer.echo(_run_async(accept(database, name)))
        _name_database(database)


@app.command()
def export(  # noqa: PLR0913 - a parameter for each option
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view of schema analytics, for example numbers.")],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Replaced only when the export is complete; default: standard output.",
        ),
    ] = None,
    file_format: Annotated[
        Literal["csv", "xlsx", "parquet"] | None,
        typer.Option("--format", help="Default: what the file name ends in, .csv, .xlsx or .parquet; else csv."),
    ] = None,
    account: Accounts = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="View numbers only: the numbers as of this time.")
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="View changes only: the changes since the last export with this file, which keeps the cursor.",
        ),
    ] = None,
    *,
    excel: Annotated[bool, typer.Option("--excel", help="CSV for Excel in locales with decimal commas.")] = False,
    language: Annotated[
        Literal["en", "ru"] | None,
        typer.Option(help="Titles of an .xlsx file in this language; default: the names of the columns."),
    ] = None,
) -> None:
    """Export a view of schema `analytics` as CSV, Excel or Parquet file. The rights of an analyst are enough."""
    from syncer.commands.export import ExportOptions, choose_format, parse_moment
    from syncer.commands.export import export as export_view

    settings = _load_settings()
    chosen = choose_format(output, file_format, excel=excel, language=language)
    as_of = None if at is None else _parse_option("--at", at, lambda text: parse_moment(text, settings.timezone))
    options = ExportOptions(view, output, chosen, excel, language, tuple(account or ()), as_of, since)
    with _open_database(settings, may_create=False) as database:
        _run_async(export_view(options, database, settings.timezone))
        _name_database(database)


@app.command()
def dump(file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")]) -> None:
    """Back up the database in use, the embedded one included. Nothing needs to be stopped for it."""
    from syncer.commands.backup import dump as dump_to

    settings = _load_settings()
    with _open_database(settings, may_create=False, for_migration=True) as database:
        _run_async(dump_to(database, file))
        _name_database(database)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `syncer dump` has written.")],
) -> None:
    """Restore a backup into an empty database, upgrade its schema, and check the restored data."""
    from syncer.commands.backup import restore as restore_from

    settings = _load_settings()
    with _open_database(settings, for_migration=True) as database:
        is_right = _run_async(restore_from(database, settings, file))
        _name_database(database)
    raise SystemExit(0 if is_right else 1)


@app.command()
def health() -> None:
    """Check whether the daemon on this machine is alive. The check uses HTTP at SYNCER_HTTP_LISTEN."""
    from syncer.commands.health import check_liveness
    from syncer.config.settings import load_settings

    is_alive, message = check_liveness(load_settings().http_listen)
    typer.echo(escape_unprintable(message), err=not is_alive)
    raise SystemExit(0 if is_alive else 1)


@app.command()
def demo(
    history: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="Start with generated history of this length, for example 180d."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the database in this folder; a BI tool can connect to it meanwhile."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Only fill this empty database with history (default 180d), as its owner."),
    ] = None,
) -> None:
    """Run a complete demo on this machine with nothing to configure.

    It consists of an embedded database, an emulated endpoint, the daemon and a live view. Of all settings it uses
    SYNCER_HTTP_LISTEN alone.
    """
    exit_cleanly_during_startup()
    from syncer.commands.demo import DemoOptions, fill_database, run_demo
    from syncer.commands.demo_backfill import parse_days
    from syncer.config.settings import load_valid_settings, read_origins

    days = None if history is None else _parse_option("--history", history, parse_days)
    if database is not None:
        if keep is not None:
            raise ConfigurationError("--database and --keep do not go together: name one of them")
        _run_async(fill_database(_check_database_address(database), days or _DEFAULT_DEMO_DAYS))
        return
    settings, problems, wrong_fields = load_valid_settings()
    if "http_listen" in wrong_fields:
        raise ConfigurationError(*[one for one in problems if one.startswith("SYNCER_HTTP_LISTEN ")])
    listen = settings.http_listen
    is_set = "http_listen" in read_origins()
    options = DemoOptions(days or 0, keep, listen if is_set else None, serves_page=listen is not None)
    _run_async(run_demo(options))


@app.command()
def emulate(
    numbers: Annotated[int, typer.Option(min=0, metavar="N", help="How many numbers to emulate.")] = 200,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same numbers and changes.")] = 1,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address to listen on.")] = "127.0.0.1:8081",
    file: Annotated[Path | None, typer.Option(metavar="JSON", help="Serve this file as the response instead.")] = None,
) -> None:
    """Run only the emulated endpoint. Its numbers change every few seconds."""
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
    """Run psql on the database in use, embedded or not. Arguments are passed to psql."""
    from syncer.commands.psql import run_psql

    settings = _load_settings()
    with _open_database(settings, may_create=False) as database:
        _name_database(database)
        raise SystemExit(run_psql(database, context.args, hidden_variables=_token_variables(settings)))


@app.command("settings")
def show_settings() -> None:
    """Show the settings in effect: their values, except secrets, and where each comes from."""
    from syncer.commands.settings import print_settings

    print_settings()


@app.callback(invoke_without_command=True)
def _main(
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file", metavar="FILE", help="Read settings from this file; default: SYNCER_ENV_FILE, or else .env."
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", "-V", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from syncer import __version__

        typer.echo(f"syncer {__version__}")
        raise typer.Exit
    if env_file is not None:
        from syncer.config.env_file import name_env_file

        name_env_file(env_file)


def _run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine of a command, after excluding all loaded modules from garbage collection.

    Scanning them took a third of the run time of a short command, most of it at exit, and blocked the event loop.
    """
    gc.freeze()
    gc.enable()
    return asyncio.run(coroutine)


def _parse_option(option: str, text: str, parse: Callable[[str], T]) -> T:
    """Parses the value of an option; a ValueError becomes a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def _check_database_address(address: str) -> str:
    """Checks the value of --database, without repeating it in an error: it may have a password."""
    from pydantic import SecretStr

    from syncer.config.fields import check_database_address

    try:
        return check_database_address(SecretStr(address)).get_secret_value()
    except ValueError as error:
        raise ConfigurationError(f"--database has an invalid value, which is not shown: {error}") from None


def _load_settings() -> Settings:
    from syncer.config.settings import load_settings
    from syncer.telemetry.logs import configure_logging

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings


def _load_valid_settings() -> tuple[Settings, list[str], set[str]]:
    from syncer.config.settings import load_valid_settings
    from syncer.telemetry.logs import configure_logging

    settings, problems, wrong_fields = load_valid_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings, problems, wrong_fields


def _load_accounts(settings: Settings) -> Sequence[Account]:
    from syncer.config.accounts import describe_shared_tokens, load_accounts
    from syncer.config.database_address import describe_unverified_connections
    from syncer.config.settings import describe_unknown_variables
    from syncer.telemetry.logs import log

    accounts = load_accounts(settings)
    for sentence in describe_unknown_variables({account.token_source for account in accounts}):
        log.warning("unknown_setting", found=sentence)
    for sentence in describe_shared_tokens(accounts):
        log.warning("shared_token", found=sentence)
    for sentence in describe_unverified_connections(settings):
        log.warning("database_not_verified", found=sentence)
    return accounts


def _token_variables(settings: Settings) -> set[str]:
    """Returns the variables that hold tokens, as far as the accounts can be read."""
    from syncer.config.accounts import load_accounts

    with suppress(ConfigurationError):
        return {account.token_source for account in load_accounts(settings)}
    return set()


def _configured_names(settings: Settings) -> set[str] | None:
    """Returns the names of the configured accounts; None if the configuration cannot be read."""
    from syncer.config.accounts import load_accounts

    with suppress(ConfigurationError):
        return {account.name for account in load_accounts(settings)}
    return None


def _select_accounts(accounts: Sequence[Account], names: Sequence[str]) -> Sequence[Account]:
    known = {account.name: account for account in accounts}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"--account {name!r} is not configured; the accounts are {', '.join(sorted(known))}"
            )
    return [known[name] for name in dict.fromkeys(names)] if names else accounts


@contextmanager
def _open_database(settings: Settings, *, for_migration: bool = False, may_create: bool = True) -> Iterator[Database]:
    """Opens the database; every error of the block names it."""
    from syncer.database import Database

    with Database(settings, for_migration=for_migration, may_create=may_create) as database:
        try:
            yield database
        except SyncerError as error:
            error.database = database.location
            raise


def _name_database(database: Database) -> None:
    """Says which database was used; on standard error, so that it is not among the data."""
    typer.echo(f"database: {escape_unprintable(database.location)}", err=True)
