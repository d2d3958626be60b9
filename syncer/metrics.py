"""The instruments that Prometheus reads: what this process counted, and what the database says of every account.

Counters are of this process, so of several replicas they are summed. Gauges are of the database, so every replica tells
the same, whoever polled, and the greatest counts. Labels are the names of accounts and words of ours; of the vendor's
open vocabulary only so many words become label values.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from syncer import __version__
from syncer.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime, timedelta

    from prometheus_client import Metric

    from syncer.outcome import PollResult
    from syncer.store.readings import Readings

DURATION_SECONDS: Final = (1, 10, 60)
"""Few, since each is a series of every account."""
UNKNOWN_FIELDS: Final = ("type", "purpose", "state")
OUTDATED_SECONDS: Final = 300.0
"""How long what the database said of the present is taken for true, if it cannot be asked again."""

# The kinds of `analytics.changes`, and the run's counter that counts each.
_KINDS: Final = {
    "created": "created",
    "state": "state_changes",
    "removed": "removed",
    "restored": "restored",
    "redirect_opened": "redirects_opened",
    "redirect_closed": "redirects_closed",
}
_CHANGED: Final = "changed"

# A series that says when each series was made would double them all.
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client's


class Metrics:
    """Every instrument of the program, in a registry of its own; of no account until `keep` names some.

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
        self._failures = Counter(
            "syncer_failures_total", "Failed polls of all accounts", ["error_kind"], registry=self.registry
        )
        self._runs = self._counter("runs", "Polls by what they came to", "outcome")
        self._changes = self._counter(
            "changes",
            "What polls recorded: numbers created, removed and restored, changes of state or reason, other fields that "
            "changed, redirects opened and closed",
            "kind",
        )
        self._unknown_values = self._counter(
            "unknown_values", "Words of the vendor that nobody had seen before", "field"
        )
        self._durations = Histogram(
            "syncer_run_duration_seconds",
            "How long polls took, from their beginning to their outcome",
            ["account"],
            buckets=DURATION_SECONDS,
            registry=self.registry,
        )
        # A gauge of the last poll would stand for good in a replica that polls the account no more.
        self._lateness = Summary(
            "syncer_poll_lateness_seconds",
            "How long after they were due scheduled polls began",
            ["account"],
            registry=self.registry,
        )
        self._accounts: set[str] = set()
        self._gauges = _AccountGauges()
        self.registry.register(self._gauges)

    def _counter(self, name: str, help_text: str, label: str) -> Counter:
        return Counter(f"syncer_{name}_total", help_text, ["account", label], registry=self.registry)

    def keep(self, accounts: Collection[str]) -> None:
        """Has series of these accounts and of no others; what is counted begins at 0, so that the first one shows."""
        for gone in self._accounts.difference(accounts):
            for instrument in (self._runs, self._changes, self._unknown_values, self._durations, self._lateness):
                instrument.remove_by_labels({"account": gone})
        for new in set(accounts) - self._accounts:
            for outcome in get_args(Outcome):
                self._runs.labels(new, outcome)
            for kind in (*_KINDS, _CHANGED):
                self._changes.labels(new, kind)
            for field in UNKNOWN_FIELDS:
                self._unknown_values.labels(new, field)
            self._durations.labels(new)
            self._lateness.labels(new)
        self._accounts = set(accounts)
        self._gauges.accounts = self._accounts

    def count(
        self,
        result: PollResult,
        *,
        fields_changed: int,
        learned: Mapping[str, Collection[str]],
        lateness: timedelta | None,
    ) -> None:
        """Counts a poll; one of an account that is no longer kept is not counted.

        Args:
            result: What it came to.
            fields_changed: Fields that changed, but for state, reason and redirects.
            learned: Words that nobody had seen before, by field.
            lateness: How long after it was due it began; None if it was not scheduled.
        """
        account = result.account
        if account not in self._accounts:
            return
        self._runs.labels(account, result.outcome).inc()
        self._durations.labels(account).observe(result.duration_seconds)
        if result.error_kind is not None:
            self._failures.labels(result.error_kind).inc()
        if lateness is not None:
            self._lateness.labels(account).observe(lateness.total_seconds())
        for kind, counter in _KINDS.items():
            self._changes.labels(account, kind).inc(getattr(result, counter))
        self._changes.labels(account, _CHANGED).inc(fields_changed)
        for field, words in learned.items():
            self._unknown_values.labels(account, field).inc(len(words))

    def count_crash(self, account: str) -> None:
        """Counts a poll that a fault of the program ended: a failed one, of no kind that an operator could cure."""
        if account in self._accounts:
            self._runs.labels(account, "failed").inc()
            self._failures.labels("crash").inc()

    def show(self, readings: Readings, stale_from: Mapping[str, datetime]) -> None:
        """Shows what the database says now, in place of what it said before.

        Args:
            readings: Of the accounts.
            stale_from: When each account counts as stale unless it is read successfully before, by name.
        """
        self._gauges.shown = (readings, stale_from, time.monotonic())


class _AccountGauges(Collector):
    """What the database last said, told at each scrape; nothing before it said anything.

    A scrape may come from another thread: what is shown is replaced as a whole.
    """

    def __init__(self) -> None:
        self.accounts: Collection[str] = ()
        self.shown: tuple[Readings, Mapping[str, datetime], float] | None = None

    def describe(self) -> list[Metric]:
        """Claim no names: there is no other collector of ours to collide with."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Make the samples of each account that is kept."""
        if self.shown is None:
            return
        readings, stale_from, shown_at = self.shown
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
            if one.name not in self.accounts:
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
        if time.monotonic() - shown_at < OUTDATED_SECONDS:
            yield from (held, rejected, numbers)


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncer_{name}", help_text, labels=["account", *labels])
