"""The Prometheus metrics: counters of this process, and gauges of each account that are read from the database.

Counters count what this process did, so queries sum them over replicas. Gauges come from the database, so all replicas
export the same values whichever of them polled, and queries take the maximum. Label values are account names and
constants of this program; of the vendor's values, which are open-ended, only a limited number become label values.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from syncer import __version__
from syncer.outcome import Outcome
from syncer.standard_streams import dropped_log_lines
from syncer.telemetry.name_metrics import NameMetrics
from syncer.telemetry.notice_metrics import NoticeMetrics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime, timedelta

    from prometheus_client import Metric

    from syncer.outcome import PollResult
    from syncer.store.queries.gauge_values import GaugeValues

DURATION_BUCKETS: Final = (1.0, 10.0, 60.0)
LATENESS_BUCKETS: Final = (1.0, 5.0, 60.0)
"""Both lists are short, since each bucket is one more series per account."""
SLOTS: Final = ("large_body", "processing")
"""What limits the polls' memory and database connections: large bodies, and responses that are processed."""
LOOKUP_FIELDS: Final = ("type", "purpose", "state")
MAX_GAUGE_AGE_SECONDS: Final = 300.0
"""Gauges of the current state are exported for this long if the database cannot be read again."""

# The kinds of `analytics.changes`, each with the counter of a run that counts it.
_CHANGE_KINDS: Final = {
    "created": "created",
    "state": "state_changes",
    "removed": "removed",
    "restored": "restored",
    "redirect_opened": "redirects_opened",
    "redirect_closed": "redirects_closed",
}
_FIELD_CHANGE_KIND: Final = "changed"

# The `_created` timestamps would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client's


@dataclass(slots=True)
class _Histogram:
    """A histogram of durations: their number and sum, and for each upper bound how many are within it."""

    upper_bounds: tuple[float, ...]
    count: int = 0
    seconds: float = 0.0
    bucket_counts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.bucket_counts = [0] * len(self.upper_bounds)

    def observe(self, seconds: float) -> None:
        """Counts one duration."""
        self.count += 1
        self.seconds += seconds
        for position, upper_bound in enumerate(self.upper_bounds):
            self.bucket_counts[position] += seconds <= upper_bound

    def add_to(self, family: HistogramMetricFamily, account: str) -> None:
        """Adds the histogram to a metric family, labelled with the account."""
        bucket_counts = [
            (str(upper_bound), count) for upper_bound, count in zip(self.upper_bounds, self.bucket_counts, strict=True)
        ]
        family.add_metric([account], [*bucket_counts, ("+Inf", self.count)], self.seconds)


@dataclass(slots=True)
class _AccountCounters:
    """This process's counters of one account. All start at 0, so that Prometheus sees their first increase.

    With the library's `Counter` and `Histogram`, ten thousand accounts would take a hundred megabytes more, and startup
    a second more. A scrape may read them from another thread, so keys are never added or removed, and of two related
    values the greater is increased first.
    """

    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    changes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_CHANGE_KINDS, _FIELD_CHANGE_KIND), 0))
    unknown_values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOOKUP_FIELDS, 0))
    durations: _Histogram = field(default_factory=lambda: _Histogram(DURATION_BUCKETS))
    lateness: _Histogram = field(default_factory=lambda: _Histogram(LATENESS_BUCKETS))


class Metrics(Collector):
    """All metrics of the program, in their own registry. They cover the accounts given to `set_accounts`.

    Attributes:
        registry: The registry to serve.
        notices: The metrics of notices.
        names: The metrics of lists of names.
        ready: 1 while the database is reachable, its schema is current and due accounts are polled, else 0.
        oldest_prunable_run_age: How many seconds ago the oldest run began that retention could not delete; else 0.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.notices = NoticeMetrics(self.registry)
        self.names = NameMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Info("syncer_build", "The running version", registry=self.registry).info({"version": __version__})
        self.ready = Gauge(
            "syncer_ready",
            "1 while the database is reachable, its schema is current and due accounts are polled, else 0",
            registry=self.registry,
        )
        self._tasks = Gauge(
            "syncer_tasks",
            "Tasks of the event loop: some of the daemon itself, and those of polls and HTTP requests in progress",
            registry=self.registry,
        )
        self.oldest_prunable_run_age = Gauge(
            "syncer_oldest_prunable_run_age_seconds",
            "Age of the oldest run that retention should have deleted and could not; 0 if there is none",
            registry=self.registry,
        )
        self._failures = Counter(
            "syncer_failures_total", "Failed polls of all accounts", ["error_kind"], registry=self.registry
        )
        self._slot_waits = Counter(
            "syncer_slot_wait_seconds_total",
            "Time that polls of all accounts spent waiting for this process's own slots",
            ["slot"],
            registry=self.registry,
        )
        for slot in SLOTS:
            self._slot_waits.labels(slot)
        self._counters: dict[str, _AccountCounters] = {}
        self._gauge_values: tuple[GaugeValues, Mapping[str, datetime], float] | None = None
        self.registry.register(self)

    def set_accounts(self, accounts: Collection[str]) -> None:
        """Sets the accounts whose metrics are exported; accounts that were there before keep their counters."""
        self._counters = {account: self._counters.get(account) or _AccountCounters() for account in accounts}

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
        for kind, counter in _CHANGE_KINDS.items():
            account_counters.changes[kind] += getattr(result, counter)
        account_counters.changes[_FIELD_CHANGE_KIND] += fields_changed
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
        """Yields the metrics of a scrape. May be called from any thread."""
        counters = self._counters
        yield from _counter_families(counters)
        yield CounterMetricFamily(
            "syncer_log_lines_dropped", "Log lines dropped because nothing read them", dropped_log_lines()
        )
        if self._gauge_values is not None:
            yield from _gauge_families(counters.keys(), *self._gauge_values)


def _counter_families(counters: Mapping[str, _AccountCounters]) -> Iterator[Metric]:
    runs = CounterMetricFamily("syncer_runs", "Polls, by outcome", labels=["account", "outcome"])
    changes = CounterMetricFamily(
        "syncer_changes",
        "Recorded changes: numbers created, removed and restored, changes of state or reason, changes of other fields, "
        "redirects opened and closed",
        labels=["account", "kind"],
    )
    unknown_values = CounterMetricFamily(
        "syncer_unknown_values", "Values of the vendor that were never seen before", labels=["account", "field"]
    )
    durations = HistogramMetricFamily(
        "syncer_run_duration_seconds", "Duration of polls, from start to outcome", labels=["account"]
    )
    # Not a gauge of the last poll: it would keep its value forever in a replica that no longer polls the account.
    lateness = HistogramMetricFamily(
        "syncer_poll_lateness_seconds", "How long after their due times scheduled polls started", labels=["account"]
    )
    for account, account_counters in counters.items():
        by_label = (
            (runs, account_counters.runs),
            (changes, account_counters.changes),
            (unknown_values, account_counters.unknown_values),
        )
        for family, counts in by_label:
            for label, count in counts.items():
                family.add_metric([account, label], count)
        account_counters.durations.add_to(durations, account)
        account_counters.lateness.add_to(lateness, account)
    yield from (runs, changes, unknown_values, durations, lateness)


def _gauge_families(
    accounts: Collection[str], gauge_values: GaugeValues, stale_from: Mapping[str, datetime], read_at: float
) -> Iterator[Metric]:
    last_success = _gauge("last_success_timestamp_seconds", "When the last successful poll was committed")
    stale = _gauge(
        "stale_from_timestamp_seconds",
        "When the account becomes stale unless it is polled successfully before: three of its due times after its last "
        "success",
    )
    held = _gauge("held_removals", "Missing numbers whose removal is held")
    unconfirmed = _gauge(
        "unconfirmed_removals", "Missing numbers whose removal waits for another response to confirm it"
    )
    rejected = _gauge("rejected_records", "Rejected records of the last successful poll")
    numbers = _gauge("numbers", "Currently listed numbers, by state", "state")
    for account_values in gauge_values.accounts:
        if account_values.name not in accounts:
            continue
        if account_values.last_success_at is not None:
            last_success.add_metric([account_values.name], account_values.last_success_at.timestamp())
        stale.add_metric([account_values.name], stale_from[account_values.name].timestamp())
        held.add_metric([account_values.name], account_values.held)
        unconfirmed.add_metric([account_values.name], account_values.unconfirmed)
        rejected.add_metric([account_values.name], account_values.rejected)
        for state, count in account_values.numbers.items():
            numbers.add_metric([account_values.name, state], count)
    clock = GaugeMetricFamily(
        "syncer_clock_behind_seconds",
        "How far the database's clock is behind the latest recorded timestamp",
        gauge_values.clock_behind.total_seconds(),
    )
    yield from (last_success, stale, clock)
    # Timestamps stay true; values of the current state may be outdated if the database cannot be read.
    if time.monotonic() - read_at < MAX_GAUGE_AGE_SECONDS:
        yield from (held, unconfirmed, rejected, numbers)


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncer_{name}", help_text, labels=["account", *labels])
