"""Old runs: looks after SYNCER_RUN_RETENTION beside the polls, slowly enough to be in nobody's way."""

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
"""From one batch to the next: ten thousand accounts take an hour and a half, and a day's worth of each is one batch."""
ROUND_PAUSE_SECONDS: Final = 600.0
"""From one round to the next: runs come of age by whole days."""


async def run_retention(engine: AsyncEngine, retention: timedelta, is_ready: Callable[[], bool]) -> None:
    """Prunes account after account, round after round.

    Args:
        engine: The database.
        retention: How old runs become.
        is_ready: Whether the database is there, with our schema.
    """
    while True:
        if not is_ready():
            await asyncio.sleep(BATCH_PAUSE_SECONDS)
            continue
        try:
            await _prune_all(engine, retention, is_ready)
        except DatabaseError:
            pass  # whoever looks for due accounts finds the same, and says so
        except Exception:  # noqa: BLE001 - a fault of the program must not end the daemon, nor pass unseen
            log.exception("retention_crashed")
        await asyncio.sleep(ROUND_PAUSE_SECONDS if is_ready() else BATCH_PAUSE_SECONDS)


async def _prune_all(engine: AsyncEngine, retention: timedelta, is_ready: Callable[[], bool]) -> None:
    left = await list_account_ids(engine)
    while left and is_ready():
        if not await prune(engine, left[-1], retention):
            left.pop()
        await asyncio.sleep(BATCH_PAUSE_SECONDS)
