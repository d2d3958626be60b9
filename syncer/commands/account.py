"""`syncer account`: lists the accounts of the database, and does what an operator says about one of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncer.commands.progress import show_progress
from syncer.errors import StoredDataError
from syncer.printable import escape_unprintable
from syncer.store import accounts
from syncer.store.account_deletion import count_rows, delete_account, may_delete
from syncer.store.erasures import MASKED_TABLES, vacuum
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from syncer.database import Database

_UNLIMITED_WIDTH = 10_000  # lines in a file or a pipe are not wrapped


async def print_accounts(database: Database, configured: Collection[str] | None) -> None:
    """Prints the accounts of the database, and the configured ones that it does not have yet.

    Args:
        database: The database.
        configured: The names of the configured accounts; None if none are configured.

    Raises:
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    (await schema_state(database.engine)).require_current()
    statuses = await read_account_statuses(database.engine)
    await database.dispose()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("account", "app_id", "numbers", "polled"):
        table.add_column(column, justify="right" if column in {"app_id", "numbers"} else "left", no_wrap=True)
    for status in statuses:
        is_configured = status.retired_at is None if configured is None else status.account in configured
        if is_configured:
            polled = "yes"
        elif status.retired_at is None:
            polled = "not configured"
        else:
            polled = f"not since {status.retired_at:%Y-%m-%d %H:%M:%S %Z}"
        numbers = str(sum(status.numbers.values()))
        table.add_row(Text(escape_unprintable(status.account)), str(status.app_id or "-"), numbers, polled)
    for name in sorted(set(configured or ()) - {status.account for status in statuses}):
        table.add_row(Text(escape_unprintable(name)), "-", "-", "not yet")
    Console(width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH).print(table)


async def accept_app_id(database: Database, name: str) -> str:
    """Accepts that the vendor gave an account's Личный кабинет another `app_id`.

    Returns:
        What was done, in one line.

    Raises:
        StoredDataError: The database has no such account.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    (await schema_state(database.engine)).require_current()
    app_id = await accounts.forget_app_id(database.engine, name)
    await database.dispose()
    was = "had no app_id yet" if app_id is None else f"no longer has the app_id {app_id}"
    return f"{name}: {was}; the next successful poll records the one that most of its records carry"


async def rename(database: Database, old: str, new: str, configured: Collection[str] | None) -> str:
    """Gives an account another name, under which its history goes on.

    Returns:
        What was done, in one line.

    Raises:
        StoredDataError: The database has no account `old` or has one named `new`, or `old` is still polled.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    _require_unconfigured(old, configured, f"write {new!r} there instead, and stop the daemon")
    (await schema_state(database.owner_engine)).require_current()
    await accounts.rename_account(database.owner_engine, old, new)
    await database.dispose()
    return f"{old} is now {new}: its history goes on under this name"


async def retire(database: Database, name: str, configured: Collection[str] | None) -> str:
    """Says that an account is polled no more: its numbers stop counting at its last success, its history is kept.

    Returns:
        What was done, in one line.

    Raises:
        StoredDataError: The database has no such account, or it is still polled.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    _require_unconfigured(name, configured, "remove it there, and reload or restart the daemon")
    (await schema_state(database.engine)).require_current()
    await accounts.retire_account(database.engine, name)
    await database.dispose()
    return f"{name}: retired; its history is kept"


async def delete(database: Database, name: str, configured: Collection[str] | None, *, confirmed: bool) -> None:
    """Deletes an account with all its data, after it has printed how many rows that is.

    Raises:
        StoredDataError: The database has no such account, it is still polled, the login may not delete, or
            `confirmed` is false.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    _require_unconfigured(name, configured, "remove it there, and reload or restart the daemon")
    engine = database.owner_engine
    (await schema_state(engine)).require_current()
    account_id = await accounts.require_unpolled_account(engine, name)
    counts = await count_rows(engine, account_id)
    for table, rows in counts.items():
        typer.echo(f"{rows:>12,}  {table}".replace(",", " "))
    if not await may_delete(engine):
        raise StoredDataError(
            "nothing was deleted, and this login may not delete: set SYNCER_MIGRATE_DATABASE_URL to the address of the "
            "schema's owner"
        )
    if not confirmed:
        raise StoredDataError(f"nothing was deleted: to delete all this of account {name!r}, add --yes")
    await accounts.retire_account(engine, name)
    total, deleted = sum(counts.values()), 0
    with show_progress("deleting") as report:

        def on_batch(rows: int) -> None:
            nonlocal deleted
            deleted += rows
            report(f"deleting: {deleted} of {total} rows")

        await delete_account(engine, account_id, on_batch)
        report("removing dead rows")
        await vacuum(engine, MASKED_TABLES)  # dead rows and statistics still have personal data
    await database.dispose()
    typer.echo(escape_unprintable(f"{name}: deleted"))


def _require_unconfigured(name: str, configured: Collection[str] | None, todo: str) -> None:
    if name in (configured or ()):
        raise StoredDataError(f"the configuration still has the account {name!r}: {todo}, then try again")
