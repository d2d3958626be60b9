"""Which accounts there are, so that any number of unknown names needs one query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.errors import SyncerError
from syncer.store.queries.account_list import read_account_names
from syncer.web.query_cache import MAX_WAIT_SECONDS, STATEMENT_TIMEOUT_SECONDS
from syncer.web.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from syncer.store.engine import Engine

_CACHE_SECONDS: Final = 60.0


class KnownAccounts:
    """The accounts that are configured or stored; the stored ones are remembered for a while.

    Args:
        engine: The database.
        configured: Returns the names of the accounts that are polled now.
    """

    def __init__(self, engine: Engine, configured: Callable[[], Collection[str]]) -> None:
        self.configured = configured
        self._names = SingleFlight(
            lambda: read_account_names(engine, statement_seconds=STATEMENT_TIMEOUT_SECONDS), min_ttl=_CACHE_SECONDS
        )

    async def may_exist(self, account: str | None) -> bool:
        """Whether an account is configured or stored, or that is not known."""
        if account is None or account in self.configured():
            return True
        try:
            names: set[str] | None = await self._names.get(max_wait=MAX_WAIT_SECONDS)
        except (SyncerError, TimeoutError):
            names = self._names.last_result
        return names is None or account in names

    def add(self, accounts: Iterable[str]) -> None:
        """Adds accounts that the page links to."""
        if self._names.last_result is not None:
            self._names.last_result.update(accounts)

    async def close(self) -> None:
        """Cancels the running query."""
        await self._names.close()
