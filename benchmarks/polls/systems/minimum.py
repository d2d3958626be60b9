"""Does the minimum for the same work.

    python -m benchmarks.polls.systems.minimum ENDPOINT DATABASE KIND

`request` receives the response's bytes; `digest` also hashes them; `inflate` inflates them too. `load` decodes typed
records and writes them by binary COPY to the program's own tables, with their keys and foreign keys; `load-bare` does
so where these tables have primary keys only. It shares no code with the program except the names of columns and the
hash; it compares nothing, guards nothing and recovers from nothing.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import msgspec
from isal import isal_zlib

from benchmarks.polls.systems.steps import run_steps
from syncer.diff.content_hash import UNKEYED
from syncer.store.record_columns import RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class Redirect(msgspec.Struct, frozen=True, gc=False):
    """One of `from_redirect_numbers`."""

    id: int
    number: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as the vendor documents it."""

    id: int
    number: str
    state: str
    comment: str | None = None
    type: str | None = None
    purpose: str | None = None
    reason: str | None = None
    scenario_id: int | None = None
    group_scenario_id: int | None = None
    group_id: int | None = None
    is_scenario_active: bool | None = None
    is_group_scenario_active: bool | None = None
    employee_id: int | None = None
    dgn_number: str | None = None
    redirect_number: str | None = None
    region_name: str | None = None
    app_id: int | None = None
    nc_type: str | None = None
    sip_uri: str | None = None
    from_redirect_numbers: list[Redirect] | None = None


KEY: Final = ("account_id", "virtual_number_id")
decode: Final = msgspec.json.Decoder(list[Record]).decode
split: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_REGION: Final = RECORD_COLUMNS.index("region_id")
_before_region: Final = attrgetter(*RECORD_COLUMNS[:_REGION])
_after_region: Final = attrgetter(*RECORD_COLUMNS[_REGION + 1 :])
_LOOKUPS: Final = {
    "region (name)": "region_name",
    "number_type (type)": "type",
    "number_purpose (purpose)": "purpose",
    "number_state (state)": "state",
}
_GZIP: Final = 16 + isal_zlib.MAX_WBITS
_LEAVE_PRIMARY_KEYS: Final = """
do $$
declare
    loaded constant regclass[] := array['syncer.virtual_number', 'syncer.virtual_number_redirect',
                                        'syncer.record_fingerprint'];
    one record;
begin
    for one in select conrelid::regclass as owner, conname from pg_constraint
                where contype = 'f' and (conrelid = any (loaded) or confrelid = any (loaded)) loop
        execute format('alter table %s drop constraint %I', one.owner, one.conname);
    end loop;
    for one in select indexrelid::regclass as name from pg_index where indrelid = any (loaded) and not indisprimary loop
        execute format('drop index %s', one.name);
    end loop;
end
$$
"""


class MinimalPoller:
    """Polls one account on one connection.

    Attributes:
        connection: The database connection.
        account: The account's id, after it was loaded.
        now: The time that is written.
    """

    def __init__(self, endpoint: str, database: str) -> None:
        gc.disable()  # there are no reference cycles
        self._endpoint = endpoint
        self._regions: dict[str | None, int] = {}
        self.account = 0
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open(database))

    async def _open(self, database: str) -> None:
        self.connection: asyncpg.Connection[Any] = await asyncpg.connect(database)
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def close(self) -> None:
        """Closes both connections."""
        await self._session.close()
        await self.connection.close()

    async def fetch(self, step: int) -> bytes:
        """Returns the response body."""
        async with self._session.get(f"{self._endpoint}/{step}/numbers/virtual-number") as response:
            return await response.read()

    async def request(self, step: int) -> None:
        """Requests the response."""
        await self.fetch(step)

    async def digest(self, step: int) -> None:
        """Requests the response and hashes it."""
        UNKEYED(await self.fetch(step))

    async def inflate(self, step: int) -> None:
        """Requests the response, hashes it as it was received, inflates it, and hashes it again."""
        received = await self.fetch(step)
        UNKEYED(received)
        UNKEYED(isal_zlib.decompress(received, _GZIP))

    async def leave_primary_keys(self) -> None:
        """Drops the foreign keys and the other indexes of the tables that are loaded."""
        await self.connection.execute(_LEAVE_PRIMARY_KEYS)

    async def load(self, step: int) -> None:
        """Requests the response, decodes it, and loads it by COPY."""
        body = await self.fetch(step)
        await self.write(decode(body), split(body))

    async def write(self, records: Sequence[Record], elements: Sequence[bytes | msgspec.Raw]) -> None:
        """Loads a new account in one transaction."""
        async with self.connection.transaction():
            await self._insert_lookups(records)
            self.now: datetime = await self.connection.fetchval("select now()")
            account = self.account = await self.connection.fetchval(
                "insert into syncer.account (name, time_zone, created_at) values ('default', 'UTC', now()) "
                "returning account_id"
            )
            times = dict.fromkeys(
                ("first_seen_at", "listed_since", "changed_at", "state_since", "reason_since"), self.now
            )
            constants = times | {"run_id": 1, "reason_run_id": 1}
            await self.copy(
                "virtual_number",
                (*KEY, *RECORD_COLUMNS, "extra", *constants),
                [(account, one.id, *self.values(one), "{}", *constants.values()) for one in records],
            )
            await self.open_redirects(
                ((one.id, other.id, other.number) for one in records for other in one.from_redirect_numbers or ()),
                run=1,
            )
            await self.copy(
                "record_fingerprint",
                (*KEY, "fingerprint", "decoder_version"),
                [(account, one.id, UNKEYED(raw), 1) for one, raw in zip(records, elements, strict=True)],
            )

    def values(self, one: Record) -> tuple[Any, ...]:
        """Returns the values of a record in the order of the columns."""
        return (*_before_region(one), self._regions.get(one.region_name), *_after_region(one))

    async def open_redirects(self, redirects: Iterable[tuple[int, int, str]], *, run: int) -> None:
        """Inserts the redirects that are listed now."""
        await self.copy(
            "virtual_number_redirect",
            (*KEY, "redirect_number_id", "number", "valid_from", "run_id"),
            [(self.account, *redirect, self.now, run) for redirect in redirects],
        )

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Copies rows in binary format."""
        await self.connection.copy_records_to_table(table, schema_name="syncer", columns=columns, records=rows)

    async def _insert_lookups(self, records: Iterable[Record]) -> None:
        for target, field in _LOOKUPS.items():
            values = sorted({value for one in records if (value := getattr(one, field)) is not None})
            documented = "" if field == "region_name" else ", documented"
            await self.connection.execute(
                f"insert into syncer.{target.replace(')', documented + ')')} "
                f"select unnest($1::text[]){', false' if documented else ''} on conflict do nothing",
                values,
            )
        found = await self.connection.fetch("select name, region_id from syncer.region")
        self._regions = {row["name"]: row["region_id"] for row in found}


def main(endpoint: str, database: str, kind: str) -> None:
    """Runs the requested steps. Only `load` and `load-bare` use the database; they run once."""
    poller = MinimalPoller(endpoint, database)
    run = poller.loop.run_until_complete
    work = {
        "request": poller.request,
        "digest": poller.digest,
        "inflate": poller.inflate,
        "load": poller.load,
        "load-bare": poller.load,
    }[kind]
    if kind == "load-bare":
        run(poller.leave_primary_keys())
    run(poller.request(0))  # to warm up
    run_steps(lambda step: run(work(step)))
    run(poller.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
