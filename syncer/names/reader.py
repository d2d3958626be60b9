"""Reads the lists of names that are due, in the daemon and at the end of `syncer sync`.

    look → claim → fetch → decode → write

look        Every few seconds, or at once while more lists are due than are read at a time.
claim       Takes lists that are due, for the time of a lease, of accounts whose tokens the polls of this process have
            found to be theirs: with that of another account, its names would be stored as those of this one.
fetch       Asks once for the list. No database connection is held.
decode      Reads from its records only what is stored (`syncer.names.decode`), unless the response is byte-identical to
            the last one.
write       Under the lock of the list, unless the lease is over: compares it with what is stored, and writes new names,
            changed ones and their history, in one transaction.

No poll waits for it: it uses one database connection at a time and none of the polls' slots, and begins no request
while many polls are in progress. A list that cannot be read is logged, counted, and asked for again later.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncer.diff.content_hash import ContentHash
from syncer.endpoint.slots import BodySlot
from syncer.errors import DatabaseError, InternalError, PollError
from syncer.malloc import FreedMemory
from syncer.name_list import NAME_LISTS, lists_of
from syncer.names.changes import compare_names
from syncer.names.decode import decode_list
from syncer.store.lease_holder import name_lease_holder
from syncer.store.names import (
    FAILED_PAUSE,
    REFUSED_PAUSE,
    claim_lists,
    lock_list,
    read_success_times,
    record_failure,
    register_lists,
    release_lists,
)
from syncer.telemetry.logs import log
from syncer.threads import run_in_thread_if_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.endpoint.client import Source
    from syncer.endpoint.verified_tokens import VerifiedTokens
    from syncer.names.changes import NameChanges
    from syncer.names.decode import DecodedList
    from syncer.store.engine import Engine
    from syncer.store.names import Claim, ListKey, LockedList
    from syncer.telemetry.name_metrics import NameMetrics

CONCURRENT_LISTS: Final = 4
"""Lists that are read at a time."""
MAX_POLLS: Final = 256
"""No request for a list is begun while so many polls are in progress."""
LOOK_SECONDS: Final = 5.0
"""Pause between looks at the database, unless more lists are due."""
ACCOUNTS_CHECK_SECONDS: Final = 0.5
"""Pause between checks while the accounts are not known yet, or none of them has been polled."""
METRICS_SECONDS: Final = 60.0
"""Pause between readings of when each list was last read, by whichever process."""
REPORTED_FAILURES: Final = 3
"""So many errors of the database in a row, while accounts can be polled, are logged; an outage the scheduler logs."""
_REFUSALS: Final = {401, 403, 404}
_LEASE_MARGIN: Final = timedelta(seconds=60)
_RELEASE_SECONDS: Final = 1.0
_MAX_RETRY_AFTER: Final = timedelta(hours=24)


class NameReader:
    """Reads lists of names.

    Args:
        engine: The database.
        source: The endpoint.
        settings: The time between two readings of a list, and the timeout of a request.
        metrics: Where successes and failures are exported.
        verified_tokens: The accounts whose tokens are known to be theirs; the lists of others wait.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        settings: Settings,
        metrics: NameMetrics,
        verified_tokens: VerifiedTokens,
    ) -> None:
        self._engine = engine
        self._source = source
        self._interval = settings.names_interval
        self._timeout = settings.api_timeout
        self._metrics = metrics
        self._verified_tokens = verified_tokens
        self._process = name_lease_holder()
        self._slot = asyncio.Lock()  # of the one database connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup = asyncio.Event()
        self._freed_memory = FreedMemory()
        self._registered: Mapping[int, Account] | None = None
        self._wanted: Mapping[ListKey, Account] = {}
        self._retries_failed = True
        self._metrics_read_at = 0.0

    def retry_failed(self) -> None:
        """Says that the accounts are read again: lists whose last attempt failed are then asked for at once."""
        self._retries_failed = True

    async def run(self, accounts: Callable[[], Mapping[int, Account]], polls: Callable[[], int]) -> None:
        """Reads lists when they are due, until it is cancelled.

        Args:
            accounts: Returns the current accounts, by `account_id`; empty while the database is not usable. Another
                object than before means that the accounts or the database may have changed.
            polls: Returns how many polls are in progress.
        """
        failures = 0
        try:
            while True:
                self._wakeup.clear()
                try:
                    await self._look(accounts(), polls())
                    failures = 0
                except DatabaseError as error:
                    self._registered = None
                    failures += bool(accounts())
                    if failures == REPORTED_FAILURES:
                        log.warning("names_not_read", error=str(error))
                except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
                    log.exception("name_reader_crashed")
                with suppress(TimeoutError):
                    can_read = accounts() and self._verified_tokens
                    async with asyncio.timeout(LOOK_SECONDS if can_read else ACCOUNTS_CHECK_SECONDS):
                        await self._wakeup.wait()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        unfinished = list(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if unfinished:
            await self._release()

    async def _release(self) -> None:
        with suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS), self._slot:
                await release_lists(self._engine, self._process)

    async def _look(self, accounts: Mapping[int, Account], polls: int) -> None:
        if not accounts:
            return
        if accounts is not self._registered:
            await self.register(accounts, retries_failed=self._retries_failed)
            self._registered, self._retries_failed = accounts, False
        if not self._wanted:
            return
        await self._refresh_metrics()
        free = CONCURRENT_LISTS - len(self._tasks)
        if free == 0 or polls >= MAX_POLLS:
            return
        claims = await self._claim(free)
        for claim in claims:
            task = asyncio.create_task(self._read(claim, self._wanted[claim.account_id, claim.list]))
            self._tasks.add(task)
            task.add_done_callback(self._finished if len(claims) == free else self._tasks.discard)

    def _finished(self, task: asyncio.Task[None]) -> None:
        """Looks again at once after a list of many."""
        self._tasks.discard(task)
        self._wakeup.set()

    async def register(self, accounts: Mapping[int, Account], *, retries_failed: bool = False) -> None:
        """Says which lists are read from now on: those of all configured accounts.

        Args:
            accounts: The accounts, by `account_id`.
            retries_failed: Whether lists whose last attempt failed are due at once.

        Raises:
            DatabaseError: PostgreSQL refused.
        """
        self._wanted = _wanted_lists(accounts)
        async with self._slot:
            await register_lists(self._engine, self._wanted, self._interval, retries_failed=retries_failed)
        self._metrics.set_lists((account.name, name) for (_, name), account in self._wanted.items())
        self._metrics_read_at = 0.0

    async def _refresh_metrics(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._metrics_read_at and now - self._metrics_read_at < METRICS_SECONDS:
            return
        async with self._slot:
            times = await read_success_times(self._engine)
        for key, success_at in times.items():
            if key in self._wanted:
                self._metrics.set_success(self._wanted[key].name, key[1], success_at)
        self._metrics_read_at = now

    async def _claim(self, limit: int) -> list[Claim]:
        verified = {key for key, account in self._wanted.items() if self._verified_tokens.has(key[0], account)}
        if not verified:
            return []
        lease = self._timeout + _LEASE_MARGIN
        async with self._slot:
            return await claim_lists(self._engine, verified, self._process, lease, limit=limit)

    async def read_due(self, accounts: Mapping[int, Account]) -> None:
        """Reads the lists of these accounts that are due, if their tokens are verified.

        It raises nothing: a failure is logged.
        """
        try:
            self._wanted = _wanted_lists(accounts)
            async with asyncio.timeout((self._timeout + timedelta(seconds=5)).total_seconds()):
                while self._wanted and (claims := await self._claim(CONCURRENT_LISTS)):
                    await asyncio.gather(*(self._read(one, self._wanted[one.account_id, one.list]) for one in claims))
        except DatabaseError as error:
            log.warning("names_not_read", error=str(error))
        except TimeoutError:
            log.warning("names_not_read", error="the lists of names took too long: those that are left are read next")
            await self._release()
        except Exception:  # noqa: BLE001 - a bug must not hide the results of polls
            log.exception("name_reader_crashed")

    async def _read(self, claim: Claim, account: Account) -> None:
        """Reads a list, and stores what it says, or that it could not be read."""
        with self._freed_memory.overwritten():
            failure = await self._try_to_read(claim, account)
        if failure is None:
            return
        with suppress(DatabaseError):  # the lease ends, and the list is asked for again
            async with self._slot:
                is_recorded = await record_failure(self._engine, claim, failure, self._pause_after(failure))
            if is_recorded:
                log.warning("names_failed", account=account.name, list=claim.list, error=str(failure))
                self._metrics.count_failure(account.name, claim.list)

    async def _try_to_read(self, claim: Claim, account: Account) -> PollError | None:
        """Reads a list, and stores what it says; returns why it could not be read."""
        try:
            await self._fetch_and_write(claim, account)
        except Exception as error:  # noqa: BLE001 - every attempt ends with an outcome, also that of a bug
            failure = error if isinstance(error, PollError) else InternalError(error, event="names_crashed")
            if isinstance(failure, InternalError) and failure.is_fault:
                log.exception("names_crashed", account=account.name, list=claim.list)
            # The traceback refers to frames that hold the body.
            failure = failure.with_traceback(None)
            failure.__cause__ = failure.__context__ = None
            return failure
        return None

    def _pause_after(self, error: PollError) -> timedelta:
        at_least = REFUSED_PAUSE if error.http_status in _REFUSALS else FAILED_PAUSE
        asked = min(timedelta(seconds=error.retry_after or 0), _MAX_RETRY_AFTER)
        return max(self._interval, at_least, asked)

    async def _fetch_and_write(self, claim: Claim, account: Account) -> None:
        if claim.hash_key is None:
            raise DatabaseError("the table syncer.hash_key is empty, and nothing can be compared without its key")
        content_hash = ContentHash(claim.hash_key)
        name_list = NAME_LISTS[claim.list]
        async with BodySlot() as body_slot:
            body = await self._source.fetch_names(account, name_list, body_slot)
            size = len(body)
            digest = await run_in_thread_if_large(size, content_hash, body)
            decoded = None
            if digest != claim.body_digest:
                decoded = await run_in_thread_if_large(size, decode_list, name_list, body)
            async with self._slot, lock_list(self._engine, claim) as locked:
                if locked is None:
                    return
                if decoded is None and digest != locked.body_digest:  # forgotten since it was claimed
                    decoded = await run_in_thread_if_large(size, decode_list, name_list, body)
                del body
                if decoded is None:
                    changes = None
                    await locked.succeed(digest, self._interval)
                else:
                    changes = await _write(locked, decoded, size, content_hash)
                    await locked.succeed(digest, self._interval, received=decoded.received, skipped=decoded.skipped)
        _report(account, claim.list, decoded, changes)
        self._metrics.set_success(account.name, claim.list, locked.observed_at)


async def _write(locked: LockedList, decoded: DecodedList, size: int, content_hash: ContentHash) -> NameChanges:
    stored = await locked.read_names()
    erasures = await locked.read_erasures(content_hash)
    changes = await run_in_thread_if_large(size, compare_names, locked.claim.list, decoded.candidates, stored, erasures)
    await locked.replace(changes.changed)
    await locked.insert(changes.new)
    await locked.set_unlisted(changes.relisted, is_unlisted=False)
    await locked.set_unlisted(changes.unlisted, is_unlisted=True)
    return changes


def _report(account: Account, name: str, decoded: DecodedList | None, changes: NameChanges | None) -> None:
    bound = log.bind(account=account.name, list=name)
    if decoded is None or changes is None:
        bound.debug("names_read", new=0, changed=0, unlisted=0)
        return
    new, changed, unlisted = len(changes.new), len(changes.changed), len(changes.unlisted)
    level = logging.INFO if new or changed or unlisted or changes.relisted else logging.DEBUG
    bound.log(
        level,
        "names_read",
        received=decoded.received,
        new=new,
        changed=changed,
        unlisted=unlisted,
        skipped=decoded.skipped,
    )


def _wanted_lists(accounts: Mapping[int, Account]) -> dict[ListKey, Account]:
    return {
        (account_id, one.name): account for account_id, account in accounts.items() for one in lists_of(account.names)
    }
