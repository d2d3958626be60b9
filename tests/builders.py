"""What tests are made of: records as the vendor sends them, and an account to poll with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import asyncpg
from pydantic import SecretStr

from syncer.emulator import Emulator, faults
from syncer.poll import Poller
from syncer.settings import Settings, load_accounts
from syncer.source import Source
from syncer.store.invariants import violations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.outcome import PollResult, Trigger

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


def without(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A record in which some keys are absent."""
    return {key: value for key, value in fields.items() if key not in keys}


def redirect(id: int, number: str) -> dict[str, Any]:  # noqa: A002 - the vendor's word
    """An element of `from_redirect_numbers`."""
    return {"id": id, "number": number}


def settings_for(emulator: Emulator, **settings: Any) -> Settings:
    """Settings that ask the emulated endpoint, once a poll, and take nothing from the environment."""
    given = {"api_url": emulator.url, "api_token": SecretStr("token"), "api_attempts": 1}
    return Settings.model_construct(**given | settings)


async def connect(url: str) -> asyncpg.Connection:
    """A connection of the test's own."""
    return await asyncpg.connect(url)


class PolledAccount:
    """One account, polled over real HTTP into a real database with the responses that a test gives."""

    def __init__(self, engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection, settings: Settings) -> None:
        self.engine = engine
        self.emulator = emulator
        self.sql = sql
        self.settings = settings
        self._source = Source(settings)
        self.poller = Poller(engine, self._source, settings)
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

    def forget(self) -> None:
        """Polls from now on as a process that was just started."""
        self.poller = Poller(self.engine, self._source, self.settings)

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """What a query returns."""
        return [tuple(row) for row in await self.sql.fetch(query, *arguments)]

    async def row(self, query: str, *arguments: Any) -> tuple[Any, ...]:
        """The one row that a query returns."""
        (only,) = await self.rows(query, *arguments)
        return only

    async def broken_invariants(self) -> Sequence[str]:
        """What `syncer check --data` would say."""
        return [str(violation) async for violation in violations(self.engine)]
