"""Polls of distributed tables: as the daemon's role, side by side, and what they send to the workers."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from syncer.store.engine import Engine
from tests.builders import PolledAccount, connect, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from syncer.store.engine import Connection

    Login = Callable[[str], Awaitable[str]]

NUMBERS = [record(key, from_redirect_numbers=[redirect(key + 50, f"7495{key:07}")]) for key in range(1, 11)]


@pytest.fixture
async def login(database: str, sql: asyncpg.Connection) -> AsyncIterator[Login]:
    """Creates a user that is a member of one role, and returns the database's address with its credentials."""
    users: list[str] = []

    async def create_user(role: str) -> str:
        name, password = f"{role}_{secrets.token_hex(4)}", secrets.token_hex(8)
        await sql.execute(f"create user {name} password '{password}' in role {role}")
        users.append(name)
        parts = urlsplit(database)
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))

    yield create_user
    for name in users:
        await sql.execute(f"drop user {name}")


@pytest.fixture
async def neighbour(account: PolledAccount) -> AsyncIterator[PolledAccount]:
    """Another account of the same database."""
    settings = settings_for(account.emulator, account_name="neighbour")
    async with PolledAccount(account.engine, account.emulator, account.sql, settings) as polled:
        yield polled


async def test_the_daemons_role_can_do_everything_that_polls_do(account: PolledAccount, login: Login) -> None:
    url = await login("syncer_daemon")
    engine = Engine(lambda: url)
    async with PolledAccount(engine, account.emulator, account.sql, account.settings) as daemon:
        results = [
            await daemon.poll(*NUMBERS),
            await daemon.poll(*NUMBERS),
            await daemon.poll(record(1, state="porting", region_name="Луна"), *NUMBERS[1:], record(11, number=None)),
            await daemon.poll(record(1, state="porting", region_name="Луна"), *NUMBERS[1:], record(11, number=7)),
            await daemon.poll(*NUMBERS[1:]),
            await daemon.poll(*NUMBERS, record(12)),
            await daemon.poll_body(b"nonsense"),
        ]
    await engine.dispose()

    assert [(one.outcome, one.error) for one in results[:-1]] == [
        ("applied", None),
        ("unchanged", None),
        *[("applied", None)] * 4,
    ]
    assert [(one.created, one.changed, one.removed, one.restored, one.rejected) for one in results] == [
        (10, 0, 0, 0, 0),
        (0, 0, 0, 0, 0),
        (0, 1, 0, 0, 1),
        (0, 0, 0, 0, 1),
        (0, 0, 1, 0, 0),
        (1, 0, 0, 1, 0),
        (0, 0, 0, 0, 0),
    ]
    assert (results[-1].outcome, results[-1].error_kind) == ("failed", "not_json")
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("role", ["owner", "syncer_daemon"])
@pytest.mark.parametrize(
    "statement",
    [
        "update syncer.state_history set state = 'active'",
        "update syncer.virtual_number_history set comment = 'rewritten'",
        "update syncer.virtual_number_redirect_history set closed_run_id = 1",
        "update syncer.absence_history set ended_by = 'returned'",
        "update syncer.sync_run set outcome = 'failed'",
        "delete from syncer.sync_run where created > 0",
        "update syncer.virtual_number set comment = 'rewritten'",
    ],
)
async def test_closed_history_cannot_be_rewritten_on_any_server(
    account: PolledAccount, login: Login, database: str, role: str, statement: str
) -> None:
    await account.poll(*NUMBERS)
    await account.poll(*NUMBERS[1:])
    await account.poll(record(1, state="freeze", comment="x"), *NUMBERS[1:])
    sql = await connect(database if role == "owner" else await login(role))

    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)) as refused:
        await sql.execute(statement)

    assert role != "owner" or "a closed row of syncer." in str(refused.value) or "run" in str(refused.value)
    await sql.close()


async def test_an_analyst_reads_every_view_and_function_and_changes_nothing(
    account: PolledAccount, login: Login
) -> None:
    await account.poll(*NUMBERS)
    analyst = await connect(await login("syncer_analyst"))
    views = await account.rows("select table_name from information_schema.views where table_schema = 'analytics'")

    assert len(views) == 36
    for (view,) in views:
        await analyst.fetch(f"select * from analytics.{view}")  # noqa: S608 - names from the catalog
    assert len(await analyst.fetch("select * from analytics.numbers_as_of(now())")) == 10
    changes = await analyst.fetch("select * from analytics.changes_since('{}')")
    assert len(changes) == await account.sql.fetchval("select count(*) from analytics.changes") > 10
    for table in ("hash_key", "record_fingerprint", "erasure", "viewer"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await analyst.fetch(f"select * from syncer.{table}")  # noqa: S608 - the test's own
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await analyst.execute("update syncer.virtual_number set comment = '' where account_id = 1")
    await analyst.close()


async def test_a_poll_does_not_wait_for_another_account_that_is_locked_and_changed(
    account: PolledAccount, neighbour: PolledAccount
) -> None:
    await account.poll(*NUMBERS)
    async with account.sql.transaction():
        await account.sql.execute("update syncer.account_fence set observed_at = observed_at where account_id = 1")

        async with asyncio.timeout(15):
            polls = [await neighbour.poll(*NUMBERS), await neighbour.poll(*NUMBERS), await neighbour.poll(*NUMBERS[1:])]

    assert [one.outcome for one in polls] == ["applied", "unchanged", "applied"]


async def test_a_poll_of_the_same_account_fails_when_it_has_waited_for_20_seconds(account: PolledAccount) -> None:
    await account.poll(*NUMBERS)
    async with account.sql.transaction():
        await account.sql.execute("select from syncer.account_fence where account_id = 1 for no key update")
        began = asyncio.get_running_loop().time()
        blocked = await account.poll(*NUMBERS[1:])
        seconds = asyncio.get_running_loop().time() - began

    assert (blocked.outcome, blocked.error_kind) == ("failed", "database")
    assert "lock timeout" in str(blocked.error)
    assert 19 < seconds < 40
    assert (await account.poll(*NUMBERS[1:])).removed == 1


_MOVE: Final = """
select citus_move_shard_placement(get_shard_id_for_distribution_column('syncer.account_fence', 1),
                                  here.nodename, here.nodeport, there.nodename, there.nodeport, 'block_writes')
  from pg_dist_placement p
  join pg_dist_node here using (groupid)
  join pg_dist_node there on there.groupid not in (0, p.groupid)
 where p.shardid = get_shard_id_for_distribution_column('syncer.account_fence', 1)
"""


async def test_polls_go_on_while_the_rows_of_their_account_are_moved_to_another_worker(
    account: PolledAccount, database: str
) -> None:
    await account.poll(*NUMBERS)
    where = (
        "select nodeport from pg_dist_placement join pg_dist_node using (groupid)"
        " where shardid = get_shard_id_for_distribution_column('syncer.account_fence', 1)"
    )
    before = await account.row(where)
    mover = await connect(database)
    move = asyncio.create_task(mover.execute(_MOVE))
    outcomes: list[str] = []
    while not move.done():
        outcomes.append((await account.poll(*NUMBERS[len(outcomes) % 3 :], trigger="accept_removals")).outcome)
    await move
    await mover.close()

    assert set(outcomes) <= {"applied", "unchanged"}
    assert "applied" in outcomes
    assert await account.row(where) != before
    assert (await account.poll(*NUMBERS[:5], trigger="accept_removals")).outcome == "applied"
    assert await account.row("select count(*) from analytics.numbers") == (5,)
    assert await account.broken_invariants() == []


class RemoteCommands:
    """What the coordinator has sent to the workers for the program."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def hear(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        """Takes a notice of Citus."""
        if command := re.match(r"issuing (.*)", message.message, re.DOTALL):
            (worker,) = re.findall(r"on server \S+@(\S+) connectionId", message.detail or "")
            self.sent.append((worker, " ".join(command[1].split())))

    def take(self) -> tuple[int, int, int]:
        """Returns since the last time: how many commands were sent, to how many workers, and how many to prepare."""
        sent, self.sent = self.sent, []
        prepared = [command for _, command in sent if command.startswith("PREPARE TRANSACTION")]
        return len(sent), len({worker for worker, _ in sent}), len(prepared)


class LoggedEngine(Engine):
    """An engine whose commands to the workers are heard."""

    def __init__(self, database: str, heard: RemoteCommands) -> None:
        super().__init__(lambda: database)
        self._heard = heard

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Takes a connection, whose listeners the pool removes when it is given back."""
        async with super().acquire() as connection:
            connection.add_log_listener(self._heard.hear)
            yield connection


@asynccontextmanager
async def logged(database: str) -> AsyncIterator[tuple[Engine, RemoteCommands]]:
    """Makes an engine whose commands to the workers are heard."""
    heard = RemoteCommands()
    engine = LoggedEngine(database, heard)
    yield engine, heard
    await engine.dispose()


async def test_each_poll_uses_one_worker_and_an_unchanged_one_commits_in_one_phase(
    account: PolledAccount, database: str, sql: asyncpg.Connection
) -> None:
    name = urlsplit(database).path[1:]
    await sql.execute(f"alter database {name} set citus.log_remote_commands = on")
    async with (
        logged(database) as (engine, heard),
        PolledAccount(engine, account.emulator, sql, account.settings) as polled,
    ):
        await polled.poll(*NUMBERS)
        await polled.poll(*NUMBERS)
        heard.take()
        counted = {}
        for what, records in {
            "unchanged": NUMBERS,
            "changed": [record(1, state="freeze"), *NUMBERS[1:]],
            "removed": NUMBERS[1:],
            "restored": NUMBERS,
            "rejected": [*NUMBERS, record(11, number=None)],
        }.items():
            await polled.poll(*records)
            counted[what] = heard.take()

    # Each number is a message to the worker, among them those that begin and end transactions.
    assert counted == {
        "unchanged": (10, 1, 0),
        "changed": (26, 1, 1),
        "removed": (24, 1, 1),
        "restored": (28, 1, 1),
        "rejected": (17, 1, 1),
    }
