"""Deletes runs older than SYNCER_RUN_RETENTION in the background, slowly enough not to disturb the polls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from syncer.errors import DatabaseError
from syncer.store.retention import list_account_ids, prune
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH_PAUSE_SECONDS: Final = 0.5
"""Pause between batches. A batch holds a day's runs of one account, so ten thousand accounts take 1.5 hours."""
ROUND_PAUSE_SECONDS: Final = 600.0
"""Pause between rounds over all accounts; runs expire by whole days."""


async def run_retention(engine: AsyncEngine, retention: timedelta, is_ready: Callable[[], bool]) -> None:
    """Deletes expired runs, account by account, until it is cancelled.

    Args:
        engine: The database.
        retention: How long runs are kept.
        is_ready: Whether the database is reachable and has the expected schema.
    """
    while True:
        if not is_ready():
            await asyncio.sleep(BATCH_PAUSE_SECONDS)
            continue
        try:
            await _prune_all(engine, retention, is_ready)
        except DatabaseError:
            pass  # the scheduler logs it
        except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
            log.exception("retention_crashed")
        await asyncio.sleep(ROUND_PAUSE_SECONDS if is_ready() else BATCH_PAUSE_SECONDS)


async def _prune_all(engine: AsyncEngine, retention: timedelta, is_ready: Callable[[], bool]) -> None:
    remaining = await list_account_ids(engine)
    while remaining and is_ready():
        if not await prune(engine, remaining[-1], retention):
            remaining.pop()
        await asyncio.sleep(BATCH_PAUSE_SECONDS)
