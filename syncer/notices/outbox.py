"""Sends the messages of a channel: claims one, reads what it is about, sends it, and records how that ended."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from syncer.errors import DatabaseError
from syncer.local_time import time_zone_or_utc
from syncer.notice import Attempt, ChangesNotice
from syncer.notices.http import MAX_RETRY_AFTER
from syncer.notices.messages import render
from syncer.notices.rules import NUMBER_EVENTS
from syncer.notices.times import after_quiet
from syncer.store.notices import claim_message, put_off, send_now, settle
from syncer.store.queries.notice_content import Wanted, read_notice
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.notice import ConditionsNotice, Sender
    from syncer.notices.rules import NotifyFile, Rule
    from syncer.store.engine import Engine
    from syncer.store.notices import Claim
    from syncer.telemetry.notice_metrics import NoticeMetrics

RETRY_SECONDS: Final = (5, 30, 120, 600, 1800, 3600)
"""How long after the first failures of a message it is tried again; after all others, as after the last of these."""

Outcome = Literal["sent", "failed", "expired", "refused", "lost"]
"""How an attempt ended. `lost`: its lease was over, and another process sends the message."""


class Outbox:
    """Sends the messages of one channel, one at a time and in the order in which they were made.

    Args:
        engine: The database.
        metrics: Where notices are counted.
        file: The notify file.
        channel: The channel's name.
        sender: What sends its messages.
        slot: Held while the database is asked, so that all channels together use one connection.
        process: Which process this is.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: NoticeMetrics,
        file: NotifyFile,
        channel: str,
        sender: Sender,
        *,
        slot: asyncio.Lock,
        process: str,
    ) -> None:
        self._engine = engine
        self._slot = slot
        self._metrics = metrics
        self._rules = file.rules
        self._channel = file.channels[channel]
        self._sender = sender
        self._process = process
        self._failures = 0
        self._is_down = False
        self._pause = 0.0

    async def run(self, work: asyncio.Event, stopping: asyncio.Event) -> None:
        """Sends what waits whenever `work` is set, until `stopping` is or the receiver refuses for good."""
        stop = asyncio.ensure_future(stopping.wait())
        try:
            while not stopping.is_set():
                await asyncio.wait([stop, wanted := asyncio.ensure_future(work.wait())], return_when="FIRST_COMPLETED")
                wanted.cancel()
                work.clear()
                while not stopping.is_set():
                    try:
                        outcome = await self.send_next()
                    except DatabaseError:  # the scheduler logs it
                        break
                    except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
                        log.exception("notifier_crashed")
                        break
                    if outcome is None:
                        break
                    if outcome == "refused":
                        return
                    if outcome == "failed":
                        await asyncio.wait([stop], timeout=self._pause)
        finally:
            stop.cancel()

    async def send_next(self) -> Outcome | None:
        """Sends the oldest message that waits and may be sent now; returns how that ended, None if there is none.

        Raises:
            DatabaseError: PostgreSQL refused.
        """
        while True:
            async with self._slot:
                claim = await claim_message(self._engine, self._channel.name, list(self._rules), self._process)
            if claim is None:
                return None
            rule = self._rules[claim.rule]
            if claim.now - claim.made_at > rule.max_age:
                return await self._end(claim, Attempt(outcome="failed", error=claim.error), expired=True)
            async with self._slot:
                # Not the events and types of the rule, which may be others by now: each attempt has the same content.
                events = [event for event in NUMBER_EVENTS if event in claim.counts]
                notice = await read_notice(self._engine, claim, Wanted(events, claim.notices[0].types))
                # It was not made in quiet hours, but they may have begun since.
                due_at = _after_quiet_everywhere(rule, notice, claim.now)
                if due_at <= claim.now:
                    break
                await put_off(self._engine, claim, due_at)
        message = replace(render(notice, self._channel), may_repeat=claim.may_repeat)
        attempt = await self._sender.send(message)
        return await self._end(claim, attempt, expired=False)

    async def _end(self, claim: Claim, attempt: Attempt, *, expired: bool) -> Outcome:
        outcome: Literal["sent", "failed", "expired", "refused"] = "expired" if expired else attempt.outcome
        wait = timedelta()
        if outcome == "failed":
            self._failures += 1
            wait = retry_delay(claim.attempts, attempt.retry_after)
            self._pause = retry_delay(self._failures, attempt.retry_after).total_seconds()
            self._is_down = attempt.http_status is None or attempt.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
        async with self._slot:
            recorded = await settle(
                self._engine,
                claim,
                "waiting" if outcome == "failed" else outcome,
                http_status=attempt.http_status,
                error=attempt.error,
                may_have_arrived=claim.may_repeat or attempt.is_uncertain,
                retry_after=wait,
            )
            if outcome == "sent" and self._is_down:
                # Those that failed before would wait for their own time though the receiver is there again.
                await send_now(self._engine, self._channel.name)
        if outcome == "sent":
            self._failures, self._is_down = 0, False
        if not recorded:
            return "lost"
        self._report(claim, attempt, outcome, wait)
        return outcome

    def _report(self, claim: Claim, attempt: Attempt, outcome: Outcome, wait: timedelta) -> None:
        delay = None if outcome != "sent" else claim.now - (claim.recorded_at or claim.made_at)
        self._metrics.count(self._channel.name, outcome, delay)
        fields = {
            "channel": self._channel.name,
            "rule": claim.rule,
            "accounts": len(claim.notices),
            "events": claim.counts,
            "runs": claim.runs,
            "attempt": claim.attempts,
            "error": attempt.error,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        if outcome == "sent":
            log.info("notice_sent", **fields)
        elif outcome == "failed":
            log.warning("notice_failed", **fields, retry_seconds=round(wait.total_seconds()))
        else:
            log.error(f"notice_{outcome}", **fields)


def _after_quiet_everywhere(rule: Rule, notice: ChangesNotice | ConditionsNotice, now: datetime) -> datetime:
    """Returns when the quiet hours in which a message is have ended in the zones of all its accounts; `now` if in none.

    Those of another zone can have begun by then: the message is put off once more.
    """
    if rule.quiet is None:
        return now
    found = [notice] if isinstance(notice, ChangesNotice) else notice.conditions
    zones = {one.time_zone for one in found}
    return max((after_quiet(rule.quiet, time_zone_or_utc(zone), now) for zone in zones), default=now)


def retry_delay(failures: int, retry_after: timedelta | None) -> timedelta:
    """Returns how long to wait before the next attempt: what the receiver asked for, or longer after each failure.

    Args:
        failures: How many attempts in a row have failed; at least 1.
        retry_after: How long the receiver asked to wait.
    """
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER)
    seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads attempts; not a secret
