"""`syncer run`: the daemon with its HTTP server, systemd notifications and signal handling."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from syncer.config.accounts import describe_shared_tokens
from syncer.daemon import systemd
from syncer.daemon.malloc import tune_malloc
from syncer.daemon.open_files import raise_open_files_limit
from syncer.daemon.scheduler import Daemon
from syncer.daemon.signals import install_hangup_handler, install_stop_handlers
from syncer.endpoint.client import Source
from syncer.errors import SyncerError
from syncer.poll import Poller
from syncer.telemetry.logs import log
from syncer.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.config.accounts import Account
    from syncer.config.fields import ListenAddress
    from syncer.config.settings import Settings
    from syncer.database import Database


async def run_daemon(
    settings: Settings, accounts: Sequence[Account], database: Database, load: Callable[[], Sequence[Account]]
) -> None:
    """Runs the daemon until SIGTERM or SIGINT. SIGHUP reloads the accounts.

    Args:
        settings: The settings.
        accounts: The accounts to poll at first.
        database: The database.
        load: Loads the accounts again on SIGHUP. If it raises SyncerError, the daemon keeps the accounts it has.

    Raises:
        ConfigurationError: The daemon cannot listen on SYNCER_HTTP_LISTEN.
    """
    tune_malloc()
    raise_open_files_limit()
    stop = install_stop_handlers()
    async with Source(settings) as source, AsyncExitStack() as stack:
        daemon = Daemon(database, Poller(database.engine, source, settings), accounts)
        if settings.http_listen is not None:
            await stack.enter_async_context(create_site(daemon, settings.http_listen, settings, database))
        reload_task = asyncio.create_task(_reload_on(install_hangup_handler(stop), daemon, load))
        notify_task = asyncio.create_task(systemd.notify_until(stop, daemon.is_live))
        await daemon.run(stop)
        reload_task.cancel()
        await notify_task
    await database.dispose()


def create_site(daemon: Daemon, address: ListenAddress, settings: Settings, database: Database) -> Site:
    """Creates the HTTP server of a daemon."""
    return Site(
        settings,
        address,
        database.url,
        daemon.metrics.registry,
        is_live=daemon.is_live,
        configured=lambda: daemon.account_names,
    )


async def _reload_on(hangup: asyncio.Event, daemon: Daemon, load: Callable[[], Sequence[Account]]) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            with systemd.reloading():
                accounts = await asyncio.to_thread(load)
        except SyncerError as error:
            log.error("accounts_not_reloaded", error=str(error))
            systemd.sd_notify(f"STATUS=the accounts were not reloaded: {error}")
        except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
            log.exception("reload_crashed")
        else:
            for sentence in describe_shared_tokens(accounts):
                log.warning("shared_token", found=sentence)
            daemon.set_accounts(accounts)
            log.info("accounts_reloaded", accounts=len(accounts))
