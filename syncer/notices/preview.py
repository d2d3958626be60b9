"""What the rules would have sent in a time that is over: the same spans, without cursors and without sending."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from syncer.notice import ChangesNotice, Digest
from syncer.notices.times import next_time
from syncer.store.engine import autocommit_connection
from syncer.store.notices import HeldConditions, count_failed_polls, find_held_conditions, read_applied_runs
from syncer.store.number_events import count_events, find_span
from syncer.store.queries.notice_content import Wanted, read_changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.accounts import Account
    from syncer.notices.rules import NotifyFile, Rule

_NOBODY: UUID = UUID(int=0)


class _Span(NamedTuple):
    after: int
    through: int
    sent_at: datetime
    since: datetime


async def preview_notices(
    engine: AsyncEngine, file: NotifyFile, accounts: Mapping[int, Account], age: timedelta
) -> AsyncIterator[tuple[Rule, ChangesNotice]]:
    """Yields what each rule would have sent of each account, had it followed it all the time: changes of numbers.

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
                if rule.accounts is not None and account.name not in rule.accounts:
                    continue
                wanted = Wanted(rule.number_events, rule.types)
                for span in _spans(rule, account, runs.first, runs.finished, runs.since, runs.now):
                    counted = await find_span(
                        connection, account_id, (span.after, span.through), rule.types, rule.number_events
                    )
                    counts = await count_events(connection, counted)
                    digest, held = None, HeldConditions((), ())
                    if rule.is_digest:
                        failed = await count_failed_polls(connection, account_id, span.since, span.sent_at)
                        digest = Digest(blocked_counts={}, blocked=(), polls_since=span.since, failed_polls=failed)
                        held = await find_held_conditions(
                            connection, account_id, rule.conditions, span.since, span.sent_at
                        )
                    has_failed = digest is not None and bool(digest.failed_polls)
                    if not (counts or rule.even_if_nothing or has_failed or held.ids):
                        continue
                    notice = ChangesNotice(
                        message_id=_NOBODY,
                        created_at=span.sent_at,
                        account_id=account_id,
                        account=account.name,
                        time_zone=account.time_zone.key,
                        rule=rule.name,
                        after_run_id=span.after,
                        through_run_id=span.through,
                        counts=counts,
                        events=(),
                        window=None,
                        digest=digest,
                    )
                    yield rule, await read_changes(connection, wanted, notice, held)


def _spans(
    rule: Rule, account: Account, first: int, finished: Mapping[int, datetime], since: datetime, now: datetime
) -> list[_Span]:
    """Divides runs into the spans of one message each.

    Args:
        rule: The rule.
        account: The account.
        first: The run after which they begin.
        finished: When each run was recorded, by its id, in order.
        since: When the last message counts as sent.
        now: Until when messages are sent.
    """
    spans = []
    ids, times = list(finished), list(finished.values())
    position, last, after = 0, since, first
    while position < len(ids) or rule.is_digest:
        start = last if position == len(ids) else max(last, times[position])
        sent_at = next_time(rule, account.time_zone, last if rule.is_digest else start, last) or start
        if sent_at > now:
            break
        position = max(position, bisect_right(times, sent_at))
        through = ids[position - 1] if position else after
        spans.append(_Span(after, through, sent_at, last))
        last, after = sent_at, through
    return spans
