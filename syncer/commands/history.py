"""`syncer history`: shows the life of a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import typer

from syncer.errors import StoredDataError, SyncerError
from syncer.local_time import format_moment
from syncer.printable import escape_unprintable
from syncer.store.queries.number_life import MAX_ROWS, read_number_life
from syncer.store.queries.number_search import find_numbers, read_polled_accounts, require_views
from syncer.titles import with_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from syncer.database import Database
    from syncer.store.queries.number_life import NumberChange, NumberLife, StatePeriod

_SECONDS_IF_FOUND: Final = 0.5
_SECONDS_IF_NOT: Final = 10.0
_STATEMENT_SECONDS: Final = 30.0
_ATTRIBUTES: Final = {
    "type": "type",
    "purpose": "purpose",
    "region": "region",
    "employee_id": "employee",
    "group_id": "group",
    "redirect_number": "redirected to",
    "comment": "comment",
}
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_WINDOW_WIDTH: Final = 7


class _Event(NamedTuple):
    moment: datetime
    after: datetime | None
    text: str


async def print_history(
    database: Database, accepted: Sequence[str], account: str | None, *, as_json: bool = False
) -> None:
    """Prints the lives of the numbers that have or had a phone number, as text or as JSON lines.

    Args:
        database: The database.
        accepted: The phone number, in all its spellings.
        account: The only account to search; None searches all.
        as_json: Whether to print JSON.

    Raises:
        ConfigurationError: There is no such account.
        SyncerError: No number has or had the phone number.
        DatabaseError: The database cannot be read.
    """
    engine = database.engine
    await require_views(engine)
    if account is not None and account not in (names := await read_polled_accounts(engine)):
        raise StoredDataError(f"--account {account!r} was never polled: the accounts are {', '.join(names)}")
    found = await find_numbers(
        engine, accepted, account, seconds_if_found=_SECONDS_IF_FOUND, seconds_if_not=_SECONDS_IF_NOT
    )
    lives = [await read_number_life(engine, key, statement_seconds=_STATEMENT_SECONDS) for key in found.keys]
    await database.dispose()
    if not found.keys:
        reason = _not_found(accepted, account, is_complete=found.is_complete)
        raise SyncerError(f"{reason} (database: {database.location})")
    for index, life in enumerate(filter(None, lives)):
        if as_json:
            typer.echo(escape_unprintable(msgspec.json.encode(life).decode()))
            continue
        for line in [*[""] * bool(index), *life_lines(life, accepted)]:
            typer.echo(escape_unprintable(line))
    if not found.is_complete:
        typer.echo(
            "syncer: there may be more: numbers that only had it earlier were not all searched, since that takes too "
            "long here; analytics.number_history has them",
            err=True,
        )


def _not_found(accepted: Sequence[str], account: str | None, *, is_complete: bool) -> str:
    where = "of any account" if account is None else f"of account {account}"
    if not is_complete:
        return (
            f"no number {where} has {accepted[0]} now, and to search who had it earlier takes longer than "
            f"{_SECONDS_IF_NOT:g} s here: select from analytics.number_history instead"
        )
    return (
        f"no number {where} has {accepted[0]} or ever had it: check its digits; `syncer export numbers_all` lists all "
        "numbers, and `syncer status` the accounts"
    )


def life_lines(life: NumberLife, accepted: Sequence[str]) -> Iterator[str]:
    """Yields the life of a number as lines of text; the time zone is the account's."""
    yield from _head_lines(life, accepted)
    yield ""
    yield "states; -6 h: began up to 6 h earlier; ?: began before the first poll"
    for state in life.states:
        yield from _state_lines(state, life)
    events = sorted(_events(life), key=lambda event: event.moment)
    if events:
        yield from ("", "events")
    for event in events:
        yield f"  {_moment(life, event.moment)}  {_window(event.moment, event.after):{_WINDOW_WIDTH}}  {event.text}"


def _head_lines(life: NumberLife, accepted: Sequence[str]) -> Iterator[str]:
    since = (
        f"removed {_moment(life, life.removed_at)}" if life.removed_at else f"since {_moment(life, life.state_since)}"
    )
    yield f"{life.number}  {life.state}, {since}"
    zone = format_moment(life.first_seen_at, life.time_zone).rpartition(" ")[2]
    yield f"  account {life.account}, id {life.virtual_number_id}; times of {zone}"
    names = {"employee_id": life.employee, "group_id": life.group_name}
    if attributes := [
        f"{title} {with_id(str(getattr(life, field)), names.get(field))}"
        for field, title in _ATTRIBUTES.items()
        if getattr(life, field)
    ]:
        yield f"  {', '.join(attributes)}"
    if life.scenario_type:
        target = "" if life.scenario_target_id is None else with_id(str(life.scenario_target_id), life.scenario_target)
        title = life.scenario_type_title_en or life.scenario_type
        yield f"  scenario {life.scenario_id}: {title}{target and f', {target}'}"
    if life.number not in accepted or len(life.numbers) > 1:
        for period in life.numbers:
            yield f"  had the number {period.number} from {_moment(life, period.valid_from)} until " + (
                _moment(life, period.valid_to) if period.valid_to else "now"
            )
    if life.missing_since and not life.removed_at:
        yield f"  missing since {_moment(life, life.missing_since)}; not removed yet"
    if life.retired_at:
        yield f"  the account is not configured, and not polled, since {_moment(life, life.retired_at)}"
    if not life.is_complete:
        yield f"  only the newest {MAX_ROWS} rows of each kind; all are in schema analytics"


def _moment(life: NumberLife, moment: datetime) -> str:
    return format_moment(moment, life.time_zone, with_zone=False)


def _state_lines(period: StatePeriod, life: NumberLife) -> Iterator[str]:
    since = _moment(life, period.valid_from)
    until = _moment(life, period.valid_to) if period.valid_to else "now"
    window = _window(period.valid_from, period.changed_after)
    length = _length(period.duration_seconds)
    yield f"  {since}  {window:{_WINDOW_WIDTH}}  {until:19}  {length:>7}  {period.state}"
    if period.reason:
        yield f"      {period.reason}"
    if period.ended_by == "removed":
        yield "      removed"


def _window(moment: datetime, after: datetime | None) -> str:
    """Returns how much earlier something can have happened than it was first seen."""
    if after is None:
        return "?"
    seconds = (moment - after).total_seconds()
    return f"-{_length(seconds)}" if seconds >= 1 else ""


def _length(seconds: float) -> str:
    """Returns a duration in the largest unit of which there are at least two."""
    name, size = next((unit for unit in _UNITS if seconds >= 2 * unit[1]), _UNITS[-1])
    return f"{seconds / size:.0f} {name}"


def _events(life: NumberLife) -> Iterator[_Event]:
    for change in life.changes:
        if change.kind != "state":
            yield _Event(change.changed_at, change.changed_after, _event_text(change))
    for absence in life.absences:
        if absence.ended_by != "removed":
            until = _moment(life, absence.ended_at) if absence.ended_at else "now"
            yield _Event(absence.missing_since, absence.missing_since, f"missing until {until}")


def _event_text(change: NumberChange) -> str:
    named = ((change.old_value, change.old_name), (change.new_value, change.new_name))
    old, new = ("-" if value is None else with_id(value, name) for value, name in named)
    match change.kind:
        case "created":
            return f"first listed, {new}"
        case "restored":
            return f"listed again, {new}"
        case "removed":
            return "removed"
        case "redirect_opened":
            return f"redirect from {new} began"
        case "redirect_closed":
            return f"redirect from {old} ended"
        case _:
            return f"{_ATTRIBUTES.get(change.field or '', change.field)}: {old} → {new}"
