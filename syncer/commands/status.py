"""`syncer status`: the accounts in a table, and what needs a person."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncer.outcome import accept_removals_command
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from syncer.database import Database
    from syncer.store.queries.account_status import AccountStatus

_MOST_SHOWN: Final = 5
_WIDE: Final = 10_000  # a file or a pipe has no edge to break lines at


async def show_status(database: Database, *, as_json: bool) -> None:
    """Prints how the accounts are doing, as a table or as JSON lines.

    Raises:
        DatabaseError: The database cannot be asked.
        SchemaError: Its schema is not the one this version wants.
    """
    state = await schema_state(database.engine)
    accounts = []
    if state.found is not None:
        state.require_wanted()
        accounts = await read_account_statuses(database.engine)
    await database.dispose()
    if as_json:
        for one in accounts:
            typer.echo(msgspec.json.encode(one).decode())
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    if accounts:
        console.print(table_of(accounts))
    else:
        console.print("nothing was recorded yet: syncer sync polls once, syncer run keeps polling")
    for line in attention(accounts):
        console.print(f"! {line}", markup=False, highlight=False)


def table_of(accounts: Iterable[AccountStatus]) -> Table:
    """The accounts, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("account", "last success", "last outcome", "numbers by state"):
        table.add_column(column)
    for column in ("held", "rejected"):
        table.add_column(column, justify="right")
    for one in accounts:
        states = "  ".join(f"{state} {numbers}" for state, numbers in one.numbers.items())
        table.add_row(
            Text(one.account),
            "never" if one.last_success_at is None else f"{one.last_success_at:%Y-%m-%d %H:%M:%S %Z}, {_ago(one)}",
            " ".join(filter(None, (one.last_outcome or "-", one.last_error_kind))),
            Text(states or "-"),
            str(one.held or "-"),
            str(len(one.rejected) or "-"),
        )
    return table


def attention(accounts: Iterable[AccountStatus]) -> Iterator[str]:
    """What needs a person, a line each, with what to do."""
    for one in accounts:
        if one.retired_at is not None:
            yield (
                f"{one.account}: no configuration has it since {one.retired_at:%Y-%m-%d %H:%M:%S %Z}: it is polled no "
                "more, and its data stay"
            )
        elif one.last_outcome == "failed":
            yield f"{one.account}: the last poll failed: {one.last_error}"
        if one.held:
            yield (
                f"{one.account}: {one.held} numbers are missing since {one.held_since:%Y-%m-%d %H:%M:%S %Z} and held; "
                f"if they are really gone: {accept_removals_command(one.account)}"
            )
        for rejected in one.rejected[:_MOST_SHOWN]:
            who = (
                "a record"
                if rejected.virtual_number_id is None
                else f"the record of number {rejected.virtual_number_id}"
            )
            since = "" if rejected.first_seen_at is None else f" since {rejected.first_seen_at:%Y-%m-%d %H:%M:%S %Z}"
            yield f"{one.account}: {who} cannot be taken{since}: {rejected.error}"
        if len(one.rejected) > _MOST_SHOWN:
            yield f"{one.account}: and {len(one.rejected) - _MOST_SHOWN} more records: see syncer.rejected_record"


def _ago(one: AccountStatus) -> str:
    return f"{timedelta(seconds=round(max(one.lag_seconds or 0, 0)))} ago"
