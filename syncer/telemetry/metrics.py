"""The instruments that Prometheus reads: what this process counted, and what the database says of every account.

Counters are of this process, so of several replicas they are summed. Gauges are of the database, so every replica tells
the same, whoever polled, and the greatest counts. Labels are the names of accounts and words of ours; of the vendor's
open vocabulary only so many words become label values.
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

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime, timedelta

    from prometheus_client import Metric

    from syncer.outcome import PollResult
    from syncer.store.queries.gauge_values import GaugeValues

DURATION_BUCKETS: Final = (1.0, 10.0, 60.0)
LATENESS_BUCKETS: Final = (1.0, 5.0, 60.0)
"""Few of both, since each is a series of every account."""
UNKNOWN_FIELDS: Final = ("type", "purpose", "state")
MAX_READINGS_AGE_SECONDS: Final = 300.0
"""How long what the database said of the present is taken for true, if it cannot be asked again."""

# The kinds of `analytics.changes`, and the run's counter that counts each.
_CHANGE_KINDS: Final = {
    "created": "created",
    "state": "state_changes",
    "removed": "removed",
    "restored": "restored",
    "redirect_opened": "redirects_opened",
    "redirect_closed": "redirects_closed",
}
_FIELD_CHANGE_KIND: Final = "changed"

# A series that says when each series was made would double them all.
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client's


@dataclass(slots=True)
class _Histogram:
    """How many times there were, how many seconds they make, and how many of them stay within each edge."""

    edges: tuple[float, ...]
    times: int = 0
    seconds: float = 0.0
    within: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.within = [0] * len(self.edges)

    def add(self, seconds: float) -> None:
        """Counts one more."""
        self.times += 1
        self.seconds += seconds
        for position, edge in enumerate(self.edges):
            self.within[position] += seconds <= edge

    def add_to(self, family: HistogramMetricFamily, account: str) -> None:
        """Tells it as an account's histogram."""
        within = [(str(edge), count) for edge, count in zip(self.edges, self.within, strict=True)]
        family.add_metric([account], [*within, ("+Inf", self.times)], self.seconds)


@dataclass(slots=True)
class _AccountCounters:
    """What this process counted of one account: everything from 0 on, so that the first one shows.

    As instruments of the library, ten thousand accounts take a hundred megabytes more, and a second at the start.
    A scrape reads from another thread: no key comes or goes, and of two that belong together the greater grows first.
    """

    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    changes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_CHANGE_KINDS, _FIELD_CHANGE_KIND), 0))
    unknown_values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNKNOWN_FIELDS, 0))
    durations: _Histogram = field(default_factory=lambda: _Histogram(DURATION_BUCKETS))
    lateness: _Histogram = field(default_factory=lambda: _Histogram(LATENESS_BUCKETS))


class Metrics(Collector):
    """Every metric of the program, in a registry of its own; of no account until `set_accounts` names some.

    Attributes:
        registry: What is served.
        ready: 1 while the database answers, the schema is ours and due accounts are looked for, else 0.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Info("syncer_build", "The version that runs", registry=self.registry).info({"version": __version__})
        self.ready = Gauge(
            "syncer_ready",
            "1 while the database answers, the schema is the wanted one and due accounts are polled, else 0",
            registry=self.registry,
        )
        self._tasks = Gauge(
            "syncer_tasks",
            "Tasks of the event loop: some for the daemon itself, and those of the polls and requests under way",
            registry=self.registry,
        )
        self._failures = Counter(
            "syncer_failures_total", "Failed polls of all accounts", ["error_kind"], registry=self.registry
        )
        self._counters: dict[str, _AccountCounters] = {}
        self._readings: tuple[GaugeValues, Mapping[str, datetime], float] | None = None
        self.registry.register(self)

    def set_accounts(self, accounts: Collection[str]) -> None:
        """Tells of these accounts and of no others; what was counted of those that stay goes on."""
        self._counters = {account: self._counters.get(account) or _AccountCounters() for account in accounts}

    def track_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tells from now on how many tasks this loop has."""
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))

    def count_poll(
        self,
        result: PollResult,
        *,
        fields_changed: int,
        new_lookup_values: Mapping[str, Collection[str]],
        lateness: timedelta | None,
    ) -> None:
        """Counts a poll; one of an account that is no longer kept is not counted.

        Args:
            result: What it came to.
            fields_changed: Fields that changed, but for state, reason and redirects.
            learned: Words that nobody had seen before, by field.
            lateness: How long after it was due it began; None if it was not scheduled.
        """
        counted = self._counters.get(result.account)
        if counted is None:
            return
        counted.runs[result.outcome] += 1
        counted.durations.add(result.duration_seconds)
        if result.error_kind is not None:
            self._failures.labels(result.error_kind).inc()
        if lateness is not None:
            counted.lateness.add(lateness.total_seconds())
        for kind, counter in _CHANGE_KINDS.items():
            counted.changes[kind] += getattr(result, counter)
        counted.changes[_FIELD_CHANGE_KIND] += fields_changed
        for name, words in new_lookup_values.items():
            counted.unknown_values[name] += len(words)

    def count_crash(self, account: str) -> None:
        """Counts a poll that a fault of the program ended: a failed one, of no kind that an operator could cure."""
        if account in self._counters:
            self._counters[account].runs["failed"] += 1
            self._failures.labels("crash").inc()

    def set_readings(self, readings: GaugeValues, stale_from: Mapping[str, datetime]) -> None:
        """Shows what the database says now, in place of what it said before.

        Args:
            readings: Of the accounts.
            stale_from: When each account counts as stale unless it is read successfully before, by name.
        """
        self._readings = (readings, stale_from, time.monotonic())

    def describe(self) -> list[Metric]:
        """Claim no names: there is no other collector of ours to collide with."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Make the samples of a scrape, in whatever thread that is."""
        counters = self._counters
        yield from _counter_families(counters)
        if self._readings is not None:
            yield from _gauge_families(counters.keys(), *self._readings)


def _counter_families(counters: Mapping[str, _AccountCounters]) -> Iterator[Metric]:
    runs = CounterMetricFamily("syncer_runs", "Polls by what they came to", labels=["account", "outcome"])
    changes = CounterMetricFamily(
        "syncer_changes",
        "What polls recorded: numbers created, removed and restored, changes of state or reason, other fields that "
        "changed, redirects opened and closed",
        labels=["account", "kind"],
    )
    unknown_values = CounterMetricFamily(
        "syncer_unknown_values", "Words of the vendor that nobody had seen before", labels=["account", "field"]
    )
    durations = HistogramMetricFamily(
        "syncer_run_duration_seconds", "How long polls took, from their beginning to their outcome", labels=["account"]
    )
    # A gauge of the last poll would stand for good in a replica that polls the account no more.
    lateness = HistogramMetricFamily(
        "syncer_poll_lateness_seconds", "How long after they were due scheduled polls began", labels=["account"]
    )
    for account, counted in counters.items():
        by_label = ((runs, counted.runs), (changes, counted.changes), (unknown_values, counted.unknown_values))
        for family, counts in by_label:
            for label, count in counts.items():
                family.add_metric([account, label], count)
        counted.durations.add_to(durations, account)
        counted.lateness.add_to(lateness, account)
    yield from (runs, changes, unknown_values, durations, lateness)


def _gauge_families(
    accounts: Collection[str], readings: GaugeValues, stale_from: Mapping[str, datetime], shown_at: float
) -> Iterator[Metric]:
    last_success = _gauge("last_success_timestamp_seconds", "When the newest successful poll was written")
    stale = _gauge(
        "stale_from_timestamp_seconds",
        "When the account counts as stale unless it is polled successfully before: three of its scheduled moments "
        "after its last success",
    )
    held = _gauge("held_removals", "Numbers that are missing, and whose removal is held")
    rejected = _gauge("rejected_records", "Records of the newest response that could not be taken")
    numbers = _gauge("numbers", "Numbers listed now, by state", "state")
    for one in readings.accounts:
        if one.name not in accounts:
            continue
        if one.last_success_at is not None:
            last_success.add_metric([one.name], one.last_success_at.timestamp())
        stale.add_metric([one.name], stale_from[one.name].timestamp())
        held.add_metric([one.name], one.held)
        rejected.add_metric([one.name], one.rejected)
        for state, count in one.numbers.items():
            numbers.add_metric([one.name, state], count)
    clock = GaugeMetricFamily(
        "syncer_clock_behind_seconds",
        "How far the database's clock is behind the last moment that something was recorded under",
        readings.clock_behind.total_seconds(),
    )
    yield from (last_success, stale, clock)
    # What was true once stays so; what is true now would be a lie for as long as the database cannot be asked.
    if time.monotonic() - shown_at < MAX_READINGS_AGE_SECONDS:
        yield from (held, rejected, numbers)


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncer_{name}", help_text, labels=["account", *labels])
