"""The metrics of lists of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prometheus_client import CollectorRegistry

_LABELS = ("account", "list")


class NameMetrics:
    """When each list of names was last read, and how often this process could not read it.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._last_success = Gauge(
            "syncer_names_last_success_timestamp_seconds",
            "When a list of names was last read",
            _LABELS,
            registry=registry,
        )
        self._failures = Counter(
            "syncer_names_failures", "Attempts to read a list of names that failed", _LABELS, registry=registry
        )
        self._lists: set[tuple[str, str]] = set()

    def set_lists(self, lists: Iterable[tuple[str, str]]) -> None:
        """Exports these lists of accounts from now on; counters begin at 0, so that their first increase is seen."""
        before, self._lists = self._lists, set(lists)
        for labels in before - self._lists:
            self._failures.remove(*labels)
        self._last_success.clear()
        for labels in self._lists:
            self._failures.labels(*labels)

    def set_success(self, account: str, name_list: str, at: datetime) -> None:
        """Exports when a list was last read."""
        if (account, name_list) in self._lists:
            self._last_success.labels(account, name_list).set(at.timestamp())

    def count_failure(self, account: str, name_list: str) -> None:
        """Counts an attempt that failed."""
        if (account, name_list) in self._lists:
            self._failures.labels(account, name_list).inc()
