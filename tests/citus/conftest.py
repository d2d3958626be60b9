"""Databases on a Citus cluster, and plain ones beside them on the coordinator's server.

SYNCER_TEST_CITUS_URL is the address of a database with the extension on the coordinator, of a superuser, in which two
workers are registered. The tests make databases on all three servers, and drop them. Without it they are skipped.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from syncer.store.distribution import distribute
from syncer.store.engine import Engine
from syncer.store.schema import migrate
from tests.builders import connect, execute
from tests.service.scenarios import folder, program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from syncer.emulator import Emulator
    from tests.service.processes import Program

__all__ = ["folder"]

_VARIABLE: Final = "SYNCER_TEST_CITUS_URL"
_SHARDS: Final = 8
"""Of each table; with 32, as Citus has them, most of the time of the tests would go into making tables."""
_NODES: Final = """
select groupid = 0 as is_coordinator, nodename, nodeport from pg_dist_node where noderole = 'primary'
 order by groupid
"""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Marks the tests of this folder; distributing the tables takes the first of them up to a minute."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.citus)
            item.add_marker(pytest.mark.timeout(600))


@dataclass(frozen=True)
class Cluster:
    """A coordinator and two workers, by the addresses of a database that has the same name on each."""

    coordinator: str
    workers: Sequence[str]
    nodes: Sequence[tuple[str, int]]

    def servers(self) -> Sequence[str]:
        """Returns the addresses on all servers, the coordinator's first."""
        return (self.coordinator, *self.workers)

    def worker_addresses(self, database: str) -> list[str]:
        """Returns the addresses of a database on the workers."""
        return [_named(worker, urlsplit(database).path[1:]) for worker in self.workers]

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Waits until no other process changes the cluster: its servers share their roles between databases."""
        sql = await connect(self.coordinator)
        await sql.execute("select pg_advisory_lock(1)")
        try:
            yield
        finally:
            await sql.close()

    async def create(self, name: str, template: str | None = None, *, plain: str = "template1") -> str:
        """Creates a database on all servers, with the extension and the workers, and returns the coordinator's address.

        Args:
            name: Its name.
            template: Another such database, which nobody uses, of which this becomes a copy; None for a new one.
            plain: A database without the extension, on the coordinator's server: a new one is a copy of it there.
        """
        for server in self.servers():
            copied = template or (plain if server == self.coordinator else "template1")
            await _on(server, f"create database {name} template {copied} strategy file_copy")
        if template is None:
            for server in self.servers():
                await execute(_named(server, name), "create extension citus")
            (host, port), *workers = self.nodes
            sql = await connect(_named(self.coordinator, name))
            await sql.execute("select citus_set_coordinator_host($1, $2)", host, port)
            for worker in workers:
                await sql.execute("select citus_add_node($1, $2)", *worker)
            await sql.execute(f"alter database {name} set citus.shard_count = {_SHARDS}")
            await sql.close()
        return _named(self.coordinator, name)

    async def on_workers(self, statement: str) -> None:
        """Executes a statement on each worker alone."""
        for worker in self.workers:
            await _on(worker, f"set citus.enable_ddl_propagation = off; {statement}")

    async def drop(self, name: str) -> None:
        """Drops a database on all servers."""
        for server in self.servers():
            await _on(server, f"drop database if exists {name} with (force)")

    async def close(self, name: str) -> None:
        """Ends what is connected to a database, Citus' own processes included, and lets nothing connect again."""
        for server in self.servers():
            await _on(server, f"alter database {name} allow_connections false")
            sql = await connect(server)
            await sql.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", name)
            await sql.close()


async def _on(server: str, statement: str) -> None:
    """Executes a statement that concerns one server of the cluster, whatever it would do to the others."""
    sql = await connect(server)
    with suppress(asyncpg.CantChangeRuntimeParamError):
        await sql.execute("set citus.enable_create_database_propagation = off")
    await sql.execute(statement)
    await sql.close()


def _named(server: str, database: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


async def _find_cluster(url: str) -> Cluster:
    sql = await connect(url)
    nodes = await sql.fetch(_NODES)
    await sql.close()
    found = [(node["nodename"], node["nodeport"]) for node in nodes]
    assert [node["is_coordinator"] for node in nodes] == [True, False, False], f"{_VARIABLE} has not two workers"
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    workers = [urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}")) for host, port in found[1:]]
    return Cluster(url, workers, found)


async def migrate_and_distribute(url: str) -> None:
    """Does what `syncer migrate` does."""
    engine = Engine(lambda: url, command_timeout=None)
    await migrate(engine)
    await distribute(engine)
    await engine.dispose()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster."""
    if _VARIABLE not in os.environ:
        pytest.skip(f"{_VARIABLE} is not set")
    return asyncio.run(_find_cluster(os.environ[_VARIABLE]))


@asynccontextmanager
async def _template(cluster: Cluster, *, distributed: bool) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    try:
        if distributed:
            async with cluster.alone():
                await migrate_and_distribute(await cluster.create(name))
                await cluster.close(name)
        else:
            await _on(cluster.coordinator, f"create database {name}")
            await migrate_and_distribute(_named(cluster.coordinator, name))
        yield name
    finally:
        await cluster.drop(name)


@pytest.fixture(scope="session")
def distributed_template(cluster: Cluster) -> Iterator[str]:
    """The name of a database with distributed tables, which nobody can connect to."""
    with asyncio.Runner() as runner:
        template = _template(cluster, distributed=True)
        yield runner.run(template.__aenter__())
        runner.run(template.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def plain_template(cluster: Cluster) -> Iterator[str]:
    """The name of a database with the newest schema, without the extension, on the coordinator's server alone."""
    with asyncio.Runner() as runner:
        template = _template(cluster, distributed=False)
        yield runner.run(template.__aenter__())
        runner.run(template.__aexit__(None, None, None))


@pytest.fixture(autouse=True)
async def _one_test_at_a_time(cluster: Cluster) -> AsyncIterator[None]:
    async with cluster.alone():
        yield


@pytest.fixture
async def database(cluster: Cluster, distributed_template: str) -> AsyncIterator[str]:
    """The address of a database of the test's own, with distributed tables."""
    name = f"test_{secrets.token_hex(6)}"
    yield await cluster.create(name, distributed_template)
    await cluster.drop(name)


@pytest.fixture
async def empty_database(cluster: Cluster) -> AsyncIterator[str]:
    """The address of a database of the test's own, with the extension and the workers, and without a schema."""
    name = f"test_{secrets.token_hex(6)}"
    yield await cluster.create(name)
    await cluster.drop(name)


@pytest.fixture
async def plain_database(cluster: Cluster, plain_template: str) -> AsyncIterator[str]:
    """The address of a database of the test's own on the same version of PostgreSQL, with tables as on one server."""
    name = f"test_{secrets.token_hex(6)}"
    await _on(cluster.coordinator, f"create database {name} template {plain_template} strategy file_copy")
    yield _named(cluster.coordinator, name)
    await _on(cluster.coordinator, f"drop database {name} with (force)")


@pytest.fixture
async def syncer(folder: Path, database: str, emulator: Emulator) -> AsyncIterator[Program]:
    """The program with one account, `default`, on the database of the test."""
    created = program(folder, database, emulator.url)
    yield created
    await created.kill_all()
