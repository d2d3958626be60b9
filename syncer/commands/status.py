"""`syncer status`: shows what needs attention, and then the accounts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncer.errors import counted, in_sentence
from syncer.local_time import format_moment
from syncer.outcome import accept_removals_command
from syncer.printable import escape_unprintable
from syncer.store.accounts import describe_shared_app_ids
from syncer.store.queries.account_status import describe_clock, format_age, read_account_statuses
from syncer.store.queries.notice_list import read_channels
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from syncer.database import Database
    from syncer.store.queries.account_status import AccountStatus, UnreadList
    from syncer.store.queries.notice_list import RefusedChannel, WaitingChannel

_MAX_SHOWN: Final = 5
_MAX_NAME_WIDTH: Final = 20
_USUAL_WAIT_SECONDS: Final = 60.0
"""How long a message waits without a failure before it is mentioned."""
_UNLIMITED_WIDTH: Final = 10_000  # lines in a file or a pipe are not wrapped


async def print_status(database: Database, *, as_json: bool) -> None:
    """Prints the status of the accounts, as text or as JSON lines.

    Raises:
        DatabaseError: The database cannot be read.
        SchemaError: Its schema is not the one this version requires.
    """
    state = await schema_state(database.engine)
    accounts: list[AccountStatus] = []
    attention: list[str] = []
    if state.found is not None:
        state.require_current()
        accounts = await read_account_statuses(database.engine)
        attention += await describe_shared_app_ids(database.engine)
        attention += attention_lines(accounts)
        attention += channel_lines(*await read_channels(database.engine))
    await database.dispose()
    if as_json:
        for status in accounts:
            typer.echo(escape_unprintable(msgspec.json.encode(status).decode()))
        return
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH, highlight=False)
    for line in attention:
        console.print(f"! {escape_unprintable(line)}", markup=False)
    if accounts:
        console.print(*[Text()] * bool(attention), accounts_summary(accounts), sep="\n")
    else:
        console.print("no data yet: `syncer sync` polls once, `syncer run` keeps polling")


def accounts_summary(accounts: Iterable[AccountStatus]) -> Table:
    """Returns two lines for each account: its numbers by state, and its last success and outcome."""
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=_MAX_NAME_WIDTH, overflow="fold")
    table.add_column(overflow="fold")
    for status in accounts:
        table.add_row(
            Text(escape_unprintable(status.account), style="bold"),
            Text("\n".join(escape_unprintable(line) for line in (_numbers_line(status), _success_line(status)))),
        )
    return table


def _numbers_line(status: AccountStatus) -> str:
    states = ", ".join(f"{state} {numbers}" for state, numbers in status.numbers.items())
    missing = {"held": status.held, "unconfirmed": status.unconfirmed, "rejected": len(status.rejected)}
    total = counted(sum(status.numbers.values()), "number")
    return "; ".join([f"{total}{': ' * bool(states)}{states}", *(f"{n} {what}" for what, n in missing.items() if n)])


def _success_line(status: AccountStatus) -> str:
    outcome = "retired" if status.retired_at else status.last_outcome or "not polled yet"
    kind = f" ({status.last_error_kind})" if status.last_error_kind else ""
    if status.last_success_at is None:
        return f"{outcome}{kind}; no poll has succeeded yet"
    moment = format_moment(status.last_success_at, status.time_zone)
    return f"{outcome}{kind}; last success {_ago(status)}, {moment}"


def attention_lines(accounts: Iterable[AccountStatus]) -> Iterator[str]:
    """Yields what needs attention, one line each, with what to do about it."""
    for status in accounts:
        for line in _attention_lines(status):
            yield f"{status.account}: {line}"


def _attention_lines(status: AccountStatus) -> Iterator[str]:
    def moment(at: datetime) -> str:
        return format_moment(at, status.time_zone)

    if status.retired_at is not None:
        yield f"not configured since {moment(status.retired_at)}: it is no longer polled, and its data are kept"
    elif status.last_outcome == "failed":
        yield f"the last poll failed: {status.last_error}"
    if status.clock_ahead:
        yield describe_clock(status)
    if status.held and status.held_since is not None:
        has, removal, they = ("has", "its", "it is") if status.held == 1 else ("have", "their", "they are")
        yield (
            f"{counted(status.held, 'number')} {has} been missing since {moment(status.held_since)}, {removal} removal "
            f"is held; if {they} really gone: {accept_removals_command(status.account)}"
        )
    for rejected in status.rejected[:_MAX_SHOWN]:
        record_id, first_seen_at = rejected.virtual_number_id, rejected.first_seen_at
        record = "a record whose id cannot be read" if record_id is None else f"the record with id {record_id}"
        verb = "is rejected" if first_seen_at is None else f"has been rejected since {moment(first_seen_at)}"
        yield f"{record} {verb}: {rejected.error}"
    if len(status.rejected) > _MAX_SHOWN:
        more = counted(len(status.rejected) - _MAX_SHOWN, "more rejected record")
        yield f"and {more}: see analytics.rejected_records"
    if status.unread_names:
        yield _names_line(status.unread_names)


def _names_line(unread: Sequence[UnreadList]) -> str:
    """Returns which lists of names could not be read, with the first reason, or else which were never read."""
    failed = [one for one in unread if one.error is not None]
    names = in_sentence(one.list for one in failed or unread)
    if not failed:
        return f"no names have been read yet: {names}; `syncer run` reads them after a successful poll"
    return f"the names could not be read: {names}: {failed[0].error}"


def channel_lines(waiting: Iterable[WaitingChannel], refused: Iterable[RefusedChannel]) -> Iterator[str]:
    """Yields a line for each channel whose messages wait too long or whose receiver refused, with the reason."""
    refusing = set()
    for refusal in refused:
        refusing.add(refusal.channel)
        status = "" if refusal.http_status is None else f" (HTTP {refusal.http_status})"
        moment = format_moment(refusal.at, refusal.time_zone)
        yield (
            f"channel {refusal.channel}: the receiver refused for good at {moment}{status}: {refusal.error}; the "
            "daemon tries it again once it has read the notify file again (SIGHUP)"
        )
    for one in waiting:
        if one.error is None and one.seconds < _USUAL_WAIT_SECONDS:
            continue
        has, them = ("has", "it") if one.messages == 1 else ("have", "them")
        reason = one.error or f"no attempt to send {them} was made: `syncer run` does, or `syncer notify`"
        if one.channel in refusing:
            reason = "after what it has refused"
        moment = format_moment(one.since, one.time_zone)
        yield f"channel {one.channel}: {counted(one.messages, 'message')} {has} waited since {moment}: {reason}"


def _ago(status: AccountStatus) -> str:
    if not status.clock_ahead:
        return f"{format_age(status)} ago"
    return "by a clock that was ahead" if status.lag_seconds is None else f"at least {format_age(status)} ago"
