"""Polls one account: fetches its phone numbers, compares them with PostgreSQL, writes current rows and history.

MegaFon cloud PBX lists a company's virtual phone numbers only as they are now. Each poll brings the current rows up to
date and adds a history row for every change of a number's fields, such as its state and the reason for it, both in one
transaction. A poll is started by the daemon's schedule (`syncer.daemon`) or by `syncer sync`:

    begin → fetch → compare → parse → load → reconcile → apply → report

begin       Inserts the run's row, `running`, and commits it.
fetch       Sends the HTTP request, with retries. No database connection is held. If the endpoint answers with an error
            or breaks off, the run is `failed` and no data changes.
compare     If the body is byte-identical to the last successful poll's, the run is `unchanged`: only its own row and
            the account's are written. If it is so before it is inflated, it is not inflated (`syncer.endpoint`). The
            digest of the last body is not kept while numbers are missing, since the same response can then confirm that
            they are gone, nor while new words or redirects are refused, since the next poll stores more of them. A
            large body that has another size or another start than the last one is hashed while it is parsed.
parse       Splits the JSON array and decodes only the records whose fingerprint, a hash of their bytes, is not stored
            (`syncer.diff.response`). A response that was cut short or is not an array makes the run `failed`.
            Fingerprints that are not in memory are read from PostgreSQL while a large body is split and hashed.
load        Locks the account's row, the fence, until the transaction ends, and reads the stored numbers that the parsed
            records and the missing numbers need (`syncer.store.poll.load`).
reconcile   Decides what changed, in pure code (`syncer.diff.reconcile`). Missing numbers are removed if they are few
            and another response confirms it, else their removal is held for a time, or until an operator accepts it
            (`syncer.diff.removal_guard`).
apply       Writes current rows and history (`syncer.store.poll.apply`) and the run's outcome, `applied`, and commits.
report      Counts metrics and logs the result, in `report_poll` and nowhere else.

If another poll commits between parse and load, the response is parsed again against the new fingerprints.

Two daemons: a lease keeps them from polling one account at the same time (`syncer.store.schedule`). If they still do,
the fence keeps their writes correct: they commit one after another, and a run becomes `superseded` and writes no
numbers if a run that began later has succeeded.

A process that dies before the commit leaves the data as they were, and the next success marks its run `abandoned`. If
the server crashes too, the run's row may be gone: it is committed without waiting for the disk. If the
commit succeeded and only its acknowledgement was lost, the run's row has the outcome: it is read before a failure is
reported. If the database does not answer for SYNCER_SHUTDOWN_TIMEOUT, the poll's outcome is `unknown`.

Memory: a body may have SYNCER_API_MAX_BYTES, few large bodies are in memory at a time, and records are decoded,
compared and written in batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from syncer.diff.changeset import MAX_RECORD_KEYS, ChangeSet, PollTotals
from syncer.diff.hashed_pieces import hash_ahead
from syncer.diff.reconcile import reconcile, reconcile_absences
from syncer.diff.record import FIELDS
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import MAX_STORED_REJECTIONS, parse_response, read_record_keys, reject_words
from syncer.endpoint.last_response import LastResponse, LastResponses
from syncer.endpoint.slots import BodySlot
from syncer.endpoint.verified_tokens import VerifiedTokens
from syncer.errors import DatabaseError, PollError, WrongAccountError
from syncer.outcome import Conclusion, PollResult
from syncer.store.driver_errors import translate_errors
from syncer.store.poll import runs
from syncer.store.poll.apply import delete_surplus_rejections, prepare_changes, upsert_rejections, write_changes
from syncer.store.poll.fingerprints import (
    FingerprintCache,
    cached_fingerprints,
    load_fingerprints,
    next_fingerprints,
)
from syncer.store.poll.load import load_account, load_numbers
from syncer.store.poll.lookups import upsert_lookups
from syncer.store.poll.runs import ResponseMeta
from syncer.telemetry.logs import PollStats, report_poll
from syncer.telemetry.metrics import Metrics
from syncer.threads import THREAD_THRESHOLD_BYTES, run_in_thread_if_large, run_side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.diff.hashed_pieces import HashedPiece
    from syncer.diff.response import ParsedResponse
    from syncer.diff.stored import Fingerprints, StoredAccount
    from syncer.diff.unmatched_records import UnmatchedRecords
    from syncer.endpoint.client import Response, Source
    from syncer.outcome import Trigger
    from syncer.store.engine import Engine
    from syncer.store.poll.apply import PreparedChanges
    from syncer.store.poll.fingerprints import AccountFingerprints
    from syncer.store.poll.load import NumberRows
    from syncer.store.poll.runs import Fence, Run

CONCURRENT_POLLS: Final = 512
"""Polls that may be in progress at a time. Nearly all of them wait for the endpoint, and each holds a socket and tens
of kilobytes; by default a process may open 1024 sockets."""
_CONCURRENT_RESPONSES: Final = 12
"""Responses that are processed at a time. Each needs a database connection, of which the other three begin runs and
schedule accounts. Large bodies have slots of their own, which bound the memory."""
BATCH_SIZE: Final = 5_000
"""Records that are compared and written together: decoded, they take about ten megabytes."""
_FIRST_BATCH_SIZE: Final = 1_250
"""Records of the first batch, which PostgreSQL waits for. The next ones have twice as many each, up to `BATCH_SIZE`."""
_ACCEPTED: Final = ("created", "changed", "unchanged", "restored")
"""Counters of the numbers that a response has valid records of."""
_ASK_AGAIN_SECONDS: Final = 0.5
"""Pause between questions for a run's outcome while the database does not answer."""


@dataclass(frozen=True, slots=True)
class Poller:
    """Polls accounts; it holds what all polls share.

    Attributes:
        engine: The database.
        source: The endpoint.
        settings: Limits and the removal guard's parameters.
        fingerprint_cache: The fingerprints of recent polls, so that they need not be read again.
        metrics: Where results are counted.
        processing_slots: Limits how many responses are processed at a time.
        batch_size: Records that are compared and written together.
        last_responses: What is remembered of the accounts' last responses.
        verified_tokens: The accounts whose tokens the polls have found to be theirs.
        account_ids: The ids of accounts by name, as far as they are known; each poll checks its own again.
    """

    engine: Engine
    source: Source
    settings: Settings
    fingerprint_cache: FingerprintCache = field(default_factory=FingerprintCache)
    metrics: Metrics = field(default_factory=Metrics)
    processing_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT_RESPONSES))
    batch_size: int = BATCH_SIZE
    last_responses: LastResponses = field(default_factory=LastResponses)
    verified_tokens: VerifiedTokens = field(default_factory=VerifiedTokens)
    account_ids: dict[str, int] = field(default_factory=dict)

    async def poll(self, account: Account, trigger: Trigger, *, lateness: timedelta | None = None) -> PollResult:
        """Polls an account once. Raises nothing but a cancellation: a failure is in the result.

        Args:
            account: The account to poll.
            trigger: What started the poll.
            lateness: How long after its due time the poll starts; None if it was not scheduled.
        """
        started = time.monotonic()
        stats = PollStats(trigger, lateness, token=account.token)
        run: Run | None = None
        response: Response | None = None
        error: PollError | None = None
        body_slot = BodySlot()
        try:
            with translate_errors():
                run = await runs.begin(self.engine, account.name, account.time_zone.key, trigger, self.account_ids)
            stats.identities_behind = run.identities_behind
            async with body_slot:
                last = self.last_responses.get(run.account_id, run.content_hash, run.last_body_digest)
                while True:
                    response = await self.source.fetch(account, last=last, body_slot=body_slot)
                    stats.add_response(response)
                    async with stats.count_wait("processing", self.processing_slots):
                        with translate_errors():
                            recorded = await self._record_response(run, response, trigger, stats)
                    if recorded is not None:
                        break
                    last = LastResponse(run.content_hash)
                    await body_slot.aclose()  # the next response waits for a slot of its own
                conclusion = recorded
                if run.body_digest is not None:
                    self.last_responses.put(run.account_id, last.content_hash, response, run.body_digest)
        except Exception as failure:  # noqa: BLE001 - every run ends with an outcome, also that of a bug
            error = failure if isinstance(failure, PollError) else stats.add_crash(failure)
            if stats.crash is None:
                # The traceback refers to frames that hold the body, and such a frame to the error: the cycle would keep
                # the body in memory until the garbage collector finds it.
                failure.with_traceback(None)
                failure.__cause__ = failure.__context__ = None
            conclusion = await self._record_failure(run, response, error)
            stats.http_status, stats.response_bytes = error.http_status, error.response_bytes
        if run is not None:
            self._note_whose_token(run.account_id, account, conclusion, error)
        result = PollResult.of(
            account.name,
            None if run is None else run.run_id,
            conclusion,
            error,
            seconds=time.monotonic() - started,
            notes=stats.notes(conclusion),
        )
        stats.slot_waits["large_body"] = body_slot.waited_seconds
        report_poll(result, stats, self.metrics)
        return result

    def _note_whose_token(
        self, account_id: int, account: Account, conclusion: Conclusion, error: PollError | None
    ) -> None:
        """Notes whether the token is the account's; a response without a valid record does not show it."""
        if isinstance(error, WrongAccountError):
            self.verified_tokens.remove(account_id)
        elif conclusion.outcome in {"applied", "unchanged"} and any(map(conclusion.counters.get, _ACCEPTED)):
            self.verified_tokens.add(account_id, account)

    async def _record_response(
        self, run: Run, response: Response, trigger: Trigger, stats: PollStats
    ) -> Conclusion | None:
        """Records a response: as unchanged if its body is byte-identical to the last, otherwise by what differs.

        Returns:
            None if another poll has committed after the endpoint repeated what was the last response before: the body
            was not decoded, and must be fetched.
        """
        body = response.body
        meta = ResponseMeta(response.http_status, response.size, response.declared_length)
        await self._take_digest(run, response)
        if run.body_digest is not None and run.body_digest == run.last_body_digest:
            conclusion = await self._record_last_body(run, meta, stats)
            if conclusion is not None:
                return conclusion
        if response.last is not None:
            return None
        # Whether these are still what is stored is checked under the fence.
        known = cached_fingerprints(self.fingerprint_cache, run)
        while True:
            hashed = None
            if known is None:
                known, hashed = await self._load_and_hash(run, body)
            try:
                parsed = await _parse(run, response, known, hashed)
            except PollError:
                # A run that began later may have succeeded: then this one is superseded, not failed.
                async with runs.fence(self.engine, run) as fence:
                    if fence.is_superseded:
                        return await runs.mark_superseded(fence, meta)
                raise
            stats.partial_reason = parsed.partial_reason
            conclusion = await self._reconcile_and_apply(run, meta, trigger, known, parsed, stats)
            if conclusion is not None:
                return conclusion
            known = None

    async def _take_digest(self, run: Run, response: Response) -> None:
        """Sets the digest of the run's response; to None if that is large and known to differ from the last one."""
        body = response.body
        run.body_digest = None  # of a response that was fetched again, it is not the digest of the one before
        if response.last is not None:
            run.body_digest = response.last.body_digest
        elif len(body) < THREAD_THRESHOLD_BYTES or (
            run.can_repeat_last_body(len(body))
            and not self.fingerprint_cache.has_other_start(run.account_id, body, run.content_hash)
        ):
            run.body_digest = await run_in_thread_if_large(len(body), run.content_hash, body)

    async def _record_last_body(self, run: Run, meta: ResponseMeta, stats: PollStats) -> Conclusion | None:
        """Records a body that was the last one when the run began; returns None if it is not the last one any more."""
        async with runs.fence(self.engine, run) as fence:
            stats.clock_ahead = fence.clock_ahead
            if fence.is_superseded:
                return await runs.mark_superseded(fence, meta)
            if not runs.is_still_last_body(fence):
                return None
            unchanged = await runs.mark_unchanged(fence, meta)
            stats.partial_reason = meta.declared_length.partial_reason(unchanged.counters["received"])
            return unchanged

    async def _load_and_hash(self, run: Run, body: bytes) -> tuple[AccountFingerprints, Iterator[HashedPiece] | None]:
        """Loads the account's fingerprints, and begins to hash a large response meanwhile.

        Returns:
            The fingerprints, and the pieces of the body if the first of them were hashed.

        Raises:
            DatabaseError: The database cannot be read, or the account was deleted.
        """
        loading = load_fingerprints(self.engine, run.account_id, run.content_hash, self.fingerprint_cache)
        is_first = run.last_body_bytes is None  # then most often nothing is stored, and loading takes no time
        if is_first or len(body) < THREAD_THRESHOLD_BYTES:
            return await loading, None
        hashing = asyncio.to_thread(hash_ahead, body, run.content_hash)
        # If loading fails, the thread is still awaited, since it needs the body.
        known, hashed = await asyncio.gather(loading, hashing, return_exceptions=True)
        if isinstance(known, BaseException):
            raise known
        if isinstance(hashed, BaseException):
            raise hashed
        return known, hashed

    async def _reconcile_and_apply(
        self,
        run: Run,
        meta: ResponseMeta,
        trigger: Trigger,
        known: AccountFingerprints,
        parsed: ParsedResponse,
        stats: PollStats,
    ) -> Conclusion | None:
        """Decides what changed and writes it, with the run's outcome, in one transaction.

        Returns:
            None if another poll has committed since `known` was read: the response was parsed against fingerprints that
            are out of date, and must be parsed again.
        """
        settings, response_bytes = self.settings, meta.response_bytes
        accepted = trigger == "accept_removals"
        guard = RemovalGuard(
            settings.removal_guard_ratio, settings.removal_guard_hold, settings.removal_confirmations, accepted
        )
        lookups = await upsert_lookups(self.engine, parsed.lookup_values)
        stats.new_lookup_values |= lookups.new_lookup_values
        stats.refused_words = {name: len(words) for name, words in lookups.refused.items()}
        if lookups.refused:
            parsed = await run_in_thread_if_large(response_bytes, reject_words, parsed, lookups.refused)
        async with runs.fence(self.engine, run) as fence:
            stats.clock_ahead = fence.clock_ahead
            if fence.is_superseded:
                return await runs.mark_superseded(fence, meta)
            is_stale = (fence.fingerprints_version, fence.app_id) != (known.fingerprints_version, known.app_id)
            if is_stale:
                return None
            stored = await load_account(fence, parsed, known.fingerprints, guard.hold)
            totals = await self._write_batches(fence, parsed, stored, guard, lookups.regions, response_bytes)
            stats.vanished_keys = await _compare_keys(fence, parsed, known.fingerprints, totals)
            # While words or redirects are refused, the same response can have another effect later: the next poll
            # stores more.
            version = uuid4()
            is_final = not (lookups.refused or parsed.has_deferred)
            conclusion = await runs.mark_succeeded(fence, meta, totals, parsed, version, is_final=is_final)
        self.fingerprint_cache.put(
            run.account_id,
            await run_in_thread_if_large(response_bytes, next_fingerprints, known, parsed, totals, version),
        )
        if parsed.rejections and conclusion.outcome == "applied":
            with contextlib.suppress(DatabaseError):  # the poll has succeeded, and the next one deletes them
                await delete_surplus_rejections(self.engine, run.account_id)
        stats.unreadable = parsed.unreadable_count
        stats.add_changes(totals, listed=stored.listed_count)
        return conclusion

    async def _write_batches(
        self,
        fence: Fence,
        parsed: ParsedResponse,
        stored: StoredAccount,
        guard: RemovalGuard,
        regions: dict[str, int],
        response_bytes: int,
    ) -> PollTotals:
        """Compares and writes the records batch by batch, then the numbers that are missing or rejected."""
        totals = PollTotals()
        absence_changes = await run_in_thread_if_large(response_bytes, reconcile_absences, parsed, stored, guard)

        batches = await run_in_thread_if_large(
            response_bytes, parsed.records.pop_batches, self.batch_size, first_size=_FIRST_BATCH_SIZE
        )

        def reconcile_batch(
            records: UnmatchedRecords, rows: NumberRows
        ) -> tuple[PreparedChanges, UnmatchedRecords | None]:
            numbers = rows.to_stored_numbers()
            changes = reconcile(records, numbers, stored)
            totals.add(changes)
            return prepare_changes(fence, changes, {**regions, **numbers.regions}), next(batches, None)

        # The first comparison has no earlier batch to write.
        batch = prepare_changes(fence, ChangeSet(), regions)
        records = await run_in_thread_if_large(response_bytes, next, batches, None)
        while records is not None:
            rows = await load_numbers(fence, list(records))
            # The next batch is compared, in a thread if the response is large, while this one is written. Whatever else
            # it needs is done there too: between two statements, PostgreSQL waits.
            comparison = asyncio.ensure_future(run_in_thread_if_large(response_bytes, reconcile_batch, records, rows))
            try:
                await write_changes(fence, batch)
            finally:
                # A thread cannot be cancelled: if writing fails, it still needs the records.
                next_batch, records = await comparison
            batch = next_batch
        await write_changes(fence, batch)
        if not (totals.is_unchanged and absence_changes.is_empty):  # differing rejections count as a change
            absences = prepare_changes(fence, absence_changes, regions)
            absence_changes.counters["redirects_closed"] += await write_changes(fence, absences)
            rejections = map(stored.erasures.mask_rejection, parsed.rejections[:MAX_STORED_REJECTIONS])
            await upsert_rejections(fence, tuple(rejections))
        totals.add(absence_changes)
        return totals

    async def _record_failure(self, run: Run | None, response: Response | None, error: PollError) -> Conclusion:
        """Marks the run as failed; if only its commit's acknowledgement was lost, returns the outcome that it has.

        Before the run's outcome was written, it is certain that nothing was committed. Afterwards only the run's row
        tells: it is read until the database answers, for SYNCER_SHUTDOWN_TIMEOUT at most.
        """
        if response is not None and error.http_status is None:
            error.http_status, error.response_bytes = response.http_status, response.size
        if run is None:
            return Conclusion("failed", counters={})
        if not run.may_have_committed:
            with contextlib.suppress(DatabaseError):
                return await runs.conclude_failed(self.engine, run, error)
            return Conclusion("failed", counters={})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.shutdown_timeout.total_seconds()):
                while True:
                    with contextlib.suppress(DatabaseError):
                        return await runs.conclude_failed(self.engine, run, error)
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
        return Conclusion("unknown", counters={})


async def _parse(
    run: Run, response: Response, known: AccountFingerprints, hashed: Iterator[HashedPiece] | None
) -> ParsedResponse:
    """Parses a response, and takes the digest of its body beside that if nothing needed it before.

    Raises:
        PollError: It is not JSON, not an array, or another account's.
    """
    parse = partial(
        parse_response,
        response.body,
        known.fingerprints,
        known.app_id,
        response.declared_length,
        hashed=hashed,
        account=run.account,
    )
    if run.body_digest is not None:
        return await run_in_thread_if_large(len(response.body), parse)
    digest = partial(run.content_hash, response.body)
    parsed, run.body_digest = await asyncio.to_thread(run_side_by_side, parse, digest)
    return parsed


async def _compare_keys(fence: Fence, parsed: ParsedResponse, stored: Fingerprints, totals: PollTotals) -> list[str]:
    """Returns the keys that records had in the last response and none has now, and stores those that records have.

    Their values do not matter. Only keys that no compared record has are looked for in the others. A response without
    accepted records is not compared.
    """
    if not (totals.compared or parsed.known_count):
        return []
    before, keys = fence.record_keys, totals.keys
    wanted = None if before is None else before - keys
    if wanted or (wanted is None and parsed.known_count):
        size = len(parsed.records.body)
        keys |= await run_in_thread_if_large(size, read_record_keys, parsed, stored, totals.fingerprints, wanted)
    known = before or frozenset()
    # Of many keys those that are stored are kept, so that none of them seems to vanish.
    kept = sorted(keys, key=lambda key: (key not in FIELDS, key not in known, key))[:MAX_RECORD_KEYS]
    if before is None or before != frozenset(kept):
        await runs.store_record_keys(fence, kept)
    return sorted(known - keys)
