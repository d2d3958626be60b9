"""`syncer erase` and `syncer erasures`: remove personal data of a number or an employee, and show what was removed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec decodes a struct by its annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from syncer.commands.progress import show_progress
from syncer.errors import StoredDataError, counted
from syncer.local_time import format_moment
from syncer.printable import escape_unprintable
from syncer.store.accounts import read_account_ids, require_account
from syncer.store.erasures import (
    MASKED_TABLES,
    Erasure,
    Kind,
    erasing,
    is_owner,
    lift_erasure,
    list_erasures,
    vacuum,
)
from syncer.store.schema import schema_state

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from syncer.database import Database
    from syncer.store.erasures import Eraser

_BATCH: Final = 1_000
"""Numbers that one transaction erases, at most, by their age."""
_LEFT: Final = "backups, replicas, exported files and messages that were sent still have it: see docs/personal-data.md"


async def erase_number(
    database: Database, account: str, spellings: Collection[str], reason: str | None, *, confirmed: bool
) -> bool:
    """Erases a phone number of an account, in each of its spellings, after it has printed how many rows that is.

    Returns:
        Whether the account has anything of the number.

    Raises:
        StoredDataError: There is no such account, the login is not the owner, or `confirmed` is false.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await _require(database, account)
    async with erasing(database.owner_engine, account_id, confirmed=confirmed) as eraser:
        await eraser.erase_number(*spellings, reason=reason)
    return await _conclude(database, eraser, confirmed=confirmed)


async def erase_employee(
    database: Database, account: str, employee_id: int, reason: str | None, *, comments: bool, confirmed: bool
) -> bool:
    """Erases the name of an employee of an account, after it has printed how many rows that is.

    Args:
        database: The database.
        account: The account's name.
        employee_id: The vendor's id of the employee.
        reason: Why, to be stored with the erasure.
        comments: Whether to erase the comments of the employee's numbers, too.
        confirmed: Whether to do it; otherwise it is only said what would be done.

    Returns:
        Whether the account has the employee, and the erasure is new.

    Raises:
        StoredDataError: There is no such account, the login is not the owner, or `confirmed` is false.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await _require(database, account)
    async with erasing(database.owner_engine, account_id, confirmed=confirmed) as eraser:
        await eraser.erase_employee(employee_id, reason, comments=comments)
    return await _conclude(database, eraser, confirmed=confirmed)


async def erase_removed(
    database: Database, account: str, age: timedelta, reason: str | None, *, confirmed: bool
) -> None:
    """Erases the numbers of an account that were removed longer ago than `age`, in batches.

    Raises:
        StoredDataError: There is no such account, the login is not the owner, or `confirmed` is false.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    account_id = await _require(database, account)
    rows: dict[str, int] = {}
    total = 0
    with show_progress("erasing") as report:
        while True:
            async with erasing(database.owner_engine, account_id, confirmed=confirmed) as eraser:
                erased = await eraser.erase_removed(age, _BATCH if confirmed else 2**31 - 1, reason)
            total += erased
            for table, count in eraser.rows.items():
                rows[table] = rows.get(table, 0) + count
            report(f"erasing: {counted(total, 'number')}")
            if not confirmed or erased < _BATCH:
                break
    _print_rows(rows)
    if not confirmed and total:
        raise StoredDataError(f"nothing was erased: to mask these rows of {counted(total, 'number')}, add --yes")
    await _finish(database)
    typer.echo(f"{counted(total, 'number')} erased" + (f"; {_LEFT}" if total else ""))


async def erase_again(database: Database, erasures: list[Erasure]) -> None:
    """Erases again what was erased before a backup was restored that is older.

    Raises:
        StoredDataError: The login is not the owner.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    await _require_owner(database)
    ids = await read_account_ids(database.owner_engine, sorted({erasure.account for erasure in erasures}))
    known = {_subject(erasure) for erasure in await list_erasures(database.owner_engine) if erasure.lifted_at is None}
    erased = 0
    for erasure in erasures:
        if erasure.lifted_at is not None or _subject(erasure) in known or erasure.account not in ids:
            continue
        async with erasing(database.owner_engine, ids[erasure.account], confirmed=True) as eraser:
            await eraser.erase_again(erasure)
        known.add(_subject(erasure))
        erased += bool(eraser.erasure_ids)
    await _finish(database)
    typer.echo(f"{counted(erased, 'erasure')} made again")


async def print_erasures(database: Database, *, as_json: bool) -> None:
    """Prints what was erased, one line each.

    Raises:
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    (await schema_state(database.engine)).require_current()
    erasures = await list_erasures(database.engine)
    await database.dispose()
    for erasure in erasures:
        if as_json:
            typer.echo(escape_unprintable(msgspec.json.encode(_to_line(erasure)).decode()))
            continue
        rows = sum(erasure.rows.values())
        lifted = "" if erasure.lifted_at is None else f"; stored again since {format_moment(erasure.lifted_at, 'UTC')}"
        reason = f": {erasure.reason}" if erasure.reason else ""
        typer.echo(
            escape_unprintable(
                f"{erasure.erasure_id}  {format_moment(erasure.erased_at, 'UTC')}  {erasure.account}: "
                f"{_describe(erasure)}, {counted(rows, 'row')}, by {erasure.erased_by}{reason}{lifted}"
            )
        )


async def lift(database: Database, erasure_id: int) -> None:
    """Lets the number or the name of an erasure be stored again, from when it is read next.

    Raises:
        StoredDataError: There is no such erasure, or the login is not the owner.
        SchemaError: The schema is not the one this version requires.
        DatabaseError: PostgreSQL refused.
    """
    await _require_owner(database)
    if not await lift_erasure(database.owner_engine, erasure_id):
        raise StoredDataError(f"there is no erasure {erasure_id} that is in force: `syncer erasures` lists them")
    await database.dispose()
    typer.echo(
        f"erasure {erasure_id}: what the vendor lists is stored again from the next poll on; the past stays masked"
    )


def read_erasures(path: str) -> list[Erasure]:
    """Reads a file with what `syncer erasures --json` has printed.

    Raises:
        ValueError: It cannot be read, or has something else.
    """
    try:
        lines = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    try:
        return [_from_line(msgspec.json.decode(line, type=_Line)) for line in lines.splitlines() if line.strip()]
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"it must be what `syncer erasures --json` has printed ({error})") from None


_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Line(msgspec.Struct):
    """An erasure as a line of JSON."""

    account: str
    erasure_id: int
    kind: Kind
    virtual_number_id: _Integer | None
    number_hash: str | None
    erased_at: datetime
    erased_by: str
    reason: str | None
    rows: dict[str, int]
    lifted_at: datetime | None
    employee_id: _Integer | None = None
    comment_hashes: list[str] | None = None


def _describe(erasure: Erasure) -> str:
    if erasure.employee_id is not None:
        with_comments = "" if erasure.comment_hashes is None else " with comments"
        return f"employee with id {erasure.employee_id}{with_comments}"
    return "mentions only" if erasure.virtual_number_id is None else f"number with id {erasure.virtual_number_id}"


def _subject(erasure: Erasure) -> tuple[object, ...]:
    """What an erasure is of: two of one subject are the same."""
    has_comments = erasure.comment_hashes is not None
    return erasure.account, erasure.virtual_number_id, erasure.number_hash, erasure.employee_id, has_comments


def _to_line(erasure: Erasure) -> _Line:
    fields = erasure._asdict()
    del fields["account_id"]
    fields["number_hash"] = None if erasure.number_hash is None else erasure.number_hash.hex()
    if erasure.comment_hashes is not None:
        fields["comment_hashes"] = [one.hex() for one in erasure.comment_hashes]
    return _Line(**fields)


def _from_line(line: _Line) -> Erasure:
    fields = msgspec.structs.asdict(line)
    fields["number_hash"] = None if line.number_hash is None else bytes.fromhex(line.number_hash)
    if line.comment_hashes is not None:
        fields["comment_hashes"] = [bytes.fromhex(one) for one in line.comment_hashes]
    return Erasure(account_id=0, **fields)


async def _conclude(database: Database, eraser: Eraser, *, confirmed: bool) -> bool:
    """Says what was erased, or would be; returns whether anything."""
    if not eraser.erasure_ids:
        return False
    _print_rows(eraser.rows)
    if not confirmed:
        raise StoredDataError("nothing was erased: to mask these rows for good, add --yes")
    await _finish(database)
    ids = ", ".join(map(str, eraser.erasure_ids))
    typer.echo(f"erased, and not stored again (erasure {ids}); {_LEFT}")
    return True


async def _require(database: Database, account: str) -> int:
    await _require_owner(database)
    return await require_account(database.owner_engine, account)


async def _require_owner(database: Database) -> None:
    (await schema_state(database.owner_engine)).require_current()
    if not await is_owner(database.owner_engine):
        raise StoredDataError(
            "this login may not erase: set SYNCER_MIGRATE_DATABASE_URL to the address of the owner of schema syncer"
        )


async def _finish(database: Database) -> None:
    """Removes the dead rows, which still have what was erased."""
    with show_progress("removing dead rows"):
        await vacuum(database.owner_engine, MASKED_TABLES)
    await database.dispose()


def _print_rows(rows: dict[str, int]) -> None:
    for table, count in rows.items():
        typer.echo(f"{count:>12,}  {table}".replace(",", " "))
