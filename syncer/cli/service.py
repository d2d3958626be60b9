"""The commands that run and watch the service: run, sync, migrate, check, status, health, settings."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from syncer.cli.context import (
    Accounts,
    AsJson,
    begin_import_of_http_client,
    name_database,
    open_database,
    parse_option,
    read_accounts,
    read_notify_file,
    read_settings,
    read_valid_settings,
    run_async,
)
from syncer.errors import ConfigurationError, EmbeddedServerError
from syncer.printable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.commands.run import Configuration
    from syncer.config.accounts import Account


def run() -> None:
    """Run the daemon. It polls every account on its schedule until SIGTERM or Ctrl-C; SIGHUP reloads its files."""
    from syncer.daemon.signals import block_sighup, exit_cleanly_during_startup

    exit_cleanly_during_startup()
    block_sighup()
    from syncer.commands.run import run_daemon
    from syncer.config.accounts import load_accounts
    from syncer.config.settings import load_settings

    def load() -> Configuration:
        current = load_settings()
        accounts = load_accounts(current)
        return accounts, read_notify_file(current, accounts)

    settings = read_settings()
    accounts = read_accounts(settings)
    notify_file = read_notify_file(settings, accounts)
    with open_database(settings) as database:
        run_async(run_daemon(settings, (accounts, notify_file), database, load))


def sync(
    account: Accounts = None,
    *,
    accept_removals: Annotated[
        bool, typer.Option("--accept-removals", help="Remove all numbers that are missing now, without the hold.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Poll every account once now, or only the named ones."""
    begin_import_of_http_client()
    settings = read_settings()
    configured = read_accounts(settings)
    notify_file, notify_after = read_notify_file(settings, configured), None
    from syncer.commands.sync import json_line, sync_now, worst_exit_code

    if notify_file is not None:
        from syncer.commands.notify import send_after_sync

        notify_after = partial(send_after_sync, notify_file)
    accounts = _select_accounts(configured, account or [])
    with open_database(settings) as database:
        results = run_async(
            sync_now(settings, accounts, database, configured, notify_after, accept_removals=accept_removals)
        )
    for result in results:
        typer.echo(escape_unprintable(json_line(result) if as_json else result.summary))
    raise SystemExit(worst_exit_code(results))


def notify(
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message through each channel; needs no database.")
    ] = False,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="NAME", help="With --test: only this channel; can be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the rules would have sent; send nothing.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help="With --dry-run: how far back; default: 7d.")
    ] = None,
) -> None:
    """Send the notices that are due, once, as the daemon does all the time."""
    from syncer.commands.notify import print_preview, send_notices, try_channels
    from syncer.config.fields import duration_parser

    if channel and not test:
        raise typer.BadParameter("it only goes with --test", param_hint="--channel")
    if since is not None and not dry_run:
        raise typer.BadParameter("it only goes with --dry-run", param_hint="--since")
    if test and dry_run:
        raise typer.BadParameter("it does not go with --test", param_hint="--dry-run")
    age = parse_option("--since", since or "7d", duration_parser(timedelta(minutes=1), "of at least 1m", "12h or 7d"))
    settings = read_settings()
    accounts = [] if test else read_accounts(settings)
    file = read_notify_file(settings, None if test else accounts)
    if file is None:
        raise ConfigurationError(
            "SYNCER_NOTIFY_FILE is not set: name a TOML file with the rules and channels of notices in it"
        )
    if test:
        raise SystemExit(0 if run_async(try_channels(file, channel or [])) else 1)
    with open_database(settings, may_create=False) as database:
        if dry_run:
            run_async(print_preview(database, file, accounts, age))
            is_ok = True
        else:
            is_ok = run_async(send_notices(database, file, accounts))
        name_database(database)
    raise SystemExit(0 if is_ok else 1)


def migrate() -> None:
    """Upgrade the database to the newest schema. Safe to run on several machines at the same time."""
    from syncer.commands.migrate import migrate_to_latest

    settings = read_settings()
    with open_database(settings, for_migration=True) as database:
        revision, distributed = run_async(migrate_to_latest(database, settings))
        typer.echo(f"the schema is {revision}, the newest")
        if distributed is not None:
            typer.echo(distributed)
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
