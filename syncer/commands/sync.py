"""`syncer sync`: polls once now, regardless of the schedule and of other processes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from syncer.commands.progress import show_progress
from syncer.endpoint.client import Source
from syncer.errors import DatabaseError
from syncer.names.reader import NameReader
from syncer.outcome import Conclusion, PollResult
from syncer.poll import CONCURRENT_POLLS, Poller
from syncer.store.accounts import read_account_ids, retire_other_accounts
from syncer.store.identities import advance_identities
from syncer.store.retention import store_retention
from syncer.store.schema import migrate, schema_state
from syncer.telemetry.logs import log, report_identities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database
    from syncer.store.engine import Engine

Notify: TypeAlias = "Callable[[Engine, Mapping[int, Account]], Awaitable[None]]"
"""Sends the notices that are due, of the accounts by `account_id`; raises nothing."""


async def sync_now(
    settings: Settings,
    accounts: Sequence[Account],
    database: Database,
    configured: Sequence[Account],
    notify: Notify | None,
    *,
    accept_removals: bool,
) -> list[PollResult]:
    """Polls each account once, retires those that are not configured any more, sends notices and reads names.

    The notices are those that are due, and the lists of names those that are due, of the polled accounts whose numbers
    were received.

    Args:
        settings: The settings.
        accounts: The accounts to poll.
        database: The database.
        configured: All accounts that are configured.
        notify: Sends notices after the polls; None if there are none.
        accept_removals: Whether every number that is missing now is removed.

    Returns:
        The results, in the order of the accounts.

    Raises:
        SchemaError: The schema is not the one this version requires.
    """
    try:
        await _ensure_schema(settings, database)
        log.info("sync_started", accounts=len(accounts), database=database.location)
        report_identities(await advance_identities(database.engine))
    except DatabaseError as error:
        failed = Conclusion("failed", {})
        return [PollResult.of(account.name, None, failed, error, seconds=0) for account in accounts]
    slots = asyncio.Semaphore(CONCURRENT_POLLS)
    async with Source(settings) as source:
        poller = Poller(database.engine, source, settings)

        async def poll(account: Account) -> PollResult:
            async with slots:
                return await poller.poll(account, "accept_removals" if accept_removals else "command")

        with show_progress(f"polling {', '.join(account.name for account in accounts[:3])} …"):
            results = await asyncio.gather(*map(poll, accounts))
        with suppress(DatabaseError):  # which the polls have reported
            ids = await read_account_ids(database.engine, [account.name for account in configured])
            await retire_other_accounts(database.engine, ids.values())
            known = {ids[one.name]: one for one in configured if one.name in ids}
            names = NameReader(database.engine, source, settings, poller.metrics.names, poller.verified_tokens)
            with suppress(DatabaseError):  # which `read_due` logs
                await names.register(known)
            if notify is not None:
                await notify(database.engine, known)
            await names.read_due({ids[one.name]: one for one in accounts if one.name in ids})
    await database.dispose()
    return list(results)


async def _ensure_schema(settings: Settings, database: Database) -> None:
    """Migrates if needed and enabled; only then is a connection made as the owner."""
    state = await schema_state(database.engine)
    if settings.migrate_on_start and state.found != state.required:
        await migrate(database.owner_engine)
        await store_retention(database.owner_engine, settings.run_retention)
        state = await schema_state(database.engine)
    state.require_writable()


def json_line(result: PollResult) -> str:
    """Formats a result as one line of JSON with all fields of the contract."""
    fields = msgspec.structs.asdict(result)
    del fields["notes"], fields["retry_after_seconds"]
    return msgspec.json.encode(fields).decode()


def worst_exit_code(results: Iterable[PollResult]) -> int:
    """Returns 4 if the outcome of any poll is unknown, else 1 if any failed, else 3 if any needs attention, else 0."""
    codes = {result.exit_code for result in results}
    return next((code for code in (4, 1, 3) if code in codes), 0)
