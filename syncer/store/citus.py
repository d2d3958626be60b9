"""Reads whether the tables are distributed over several servers, with the extension Citus, and how these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.store.driver_errors import translate_errors
from syncer.store.engine import autocommit_connection

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from syncer.store.engine import Engine

# This table is in every database that has the extension, and in no other.
_HAS_CITUS: Final = "select to_regclass('pg_catalog.pg_dist_partition') is not null"
_IS_DISTRIBUTED: Final = (
    "select exists (select from pg_catalog.pg_dist_partition where logicalrelid = to_regclass('syncer.sync_run'))"
)

_IS_WORKER: Final = "select exists (select from pg_catalog.pg_dist_local_group where groupid <> 0)"


def has_citus(connection: Connection) -> bool:
    """Returns whether the database has the extension."""
    return bool(connection.exec_driver_sql(_HAS_CITUS).scalar())


def has_distributed_tables(connection: Connection) -> bool:
    """Returns whether the tables are distributed."""
    return has_citus(connection) and bool(connection.exec_driver_sql(_IS_DISTRIBUTED).scalar())


def is_worker(connection: Connection) -> bool:
    """Returns whether the server is a worker of a cluster, and not its coordinator."""
    return has_citus(connection) and bool(connection.exec_driver_sql(_IS_WORKER).scalar())


async def is_distributed(engine: Engine) -> bool:
    """Returns whether the tables are distributed.

    Raises:
        DatabaseError: The database cannot be read.
    """
    with translate_errors():
        async with engine.connect() as connection:
            return await connection.run_sync(has_distributed_tables)


@dataclass(frozen=True, slots=True)
class Worker:
    """A server that has rows of accounts.

    Attributes:
        address: Its host and port, as the coordinator knows them.
        error: Why the coordinator cannot ask it; None if it can.
        max_prepared_transactions: Its setting of this name; 0 if it cannot be asked.
        clock_offset: By how many seconds its clock is at least ahead of the coordinator's; negative if it is behind.
    """

    address: str
    error: str | None
    max_prepared_transactions: int
    clock_offset: float


_NOW: Final = "select extract(epoch from syncer.clock())::double precision"
_WORKERS: Final = """
select format('%s:%s', nodename, nodeport) as address, success, result
  from run_command_on_workers($$
       select concat_ws(' ', extract(epoch from syncer.clock()), current_setting('max_prepared_transactions')) $$)
 order by 1
"""


async def read_workers(engine: Engine) -> list[Worker]:
    """Asks each worker of a database with distributed tables for its clock and its settings, by way of the coordinator.

    Raises:
        DatabaseError: The coordinator cannot be asked.
    """
    async with autocommit_connection(engine) as connection:
        before = await connection.fetchval(_NOW)
        answers = await connection.fetch(_WORKERS)
        after = await connection.fetchval(_NOW)
    return [_worker(*answer, window=(before, after)) for answer in answers]


def _worker(address: str, is_reached: bool, result: str, *, window: tuple[float, float]) -> Worker:
    if not is_reached:
        return Worker(address, " ".join(result.split()), max_prepared_transactions=0, clock_offset=0)
    clock, prepared = result.split()
    before, after = window
    offset = max(float(clock) - after, 0) or min(float(clock) - before, 0)
    return Worker(address, None, int(prepared), offset)
