"""Every poll ends with an outcome, and with the right one: faults of the program, lost connections, memory."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.endpoint.client import Response, Source
from syncer.errors import NetworkError
from syncer.store.poll.fingerprints import FingerprintCache
from tests.builders import record
from tests.proxy import Proxy

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from syncer.store.poll.fingerprints import AccountFingerprints
    from tests.builders import PolledAccount

RUN = "select outcome, error_kind, error, finished_at is not null from syncer.sync_run order by run_id desc limit 1"
REPORT = (
    "a fault of the program (ZeroDivisionError): please report it, with the traceback that poll_crashed has in the log"
)
OUT_OF_MEMORY = "the program ran out of memory: give the process more, or lower SYNCER_API_MAX_BYTES"


class FaultySource(Source):
    """An endpoint client with a bug."""

    error: type[BaseException]

    async def fetch(self, *_: object, **__: object) -> Response:
        """Raises what no poll expects."""
        raise self.error


class FixedSource(Source):
    """An endpoint client that has received its response already."""

    body: bytes

    async def fetch(self, *_: object, **__: object) -> Response:
        """Returns the response."""
        return Response(self.body, 200, 1)


class FaultyCache(FingerprintCache):
    """A cache with a bug, which shows after the poll's transaction has committed."""

    def put(self, account_id: int, fingerprints: AccountFingerprints) -> None:
        """Raises what no poll expects, once the account has numbers."""
        if fingerprints.fingerprints:
            raise ZeroDivisionError
        super().put(account_id, fingerprints)


def give_faulty_source(account: PolledAccount, error: type[BaseException]) -> None:
    source = FaultySource(account.settings)
    source.error = error
    account.poller = replace(account.poller, source=source)


@pytest.mark.parametrize(("error", "sentence"), [(ZeroDivisionError, REPORT), (MemoryError, OUT_OF_MEMORY)])
async def test_an_exception_that_no_poll_expects_fails_its_run_with_the_kind_internal(
    account: PolledAccount, error: type[Exception], sentence: str
) -> None:
    await account.poll(record(1))
    give_faulty_source(account, error)

    result = await account.poll_again()

    assert (result.run_id, result.outcome, result.exit_code) == (2, "failed", 1)
    assert (result.error_kind, result.error) == ("internal", sentence)
    assert await account.row(RUN) == ("failed", "internal", sentence, True)


async def test_a_response_leaves_memory_at_once_when_a_poll_runs_out_of_memory(
    account: PolledAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FixedSource(account.settings)
    source.body = json.dumps([record(number) for number in range(1, 1_001)]).encode()
    account.poller = replace(account.poller, source=source)
    references = sys.getrefcount(source.body)

    def run_out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("syncer.poll.reconcile", run_out_of_memory)
    gc.disable()
    try:
        result = await account.poll_again()
        assert (result.error, sys.getrefcount(source.body)) == (OUT_OF_MEMORY, references)
    finally:
        gc.enable()


async def test_a_fault_after_the_commit_does_not_make_an_applied_run_a_failed_one(account: PolledAccount) -> None:
    account.poller = replace(account.poller, fingerprint_cache=FaultyCache())

    result = await account.poll(record(1))

    assert (result.outcome, result.created, result.error_kind, result.error) == ("applied", 1, None, None)
    assert await account.row(RUN) == ("applied", None, None, True)


async def test_a_cancelled_poll_is_no_fault_and_the_next_success_marks_its_run_abandoned(
    account: PolledAccount,
) -> None:
    give_faulty_source(account, asyncio.CancelledError)

    with pytest.raises(asyncio.CancelledError):
        await account.poll_again()

    assert await account.row(RUN) == ("running", None, None, False)
    account.restart()
    await account.poll(record(1))
    assert await account.rows("select outcome from syncer.sync_run order by run_id") == [("abandoned",), ("applied",)]


async def test_an_error_text_that_postgresql_cannot_store_does_not_leave_its_run_running(
    account: PolledAccount,
) -> None:
    class UnstorableText(FaultySource):
        """Fails with a text that holds NUL and half of a surrogate pair."""

        async def fetch(self, *_: object, **__: object) -> Response:
            """Raises it."""
            raise NetworkError("the peer sent \0 and \ud83d")

    account.poller = replace(account.poller, source=UnstorableText(account.settings))

    result = await account.poll_again()

    error = r"the peer sent \x00 and \ud83d"
    assert (result.error_kind, result.error) == ("network", error)
    assert await account.row(RUN) == ("failed", "network", error, True)


def lost_commit(shutdown_timeout: timedelta, account: PolledAccount, proxy: Proxy) -> AbstractAsyncContextManager[Any]:
    """The account behind a proxy that breaks off at a poll's commit, once the history was written."""
    proxy.intercept(
        b"insert into syncer.virtual_number_history", b"COMMIT", then="drop the response and refuse connections"
    )
    account.settings = account.settings.model_copy(update={"shutdown_timeout": shutdown_timeout})
    return account.through(proxy)


async def test_a_commit_whose_acknowledgement_is_lost_with_the_database_has_an_unknown_outcome(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, lost_commit(timedelta(seconds=1), account, proxy) as behind_proxy:
        result = await behind_proxy.poll(record(1, state="freeze"))
        proxy.accept()
        again = await behind_proxy.poll(record(1, state="freeze"))

    assert (result.run_id, result.outcome, result.error_kind, result.exit_code) == (2, "unknown", "database", 4)
    assert result.error == (
        "the outcome of run 2 is unknown, because the connection was lost at its commit and the database has not "
        "answered since (database: the connection broke; check that the server is up and "
        "SYNCER_DATABASE_URL is right); when it is back, `syncer export runs` lists the outcome: if that is running or "
        "abandoned, nothing was changed"
    )
    assert behind_proxy.poller.metrics.registry.get_sample_value("syncer_failures_total") is None
    assert (again.run_id, again.outcome) == (3, "unchanged")
    assert await account.rows("select outcome from syncer.sync_run order by run_id") == [
        ("applied",),
        ("applied",),
        ("unchanged",),
    ]


async def test_the_outcome_of_a_lost_commit_is_asked_for_until_the_database_is_back(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, lost_commit(timedelta(hours=1), account, proxy) as behind_proxy:
        task = asyncio.create_task(behind_proxy.poll(record(1, state="freeze")))
        await proxy.refused.wait()
        proxy.accept()
        result = await task

    assert (result.run_id, result.outcome, result.state_changes, result.error) == (2, "applied", 1, None)


async def test_a_commit_that_never_reached_the_database_is_a_failure_once_the_database_is_back(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, lost_commit(timedelta(hours=1), account, proxy) as behind_proxy:
        proxy.intercept(
            b"insert into syncer.virtual_number_history", b"COMMIT", then="drop the request and refuse connections"
        )
        task = asyncio.create_task(behind_proxy.poll(record(1, state="freeze")))
        await proxy.refused.wait()
        proxy.accept()
        result = await task

    assert (result.outcome, result.error_kind, result.exit_code) == ("failed", "database", 1)
    assert await account.row(RUN) == ("failed", "database", result.error, True)
    assert await account.row("select state from syncer.virtual_number") == ("active",)


async def test_a_connection_that_is_lost_before_the_commit_fails_the_poll_without_asking_again(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, lost_commit(timedelta(hours=1), account, proxy) as behind_proxy:
        proxy.intercept(b"insert into syncer.virtual_number_history", then="drop the response and refuse connections")
        result = await behind_proxy.poll(record(1, state="freeze"))

    assert (result.run_id, result.outcome, result.error_kind, result.exit_code) == (2, "failed", "database", 1)
    assert await account.row("select state from syncer.virtual_number") == ("active",)


async def test_an_unchanged_run_whose_commit_is_lost_with_the_database_has_an_unknown_outcome(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1))
    async with Proxy(database) as proxy, lost_commit(timedelta(seconds=1), account, proxy) as behind_proxy:
        proxy.intercept(b"with succeeded as", b"COMMIT", then="drop the response and refuse connections")
        result = await behind_proxy.poll(record(1))

    assert (result.outcome, result.exit_code) == ("unknown", 4)
    assert await account.row(RUN) == ("unchanged", None, None, True)
