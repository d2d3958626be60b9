"""The command line. Each command loads what it needs, calls the module that does the work, and prints the result.

Imports are inside the commands, so that a command does not import what only others need.
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Final, NoReturn

import typer

from syncer.cli import account, data, demo, service
from syncer.errors import ConfigurationError, DatabaseError, OutputError, SchemaError, StoredDataError, SyncerError
from syncer.printable import escape_unprintable
from syncer.standard_streams import discard_standard_output, prepare_standard_streams

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
app.command()(service.run)
app.command()(service.sync)
app.command()(service.migrate)
app.command()(service.check)
app.command()(service.status)
app.command()(service.notify)
app.command()(data.history)
app.command()(data.export)
app.command()(data.erase)
app.command()(data.erasures)
app.command()(account.login)
app.command()(data.dump)
app.command()(data.restore)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)(data.psql)
app.command("settings")(service.show_settings)
app.command()(service.health)
app.command()(demo.demo)
app.command()(demo.emulate)
account_app = typer.Typer(help="List, rename, retire or delete accounts.", no_args_is_help=True)
account_app.command("list")(account.list_accounts)
account_app.command("rename")(account.rename_account)
account_app.command("retire")(account.retire_account)
account_app.command("delete")(account.delete_account)
account_app.command("accept-app-id")(account.accept_app_id)
app.add_typer(account_app, name="account")

THREAD_SWITCH_SECONDS: Final = 0.0005
"""The interpreter's thread switch interval: how long the event loop waits each time a worker thread holds the GIL.

Python's default is 5 ms."""


def main() -> NoReturn:
    """Runs the command line. An error that an operator can cause is printed as one line, without a traceback."""
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
    if (
        error.database is None
        or error.database in problem
        or not isinstance(error, DatabaseError | SchemaError | StoredDataError)
    ):
        return ""
    return f" ({error.database})" if problem.startswith("database: ") else f" (database: {error.database})"


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
    # Until now an interrupt has ended the process at once, since only what follows handles KeyboardInterrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if version:
        from syncer import __version__

        typer.echo(f"syncer {__version__}")
        raise typer.Exit
    if env_file is not None:
        from syncer.config.env_file import name_env_file

        name_env_file(env_file)
