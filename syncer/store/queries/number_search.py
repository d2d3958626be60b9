"""Finds the numbers that have a phone number now, or had it earlier, however it is spelled, and those of somebody."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime  # noqa: TC003 - NamedTuple reads the annotations
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import text

from syncer.errors import DatabaseError, SchemaError
from syncer.printable import escape_unprintable
from syncer.store.engine import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.store.engine import Engine

MAX_FOUND: Final = 50
"""How many numbers a search returns at most. Usually one number has a phone number, or one in each of some accounts."""
MAX_SPELLING_CHARS: Final = 100
_RUSSIAN: Final = re.compile("[78]?([0-9]{10})")
_SEPARATOR_CATEGORIES: Final = ("Z", "P", "C", "S")


class NumberKey(NamedTuple):
    """The key of a number."""

    account_id: int
    virtual_number_id: int


class FoundNumbers(NamedTuple):
    """The numbers that a search found, those that have the phone number now first.

    Attributes:
        keys: The numbers.
        is_complete: Whether the numbers that only had it earlier were searched too, and all that were found are listed.
    """

    keys: list[NumberKey]
    is_complete: bool


def spellings(phone_number: str) -> list[str]:
    """Returns the spellings in which the vendor may have written a phone number, the most likely one first.

    Spaces, dashes, brackets, other signs and characters that cannot be seen do not count; digits may be of any script.

    Raises:
        ValueError: There is no digit in it, or it is far too long.
    """
    if len(phone_number) > MAX_SPELLING_CHARS:
        raise ValueError("it is too long for a phone number")
    digits = "".join(
        str(unicodedata.digit(character, character))
        for character in phone_number.casefold().removeprefix("tel:")
        if unicodedata.category(character)[0] not in _SEPARATOR_CATEGORIES
    )
    verbatim = phone_number.strip()
    if not any(character.isdigit() for character in digits):
        raise ValueError("it has no digits; write a phone number such as +7 926 123-45-67")
    if found := _RUSSIAN.fullmatch(digits):
        likely = [f"7{found[1]}", found[1], f"8{found[1]}", f"+7{found[1]}"]
    else:
        likely = [digits, f"+{digits}"]
    if escape_unprintable(verbatim) == verbatim:  # PostgreSQL's texts cannot have every character
        likely.append(verbatim)
    return list(dict.fromkeys(likely))


_NOW: Final = """
select account_id, virtual_number_id from analytics.numbers_all
 where number = any(:spellings) and (cast(:account as text) is null or account = :account)
 order by removed_at is not null, account, virtual_number_id limit :limit
"""
# There is no index on the numbers of the past, so this reads all of them. The limit is outside: with it inside, the
# planner would read them in the order of the key, which takes a hundred times as long.
_EARLIER: Final = """
with found as materialized (
    select distinct account_id, virtual_number_id from analytics.number_history
     where number = any(:spellings) and (cast(:account as text) is null or account = :account)
)
select account_id, virtual_number_id from found order by account_id, virtual_number_id limit :limit
"""


async def find_numbers(
    engine: Engine, accepted: Sequence[str], account: str | None, *, seconds_if_found: float, seconds_if_not: float
) -> FoundNumbers:
    """Finds the numbers that have or had a phone number.

    Those that have it now, or had it when they were removed, are found by index. For those that had it earlier, all
    versions of all numbers are read, so the time for that is limited.

    Args:
        engine: The database.
        accepted: The phone number, in all its `spellings`.
        account: The only account to search; None searches all.
        seconds_if_found: How long to search earlier versions if a number has it now.
        seconds_if_not: How long to search them otherwise.

    Raises:
        DatabaseError: The database cannot be read.
    """
    parameters = {"spellings": list(accepted), "account": account, "limit": MAX_FOUND + 1}
    async with read_snapshot(engine, statement_seconds=seconds_if_not) as connection:
        keys = [NumberKey(*row) for row in await connection.execute(text(_NOW), parameters)]
    try:
        async with read_snapshot(engine, statement_seconds=seconds_if_found if keys else seconds_if_not) as connection:
            earlier = [NumberKey(*row) for row in await connection.execute(text(_EARLIER), parameters)]
    except DatabaseError:
        return FoundNumbers(keys[:MAX_FOUND], is_complete=False)
    found = list(dict.fromkeys([*keys, *earlier]))
    return FoundNumbers(found[:MAX_FOUND], is_complete=len(found) <= MAX_FOUND)


_BY_WORDS: Final = """
select account_id, virtual_number_id from analytics.numbers_all
 where concat_ws(' ', employee, comment) ilike all (:patterns)
 order by removed_at is not null, employee, account, number, virtual_number_id limit :limit
"""


async def find_numbers_by_words(engine: Engine, words: str, *, statement_seconds: float) -> FoundNumbers:
    """Finds the numbers whose comment, or the name of whose employee, has all of some words; also parts of words.

    It reads all numbers, as they are now or were when they were removed.

    Raises:
        DatabaseError: The database cannot be read, or the statement takes too long.
    """
    escaped = re.sub(r"([\\%_])", r"\\\1", words)
    parameters = {"patterns": [f"%{word}%" for word in escaped.split()], "limit": MAX_FOUND + 1}
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        found = [NumberKey(*row) for row in await connection.execute(text(_BY_WORDS), parameters)]
    return FoundNumbers(found[:MAX_FOUND], is_complete=len(found) <= MAX_FOUND)


class FoundNumber(NamedTuple):
    """A number that was found; the fields are columns of `analytics.numbers_all`."""

    account: str
    time_zone: str
    virtual_number_id: int
    number: str
    state: str
    state_since: datetime
    removed_at: datetime | None
    employee_id: int | None
    employee: str | None
    comment: str | None


_FOUND: Final = """
select n.account, a.time_zone, n.virtual_number_id, n.number, n.state, n.state_since, n.removed_at,
       n.employee_id, n.employee, n.comment
  from unnest(cast(:account_ids as integer[]), cast(:number_ids as bigint[])) with ordinality
       as k (account_id, virtual_number_id, position)
  join analytics.numbers_all n using (account_id, virtual_number_id)
  join analytics.accounts a using (account_id)
 order by k.position
"""


async def read_found_numbers(
    engine: Engine, keys: Sequence[NumberKey], *, statement_seconds: float
) -> list[FoundNumber]:
    """Reads what a list of found numbers shows, in the order of the keys.

    Raises:
        DatabaseError: The database cannot be read, or the statement takes too long.
    """
    parameters = {"account_ids": [key.account_id for key in keys], "number_ids": [key[1] for key in keys]}
    async with read_snapshot(engine, statement_seconds=statement_seconds) as connection:
        return [FoundNumber(*row) for row in await connection.execute(text(_FOUND), parameters)]


async def require_views(engine: Engine) -> None:
    """Checks that the database has the views that a search reads; an analyst may do that.

    Raises:
        SchemaError: It has none.
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        if not await connection.scalar(text("select to_regclass('analytics.absences') is not null")):
            raise SchemaError("the database has no schema of syncer yet, or an old one: run `syncer migrate`")


async def read_polled_accounts(engine: Engine) -> list[str]:
    """Reads the names of all accounts that were ever polled, sorted; an analyst may do that.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with read_snapshot(engine) as connection:
        return list(await connection.scalars(text("select account from analytics.accounts order by account")))
