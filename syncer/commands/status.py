"""`syncer status`: shows the accounts in a table, and what needs attention."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncer.outcome import accept_removals_command
from syncer.printable import escape_unprintable
from syncer.store.accounts import describe_shared_app_ids
from syncer.store.queries.account_status import describe_clock, format_age, read_account_statuses
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from syncer.database import Database
    from syncer.store.queries.account_status import AccountStatus

_MAX_SHOWN: Final = 5
_UNLIMITED_WIDTH: Final = 10_000  # lines in a file or a pipe are not wrapped


async def print_status(database: Database, *, as_json: bool) -> None:
    """Prints the status of the accounts, as a table or as JSON lines.

    Raises:
        DatabaseError: The database cannot be read.
        SchemaError: Its schema is not the one this version requires.
    """
    state = await schema_state(database.engine)
    accounts, shared = [], []
    if state.found is not None:
        state.require_current()
        accounts = await read_account_statuses(database.engine)
        shared = await describe_shared_app_ids(database.engine)
    await database.dispose()
    if as_json:
        for status in accounts:
            typer.echo(escape_unprintable(msgspec.json.encode(status).decode()))
        return
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
    if accounts:
        console.print(accounts_table(accounts))
    else:
        console.print("no data yet: `syncer sync` polls once, `syncer run` keeps polling")
    for line in (*shared, *attention_lines(accounts)):
        console.print(f"! {escape_unprintable(line)}", markup=False, highlight=False)


def accounts_table(accounts: Iterable[AccountStatus]) -> Table:
    """Returns a table with one row per account."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("account", "last success", "last outcome", "numbers by state"):
        table.add_column(column)
    for column in ("held", "unconfirmed", "rejected"):
        table.add_column(column, justify="right")
    for status in accounts:
        states = "  ".join(f"{state} {numbers}" for state, numbers in status.numbers.items())
        table.add_row(
            Text(escape_unprintable(status.account)),
            "never" if status.last_success_at is None else f"{_format(status.last_success_at)}, {_ago(status)}",
            " ".join(filter(None, (status.last_outcome or "-", status.last_error_kind))),
            Text(escape_unprintable(states) or "-"),
            str(status.held or "-"),
            str(status.unconfirmed or "-"),
            str(len(status.rejected) or "-"),
        )
    return table


def attention_lines(accounts: Iterable[AccountStatus]) -> Iterator[str]:
    """Yields what needs attention, one line each, with what to do about it."""
    for status in accounts:
        if status.retired_at is not None:
            yield (
                f"{status.account}: not configured since {_format(status.retired_at)}: it is no longer "
                "polled, and its data are kept"
            )
        elif status.last_outcome == "failed":
            yield f"{status.account}: the last poll failed: {status.last_error}"
        if status.clock_ahead:
            yield f"{status.account}: {describe_clock(status)}"
        if status.held:
            since = f"{status.held_since:%Y-%m-%d %H:%M:%S %Z}"
            yield (
                f"{status.account}: {status.held} numbers missing since {since}, their removal is held; "
                f"if they are really gone: {accept_removals_command(status.account)}"
            )
        for rejected in status.rejected[:_MAX_SHOWN]:
            number_id, first_seen_at = rejected.virtual_number_id, rejected.first_seen_at
            record = "a record" if number_id is None else f"the record of number {number_id}"
            verb = "is rejected" if first_seen_at is None else f"has been rejected since {_format(first_seen_at)}"
            yield f"{status.account}: {record} {verb}: {rejected.error}"
        if len(status.rejected) > _MAX_SHOWN:
            more = len(status.rejected) - _MAX_SHOWN
            yield f"{status.account}: and {more} more rejected records: see syncer.rejected_record"


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _ago(status: AccountStatus) -> str:
    if not status.clock_ahead:
        return f"{format_age(status)} ago"
    return "clock ahead" if status.lag_seconds is None else f"clock ahead, at least {format_age(status)} ago"
