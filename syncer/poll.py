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

from syncer.diff.changeset import Decision, Total
from syncer.diff.reconcile import reconcile, settle
from syncer.diff.removal_guard import RemovalGuard
from syncer.diff.response import digest, read
from syncer.errors import DatabaseError, PollError
from syncer.outcome import Conclusion, PollResult
from syncer.store.engine import told_as_database_errors
from syncer.store.poll import runs
from syncer.store.poll.apply import apply, keep_rejections, prepare
from syncer.store.poll.fingerprints import StandingMemory, recall_standing, stands_after
from syncer.store.poll.load import recall, recall_numbers
from syncer.store.poll.lookups import learn
from syncer.store.poll.runs import Responded
from syncer.store.poll.staged import find_by_key
from syncer.telemetry.logs import PollNotes, poll_finished
from syncer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.diff.response import Arrival, Fresh
    from syncer.diff.stored import Known
    from syncer.endpoint.client import Response, Source
    from syncer.outcome import Trigger
    from syncer.store.poll.apply import Prepared
    from syncer.store.poll.fingerprints import AccountStanding
    from syncer.store.poll.load import NumberRows
    from syncer.store.poll.runs import Fence, Run

P = ParamSpec("P")
T = TypeVar("T")

CONCURRENT_POLLS: Final = 512
"""How many polls may be under way at once: nearly all of them wait for the endpoint, and a wait costs a socket, of
which a process may have 1024 by default, and tens of kilobytes."""
_WORKED_ON_AT_ONCE: Final = 8
"""How many responses are worked on at once: each takes a database connection, and memory in proportion to its size."""
BATCH: Final = 5_000
"""How many records are compared and written at once: decoded, they take some ten megabytes."""
_LARGE: Final = 256 * 1024
"""From how many bytes of response on the work on it leaves the event loop to others."""


@dataclass(frozen=True, slots=True)
class Poller:
    """What every poll needs, whatever account it is of; `batch`: how many records are compared and written at once."""

    engine: AsyncEngine
    source: Source
    settings: Settings
    memory: StandingMemory = field(default_factory=StandingMemory)
    metrics: Metrics = field(default_factory=Metrics)
    desks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_WORKED_ON_AT_ONCE))
    batch: int = BATCH

    async def poll(self, account: Account, trigger: Trigger, *, lateness: timedelta | None = None) -> PollResult:
        """Polls an account once. What goes wrong on the way is in the result, and changed nothing but the run.

        Args:
            account: Whose numbers.
            trigger: What began the poll.
            lateness: How long after it was due it begins; None if it was not scheduled.
        """
        begun = time.monotonic()
        notes = PollNotes(trigger, lateness)
        run: Run | None = None
        response: Response | None = None
        error: PollError | None = None
        try:
            with told_as_database_errors():
                run = await runs.begin(self.engine, account.name, account.time_zone.key, trigger)
            async with AsyncExitStack() as room:
                response = await self.source.fetch(account, room=room)
                notes.hear(response)
                async with self.desks:
                    with told_as_database_errors():
                        conclusion = await self._record(run, response, trigger, notes)
        except PollError as failure:
            error = failure
            conclusion = await self._conclude_failed(run, response, error)
            notes.http_status, notes.response_bytes = error.http_status, error.response_bytes
        result = PollResult.of(
            account.name, None if run is None else run.run_id, conclusion, error, seconds=time.monotonic() - begun
        )
        poll_finished(result, notes, self.metrics)
        return result

    async def _record(self, run: Run, response: Response, trigger: Trigger, notes: PollNotes) -> Conclusion:
        """Brings the database to what the response says."""
        body = response.body
        responded = Responded(response.http_status, len(body), digest(body))
        if run.body_digest == responded.body_digest:
            async with runs.fence(self.engine, run) as fence:
                notes.clock_ahead = fence.clock_ahead
                if fence.is_superseded:
                    return await runs.supersede(fence, responded)
                if runs.stands_as_a_whole(fence, responded):
                    return await runs.confirm(fence, responded)
        while True:
            before = await recall_standing(self.engine, run.account_id, self.memory)
            try:
                arrival = await _think(len(body), read, body, before.standing, before.app_id)
            except PollError:
                # A later poll may have succeeded meanwhile: then it does not matter what this one was answered.
                async with runs.fence(self.engine, run) as fence:
                    if fence.is_superseded:
                        return await runs.supersede(fence, responded)
                raise
            conclusion = await self._decide(run, responded, trigger, before, arrival, notes)
            if conclusion is not None:
                return conclusion

    async def _decide(
        self,
        run: Run,
        responded: Responded,
        trigger: Trigger,
        before: AccountStanding,
        arrival: Arrival,
        notes: PollNotes,
    ) -> Conclusion | None:
        """Decides what changed and writes it; None if another poll has changed what was compared with."""
        settings, size = self.settings, responded.response_bytes
        guard = RemovalGuard(settings.removal_guard_ratio, settings.removal_guard_hold, trigger == "accept_removals")
        vocabulary = await learn(self.engine, arrival.words)
        notes.learned |= vocabulary.learned
        async with runs.fence(self.engine, run) as fence:
            notes.clock_ahead = fence.clock_ahead
            if fence.is_superseded:
                return await runs.supersede(fence, responded)
            if (fence.standing_run_id, fence.app_id) != (before.standing_run_id, before.app_id):
                return None
            known = await recall(fence, arrival, before.standing, guard.hold)
            total = await self._write(fence, arrival, known, guard, vocabulary.regions, size)
            conclusion = await runs.succeed(fence, responded, total, arrival.app_id)
        self.memory.put(run.account_id, await _think(size, stands_after, before, arrival, total, run.run_id))
        notes.take(total, listed=known.listed)
        return conclusion

    async def _write(
        self,
        fence: Fence,
        arrival: Arrival,
        known: Known,
        guard: RemovalGuard,
        regions: dict[str, int],
        size: int,
    ) -> Total:
        """Decides and writes: a batch of records after another, and then what the response says beside its records."""
        total = Total()
        rest = await _think(size, settle, arrival, known, guard)
        await find_by_key(fence)

        def decide(records: Fresh, rows: NumberRows) -> Prepared:
            numbers = rows.known()
            return prepare(fence, reconcile(records, numbers, known), {**regions, **numbers.regions})

        batch = prepare(fence, Decision(), regions)
        for records in await _think(size, arrival.records.taken_out, self.batch):
            rows = await recall_numbers(fence, list(records))
            # While one batch is written, the next is decided.
            coming = asyncio.ensure_future(_think(size, decide, records, rows))
            try:
                await apply(fence, batch)
            finally:
                decided = await coming
            total.add(batch.decision)
            batch = decided
        await apply(fence, batch)
        total.add(batch.decision)
        if not (total.is_unchanged and rest.is_empty):
            await apply(fence, prepare(fence, rest, regions))
            await keep_rejections(fence, arrival.rejections)
        total.add(rest)
        return total

    async def _conclude_failed(self, run: Run | None, response: Response | None, error: PollError) -> Conclusion:
        """Writes that a poll failed; unless it was merely the acknowledgement of its commit that was lost."""
        if response is not None and error.http_status is None:
            error.http_status, error.response_bytes = response.http_status, len(response.body)
        if run is not None:
            with contextlib.suppress(DatabaseError), told_as_database_errors():
                # If it has an outcome already, a commit went through that had been given up for lost.
                if not await runs.fail(self.engine, run, error):
                    return await runs.conclusion_of(self.engine, run)
        return Conclusion("failed", {})


async def _think(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls what computes; in a thread if the response is large, so that the event loop can turn meanwhile."""
    if size < _LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
