"""The demo data of the documentation: half a year of history that ends at a fixed time and is always the same.

It is generated on an embedded server in a temporary folder, which is deleted afterwards.
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
"""Time of the last poll; in the past, because views count until now."""

_FAST_SETTINGS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def server() -> Iterator[str]:
    """Runs an embedded server inside the `with` block and yields its address."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-docs-"))
    folder.chmod(0o755)  # if this runs as root, the server runs as another user, who needs access
    try:
        with EmbeddedServer(folder, server_settings=_FAST_SETTINGS) as running:
            yield running.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def generate(url: str, *, days: int = DAYS, until: datetime | None = UNTIL) -> None:
    """Migrates a database to the newest schema and generates the demo's history in it.

    Args:
        url: Address of the database.
        days: Length of the history; 0 generates none.
        until: Time of the last poll; None means now.
    """
    database = Database(Settings.model_construct(database_url=SecretStr(url)))
    try:
        await migrate(database.owner_engine)
        if days:
            await backfill_demo(database, days, SEED, until=until)
    finally:
        await database.dispose()
