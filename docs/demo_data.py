"""The demo data that the pages are about: half a year that ends at a fixed moment, the same every time.

It is told into a database of its own on an embedded server in a temporary folder, and leaves nothing behind.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from syncer.commands.demo_backfill import backfill_demo
from syncer.config.settings import Settings
from syncer.database import Database
from syncer.embedded import EmbeddedServer
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS: Final = 180
SEED: Final = 1
UNTIL: Final = datetime(2025, 6, 25, 9, tzinfo=ZoneInfo("Europe/Moscow"))
"""The last poll. In the past of any machine, since views reach until now."""

_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def server() -> Iterator[str]:
    """An embedded server that is there while the block lasts; its address."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-docs-"))
    folder.chmod(0o755)  # as root the server runs as another user, who must get in
    try:
        with EmbeddedServer(folder, server_settings=_FAST) as running:
            yield running.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def fill(url: str, *, days: int = DAYS, until: datetime | None = UNTIL) -> None:
    """Brings a database to the newest schema, and tells the demo's history into it if there are days to tell.

    Args:
        url: Where.
        days: How many.
        until: The last moment; None is now.
    """
    database = Database(Settings.model_construct(database_url=SecretStr(url)))
    try:
        await migrate(database.owner_engine)
        if days:
            await backfill_demo(database, days, SEED, until=until)
    finally:
        await database.dispose()
