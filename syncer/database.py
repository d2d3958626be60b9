"""The database in use: the one whose address was set, or else the embedded server."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.config.settings import Settings
    from syncer.embedded import EmbeddedServer


class Database:
    """Where the numbers are kept; a context manager that runs the embedded server if no address was set.

    Args:
        settings: Where it is.
        to_migrate: The owner's address alone will do.

    Raises:
        ConfigurationError: No address was set, and the embedded server is not wanted.
        EmbeddedServerError: It does not start.
    """

    def __init__(self, settings: Settings, *, for_migration: bool = False) -> None:
        self._url = settings.database_url or (settings.migrate_database_url if for_migration else None)
        self._owner_url = settings.migrate_database_url or settings.database_url
        self._server: EmbeddedServer | None = None
        self._configured_bin_dir = settings.pg_bindir
        if self._url is None:
            settings.require_database()
            self._server = _embedded_server(settings)

    def __enter__(self) -> Self:
        if self._server is not None:
            self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded server."""
        return self._server is not None

    @property
    def bin_dir(self) -> Path:
        """The folder of the embedded server's programs, whether or not it runs.

        Raises:
            EmbeddedServerError: This machine has none.
        """
        from syncer.embedded import find_binaries  # noqa: PLC0415 - only who has no address needs it

        return find_binaries(self._configured_bin_dir)

    def ensure_running(self) -> None:
        """Starts the embedded server again if it died, or if the process that owned it is gone; cheap otherwise."""
        if self._server is not None:
            self._server.ensure()

    def url(self) -> str:
        """Where to connect, password included; the embedded server's may change when it starts again."""
        if self._server is not None:
            return self._server.url
        assert self._url is not None  # noqa: S101 - see the constructor
        return self._url.get_secret_value()

    def owner_url(self) -> str:
        """Where to connect as the role that may change the schema."""
        return self.url() if self._owner_url is None else self._owner_url.get_secret_value()

    @cached_property
    def engine(self) -> AsyncEngine:
        """Connections, made when they are needed: for the responses that are worked on, and for short statements."""
        from syncer.store.engine import create_engine  # noqa: PLC0415 - SQLAlchemy costs half of a command's start

        return create_engine(self.url, pool_size=10)

    @cached_property
    def owner_engine(self) -> AsyncEngine:
        """Connections for migrations: as the owner, and with all the time they need."""
        from syncer.store.engine import create_engine  # noqa: PLC0415 - likewise

        return create_engine(self.owner_url, pool_size=1, command_timeout=None)

    async def dispose(self) -> None:
        """Closes all connections."""
        for name in ("engine", "owner_engine"):
            if name in self.__dict__:
                await self.__dict__[name].dispose()


def _embedded_server(settings: Settings) -> EmbeddedServer:
    from syncer.embedded import EmbeddedServer, default_data_dir  # noqa: PLC0415 - only who has no address needs it

    return EmbeddedServer(settings.data_dir or default_data_dir(), programs=settings.pg_bindir)
