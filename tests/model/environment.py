"""What all plans share: a database, the program's connections to it, and the endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from syncer.emulator import STATIC, Emulator
from syncer.store.engine import Engine
from tests.builders import BlockingEndpoint, PolledAccount, connect, settings_for
from tests.model.database_rows import RowDeletion
from tests.model.disturbances import HOUR

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    import asyncpg

    from tests.model.plan_run import Plan

_BATCH: Final = 3
"""The number of records per batch: so small that most responses take several batches."""
# A function that is replaced for each poll would be planned again for each poll, and its old rows stay in the catalog.
_CLOCK: Final = """
create table public.model_clock (moment timestamptz not null);
insert into public.model_clock values (now());
create or replace function syncer.clock() returns timestamptz language sql stable
return (select moment from public.model_clock)
"""


@dataclass
class Environment:
    """What all plans share: a database, an emulated endpoint, and one whose responses can be delayed.

    Attributes:
        checking_engine: The connection that checks the invariants; apart, so that polls keep to one connection.
        sql: The connection that reads what is compared.
        killer: A connection that locks tables, terminates the sessions that wait for it, and deletes all rows.
    """

    engine: Engine
    checking_engine: Engine
    sql: asyncpg.Connection
    killer: asyncpg.Connection
    emulator: Emulator
    blocking_endpoint: BlockingEndpoint
    stack: AsyncExitStack
    processes: dict[tuple[Any, ...], PolledAccount] = field(default_factory=dict)
    deletion: RowDeletion = field(default_factory=RowDeletion)

    @classmethod
    async def build(cls, stack: AsyncExitStack, database: str) -> Self:
        def engine_of(url: str, **options: Any) -> Engine:
            engine = Engine(lambda: url, **options)
            stack.push_async_callback(engine.dispose)
            return engine

        # What reads and checks plans its statements once: to plan the views takes longer than to read them.
        planned_once = f"{database}?plan_cache_mode=force_generic_plan"
        checking_engine = engine_of(planned_once, query_pool_size=1)
        sql = await connect(planned_once)
        stack.push_async_callback(sql.close)
        await sql.execute(_CLOCK)
        killer = await connect(database)
        stack.push_async_callback(killer.close)
        emulator = await stack.enter_async_context(Emulator(numbers=1, rates=STATIC))
        blocking_endpoint = await stack.enter_async_context(BlockingEndpoint())
        engine = engine_of(database)
        return cls(engine, checking_engine, sql, killer, emulator, blocking_endpoint, stack)

    async def process(self, role: str, name: str, url: str, plan: Plan) -> PolledAccount:
        """Returns a restarted process that polls an account; a new one would load the certificates each time."""
        key = (role, name, plan.ratio, plan.hold_hours, plan.confirmations)
        if key not in self.processes:
            settings = settings_for(
                self.emulator,
                account_name=name,
                api_url=url,
                removal_guard_ratio=plan.ratio,
                removal_guard_hold=plan.hold_hours * HOUR,
                removal_confirmations=plan.confirmations,
            )
            made = PolledAccount(self.engine, self.emulator, self.sql, settings, batch=_BATCH)
            self.processes[key] = await self.stack.enter_async_context(made)
        self.processes[key].restart()
        return self.processes[key]
