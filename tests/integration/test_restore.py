"""A dump is restored under a living process: nothing is answered from what it remembers of the data that are gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from syncer.embedded.programs import find_binaries
from tests.builders import record, running_daemon
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount

BOTH_POLLED = "select count(*) = 2 from syncer.account_fence where observed_at is not null"
NUMBERS = "select virtual_number_id, state, comment from syncer.virtual_number where removed_at is null order by 1"

RUNS_BY_ACCOUNT = "select a.name, outcome from syncer.sync_run join syncer.account a using (account_id) order by 1, 2"
NUMBERS_BY_ACCOUNT = """
select a.name, virtual_number_id from syncer.virtual_number join syncer.account a using (account_id) order by 1, 2
"""


NEW_SETTING = b"SET transaction_timeout = 0;\n"
"""What a dump begins with that pg_restore of PostgreSQL 17 or newer writes; older servers do not know the setting."""


async def run_program(name: str, *arguments: str, given: bytes = b"") -> bytes:
    """Runs a PostgreSQL program, and returns what it writes."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        find_binaries() / name, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    written, errors = await process.communicate(given)
    assert (process.returncode, errors.decode()) == (0, "")
    return written


async def dump(database: str, file: Path, file_format: str = "custom") -> None:
    """Dumps the database."""
    await run_program("pg_dump", f"--format={file_format}", f"--file={file}", database)


async def restore(database: str, file: Path) -> None:
    """Replaces the content of the database by the dump's, while connections to it stay open."""
    script = await run_program("pg_restore", "--clean", "--if-exists", "--file=-", str(file))
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
    await run_program("psql", *options, f"--dbname={database}", given=script.replace(NEW_SETTING, b"", 1))


async def test_a_process_that_polled_later_data_records_what_the_restored_ones_lack(
    account: PolledAccount, database: str, tmp_path: Path
) -> None:
    await account.poll(record(1), record(2))
    await dump(database, tmp_path / "dump")
    now = [record(1, state="freeze"), record(2)]
    assert (await account.poll(*now)).run_id == 2
    await restore(database, tmp_path / "dump")
    living = account.poller
    account.restart()
    assert (await account.poll(record(1, comment="by another process"), record(2))).run_id == 2

    account.poller = living
    result = await account.poll(*now)

    assert (result.outcome, result.changed, result.state_changes) == ("applied", 1, 1)
    assert await account.rows(NUMBERS) == [(1, "freeze", None), (2, "active", None)]
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("is_byte_identical", [True, False])
async def test_a_poll_whose_run_is_gone_when_its_response_arrives_fails_in_plain_words(
    account: PolledAccount, database: str, tmp_path: Path, *, is_byte_identical: bool
) -> None:
    class RestoreOnRequest:
        """The endpoint client of the account, which has the dump restored before it answers."""

        async def fetch(self, *arguments: object, **options: object) -> object:
            response = await source.fetch(*arguments, **options)  # type: ignore[arg-type]
            await restore(database, tmp_path / "dump")
            return response

    await account.poll(record(1))
    await dump(database, tmp_path / "dump")
    source = account.poller.source
    object.__setattr__(account.poller, "source", RestoreOnRequest())

    result = await account.poll(record(1) if is_byte_identical else record(1, state="freeze"))

    assert (result.run_id, result.outcome, result.error_kind) == (2, "failed", "database")
    assert result.error == (
        "database: run 2 is not in the database any more, as after a backup was restored, so it changed nothing; the "
        "next poll records what is listed then"
    )
    assert await account.rows("select run_id, outcome from syncer.sync_run") == [(1, "applied")]
    assert await account.broken_invariants() == []


async def test_a_poll_whose_run_is_gone_leaves_the_run_alone_that_has_its_id_since(account: PolledAccount) -> None:
    class ForgetOnRequest:
        """The endpoint client of the account, before whose answer the id of the run becomes another run's."""

        async def fetch(self, *arguments: object, **options: object) -> object:
            await account.sql.execute("update syncer.sync_run set started_at = started_at + interval '1 second'")
            return await source.fetch(*arguments, **options)  # type: ignore[arg-type]

    source = account.poller.source
    object.__setattr__(account.poller, "source", ForgetOnRequest())

    result = await account.poll(record(1))

    assert (result.run_id, result.outcome, result.error_kind) == (1, "failed", "database")
    assert await account.rows("select run_id, outcome, error_kind from syncer.sync_run") == [(1, "running", None)]


async def test_a_process_writes_nothing_under_the_id_that_another_account_has_in_the_restored_data(
    account: PolledAccount,
) -> None:
    await account.poll(record(1))
    await account.sql.execute("update syncer.account set name = 'another'")

    result = await account.poll(record(1), record(2))

    assert (result.outcome, result.created) == ("applied", 2)
    assert await account.rows(RUNS_BY_ACCOUNT) == [("another", "applied"), ("default", "applied")]
    assert await account.rows(NUMBERS_BY_ACCOUNT) == [("another", 1), ("default", 1), ("default", 2)]
    await account.sql.execute("update syncer.account set name = 'both' where name = 'default'")
    await account.sql.execute("update syncer.account set name = 'default' where name = 'another'")
    assert (await account.poll(record(1))).outcome == "unchanged"
    assert await account.rows(RUNS_BY_ACCOUNT) == [
        ("both", "applied"),
        ("default", "applied"),
        ("default", "unchanged"),
    ]
    assert await account.broken_invariants() == []


async def test_a_process_polls_an_account_anew_whose_id_the_restored_data_do_not_have(account: PolledAccount) -> None:
    await account.poll(record(1))
    await account.sql.execute("truncate syncer.account cascade")

    result = await account.poll(record(1))

    assert (result.outcome, result.created) == ("applied", 1)
    assert await account.rows("select account_id, name from syncer.account") == [(2, "default")]


async def test_an_account_that_was_restored_without_its_fence_gets_one_and_no_run_is_left_behind(
    account: PolledAccount,
) -> None:
    await account.poll(record(1))
    await account.sql.execute("delete from syncer.account_fence")

    result = await account.poll(record(1), record(2))

    assert result.outcome == "applied"
    assert await account.rows("select outcome from syncer.sync_run order by run_id") == [("applied",), ("applied",)]


async def test_a_daemon_goes_on_polling_an_account_that_the_restored_data_do_not_have(
    account: PolledAccount, emulator: Emulator, database: str
) -> None:
    async with running_daemon(emulator, database, names=["first", "second"]):
        await wait_until(lambda: account.sql.fetchval(BOTH_POLLED))

        await account.sql.execute("truncate syncer.account cascade")  # as a data-only restore of an empty dump does

        await wait_until(lambda: account.sql.fetchval(BOTH_POLLED))
