"""What tests are made of: records as the vendor sends them, and an account to poll with them."""

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
from syncer.emulator import Emulator, faults
from syncer.endpoint.client import Source
from syncer.poll import BATCH_SIZE, Poller
from syncer.store.engine import create_engine
from syncer.store.invariants import find_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.diff.changeset import ChangeSet
    from syncer.diff.removal_guard import RemovalGuard
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import StoredNumbers, StoredState
    from syncer.outcome import PollResult, Trigger
    from tests.proxy import Proxy

APP_ID = 1200054


def record(id: int = 250, **fields: Any) -> dict[str, Any]:  # noqa: A002 - the vendor's word
    """A record with every key that the vendor documents; `fields` replace what it says."""
    return {
        "number": f"79{id:09}",
        "comment": None,
        "type": "def",
        "purpose": "company",
        "scenario_id": None,
        "group_scenario_id": None,
        "group_id": None,
        "is_scenario_active": None,
        "is_group_scenario_active": None,
        "id": id,
        "state": "active",
        "reason": None,
        "from_redirect_numbers": [],
        "employee_id": None,
        "dgn_number": None,
        "redirect_number": None,
        "region_name": "регион Москва",
        "app_id": APP_ID,
        "nc_type": "custom",
        "sip_uri": None,
    } | fields


def decide(parsed: ParsedResponse, numbers: StoredNumbers, known: StoredState, guard: RemovalGuard) -> ChangeSet:
    """All that a response changes in one decision, as if its records were one batch."""
    of_records = reconcile(parsed.records, numbers, known)
    rest = reconcile_absences(parsed, known, guard)
    counters = of_records.counters.copy()
    counters.update(rest.counters)
    return replace(
        of_records,
        presence_updates=of_records.presence_updates + rest.presence_updates,
        is_first_or_rejections_changed=rest.is_first_or_rejections_changed,
        counters=counters,
    )


def without(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A record in which some keys are absent."""
    return {key: value for key, value in fields.items() if key not in keys}


def redirect(id: int, number: str) -> dict[str, Any]:  # noqa: A002 - the vendor's word
    """An element of `from_redirect_numbers`."""
    return {"id": id, "number": number}


def settings_for(emulator: Emulator, **settings: Any) -> Settings:
    """Settings that ask the emulated endpoint, once a poll, and take nothing from the environment."""
    given: dict[str, Any] = {"api_url": emulator.url, "api_token": SecretStr("token"), "api_attempts": 1}
    return Settings.model_construct(**given | settings)


def accounts_of(settings: Settings, names: Sequence[str]) -> list[Account]:
    """Several accounts where the settings have one; each has its name for a token."""
    (account,) = load_accounts(settings)
    return [replace(account, name=name, token=SecretStr(name)) for name in names]


@asynccontextmanager
async def running_daemon(
    emulator: Emulator, database: str, *, names: Sequence[str] = (), **given: Any
) -> AsyncIterator[Daemon]:
    """A daemon in this process, with the one account or with those named."""
    settings = settings_for(emulator, database_url=SecretStr(database), **given)
    accounts = accounts_of(settings, names) if names else load_accounts(settings)
    with Database(settings) as connected:
        async with Source(settings) as source:
            daemon = Daemon(connected, Poller(connected.engine, source, settings), accounts)
            stop = asyncio.Event()
            runs = asyncio.create_task(daemon.run(stop))
            try:
                yield daemon
            finally:
                stop.set()
                await runs
        await connected.dispose()


class WaitingRequest:
    """A request that was received and is answered when the test says so."""

    def __init__(self) -> None:
        self._body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answer(self, *records: Any) -> None:
        """Answers it with these records."""
        self._body.set_result(json.dumps(records, ensure_ascii=False).encode())

    async def body(self) -> bytes:
        """What it is answered with."""
        return await self._body


class PatientEndpoint:
    """An endpoint that keeps every request waiting until the test answers it."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[WaitingRequest] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/numbers/virtual-number", self._answer)
        self._runner = web.AppRunner(application)
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


async def connect(url: str) -> asyncpg.Connection:
    """A connection of the test's own."""
    return await asyncpg.connect(url)


async def broken_invariants(url: str) -> list[str]:
    """What `syncer check --data` would say of a database."""
    engine = create_engine(lambda: url)
    broken = [str(violation) async for violation in find_violations(engine)]
    await engine.dispose()
    return broken


async def execute(url: str, statement: str) -> None:
    """Executes a statement on a connection of its own."""
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


@contextmanager
def kept_database(server: str, name: str) -> Iterator[str]:
    """The address of a database with the newest schema, for tests of several event loops."""
    asyncio.run(execute(server, f"create database {name} template migrated"))
    yield f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(execute(server, f"drop database {name} with (force)"))


class PolledAccount:
    """One account, polled over real HTTP into a real database with the responses that a test gives."""

    def __init__(
        self,
        engine: AsyncEngine,
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
        """One poll that is answered with these records."""
        return await self.poll_body(json.dumps(records, ensure_ascii=False).encode(), trigger=trigger)

    async def poll_body(self, body: bytes, *, trigger: Trigger = "schedule") -> PollResult:
        """One poll that is answered with these bytes."""
        self.emulator.fault = faults.Body(body=body.decode(errors="surrogateescape"))
        return await self.poll_again(trigger=trigger)

    async def poll_again(self, *, trigger: Trigger = "schedule") -> PollResult:
        """One poll that is answered as the endpoint is set to."""
        return await self.poller.poll(self.account, trigger)

    @asynccontextmanager
    async def through(self, proxy: Proxy) -> AsyncIterator[PolledAccount]:
        """The same account, polled by a process whose way to the database leads through a proxy."""
        engine = create_engine(lambda: proxy.url)
        async with PolledAccount(engine, self.emulator, self.sql, self.settings) as behind_proxy:
            yield behind_proxy
        await engine.dispose()

    async def set_clock(self, moment: datetime | None) -> None:
        """Stops the database's clock at a moment, or lets it go again."""
        now = "clock_timestamp()" if moment is None else f"timestamptz '{moment.isoformat()}'"
        await self.sql.execute(
            f"create or replace function syncer.clock() returns timestamptz language sql volatile as $$ select {now} $$"
        )

    async def poll_at(self, moment: datetime, *records: Any, trigger: Trigger = "schedule") -> PollResult:
        """One poll with the database's clock stopped at a moment, answered with these records."""
        await self.set_clock(moment)
        return await self.poll(*records, trigger=trigger)

    def forget(self) -> None:
        """Polls from now on as a process that was just started."""
        self.poller = Poller(self.engine, self._source, self.settings, batch_size=self._batch)

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """What a query returns."""
        return [tuple(row) for row in await self.sql.fetch(query, *arguments)]

    async def row(self, query: str, *arguments: Any) -> tuple[Any, ...]:
        """The one row that a query returns."""
        (only,) = await self.rows(query, *arguments)
        return only

    async def broken_invariants(self) -> Sequence[str]:
        """What `syncer check --data` would say."""
        return [str(violation) async for violation in find_violations(self.engine)]
