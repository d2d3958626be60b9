"""`syncer run`: the daemon, what it says over HTTP and to systemd, and the signals that it heeds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from syncer import notify
from syncer.daemon import Daemon
from syncer.errors import SyncerError
from syncer.memory import give_back_early
from syncer.observe import log
from syncer.poll import Poller
from syncer.signals import hangup_signal, stop_signal
from syncer.source import Source
from syncer.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.accounts import Account
    from syncer.database import Database
    from syncer.settings import Settings
    from syncer.spelling import ListenAddress


async def run_daemon(
    settings: Settings, accounts: Sequence[Account], database: Database, load: Callable[[], Sequence[Account]]
) -> None:
    """Polls until SIGTERM or SIGINT; at SIGHUP, takes the accounts that `load` then gives, unless it refuses them.

    Raises:
        ConfigurationError: SYNCER_HTTP_LISTEN cannot be listened at.
    """
    give_back_early()
    stop = stop_signal()
    async with Source(settings) as source, AsyncExitStack() as stack:
        daemon = Daemon(database, Poller(database.engine, source, settings), accounts)
        if settings.http_listen is not None:
            await stack.enter_async_context(site_of(daemon, settings.http_listen, settings, database))
        reloading = asyncio.create_task(_reload_whenever(hangup_signal(stop), daemon, load))
        telling = asyncio.create_task(notify.tell_until(stop, daemon.is_live))
        await daemon.run(stop)
        reloading.cancel()
        await telling
    await database.dispose()


def site_of(daemon: Daemon, address: ListenAddress, settings: Settings, database: Database) -> Site:
    """What a daemon says over HTTP."""
    return Site(
        settings,
        address,
        database.address,
        daemon.metrics.registry,
        is_live=daemon.is_live,
        configured=lambda: daemon.account_names,
    )


async def _reload_whenever(told: asyncio.Event, daemon: Daemon, load: Callable[[], Sequence[Account]]) -> None:
    while True:
        await told.wait()
        told.clear()
        try:
            with notify.reloading():
                accounts = await asyncio.to_thread(load)
        except SyncerError as error:
            log.error("accounts_not_reloaded", error=str(error))
            notify.tell(f"STATUS=the accounts were not read again: {error}")
        except Exception:  # noqa: BLE001 - a fault of the program must not end the daemon, nor pass unseen
            log.exception("reload_crashed")
        else:
            daemon.take(accounts)
            log.info("accounts_reloaded", accounts=len(accounts))
