"""`syncer run`: the daemon with its HTTP server, systemd notifications and signal handling."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from syncer.config.accounts import describe_shared_tokens
from syncer.daemon import systemd
from syncer.daemon.open_files import raise_open_files_limit
from syncer.daemon.scheduler import Daemon
from syncer.daemon.signals import install_hangup_handler, install_stop_handlers
from syncer.endpoint.client import Source
from syncer.errors import ConfigurationError, ListenError, SyncerError
from syncer.malloc import tune_malloc
from syncer.poll import Poller
from syncer.telemetry.logs import log
from syncer.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.config.accounts import Account
    from syncer.config.hosts import ListenAddress
    from syncer.config.settings import Settings
    from syncer.database import Database
    from syncer.notices.rules import NotifyFile

Configuration: TypeAlias = "tuple[Sequence[Account], NotifyFile | None]"
"""What SIGHUP reads again: the accounts, and the rules and channels of notices."""

LISTEN_RETRY_SECONDS: Final = 5.0
"""How long the daemon waits before it tries again to listen on an address that is in use."""


async def run_daemon(
    settings: Settings, configuration: Configuration, database: Database, load: Callable[[], Configuration]
) -> None:
    """Runs the daemon until SIGTERM or SIGINT. SIGHUP reloads the accounts and the notify file.

    Args:
        settings: The settings.
        configuration: The accounts to poll at first, and the notify file.
        database: The database.
        load: Loads both again on SIGHUP. If it raises SyncerError, the daemon keeps those that it has.

    Raises:
        ConfigurationError: The daemon can never listen on SYNCER_HTTP_LISTEN. If it only cannot now, it polls, and
            tries to listen again.
    """
    tune_malloc()
    raise_open_files_limit()
    stop = install_stop_handlers()
    async with Source(settings) as source, AsyncExitStack() as stack:
        log.info("daemon_started", accounts=len(configuration[0]), database=database.location)
        daemon = Daemon(database, Poller(database.engine, source, settings), *configuration)
        listen_task = None
        if settings.http_listen is not None:
            listen_task = await _listen(create_site(daemon, settings.http_listen, settings, database), stack)
        reload_task = asyncio.create_task(_reload_on(install_hangup_handler(stop), daemon, load))
        notify_task = asyncio.create_task(systemd.notify_until(stop, daemon.is_live))
        await daemon.run(stop)
        reload_task.cancel()
        if listen_task is not None:
            listen_task.cancel()
        await notify_task
    await database.dispose()


def create_site(daemon: Daemon, address: ListenAddress, settings: Settings, database: Database) -> Site:
    """Creates the HTTP server of a daemon."""
    return Site(
        settings,
        address,
        database.url,
        daemon.metrics,
        is_live=daemon.is_live,
        configured=lambda: daemon.account_names,
    )


async def _listen(site: Site, stack: AsyncExitStack) -> asyncio.Task[None] | None:
    """Starts the HTTP server; if its port is taken, returns a task that tries again until it is free."""
    try:
        await stack.enter_async_context(site)
    except ListenError as error:
        log.error("http_not_listening", error=f"{error}; trying again every {LISTEN_RETRY_SECONDS:g} s")
        return asyncio.create_task(_listen_later(site, stack))
    return None


async def _listen_later(site: Site, stack: AsyncExitStack) -> None:
    while True:
        await asyncio.sleep(LISTEN_RETRY_SECONDS)
        with suppress(ConfigurationError):
            await stack.enter_async_context(site)
            return


async def _reload_on(hangup: asyncio.Event, daemon: Daemon, load: Callable[[], Configuration]) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            with systemd.reloading():
                accounts, notify_file = await asyncio.to_thread(load)
        except SyncerError as error:
            log.error("accounts_not_reloaded", error=str(error))
            systemd.sd_notify(f"STATUS=the accounts were not reloaded: {error}")
        except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
            log.exception("reload_crashed")
        else:
            for sentence in describe_shared_tokens(accounts):
                log.warning("shared_token", found=sentence)
            daemon.set_accounts(accounts, notify_file)
            log.info("accounts_reloaded", accounts=len(accounts))
