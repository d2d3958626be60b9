"""One poll of one account: ask the endpoint, see what is new, decide what changed, write it down.

    begin → fetch → compare → split and decode → recall → reconcile → apply → observe

Records are decoded, compared with what is stored, and written in batches, so that a large response takes little memory.

A poll changes the database in one transaction or not at all, and comes to one of four outcomes: applied, unchanged,
failed, or superseded by a poll that began later and succeeded first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from syncer.diff.changeset import ChangeSet, PollTotals
from syncer.diff.reconcile import reconcile, reconcile_absences
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import digest, read
from syncer.errors import DatabaseError, PollError
from syncer.outcome import Conclusion, PollResult
from syncer.store.engine import translate_errors
from syncer.store.poll import runs
from syncer.store.poll.apply import apply, keep_rejections, prepare
from syncer.store.poll.fingerprints import FingerprintCache, load_fingerprints, next_fingerprints
from syncer.store.poll.load import load_numbers, load_state
from syncer.store.poll.lookups import upsert_lookups
from syncer.store.poll.runs import ResponseMeta
from syncer.store.poll.staged import pin_index_plans
from syncer.telemetry.logs import PollStats, poll_finished
from syncer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.diff.response import ParsedResponse, UnseenRecords
    from syncer.diff.stored import StoredState
    from syncer.endpoint.client import Response, Source
    from syncer.outcome import Trigger
    from syncer.store.poll.apply import Prepared
    from syncer.store.poll.fingerprints import AccountFingerprints
    from syncer.store.poll.load import NumberRows
    from syncer.store.poll.runs import Fence, Run

P = ParamSpec("P")
T = TypeVar("T")

CONCURRENT_POLLS: Final = 512
"""How many polls may be under way at once: nearly all of them wait for the endpoint, and a wait costs a socket, of
which a process may have 1024 by default, and tens of kilobytes."""
_CONCURRENT_WORK: Final = 8
"""How many responses are worked on at once: each takes a database connection, and memory in proportion to its size."""
BATCH: Final = 5_000
"""How many records are compared and written at once: decoded, they take some ten megabytes."""
_OFFLOAD_BYTES: Final = 256 * 1024
"""From how many bytes of response on the work on it leaves the event loop to others."""


@dataclass(frozen=True, slots=True)
class Poller:
    """What every poll needs, whatever account it is of; `batch`: how many records are compared and written at once."""

    engine: AsyncEngine
    source: Source
    settings: Settings
    fingerprint_cache: FingerprintCache = field(default_factory=FingerprintCache)
    metrics: Metrics = field(default_factory=Metrics)
    work_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT_WORK))
    batch: int = BATCH

    async def poll(self, account: Account, trigger: Trigger, *, lateness: timedelta | None = None) -> PollResult:
        """Polls an account once. What goes wrong on the way is in the result, and changed nothing but the run.

        Args:
            account: Whose numbers.
            trigger: What began the poll.
            lateness: How long after it was due it begins; None if it was not scheduled.
        """
        begun = time.monotonic()
        stats = PollStats(trigger, lateness)
        run: Run | None = None
        response: Response | None = None
        error: PollError | None = None
        try:
            with translate_errors():
                run = await runs.begin(self.engine, account.name, account.time_zone.key, trigger)
            async with AsyncExitStack() as body_slot:
                response = await self.source.fetch(account, body_slot=body_slot)
                stats.add_response(response)
                async with self.work_slots:
                    with translate_errors():
                        conclusion = await self._process(run, response, trigger, stats)
        except PollError as failure:
            error = failure
            conclusion = await self._conclude_failed(run, response, error)
            stats.http_status, stats.response_bytes = error.http_status, error.response_bytes
        result = PollResult.of(
            account.name, None if run is None else run.run_id, conclusion, error, seconds=time.monotonic() - begun
        )
        poll_finished(result, stats, self.metrics)
        return result

    async def _process(self, run: Run, response: Response, trigger: Trigger, stats: PollStats) -> Conclusion:
        """Brings the database to what the response says."""
        body = response.body
        meta = ResponseMeta(response.http_status, len(body), digest(body))
        if run.body_digest == meta.body_digest:
            async with runs.fence(self.engine, run) as fence:
                stats.clock_ahead = fence.clock_ahead
                if fence.is_superseded:
                    return await runs.mark_superseded(fence, meta)
                if runs.is_same_body(fence, meta):
                    return await runs.mark_unchanged(fence, meta)
        while True:
            before = await load_fingerprints(self.engine, run.account_id, self.fingerprint_cache)
            try:
                parsed = await _offload(len(body), read, body, before.fingerprints, before.app_id)
            except PollError:
                # A later poll may have succeeded meanwhile: then it does not matter what this one was answered.
                async with runs.fence(self.engine, run) as fence:
                    if fence.is_superseded:
                        return await runs.mark_superseded(fence, meta)
                raise
            conclusion = await self._decide(run, meta, trigger, before, parsed, stats)
            if conclusion is not None:
                return conclusion

    async def _decide(
        self,
        run: Run,
        meta: ResponseMeta,
        trigger: Trigger,
        before: AccountFingerprints,
        parsed: ParsedResponse,
        stats: PollStats,
    ) -> Conclusion | None:
        """Decides what changed and writes it; None if another poll has changed what was compared with."""
        settings, size = self.settings, meta.response_bytes
        guard = RemovalGuard(settings.removal_guard_ratio, settings.removal_guard_hold, trigger == "accept_removals")
        lookups = await upsert_lookups(self.engine, parsed.lookup_values)
        stats.new_lookup_values |= lookups.new_lookup_values
        async with runs.fence(self.engine, run) as fence:
            stats.clock_ahead = fence.clock_ahead
            if fence.is_superseded:
                return await runs.mark_superseded(fence, meta)
            if (fence.fingerprints_run_id, fence.app_id) != (before.fingerprints_run_id, before.app_id):
                return None
            known = await load_state(fence, parsed, before.fingerprints, guard.hold)
            totals = await self._write(fence, parsed, known, guard, lookups.regions, size)
            conclusion = await runs.mark_succeeded(fence, meta, totals, parsed.app_id)
        self.fingerprint_cache.put(
            run.account_id, await _offload(size, next_fingerprints, before, parsed, totals, run.run_id)
        )
        stats.add_changes(totals, listed=known.listed)
        return conclusion

    async def _write(
        self,
        fence: Fence,
        parsed: ParsedResponse,
        known: StoredState,
        guard: RemovalGuard,
        regions: dict[str, int],
        size: int,
    ) -> PollTotals:
        """Decides and writes: a batch of records after another, and then what the response says beside its records."""
        totals = PollTotals()
        absence_changes = await _offload(size, reconcile_absences, parsed, known, guard)
        await pin_index_plans(fence)

        def decide(records: UnseenRecords, rows: NumberRows) -> Prepared:
            numbers = rows.known()
            return prepare(fence, reconcile(records, numbers, known), {**regions, **numbers.regions})

        batch = prepare(fence, ChangeSet(), regions)
        for records in await _offload(size, parsed.records.pop_batches, self.batch):
            rows = await load_numbers(fence, list(records))
            # While one batch is written, the next is decided.
            coming = asyncio.ensure_future(_offload(size, decide, records, rows))
            try:
                await apply(fence, batch)
            finally:
                decided = await coming
            totals.add(batch.changes)
            batch = decided
        await apply(fence, batch)
        totals.add(batch.changes)
        if not (totals.is_unchanged and absence_changes.is_empty):
            await apply(fence, prepare(fence, absence_changes, regions))
            await keep_rejections(fence, parsed.rejections)
        totals.add(absence_changes)
        return totals

    async def _conclude_failed(self, run: Run | None, response: Response | None, error: PollError) -> Conclusion:
        """Writes that a poll failed; unless it was merely the acknowledgement of its commit that was lost."""
        if response is not None and error.http_status is None:
            error.http_status, error.response_bytes = response.http_status, len(response.body)
        if run is not None:
            with contextlib.suppress(DatabaseError), translate_errors():
                # If it has an outcome already, a commit went through that had been given up for lost.
                if not await runs.mark_failed(self.engine, run, error):
                    return await runs.read_conclusion(self.engine, run)
        return Conclusion("failed", {})


async def _offload(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls what computes; in a thread if the response is large, so that the event loop can turn meanwhile."""
    if size < _OFFLOAD_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
