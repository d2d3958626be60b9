"""The pace of messages: how long each has to wait."""

from __future__ import annotations

import itertools

from syncer.notices.messengers import MaxSender, TelegramSender
from syncer.notices.pace import Pace


def moments(pace: Pace, *wanted: float) -> list[float]:
    """Returns when messages are sent that are ready at some moments."""
    return [now + pace.reserve(now) for now in wanted]


def test_the_first_does_not_wait() -> None:
    assert moments(Pace((1, 1.0)), 100.0) == [100.0]


def test_those_that_come_together_are_sent_one_after_another() -> None:
    assert moments(Pace((1, 1.0)), 0.0, 0.0, 0.5, 10.0) == [0.0, 1.0, 2.0, 10.0]


def test_all_limits_are_kept() -> None:
    assert moments(Pace((1, 1.0), (3, 10.0)), *[0.0] * 7) == [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0]


def test_telegram_gets_20_a_minute_at_most_and_nothing_waits_long() -> None:
    sent = moments(Pace(*TelegramSender.LIMITS), *[0.0] * 60)
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(sent))
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[20:], strict=False))
    assert max(later - earlier for earlier, later in itertools.pairwise(sent)) == 11


def test_max_gets_two_a_second_at_most() -> None:
    assert moments(Pace(*MaxSender.LIMITS), 0.0, 0.0, 0.0) == [0.0, 0.5, 1.0]
