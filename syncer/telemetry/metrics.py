"""The Prometheus metrics: counters of this process, and gauges of each account that are read from the database.

Counters count what this process did, so queries sum them over replicas. Gauges come from the database, so all replicas
export the same values whichever of them polled, and queries take the maximum. Label values are account names and
constants of this program; of the vendor's values, which are open-ended, only a limited number become label values.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from syncer import __version__
from syncer.standard_streams import dropped_log_lines
from syncer.telemetry.account_metrics import (
    CHANGE_KINDS,
    COUNTER_FAMILIES,
    FIELD_CHANGE_KIND,
    STATE_FAMILIES,
    TIMESTAMP_FAMILIES,
    AccountCounters,
    Family,
    Gauges,
)
from syncer.telemetry.name_metrics import NameMetrics
from syncer.telemetry.notice_metrics import NoticeMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime, timedelta

    from prometheus_client import Metric

    from syncer.outcome import PollResult
    from syncer.store.queries.gauge_values import GaugeValues

SLOTS: Final = ("large_body", "processing")
"""What limits the polls' memory and database connections: large bodies, and responses that are processed."""
MAX_GAUGE_AGE_SECONDS: Final = 300.0
"""Gauges of the current state are exported for this long if the database cannot be read again."""

ACCOUNTS_PER_PIECE: Final = 500
"""For how many accounts the lines of a metric are made at a time."""

# The `_created` timestamps would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client's


class Metrics(Collector):
    """All metrics of the program, in their own registry. They cover the accounts given to `set_accounts`.

    Attributes:
        registry: All metrics. What is served is encoded by `encode`, which needs less memory.
        notices: The metrics of notices.
        names: The metrics of lists of names.
        ready: 1 while the database is reachable, its schema is current and due accounts are polled, else 0.
        oldest_prunable_run_age: How many seconds ago the oldest run began that retention could not delete; else 0.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._process = CollectorRegistry()
        self.notices = NoticeMetrics(self._process)
        self.names = NameMetrics(self._process)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        Info("syncer_build", "The running version", registry=self._process).info({"version": __version__})
        self.ready = Gauge(
            "syncer_ready",
            "1 while the database is reachable, its schema is current and due accounts are polled, else 0",
            registry=self._process,
        )
        self._tasks = Gauge(
            "syncer_tasks",
            "Tasks of the event loop: some of the daemon itself, and those of polls and HTTP requests in progress",
            registry=self._process,
        )
        self.oldest_prunable_run_age = Gauge(
            "syncer_oldest_prunable_run_age_seconds",
            "Age of the oldest run that retention should have deleted and could not; 0 if there is none",
            registry=self._process,
        )
        self._failures = Counter(
            "syncer_failures_total", "Failed polls of all accounts", ["error_kind"], registry=self._process
        )
        self._slot_waits = Counter(
            "syncer_slot_wait_seconds_total",
            "Time that polls of all accounts spent waiting for this process's own slots",
            ["slot"],
            registry=self._process,
        )
        for slot in SLOTS:
            self._slot_waits.labels(slot)
        self._counters: dict[str, AccountCounters] = {}
        self._gauge_values: tuple[GaugeValues, Mapping[str, datetime], float] | None = None
        self.registry.register(self._process)
        self.registry.register(self)

    def set_accounts(self, accounts: Collection[str]) -> None:
        """Sets the accounts whose metrics are exported; accounts that were there before keep their counters."""
        self._counters = {account: self._counters.get(account) or AccountCounters() for account in accounts}

    def track_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Exports the number of tasks of this event loop from now on."""
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))

    def count_poll(
        self,
        result: PollResult,
        *,
        fields_changed: int,
        new_lookup_values: Mapping[str, Collection[str]],
        lateness: timedelta | None,
    ) -> None:
        """Counts a poll, unless its account has been removed from the accounts.

        Args:
            result: The poll's result.
            fields_changed: Changed fields, not counting state, reason and redirects.
            new_lookup_values: Values of the vendor that were never seen before, by field.
            lateness: How long after its due time the poll started; None if it was not scheduled.
        """
        account_counters = self._counters.get(result.account)
        if account_counters is None:
            return
        account_counters.runs[result.outcome] += 1
        account_counters.durations.observe(result.duration_seconds)
        if result.outcome == "failed" and result.error_kind is not None:
            self._failures.labels(result.error_kind).inc()
        if lateness is not None:
            account_counters.lateness.observe(lateness.total_seconds())
        for kind, counter in CHANGE_KINDS.items():
            account_counters.changes[kind] += getattr(result, counter)
        account_counters.changes[FIELD_CHANGE_KIND] += fields_changed
        for name, values in new_lookup_values.items():
            account_counters.unknown_values[name] += len(values)

    def count_slot_waits(self, seconds: Mapping[str, float]) -> None:
        """Counts the time that a poll spent waiting, by slot."""
        for slot, waited in seconds.items():
            self._slot_waits.labels(slot).inc(waited)

    def set_gauge_values(self, gauge_values: GaugeValues, stale_from: Mapping[str, datetime]) -> None:
        """Replaces the values of the gauges that are read from the database.

        Args:
            gauge_values: The values that were read.
            stale_from: For each account's name, when it becomes stale unless it is polled successfully before.
        """
        self._gauge_values = (gauge_values, stale_from, time.monotonic())

    def describe(self) -> list[Metric]:
        """Declares no metric names in advance; no other collector of this registry could use the same ones."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics of accounts, and what else is made for each scrape."""
        yield from self._few()
        for family, accounts in self._families():
            yield family.metric(accounts)

    def encode(self, encoder: Callable[[Collector], bytes]) -> Iterator[bytes]:
        """Yields what a scrape returns, piece by piece, each in a few milliseconds: all accounts take much memory.

        Args:
            encoder: One of the library's encoders.
        """
        end = encoder(CollectorRegistry())  # OpenMetrics has a last line
        yield encoder(_Collected([*self._process.collect(), *self._few()])).removesuffix(end)
        for family, accounts in self._families():
            yield encoder(_Collected([family.metric({})])).removesuffix(end)
            names = list(accounts)
            for start in range(0, len(names), ACCOUNTS_PER_PIECE):
                piece = {name: accounts[name] for name in names[start : start + ACCOUNTS_PER_PIECE]}
                yield family.lines(piece).encode()
        yield end

    def _few(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "syncer_log_lines_dropped", "Log lines dropped because nothing read them", dropped_log_lines()
        )
        if self._gauge_values is not None:
            yield GaugeMetricFamily(
                "syncer_clock_behind_seconds",
                "How far the database's clock is behind the latest recorded timestamp",
                self._gauge_values[0].clock_behind.total_seconds(),
            )

    def _families(self) -> Iterator[tuple[Family[Any], Mapping[str, Any]]]:
        """Yields each family of metrics of accounts, with the values of all accounts."""
        counters = self._counters
        for counter_family in COUNTER_FAMILIES:
            yield counter_family, counters
        if self._gauge_values is None:
            return
        values, stale_from, read_at = self._gauge_values
        gauges = {one.name: Gauges(one, stale_from[one.name]) for one in values.accounts if one.name in counters}
        is_recent = time.monotonic() - read_at < MAX_GAUGE_AGE_SECONDS
        for gauge_family in (*TIMESTAMP_FAMILIES, *(STATE_FAMILIES if is_recent else ())):
            yield gauge_family, gauges


class _Collected:
    """A collector of metrics that are collected already."""

    def __init__(self, metrics: Collection[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Collection[Metric]:
        """Returns the metrics."""
        return self._metrics
