"""The commands that run and watch the service: run, sync, migrate, check, status, health, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncer.cli.context import (
    Accounts,
    AsJson,
    name_database,
    open_database,
    read_accounts,
    read_settings,
    read_valid_settings,
    run_async,
)
from syncer.daemon.signals import block_sighup, exit_cleanly_during_startup
from syncer.errors import ConfigurationError, EmbeddedServerError
from syncer.printable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.config.accounts import Account


def run() -> None:
    """Run the daemon. It polls every account on its schedule until SIGTERM or Ctrl-C; SIGHUP reloads the accounts."""
    exit_cleanly_during_startup()
    block_sighup()
    from syncer.commands.run import run_daemon
    from syncer.config.accounts import load_accounts
    from syncer.config.settings import load_settings

    settings = read_settings()
    accounts = read_accounts(settings)
    with open_database(settings) as database:
        run_async(run_daemon(settings, accounts, database, lambda: load_accounts(load_settings())))


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

    settings = read_settings()
    configured = read_accounts(settings)
    accounts = _select_accounts(configured, account or [])
    names = [one.name for one in configured]
    with open_database(settings) as database:
        results = run_async(sync_now(settings, accounts, database, names, accept_removals=accept_removals))
    for result in results:
        typer.echo(escape_unprintable(json_line(result) if as_json else result.summary))
    raise SystemExit(worst_exit_code(results))


def migrate() -> None:
    """Upgrade the database to the newest schema. Safe to run on several machines at the same time."""
    from syncer.commands.migrate import migrate_to_latest

    settings = read_settings()
    with open_database(settings, for_migration=True) as database:
        typer.echo(f"the schema is {run_async(migrate_to_latest(database, settings))}, the newest")
        name_database(database)


def check(
    *,
    data: Annotated[bool, typer.Option("--data", help="Also verify the invariants of the stored data.")] = False,
) -> None:
    """Check configuration, database, schema, endpoint and tokens. Each problem is shown with how to fix it."""
    from syncer.commands.check import Check

    settings, problems, wrong_fields = read_valid_settings()
    check = Check(settings, problems, wrong_fields, with_data=data)
    try:
        with open_database(settings, may_create=False) as database:
            is_ok = run_async(check.print_findings(database))
    except (ConfigurationError, EmbeddedServerError) as error:
        is_ok = run_async(check.print_findings(error))
    if problems:
        raise ConfigurationError("the settings that are marked WRONG have to be corrected first")
    raise SystemExit(0 if is_ok else 1)


def status(*, as_json: AsJson = False) -> None:
    """Show what needs attention, and the accounts: numbers by state, last success, last outcome."""
    from syncer.commands.status import print_status

    settings = read_settings()
    with open_database(settings, may_create=False) as database:
        run_async(print_status(database, as_json=as_json))
        name_database(database)


def health() -> None:
    """Check whether the daemon on this machine is alive. The check uses HTTP at SYNCER_HTTP_LISTEN."""
    from syncer.commands.health import check_liveness
    from syncer.config.settings import load_settings

    is_alive, message = check_liveness(load_settings().http_listen)
    typer.echo(escape_unprintable(message), err=not is_alive)
    raise SystemExit(0 if is_alive else 1)


def show_settings() -> None:
    """Show the settings in effect: their values, except secrets, and where each comes from."""
    from syncer.commands.settings import print_settings

    print_settings()


def _select_accounts(accounts: Sequence[Account], names: Sequence[str]) -> Sequence[Account]:
    known = {account.name: account for account in accounts}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"--account {name!r} is not configured; the accounts are {', '.join(sorted(known))}"
            )
    return [known[name] for name in dict.fromkeys(names)] if names else accounts
