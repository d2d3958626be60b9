"""Every poll ends with an outcome, and with the right one: faults of the program, lost connections, memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncer.endpoint.client import Source
from syncer.errors import NetworkError
from syncer.store.poll.fingerprints import FingerprintCache
from tests.builders import record

if TYPE_CHECKING:
    from syncer.endpoint.client import Response
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
