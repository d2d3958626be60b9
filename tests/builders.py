"""Builders for tests: records as the vendor sends them, accounts and daemons, and an account that polls them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import asyncpg
from aiohttp import web
from pydantic import SecretStr

from syncer.config.accounts import load_accounts
from syncer.config.settings import Settings
from syncer.daemon.scheduler import Daemon
from syncer.database import Database
from syncer.diff.reconcile import reconcile, reconcile_absences
from syncer.diff.record import VendorRecord
from syncer.emulator import Emulator, faults
from syncer.endpoint.client import Source
from syncer.poll import BATCH_SIZE, Poller
from syncer.store.engine import Engine
from syncer.store.invariants import find_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from datetime import datetime, timedelta

    from syncer.config.accounts import Account
    from syncer.diff.changeset import ChangeSet
    from syncer.diff.removal_guard import RemovalGuard
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StoredAccount, StoredNumbers
    from syncer.notices.rules import NotifyFile
    from syncer.outcome import PollResult, Trigger
    from tests.proxy import Proxy

APP_ID = 1200054


def record(id: int = 250, **fields: Any) -> dict[str, Any]:  # noqa: A002 - the vendor's name
    """Returns a record with every key that the vendor documents. `fields` replace its values or add keys."""
    return (
        dict.fromkeys(VendorRecord.__struct_fields__)
        | {
            "number": f"79{id:09}",
            "type": "def",
            "purpose": "company",
            "id": id,
            "state": "active",
            "from_redirect_numbers": [],
            "region_name": "регион Москва",
            "app_id": APP_ID,
            "nc_type": "custom",
        }
        | fields
    )


def reconcile_response(
    parsed: ParsedResponse, stored_numbers: StoredNumbers, stored_account: StoredAccount, guard: RemovalGuard
) -> ChangeSet:
    """Returns all changes of a response in one change set, as if its records were one batch."""
    record_changes = reconcile(parsed.records, stored_numbers, stored_account)
    absence_changes = reconcile_absences(parsed, stored_account, guard)
    counters = record_changes.counters.copy()
    counters.update(absence_changes.counters)
    return replace(
        record_changes,
        presence_updates=record_changes.presence_updates + absence_changes.presence_updates,
        is_first_or_rejections_changed=absence_changes.is_first_or_rejections_changed,
        counters=counters,
    )


_COLLIDING_RECORD = (
    '{{"number": "79208547433", "comment": "Переадресация код d09W{}, спросить дежурного; в выходные отвечает '
    'охрана, пост 3, корпус 2, вход со двора, дом 15", "type": "def", '
    '"purpose": "company", "scenario_id": null, "group_scenario_id": null, "group_id": null, '
    '"is_scenario_active": null, "is_group_scenario_active": null, "id": 250, "state": "active", "reason": null, '
    '"from_redirect_numbers": [], "employee_id": null, "redirect_number": "7499402415{}", '
    '"region_name": "Брянская область", "app_id": 1200054, "nc_type": "custom", "sip_uri": null}}'
)
XXH3_COLLISION = (_COLLIDING_RECORD.format(1, 0).encode(), _COLLIDING_RECORD.format(0, 1).encode())
"""Two records of one number that have the same XXH3 hash, of 64 and of 128 bits: baeb0d2df1e298e1851c1afd336532f0.

They were composed without a search, from XXH3's default secret, which is published. XXH3 reads eight lanes of eight
bytes at a time. In an input of 241 to 1,024 bytes it sums, for each lane, these eight bytes, and the product of their
two halves after an exclusive or with the secret. Bytes 72 to 79 here are `d09W1, ` and half of a letter, bytes 520 to
527 are `24150", `, and both are in lane 1. For the former the secret begins with 0xded46de9, for the latter with
0x88d0658b; so both lower halves become 0xbae454be. If the digit after one of them grows by one and the digit after
the other shrinks by one, both sums stay the same.
"""


def without(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Returns a record without some of its keys."""
    return {key: value for key, value in fields.items() if key not in keys}


def redirect(id: int, number: str) -> dict[str, Any]:  # noqa: A002 - the vendor's name
    """Returns an element of `from_redirect_numbers`."""
    return {"id": id, "number": number}


def settings_for(emulator: Emulator, **settings: Any) -> Settings:
    """Returns settings for the emulated endpoint, with nothing from the environment.

    There is one attempt per poll, and one response is enough to remove the numbers that it does not list.
    """
    given: dict[str, Any] = {
        "api_url": emulator.url,
        "api_token": SecretStr("token"),
        "api_attempts": 1,
        "removal_confirmations": 1,
    }
    return Settings.model_construct(**given | settings)


def accounts_named(settings: Settings, names: Sequence[str]) -> list[Account]:
    """Returns copies of the settings' only account under several names. The token of each is its name."""
    (account,) = load_accounts(settings)
    return [replace(account, name=name, token=SecretStr(name)) for name in names]


@asynccontextmanager
async def running_daemon(
    emulator: Emulator,
    database: str,
    *,
    names: Sequence[str] = (),
    notify_file: NotifyFile | None = None,
    lists: Sequence[str] = (),
    **given: Any,
) -> AsyncIterator[Daemon]:
    """Runs a daemon in this process, with the settings' only account or with copies of it under `names`.

    `lists` are the words of SYNCER_NAMES.
    """
    settings = settings_for(emulator, database_url=SecretStr(database), names=tuple(lists), **given)
    accounts = accounts_named(settings, names) if names else load_accounts(settings)
    with Database(settings) as connected:
        async with Source(settings) as source:
            daemon = Daemon(connected, Poller(connected.engine, source, settings), accounts, notify_file)
            stop = asyncio.Event()
            runs = asyncio.create_task(daemon.run(stop))
            try:
                yield daemon
            finally:
                stop.set()
                await runs
        await connected.dispose()


class WaitingRequest:
    """A request that waits until the test answers it."""

    def __init__(self) -> None:
        self._body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answer(self, *records: Any) -> None:
        """Answers the request with these records."""
        self.answer_with(json.dumps(records, ensure_ascii=False).encode())

    def answer_with(self, body: bytes) -> None:
        """Answers the request with these bytes."""
        self._body.set_result(body)

    async def body(self) -> bytes:
        """Waits for the body of the answer."""
        return await self._body


class BlockingEndpoint:
    """An endpoint that keeps every request waiting until the test answers it."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[WaitingRequest] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/numbers/virtual-number", self._answer)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        waiting = WaitingRequest()
        await self.received.put(waiting)
        return web.Response(body=await waiting.body(), content_type="application/json")


async def age_runs(sql: asyncpg.Connection, by: timedelta) -> None:
    """Moves all runs, and the accounts' first, back in time; a trigger refuses that to who may not switch it off."""
    await sql.execute("alter table syncer.sync_run disable trigger finished_stays_finished")
    await sql.execute("update syncer.sync_run set started_at = started_at - $1::interval", by)
    await sql.execute("alter table syncer.sync_run enable trigger finished_stays_finished")
    await sql.execute("update syncer.account_fence set first_success_at = first_success_at - $1::interval", by)


async def connect(url: str) -> asyncpg.Connection:
    """Opens a connection that the product does not use."""
    return await asyncpg.connect(url)


async def broken_invariants(url: str) -> list[str]:
    """Returns the violations that `syncer check --data` would report for a database."""
    engine = Engine(lambda: url)
    broken = [str(violation) async for violation in find_violations(engine)]
    await engine.dispose()
    return broken


async def execute(url: str, statement: str) -> None:
    """Executes a statement on a separate connection."""
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


@contextmanager
def migrated_database(server: str, name: str) -> Iterator[str]:
    """Creates a database with the newest schema, for tests that use several event loops, and yields its address."""
    asyncio.run(execute(server, f"create database {name} template migrated strategy file_copy"))
    yield f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(execute(server, f"drop database {name} with (force)"))


class PolledAccount:
    """An account that is polled over HTTP into a real database, with the responses that a test chooses."""

    def __init__(
        self,
        engine: Engine,
        emulator: Emulator,
        sql: asyncpg.Connection,
        settings: Settings,
        *,
        batch: int = BATCH_SIZE,
    ) -> None:
        self.engine = engine
        self.emulator = emulator
        self.sql = sql
        self.settings = settings
        self._batch = batch
        self._source = Source(settings)
        self.poller = Poller(engine, self._source, settings, batch_size=batch)
        (self.account,) = load_accounts(settings)

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._source.__aexit__(None, None, None)

    async def poll(self, *records: Any, trigger: Trigger = "schedule") -> PollResult:
        """Polls once, with these records as the response."""
        return await self.poll_body(json.dumps(records, ensure_ascii=False).encode(), trigger=trigger)

    async def poll_body(self, body: bytes, *, trigger: Trigger = "schedule") -> PollResult:
        """Polls once, with these bytes as the response."""
        self.emulator.fault = faults.Body(body=body.decode(errors="surrogateescape"))
        return await self.poll_again(trigger=trigger)

    async def poll_again(self, *, trigger: Trigger = "schedule") -> PollResult:
        """Polls once, with the response that the emulated endpoint is set to."""
        return await self.poller.poll(self.account, trigger)

    async def poll_superseded(self, *records: Any) -> PollResult:
        """Polls once, with these records as the response, while a run that began later succeeds."""
        async with self.sql.transaction():
            await self.sql.execute("update syncer.account_fence set success_run_id = 100")
            poll = asyncio.create_task(self.poll(*records))
            while not await self.sql.fetchval("select exists(select from syncer.sync_run where outcome = 'running')"):
                pass  # each question lets the poll go on
        return await poll

    @asynccontextmanager
    async def through(self, proxy: Proxy) -> AsyncIterator[PolledAccount]:
        """Yields the same account, polled by a process that connects to the database through a proxy."""
        engine = Engine(lambda: proxy.url)
        async with PolledAccount(engine, self.emulator, self.sql, self.settings) as behind_proxy:
            yield behind_proxy
        await engine.dispose()

    async def stay_due(self) -> None:
        """Makes all accounts polled now, as by a daemon whose polls fail: what has not ended lasts until now."""
        await self.sql.execute("update syncer.account_fence set attempted_at = now()")

    async def set_clock(self, moment: datetime | None) -> None:
        """Stops the database's clock at `moment`, or restarts it if that is None."""
        now = "clock_timestamp()" if moment is None else f"timestamptz '{moment.isoformat()}'"
        await self.sql.execute(
            f"create or replace function syncer.clock() returns timestamptz language sql stable as $$ select {now} $$"
        )

    async def poll_at(self, moment: datetime, *records: Any, trigger: Trigger = "schedule") -> PollResult:
        """Polls once, with these records as the response and the database's clock stopped at `moment`."""
        await self.set_clock(moment)
        return await self.poll(*records, trigger=trigger)

    def restart(self) -> None:
        """Polls from now on like a newly started process: nothing is cached."""
        self.poller = Poller(self.engine, self._source, self.settings, batch_size=self._batch)

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Returns the rows of a query."""
        return [tuple(row) for row in await self.sql.fetch(query, *arguments)]

    async def row(self, query: str, *arguments: Any) -> tuple[Any, ...]:
        """Returns the only row of a query."""
        (only,) = await self.rows(query, *arguments)
        return only

    async def broken_invariants(self) -> Sequence[str]:
        """Returns the violations that `syncer check --data` would report."""
        return [str(violation) async for violation in find_violations(self.engine)]
