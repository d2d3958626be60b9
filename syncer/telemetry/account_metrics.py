"""The metrics of accounts, whose lines are formatted here: fifty thousand accounts have almost two million.

Counters count what this process did with an account; gauges come from the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, get_args

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from syncer.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from syncer.store.queries.gauge_values import AccountGauges

T = TypeVar("T")
_Sample: TypeAlias = "tuple[str, str, str, float]"
"""What a sample's name has after that of its family, its label beside `account`, that label's value, and its value."""

DURATION_BUCKETS: Final = (1.0, 10.0, 60.0)
LATENESS_BUCKETS: Final = (1.0, 5.0, 60.0)
"""Both lists are short, since each bucket is one more series per account."""
LOOKUP_FIELDS: Final = ("type", "purpose", "state")

# The kinds of `analytics.changes`, each with the counter of a run that counts it.
CHANGE_KINDS: Final = {
    "created": "created",
    "state": "state_changes",
    "removed": "removed",
    "restored": "restored",
    "redirect_opened": "redirects_opened",
    "redirect_closed": "redirects_closed",
}
FIELD_CHANGE_KIND: Final = "changed"


@dataclass(slots=True)
class Histogram:
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

    def samples(self) -> Iterator[_Sample]:
        """Yields its samples, in the order of the exposition format."""
        for upper_bound, count in zip(self.upper_bounds, self.bucket_counts, strict=True):
            yield "_bucket", "le", str(upper_bound), count
        yield "_bucket", "le", "+Inf", self.count
        yield "_count", "", "", self.count
        yield "_sum", "", "", self.seconds


@dataclass(slots=True)
class AccountCounters:
    """This process's counters of one account. All start at 0, so that Prometheus sees their first increase.

    With the library's `Counter` and `Histogram`, ten thousand accounts would take a hundred megabytes more, and startup
    a second more. A scrape may read them from another thread, so keys are never added or removed, and of two related
    values the greater is increased first.
    """

    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    changes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*CHANGE_KINDS, FIELD_CHANGE_KIND), 0))
    unknown_values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOOKUP_FIELDS, 0))
    durations: Histogram = field(default_factory=lambda: Histogram(DURATION_BUCKETS))
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_BUCKETS))


@dataclass(frozen=True, slots=True)
class Gauges:
    """The gauge values of an account, and when it becomes stale unless it is polled successfully before."""

    values: AccountGauges
    stale_from: datetime


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """A family of metrics that has samples of each account.

    Attributes:
        name: Its name.
        kind: Its type in the exposition format.
        help: What it means.
        samples: Returns the samples of an account.
    """

    name: str
    kind: str
    help: str
    samples: Callable[[T], Iterable[_Sample]]

    def metric(self, values: Mapping[str, T]) -> Metric:
        """Returns the family with the samples of these accounts, as the library has it."""
        metric = Metric(self.name, self.help, self.kind)
        for account, one in values.items():
            for suffix, label, label_value, value in self.samples(one):
                labels = {"account": account} | ({label: label_value} if label else {})
                metric.add_sample(self.name + suffix, labels, value)
        return metric

    def lines(self, values: Mapping[str, T]) -> str:
        """Returns the lines of these accounts, as the library writes them, in a fifth of its time."""
        lines = []
        for account, one in values.items():
            escaped = account.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
            for suffix, label, label_value, value in self.samples(one):
                more = f',{label}="{label_value}"' if label else ""
                number = floatToGoString(value) if value else "0.0"  # type: ignore[no-untyped-call] # the library does not type it
                lines.append(f'{self.name}{suffix}{{account="{escaped}"{more}}} {number}\n')
        return "".join(lines)


def _counts(label: str, counts: Mapping[str, int]) -> Iterator[_Sample]:
    return (("_total", label, value, count) for value, count in counts.items())


def _gauge(name: str, text: str, value: Callable[[AccountGauges], float]) -> Family[Gauges]:
    return Family(f"syncer_{name}", "gauge", text, lambda one: [("", "", "", value(one.values))])


COUNTER_FAMILIES: Final[tuple[Family[AccountCounters], ...]] = (
    Family("syncer_runs", "counter", "Polls, by outcome", lambda one: _counts("outcome", one.runs)),
    Family(
        "syncer_changes",
        "counter",
        "Recorded changes: numbers created, removed and restored, changes of state or reason, changes of other fields, "
        "redirects opened and closed",
        lambda one: _counts("kind", one.changes),
    ),
    Family(
        "syncer_unknown_values",
        "counter",
        "Values of the vendor that were never seen before",
        lambda one: _counts("field", one.unknown_values),
    ),
    Family(
        "syncer_run_duration_seconds",
        "histogram",
        "Duration of polls, from start to outcome",
        lambda one: one.durations.samples(),
    ),
    # Not a gauge of the last poll: it would keep its value forever in a replica that no longer polls the account.
    Family(
        "syncer_poll_lateness_seconds",
        "histogram",
        "How long after their due times scheduled polls started",
        lambda one: one.lateness.samples(),
    ),
)
TIMESTAMP_FAMILIES: Final[tuple[Family[Gauges], ...]] = (
    Family(
        "syncer_last_success_timestamp_seconds",
        "gauge",
        "When the last successful poll was committed",
        lambda one: [("", "", "", at.timestamp())] if (at := one.values.last_success_at) else [],
    ),
    Family(
        "syncer_stale_from_timestamp_seconds",
        "gauge",
        "When the account becomes stale unless it is polled successfully before: three of its due times after its last "
        "success",
        lambda one: [("", "", "", one.stale_from.timestamp())],
    ),
)
"""These stay true, however long ago they were read."""
STATE_FAMILIES: Final[tuple[Family[Gauges], ...]] = (
    _gauge("held_removals", "Missing numbers whose removal is held", lambda one: one.held),
    _gauge(
        "unconfirmed_removals",
        "Missing numbers whose removal waits for another response to confirm it",
        lambda one: one.unconfirmed,
    ),
    _gauge("rejected_records", "Rejected records of the last successful poll", lambda one: one.rejected),
    Family(
        "syncer_numbers",
        "gauge",
        "Currently listed numbers, by state",
        lambda one: [("", "state", state, count) for state, count in one.values.numbers.items()],
    ),
)
"""These may be outdated if the database cannot be read."""
