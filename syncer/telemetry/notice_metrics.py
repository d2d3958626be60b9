"""The metrics of notices: what this process sent, and what waits in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from prometheus_client import CollectorRegistry

OUTCOMES: Final = ("sent", "failed", "expired", "refused")
"""How an attempt to send a message ends."""
DELAY_BUCKETS: Final = (1.0, 10.0, 60.0, 600.0)


class NoticeMetrics:
    """Counts the messages of each channel.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "syncer_notices",
            "Messages by how an attempt to send them ended",
            ["channel", "outcome"],
            registry=registry,
        )
        self._delay = Histogram(
            "syncer_notice_delay_seconds",
            "How long after the last poll that they are about messages were sent",
            ["channel"],
            buckets=DELAY_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge("syncer_notices_waiting", "Messages that wait to be sent", ["channel"], registry=registry)
        self._oldest = Gauge(
            "syncer_notices_oldest_waiting_seconds",
            "How long ago the oldest message was made that waits to be sent",
            ["channel"],
            registry=registry,
        )
        self._channels: list[str] = []

    def set_channels(self, channels: Iterable[str]) -> None:
        """Exports these channels from now on; their counters begin at 0, so that their first increase is seen."""
        self._waiting.clear()
        self._oldest.clear()
        self._channels = list(channels)
        for channel in self._channels:
            self._delay.labels(channel)
            for outcome in OUTCOMES:
                self._attempts.labels(channel, outcome)
        self.set_waiting({})

    def set_waiting(self, waiting: Mapping[str, tuple[int, float]]) -> None:
        """Exports how many messages wait for each channel, and the age of the oldest in seconds."""
        for channel in self._channels:
            count, age = waiting.get(channel, (0, 0.0))
            self._waiting.labels(channel).set(count)
            self._oldest.labels(channel).set(age)

    def count(self, channel: str, outcome: str, delay: timedelta | None) -> None:
        """Counts an attempt.

        Args:
            channel: The channel.
            outcome: One of OUTCOMES.
            delay: How long after the last poll that it is about the message was sent; None if it was not.
        """
        self._attempts.labels(channel, outcome).inc()
        if delay is not None:
            self._delay.labels(channel).observe(max(delay.total_seconds(), 0.0))
