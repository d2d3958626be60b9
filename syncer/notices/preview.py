"""What the rules would have sent in a time that is over: the same spans, without cursors and without sending."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from syncer.notice import ChangesNotice, Digest
from syncer.notices.times import next_time
from syncer.store.engine import autocommit_connection
from syncer.store.notice_cursors import HeldConditions, count_failed_polls, find_held_conditions, read_applied_runs
from syncer.store.number_events import count_events, find_span
from syncer.store.queries.notice_content import Wanted, read_changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    import asyncpg

    from syncer.config.accounts import Account
    from syncer.notices.rules import NotifyFile, Rule
    from syncer.store.engine import Engine
    from syncer.store.notice_cursors import AppliedRuns

_NOBODY: UUID = UUID(int=0)


class Span(NamedTuple):
    """Runs that are in one message.

    Attributes:
        through: How many runs, counted from the first, are in it or in an earlier one.
        sent_at: When it is sent.
    """

    through: int
    sent_at: datetime


async def preview_notices(
    engine: Engine, file: NotifyFile, accounts: Mapping[int, Account], age: timedelta
) -> AsyncIterator[tuple[Rule, ChangesNotice]]:
    """Yields what each rule would have sent of each account, had it been there since a time: changes of numbers.

    Args:
        engine: The database.
        file: The notify file.
        accounts: The accounts, by `account_id`.
        age: How long the time is; it ends now.

    Raises:
        DatabaseError: The database cannot be read.
    """
    async with autocommit_connection(engine) as connection, connection.transaction(isolation="repeatable_read"):
        for account_id, account in accounts.items():
            runs = await read_applied_runs(connection, account_id, age)
            for rule in file.rules.values():
                if rule.accounts is None or account.name in rule.accounts:
                    async for notice in _preview(connection, rule, account_id, account, runs):
                        yield rule, notice


async def _preview(
    connection: asyncpg.Connection[Any], rule: Rule, account_id: int, account: Account, runs: AppliedRuns
) -> AsyncIterator[ChangesNotice]:
    """Yields what a rule would have sent of an account."""
    run_ids = [runs.first, *runs.finished]
    cursor = PastCursor(rule, account.time_zone, list(runs.finished.values()), runs.since)
    while (span := cursor.next_span()) is not None and span.sent_at <= runs.now:
        about = run_ids[cursor.position], run_ids[span.through]
        polls_since = cursor.planned_at if rule.is_digest else None
        notice = await read_span(connection, rule, account_id, about, span.sent_at, polls_since=polls_since)
        if notice is not None:
            yield notice
        cursor.move(span, has_made_notice=notice is not None)


class PastCursor:
    """A cursor that follows a rule through runs that are over, as the planner's do.

    Args:
        rule: The rule.
        time_zone: The account's.
        times: When each run was recorded, in the order of the runs.
        since: From when on the rule counts.

    Attributes:
        position: How many of the runs have been looked at.
        planned_at: When the last message was made, or the last digest was due.
    """

    def __init__(self, rule: Rule, time_zone: ZoneInfo, times: Iterable[datetime], since: datetime) -> None:
        self._rule = rule
        self._time_zone = time_zone
        # The clock of a database can be set back; its runs are looked at in their order all the same.
        self._times = list(accumulate(times, max))
        self.position = 0
        self.planned_at = since

    def next_span(self) -> Span | None:
        """Returns the runs that are looked at together next; None if there are none any more."""
        if self._rule.is_digest:
            start = self.planned_at
        elif self.position < len(self._times):
            start = max(self.planned_at, self._times[self.position])
        else:
            return None
        sent_at = next_time(self._rule, self._time_zone, start, self.planned_at) or start
        return Span(max(self.position, bisect_right(self._times, sent_at)), sent_at)

    def move(self, span: Span, *, has_made_notice: bool) -> None:
        """Moves behind a span. What needed no notice delays no other."""
        self.position = span.through
        if has_made_notice or self._rule.is_digest:
            self.planned_at = span.sent_at


async def read_span(
    connection: asyncpg.Connection[Any],
    rule: Rule,
    account_id: int,
    runs: tuple[int, int],
    sent_at: datetime,
    *,
    polls_since: datetime | None = None,
) -> ChangesNotice | None:
    """Returns what a rule says of the runs of an account after one run and up to another; None if that is nothing.

    Args:
        connection: The database.
        rule: The rule.
        account_id: The account.
        runs: The run after which they begin, and the last one.
        sent_at: When it is said.
        polls_since: Since when failed polls are counted, if it is a digest.
    """
    span = await find_span(connection, account_id, runs, rule.types, rule.number_events)
    counts = await count_events(connection, span)
    digest, held = None, HeldConditions((), ())
    if polls_since is not None:
        held = await find_held_conditions(connection, account_id, rule.conditions, polls_since, sent_at)
        failed_polls = await count_failed_polls(connection, account_id, polls_since, sent_at)
        digest = Digest(blocked_counts={}, blocked=(), polls_since=polls_since, failed_polls=failed_polls)
    has_failed = digest is not None and digest.failed_polls
    if not (counts or rule.even_if_nothing or has_failed or held.ids):
        return None
    notice = ChangesNotice(
        message_id=_NOBODY,
        created_at=sent_at,
        account_id=account_id,
        account="",
        time_zone="",
        rule=rule.name,
        after_run_id=runs[0],
        through_run_id=runs[1],
        counts=counts,
        events=(),
        window=None,
        digest=digest,
    )
    return await read_changes(connection, Wanted(rule.number_events, rule.types), notice, held)
