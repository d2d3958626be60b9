"""The commands on one account: list, rename, retire, delete, accept-app-id."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from syncer.cli.context import (
    AccountName,
    Accounts,
    configured_names,
    name_database,
    open_database,
    parse_option,
    read_settings,
    run_async,
)
from syncer.printable import escape_unprintable


def list_accounts() -> None:
    """List the accounts of the database and of the configuration."""
    from syncer.commands.account import print_accounts

    settings = read_settings()
    with open_database(settings, may_create=False) as database:
        run_async(print_accounts(database, configured_names(settings)))
        name_database(database)


def rename_account(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The account's name until now.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name from now on.")],
) -> None:
    """Give an account another name; its history goes on. Stop the daemon and change the configuration first."""
    from syncer.commands.account import rename
    from syncer.config.fields import check_account_name

    settings = read_settings()
    name = parse_option("NEW", new, check_account_name)
    with open_database(settings, may_create=False, for_migration=True) as database:
        typer.echo(escape_unprintable(run_async(rename(database, old, name, configured_names(settings)))))
        name_database(database)


def retire_account(name: AccountName) -> None:
    """Stop counting the numbers of an account that is polled no more; its history is kept."""
    from syncer.commands.account import retire

    settings = read_settings()
    with open_database(settings, may_create=False) as database:
        typer.echo(escape_unprintable(run_async(retire(database, name, configured_names(settings)))))
        name_database(database)


def delete_account(
    name: AccountName,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it, only say how many rows that would be.")
    ] = False,
) -> None:
    """Delete an account that is polled no more, with all its data, as the owner of the schema."""
    from syncer.commands.account import delete

    settings = read_settings()
    with open_database(settings, may_create=False, for_migration=True) as database:
        run_async(delete(database, name, configured_names(settings), confirmed=yes))
        name_database(database)


def accept_app_id(name: AccountName) -> None:
    """Accept that the vendor gave this account's Личный кабинет another app_id: the next poll records it."""
    from syncer.commands.account import accept_app_id as accept

    settings = read_settings()
    with open_database(settings, may_create=False) as database:
        typer.echo(run_async(accept(database, name)))
        name_database(database)


def login(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The login; lower-case letters, digits and underscores.")],
    account: Accounts = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file that holds its password; else it has none yet.")
    ] = None,
    *,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL, for an administrator to run.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take its schema away.")] = False,
) -> None:
    """Let a login of the database see some accounts only, in a schema of its own, as the owner of the schema."""
    from syncer.commands.login import give_schema
    from syncer.commands.login import revoke as revoke_from
    from syncer.config.fields import check_role_name
    from syncer.config.settings import read_secret

    role = parse_option("NAME", name, check_role_name)
    if revoke == bool(account) or (revoke and (sql or password_file)):
        raise typer.BadParameter("give the accounts that it may see, or --revoke alone", param_hint="--account")
    password = None if password_file is None else read_secret(password_file, setting="--password-file")
    settings = read_settings()
    with open_database(settings, may_create=False, for_migration=True) as database:
        if revoke:
            run_async(revoke_from(database, role))
        else:
            run_async(give_schema(database, role, account or [], password, only_print=sql))
        name_database(database)
