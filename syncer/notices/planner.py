"""Plans notices: makes one of everything that has happened since a cursor, once the cursor's time has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from syncer.config.staleness import StaleTimes, shortest_silence
from syncer.notices.conditions import compare_conditions, current_conditions
from syncer.notices.times import next_time
from syncer.store.account_conditions import Condition, look_at_accounts
from syncer.store.notice_cursors import (
    MAX_CURSORS_PER_LOOK,
    CursorKey,
    Route,
    add_cursors,
    find_cursors_to_plan,
    lock_cursor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.config.accounts import Account
    from syncer.notices.rules import NotifyFile
    from syncer.store.account_conditions import Look, Pending
    from syncer.store.engine import Engine

CONDITIONS_SECONDS: Final = 15.0
"""Pause between looks at the conditions of the accounts."""
CURSORS_SECONDS: Final = 60.0
"""Pause between looks for cursors that are missing, as after a backup was restored."""
STALE_AFTER_SECONDS: Final = 60.0
"""How long this process has to see the database before it says that accounts are stale: after a start, or an outage of
the database, all of them are for a moment."""
TOGETHER_SECONDS: Final = 60.0
"""Conditions that begin or end within this time of a message are in the next one: an outage does not begin everywhere
at once."""


class Planner:
    """Makes the notices of a notify file.

    Args:
        engine: The database.
        file: The notify file.
        slot: Held while the database is asked.
    """

    def __init__(self, engine: Engine, file: NotifyFile, slot: asyncio.Lock) -> None:
        self._engine = engine
        self._slot = slot
        self._rules = file.rules
        self._routes = [
            Route(rule.name, channel, rule.is_digest) for rule in file.rules.values() for channel in rule.channels
        ]
        self._stale_times = StaleTimes()
        self._accounts: Mapping[int, Account] | None = None
        self._cursors_added_at = self._conditions_at = self._seeing_since = float("-inf")
        self._said_at: dict[Route, float] = {}

    def forget(self) -> None:
        """Forgets what it knows of the database: it may be another one now."""
        self._accounts = None

    async def look(self, accounts: Mapping[int, Account], *, is_first: bool = False) -> None:
        """Makes all notices that are due.

        Args:
            accounts: The accounts, by `account_id`.
            is_first: Whether this is the only look: accounts that are stale then are so for good.

        Raises:
            DatabaseError: PostgreSQL refused.
        """
        now = asyncio.get_running_loop().time()
        if self._accounts is None:
            self._seeing_since = float("-inf") if is_first else now
        if self._accounts is not accounts:
            # A new rule says nothing of what held before it was there. But an account that was never polled
            # successfully may be newer than the rule.
            async with self._slot:
                await self._look_at_conditions(accounts, now, with_new_accounts=False)
        if self._accounts is not accounts or now - self._cursors_added_at > CURSORS_SECONDS:
            async with self._slot:
                await add_cursors(self._engine, self._keys(accounts), retire_others=self._accounts is not accounts)
            self._accounts, self._cursors_added_at = accounts, now
        if now - self._conditions_at > CONDITIONS_SECONDS:
            self._conditions_at = now
            async with self._slot:
                await self._look_at_conditions(accounts, now)
        while True:
            async with self._slot:
                keys = await find_cursors_to_plan(self._engine, self._routes)
            known = [key for key in keys if key.account_id in accounts]
            for key in known:
                async with self._slot:
                    await self._plan(key, accounts[key.account_id])
            # Cursors of other accounts, as after a backup was restored, stay due: the next ones are the same.
            if len(keys) < MAX_CURSORS_PER_LOOK or not known:
                break

    def _keys(self, accounts: Mapping[int, Account]) -> list[CursorKey]:
        return [
            CursorKey(account_id, rule.name, channel)
            for rule in self._rules.values()
            for account_id, account in accounts.items()
            if rule.accounts is None or account.name in rule.accounts
            for channel in rule.channels
        ]

    async def _plan(self, key: CursorKey, account: Account) -> None:
        rule = self._rules[key.rule]
        async with lock_cursor(self._engine, key) as cursor:
            if cursor is None:
                return
            due_at = next_time(rule, account.time_zone, cursor.now, cursor.planned_at)
            if due_at is not None and due_at > cursor.now:
                await cursor.postpone(due_at)
                return
            await cursor.make_notice(
                rule.number_events,
                rule.types,
                None if rule.is_digest else rule.max_age,
                rule.conditions if rule.is_digest else None,
                even_if_nothing=rule.even_if_nothing,
            )

    async def _look_at_conditions(
        self, accounts: Mapping[int, Account], now: float, *, with_new_accounts: bool = True
    ) -> None:
        # Digests say which conditions hold, and have no notices of them.
        routes = [route for route in self._routes if not route.is_digest and self._rules[route.rule].conditions]
        others = [route for route in self._routes if route not in routes]
        if not any(rule.conditions for rule in self._rules.values()):
            return
        async with look_at_accounts(self._engine) as look:
            if look is None:
                return
            may_be_stale = now - self._seeing_since >= STALE_AFTER_SECONDS
            await self._store_conditions(look, accounts, may_be_stale=may_be_stale, with_new_accounts=with_new_accounts)
            await look.skip_conditions(others)
            quiet = {route for route, said_at in self._said_at.items() if now - said_at < TOGETHER_SECONDS}
            pending: dict[Route, list[Pending]] = {}
            by_name = {(route.rule, route.channel): route for route in routes if route not in quiet}
            for one in await look.find_pending(list(by_name.values())):
                account = accounts.get(one.key.account_id)
                if account is None:
                    continue
                rule = self._rules[one.key.rule]
                due_at = next_time(rule, account.time_zone, look.now, one.planned_at)
                if due_at is not None and due_at > look.now:
                    await look.postpone(one.key, due_at)
                else:
                    pending.setdefault(by_name[one.key.rule, one.key.channel], []).append(one)
            for route, cursors in pending.items():
                if await look.make_notices(cursors, self._rules[route.rule].conditions):
                    self._said_at[route] = now

    async def _store_conditions(
        self, look: Look, accounts: Mapping[int, Account], *, may_be_stale: bool, with_new_accounts: bool
    ) -> None:
        open_conditions: dict[int, dict[str, Condition]] = {}
        for condition in await look.read_open(list(accounts)):
            open_conditions.setdefault(condition.account_id, {})[condition.kind] = condition
        begun, ended = list[Condition](), []
        for state in await look.read_states(list(accounts), shortest_silence(accounts.values())):
            if state.success_run_id is None and not with_new_accounts:
                continue
            known = open_conditions.get(state.account_id, {})
            since = state.success_started_at or state.created_at
            stale_at = self._stale_times.of(accounts[state.account_id], since)
            found = current_conditions(state, stale_at, look.now, known)
            if not may_be_stale:
                found = [condition for condition in found if condition.kind != "stale" or "stale" in known]
            new, over = compare_conditions(state, found, known, look.now)
            begun += new
            ended += over
        await look.store(begun, ended)
