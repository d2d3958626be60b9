"""Erases personal data of a number or an employee, as the schema's owner: masks them in place; history keeps its shape.

A row that was deleted would be missing from the counters of its run, and a number that was deleted would be new with
the next poll. So rows stay, with their states, types, regions and times, and lose what says whose they are. What was
erased is remembered (`syncer.diff.erasures`), since the vendor goes on listing it. Everything is one transaction under
the account's fence: a poll waits for it as for another poll, and the next one finds it.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from uuid import uuid4

from syncer.diff.content_hash import ContentHash
from syncer.diff.erasures import (
    PERSONAL_COLUMNS,
    TEXT_COLUMNS,
    Erasures,
    digits_of,
    hash_comment,
    hash_number,
    hash_spellings,
    mask_of,
    redirect_mask,
)
from syncer.store.active_erasures import load_erasures
from syncer.store.engine import autocommit_connection, local_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    import asyncpg

    from syncer.store.engine import Engine

Kind = Literal["number", "age", "employee"]
MASKED_TABLES: Final = (
    "syncer.virtual_number",
    "syncer.virtual_number_history",
    "syncer.virtual_number_redirect",
    "syncer.virtual_number_redirect_history",
    "syncer.state_history",
    "syncer.rejected_record",
    "syncer.name",
    "syncer.name_history",
)
"""The tables that can have something of a number or of an employee."""
_VERSIONS: Final = MASKED_TABLES[:2]
_REDIRECTS: Final = MASKED_TABLES[2:4]
_NAMES: Final = MASKED_TABLES[6:]

_SETTINGS: Final = {"lock_timeout": "20s", "syncer.erasing": "on"}
_LOCK: Final = "select from syncer.account_fence where account_id = $1 for no key update"
# Also against those who write names, for which a shared lock of the row is enough: they do not wait for polls.
_LOCK_ALONE: Final = "select from syncer.account_fence where account_id = $1 for update"
_IS_OWNER: Final = """
select pg_get_userbyid(relowner) = current_user from pg_class where oid = 'syncer.virtual_number_history'::regclass
"""
_KEY: Final = "select key from syncer.hash_key"
_IDS: Final = """
select virtual_number_id, number, true as is_current
  from syncer.virtual_number where account_id = $1 and number = any($2::text[])
 union
select virtual_number_id, number, false
  from syncer.virtual_number_history where account_id = $1 and number = any($2::text[])
 order by 1, 3
"""
_OLD_IDS: Final = """
select n.virtual_number_id from syncer.virtual_number n
 where n.account_id = $1 and n.removed_at < syncer.clock() - $2::interval
   and not exists (select from syncer.erasure e where e.account_id = n.account_id and e.lifted_at is null
                      and e.virtual_number_id = n.virtual_number_id)
 order by 1 limit $3
"""
_INSERT: Final = """
insert into syncer.erasure (account_id, kind, virtual_number_id, number_hash, erased_at, erased_by, reason, rows,
                            employee_id, comment_hashes)
values ($1, $2, $3, $4, syncer.clock(), session_user, $5, '{}', $6, $7)
returning erasure_id
"""
_COUNT: Final = "update syncer.erasure set rows = $3::jsonb where account_id = $1 and erasure_id = $2"
_NUMBERS_OF_REDIRECTS: Final = """
select distinct number from syncer.virtual_number_redirect where account_id = $1 and virtual_number_id = $2
 union
select distinct number from syncer.virtual_number_redirect_history where account_id = $1 and virtual_number_id = $2
"""
_FORGET_BODY: Final = """
update syncer.account_fence set body_digest = null, fingerprints_version = $2 where account_id = $1
"""
_IS_NEW_EMPLOYEE: Final = """
select (exists (select from syncer.name where account_id = $1 and list = 'employees' and object_id = $2)
        or exists (select from syncer.virtual_number where account_id = $1 and employee_id = $2)
        or exists (select from syncer.virtual_number_history where account_id = $1 and employee_id = $2))
       and not exists (select from syncer.erasure
                        where account_id = $1 and employee_id = $2 and lifted_at is null
                          and (comment_hashes is not null or not $3))
"""
_COMMENTS_OF_EMPLOYEE: Final = """
select comment from syncer.virtual_number where account_id = $1 and employee_id = $2 and comment is not null
 union
select comment from syncer.virtual_number_history where account_id = $1 and employee_id = $2 and comment is not null
"""
_FORGET_LIST: Final = "update syncer.name_list set body_digest = null where account_id = $1"
_FORGET_FINGERPRINTS: Final = "delete from syncer.record_fingerprint where account_id = $1"
_PAYLOADS: Final = """
select rejected_record_id, payload from syncer.rejected_record where account_id = $1 and payload <> ''
"""


class Erasure(NamedTuple):
    """An erasure as it is remembered.

    Attributes:
        kind: `number` or `employee` if it was asked for, `age` if the number had been removed for long.
        virtual_number_id: The number's id; None if only other numbers mentioned it, and of an employee.
        number_hash: By which the phone number is recognised; None if it is not looked for.
        rows: How many rows of each table were masked.
        employee_id: The employee's id; None of a number.
        comment_hashes: By which the comments are recognised that were erased with an employee; None if they were kept.
    """

    account_id: int
    account: str
    erasure_id: int
    kind: Kind
    virtual_number_id: int | None
    number_hash: bytes | None
    erased_at: datetime
    erased_by: str
    reason: str | None
    rows: dict[str, int]
    lifted_at: datetime | None
    employee_id: int | None
    comment_hashes: list[bytes] | None


@dataclass(slots=True)
class Eraser:
    """Erases numbers and employees of one account, in one transaction.

    Attributes:
        erasure_ids: The erasures so far.
        rows: How many rows of each table were masked so far.
    """

    connection: asyncpg.Connection[Any]
    account_id: int
    content_hash: ContentHash
    erasure_ids: list[int] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    async def erase_number(self, *spellings: str, reason: str | None) -> None:
        """Erases a phone number wherever it is; of the numbers that have or had it, all that is personal.

        Args:
            spellings: The phone number, in each spelling that is looked for.
            reason: Why, to be stored with the erasure.
        """
        numbers = {id_: number for id_, number, _ in await self.connection.fetch(_IDS, self.account_id, spellings)}
        masks: dict[bytes, str] = {}
        for virtual_number_id, number in numbers.items():
            number_hash = hash_number(number, self.content_hash)
            mask = await self._erase_id("number", virtual_number_id, number_hash, reason)
            masks.setdefault(number_hash, mask)
        if not masks:
            if not any([await self._is_mentioned(number) for number in spellings]):
                return
            number_hash = hash_number(spellings[0], self.content_hash)
            masks[number_hash] = await self._remember("number", None, number_hash, reason)
        erasures = Erasures(by_hash=masks, content_hash=self.content_hash)
        # Ten digits are a part of the spellings that have eleven: replaced first, they would leave one digit of these.
        # Digits alone go before the same digits with something around them: a poll replaces the digits alone.
        for number in sorted(spellings, key=lambda spelling: (-len(digits_of(spelling)), len(spelling))):
            mask = erasures.mask_number(number) or redirect_mask(next(iter(masks.values())), number, self.content_hash)
            await self._mask_mentions(number, mask)

    async def erase_removed(self, age: timedelta, limit: int, reason: str | None) -> int:
        """Erases numbers that were removed longer ago; returns how many, at most `limit`."""
        ids = [id_ for (id_,) in await self.connection.fetch(_OLD_IDS, self.account_id, age, limit)]
        for virtual_number_id in ids:
            await self._erase_id("age", virtual_number_id, None, reason)
        return len(ids)

    async def erase_employee(self, employee_id: int, reason: str | None, *, comments: bool) -> None:
        """Erases the name and the position of an employee, in all versions.

        Args:
            employee_id: The vendor's id.
            reason: Why, to be stored with the erasure.
            comments: Whether to erase the comments and the unknown fields of the employee's numbers, too.
        """
        key = (self.account_id, employee_id)
        if await self.connection.fetchval(_IS_NEW_EMPLOYEE, *key, comments):
            await self._erase_employee(employee_id, reason, [] if comments else None)

    async def _erase_employee(self, employee_id: int, reason: str | None, hashes: Sequence[bytes] | None) -> None:
        """Erases an employee; with comments if there are hashes, to which those of the stored comments are added."""
        key = (self.account_id, employee_id)
        texts: list[str] = []
        if hashes is not None:
            texts = [comment for (comment,) in await self.connection.fetch(_COMMENTS_OF_EMPLOYEE, *key)]
            hashes = sorted({*hashes, *(hash_comment(comment, self.content_hash) for comment in texts)})
        await self._remember("employee", None, None, reason, employee_id, hashes)
        for table in _NAMES:
            named = "t.list = 'employees' and t.object_id = $2 and (t.name, t.position) is distinct from (null, null)"
            await self._update(table, "name = null, position = null", named, *key)
        if hashes is None:
            return
        silent = "(t.employee_id = $2 or t.comment = any($3::text[]))"
        await self._update(
            "syncer.virtual_number",
            "comment = null, extra = case when employee_id = $2 then '{}' else extra end",
            f"{silent} and (t.comment is not null or t.extra <> '{{}}')",
            *key,
            texts,
        )
        await self._update(
            "syncer.virtual_number_history", "comment = null", f"{silent} and comment is not null", *key, texts
        )
        await self._update(
            "syncer.rejected_record",
            "payload = ''",
            "payload <> '' and (t.virtual_number_id in (select virtual_number_id from syncer.virtual_number"
            "                                           where account_id = $1 and employee_id = $2"
            "                                            union select virtual_number_id"
            "                                             from syncer.virtual_number_history"
            "                                           where account_id = $1 and employee_id = $2)"
            "                   or t.rejected_record_id = any($3::uuid[]))",
            *key,
            await self._find_rejections(),
        )

    async def _find_rejections(self) -> list[UUID]:
        """Returns the rejected records that have something of what was erased, or may have."""
        erasures = await load_erasures(self.connection, self.account_id, self.content_hash)
        rows = self.connection.cursor(_PAYLOADS, self.account_id)
        return [rejected_record_id async for rejected_record_id, payload in rows if erasures.is_in_payload(payload)]

    async def erase_again(self, erasure: Erasure) -> None:
        """Erases what was erased before a backup was restored that is older."""
        if erasure.employee_id is not None:
            await self._erase_employee(erasure.employee_id, erasure.reason, erasure.comment_hashes)
        if erasure.virtual_number_id is not None:
            await self._erase_id(erasure.kind, erasure.virtual_number_id, erasure.number_hash, erasure.reason)
        if erasure.number_hash is None:
            return
        numbers = await self._find_numbers(erasure.number_hash)
        if numbers:
            await self.erase_number(*numbers, reason=erasure.reason)
        if not numbers and erasure.virtual_number_id is None:  # other numbers will mention it
            await self._remember(erasure.kind, None, erasure.number_hash, erasure.reason)

    async def _find_numbers(self, number_hash: bytes) -> list[str]:
        """Returns an erased phone number, in each of the spellings that the account has it in."""
        columns = ", ".join(column for column in TEXT_COLUMNS if column != "number")
        found = await self.connection.fetch(
            f"""
            with texts as (
                select concat_ws(' ', {columns}, extra) as text from syncer.virtual_number where account_id = $1
                 union all
                select concat_ws(' ', {columns}) from syncer.virtual_number_history where account_id = $1
                 union all select reason from syncer.state_history where account_id = $1
                 union all select number from syncer.virtual_number_redirect where account_id = $1
                 union all select number from syncer.virtual_number_redirect_history where account_id = $1
                 union all select concat_ws(' ', name, position) from syncer.name where account_id = $1
                 union all select concat_ws(' ', name, position) from syncer.name_history where account_id = $1
                 union all select analytics.readable(payload) from syncer.rejected_record where account_id = $1
            )
            select number from syncer.virtual_number where account_id = $1
             union select number from syncer.virtual_number_history where account_id = $1
             union select number from syncer.virtual_number_redirect where account_id = $1
             union select number from syncer.virtual_number_redirect_history where account_id = $1
             union select digits[1] from texts, regexp_matches(text, '[0-9]{{5,}}', 'g') digits
            """,  # noqa: S608 - tables and columns that this file names
            self.account_id,
        )
        return [number for (number,) in found if number_hash in hash_spellings(number, self.content_hash)]

    async def _erase_id(self, kind: Kind, virtual_number_id: int, number_hash: bytes | None, reason: str | None) -> str:
        mask = await self._remember(kind, virtual_number_id, number_hash, reason)
        key = (self.account_id, virtual_number_id)
        nulls = ", ".join(f"{column} = null" for column in PERSONAL_COLUMNS)
        for table in _VERSIONS:
            extra = ", extra = '{}'" if table == "syncer.virtual_number" else ""
            await self._update(table, f"number = $3, {nulls}{extra}", "virtual_number_id = $2", *key, mask)
        numbers = [number for (number,) in await self.connection.fetch(_NUMBERS_OF_REDIRECTS, *key)]
        masks = [redirect_mask(mask, number, self.content_hash) for number in numbers]
        for table in _REDIRECTS:
            await self._update(
                table,
                "number = masked.mask",
                "t.virtual_number_id = $2 and t.number = masked.number",
                *key,
                numbers,
                masks,
                source="unnest($3::text[], $4::text[]) masked (number, mask)",
            )
        await self._update("syncer.rejected_record", "payload = ''", "virtual_number_id = $2 and payload <> ''", *key)
        return mask

    async def _is_mentioned(self, number: str) -> bool:
        """Whether the phone number is in a text of any number of the account."""
        columns = [column for column in TEXT_COLUMNS if column != "number"]
        texts = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
        found: bool = await self.connection.fetchval(
            "select exists (select from syncer.virtual_number"  # noqa: S608 - tables and columns that this file names
            f"               where account_id = $1 and strpos({texts} || extra, $2) > 0)"
            f" or exists (select from syncer.virtual_number_history where account_id = $1 and strpos({texts}, $2) > 0)"
            " or exists (select from syncer.virtual_number_redirect where account_id = $1 and strpos(number, $2) > 0)"
            " or exists (select from syncer.virtual_number_redirect_history"
            "             where account_id = $1 and strpos(number, $2) > 0)"
            " or exists (select from syncer.state_history where account_id = $1 and strpos(reason, $2) > 0)"
            " or exists (select from syncer.name_version"
            "             where account_id = $1 and strpos(concat_ws(' ', name, position), $2) > 0)"
            " or exists (select from syncer.rejected_record"
            "             where account_id = $1 and position(convert_to($2, 'UTF8') in payload) > 0)",
            self.account_id,
            number,
        )
        return found

    async def _mask_mentions(self, number: str, mask: str) -> None:
        """Masks a phone number in the texts of all numbers of the account."""
        columns = [column for column in TEXT_COLUMNS if column != "number"]
        mentions = " or ".join(f"strpos({column}, $2) > 0" for column in columns)
        replaced = ", ".join(f"{column} = replace({column}, $2, $3)" for column in columns)
        arguments = (self.account_id, number, mask)
        for table in _VERSIONS:
            await self._update(table, replaced, f"({mentions})", *arguments)
        await self._update(
            "syncer.virtual_number",
            "extra = replace(extra::text, $2, $3)::jsonb",
            "strpos(extra::text, $2) > 0",
            *arguments,
        )
        for table in _REDIRECTS:
            await self._update(table, "number = replace(number, $2, $3)", "strpos(number, $2) > 0", *arguments)
        await self._update(
            "syncer.state_history", "reason = replace(reason, $2, $3)", "strpos(reason, $2) > 0", *arguments
        )
        await self._update(
            "syncer.rejected_record",
            "payload = ''",
            "position(convert_to($2, 'UTF8') in payload) > 0",
            self.account_id,
            number,
        )
        for table in _NAMES:
            named = "(strpos(name, $2) > 0 or strpos(position, $2) > 0)"
            await self._update(
                table, "name = replace(name, $2, $3), position = replace(position, $2, $3)", named, *arguments
            )

    async def _remember(
        self,
        kind: Kind,
        virtual_number_id: int | None,
        number_hash: bytes | None,
        reason: str | None,
        employee_id: int | None = None,
        comment_hashes: Sequence[bytes] | None = None,
    ) -> str:
        erasure_id = await self.connection.fetchval(
            _INSERT, self.account_id, kind, virtual_number_id, number_hash, reason, employee_id, comment_hashes
        )
        self.erasure_ids.append(erasure_id)
        return mask_of(erasure_id)

    async def _update(self, table: str, changes: str, condition: str, *arguments: object, source: str = "") -> None:
        joined = f" from {source}" if source else ""
        statement = f"update {table} t set {changes}{joined} where t.account_id = $1 and {condition}"  # noqa: S608 - tables and columns that this file names
        status = await self.connection.execute(statement, *arguments)
        if count := int(status.rpartition(" ")[2]):
            self.rows[table] = self.rows.get(table, 0) + count


async def is_owner(engine: Engine) -> bool:
    """Returns whether the login owns the schema, and so may erase.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        return bool(await connection.fetchval(_IS_OWNER))


@asynccontextmanager
async def erasing(engine: Engine, account_id: int, *, confirmed: bool) -> AsyncIterator[Eraser]:
    """Begins a transaction under the account's fence in which its owner may change history.

    Args:
        engine: The database, as the schema's owner.
        account_id: The account.
        confirmed: Whether to commit; otherwise it is only counted what would be masked.

    Raises:
        DatabaseError: PostgreSQL refused, or a poll holds the fence for longer than 20 seconds.
    """
    async with autocommit_connection(engine) as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(local_settings(_SETTINGS))
            await connection.execute(_LOCK_ALONE, account_id)
            eraser = Eraser(connection, account_id, ContentHash(await connection.fetchval(_KEY)))
            yield eraser
            for erasure_id in eraser.erasure_ids:
                await connection.execute(_COUNT, account_id, erasure_id, json.dumps(eraser.rows))
        except BaseException:
            await transaction.rollback()
            raise
        if confirmed and eraser.erasure_ids:
            await transaction.commit()
        else:
            await transaction.rollback()


_LIST: Final = """
select e.account_id, a.name as account, e.erasure_id, e.kind, e.virtual_number_id, e.number_hash, e.erased_at,
       e.erased_by, e.reason, e.rows::text as rows, e.lifted_at, e.employee_id, e.comment_hashes
  from syncer.erasure e join syncer.account a using (account_id)
 order by e.erasure_id
"""
_LIFT: Final = """
update syncer.erasure set lifted_at = syncer.clock()
 where erasure_id = $1 and lifted_at is null returning account_id
"""


async def list_erasures(engine: Engine) -> list[Erasure]:
    """Returns all erasures, the oldest first.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        rows = await connection.fetch(_LIST)
    return [Erasure(**{**row, "rows": json.loads(row["rows"])}) for row in rows]


async def lift_erasure(engine: Engine, erasure_id: int) -> bool:
    """Lets the number or the name of an erasure be stored again, once it is read; the past stays masked.

    Returns:
        False if there is no such erasure, or it is lifted already.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection, connection.transaction():
        account_id = await connection.fetchval(_LIFT, erasure_id)
        if account_id is None:
            return False
        await connection.execute(_LOCK, account_id)
        # Without these, the next poll would find the bytes of records unchanged, and not read them. Any number may have
        # mentioned the phone number, or have had the comment.
        await connection.execute(_FORGET_BODY, account_id, uuid4())
        await connection.execute(_FORGET_FINGERPRINTS, account_id)
        await connection.execute(_FORGET_LIST, account_id)
    return True


async def vacuum(engine: Engine, tables: Sequence[str]) -> None:
    """Frees the dead rows of these tables, and replaces their statistics: both still have what was erased.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    async with autocommit_connection(engine) as connection:
        for table in tables:
            await connection.execute(f"vacuum (analyze) {table}")
