"""The database: the one at the configured address, or else the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from syncer.config.database_address import describe_location
from syncer.config.env_file import describe_env_file
from syncer.errors import NoDatabaseError
from syncer.store.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config.settings import Settings
    from syncer.embedded import EmbeddedServer


CONNECTIONS: Final = 15
"""Connections for polls, at most. Each stays open once it was needed: polls come in bursts, and to connect takes the
server longer than most polls."""


class Database:
    """The database; a context manager that runs the embedded server if no address is configured.

    Args:
        settings: The settings, with the database's address.
        for_migration: Whether the owner's address alone is enough, and is the one that `location` describes.
        may_create: Whether an embedded database is created if there is none.

    Attributes:
        engine: The connections for polls and for short statements; they are opened on demand.
        owner_engine: The connections for migrations, as the owner and without a statement timeout.

    Raises:
        ConfigurationError: No address is configured, and the embedded server is switched off.
        EmbeddedServerError: The embedded server does not start.
    """

    def __init__(self, settings: Settings, *, for_migration: bool = False, may_create: bool = True) -> None:
        self._url = settings.database_url or (settings.migrate_database_url if for_migration else None)
        self._for_migration = for_migration
        self._may_create = may_create
        self._owner_url = settings.migrate_database_url or settings.database_url
        self._owner_variable = "SYNCER_MIGRATE_DATABASE_URL" if settings.migrate_database_url else "SYNCER_DATABASE_URL"
        self._server: EmbeddedServer | None = None
        self._configured_bin_dir = settings.pg_bindir
        if self._url is None:
            settings.require_database()
            self._server = _embedded_server(settings)
        self.engine = Engine(self.url, pool_size=CONNECTIONS)
        self.owner_engine = Engine(self.owner_url, variable=self._owner_variable, pool_size=2, command_timeout=None)

    def __enter__(self) -> Self:
        if self._server is not None:
            _ = self.bin_dir  # raises if the programs are not there, which has to be put right first
            if not self._may_create and not self._server.exists():
                raise NoDatabaseError(
                    f"there is no database: SYNCER_DATABASE_URL is not set, {describe_env_file()}, and "
                    f"{self._server.folder} has no embedded database; set SYNCER_DATABASE_URL, or name the file with "
                    "settings with --env-file or SYNCER_ENV_FILE; `syncer run` and `syncer sync` create an embedded one"
                )
            self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the embedded server."""
        return self._server is not None

    @property
    def location(self) -> str:
        """Where the database is, for a person: `host:port/name`, or the folder of the embedded one."""
        if self._server is not None:
            return f"embedded in {self._server.folder}"
        return describe_location(self.owner_url() if self._for_migration else self.url())

    @property
    def bin_dir(self) -> Path:
        """The folder of the PostgreSQL programs for the embedded server, whether or not it is running.

        Raises:
            EmbeddedServerError: No such programs are installed.
        """
        from syncer.embedded import find_binaries  # noqa: PLC0415 - only needed without a configured address

        return find_binaries(self._configured_bin_dir)

    def ensure_running(self) -> None:
        """Restarts the embedded server if it died, or if the process that owned it is gone; cheap otherwise."""
        if self._server is not None:
            self._server.ensure()

    def url(self) -> str:
        """The address to connect to, including the password. The embedded server's may change when it restarts."""
        if self._server is not None:
            return self._server.url
        assert self._url is not None  # noqa: S101 - see the constructor
        return self._url.get_secret_value()

    def owner_url(self) -> str:
        """The address to connect to as the role that may change the schema."""
        return self.url() if self._owner_url is None else self._owner_url.get_secret_value()

    async def dispose(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()
        await self.owner_engine.dispose()


def _embedded_server(settings: Settings) -> EmbeddedServer:
    from syncer.embedded import EmbeddedServer, default_data_dir  # noqa: PLC0415 - only needed without an address

    return EmbeddedServer(settings.data_dir or default_data_dir(), programs=settings.pg_bindir)
