"""Locks for debt and freezes: who, since when, how long and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.superset.charts import (
    DAY,
    Chart,
    Row,
    Tab,
    bars,
    card,
    flow,
    in_period,
    over_time,
    rows,
    totals,
    where,
)
from deploy.superset.datasets.changes import STATE_CHANGES
from deploy.superset.datasets.numbers import BLOCKS, DAILY_STATES
from deploy.superset.language import Text

if TYPE_CHECKING:
    from deploy.superset.charts import Filter

_DEBT: Final = where("state", "debt_lock")
_FREEZE: Final = where("state", "freeze")
_NOW: Final = where("is_current", True)
_DAYS: Final = in_period(DAILY_STATES)
_BEGAN: Final = in_period(BLOCKS)

_CARDS: Final = 20


def _block(key: str, title: Text, metric: str, below: Text, *conditions: Filter) -> Chart:
    return Chart(key, 2, BLOCKS, title, card(metric, below, *conditions))


TAB: Final = Tab(
    "debt",
    Text("Debt and freezes", "Долги и заморозки"),
    (
        Row(
            _CARDS,
            (
                _block(
                    "locked_now",
                    Text("Debt", "Долг"),
                    "numbers_blocked",
                    Text("locked now", "заблокировано сейчас"),
                    _DEBT,
                    _NOW,
                ),
                _block(
                    "frozen_now",
                    Text("Frozen", "Заморозка"),
                    "numbers_blocked",
                    Text("frozen now", "заморожено сейчас"),
                    _FREEZE,
                    _NOW,
                ),
                _block(
                    "longest_now",
                    Text("Longest", "Дольше всех"),
                    "longest_days",
                    Text("days locked by now", "дней в блокировке"),
                    _DEBT,
                    _NOW,
                ),
                _block(
                    "locks",
                    Text("Locks", "Блокировки"),
                    "blocks",
                    Text("for debt in the period", "за долг за период"),
                    _DEBT,
                    _BEGAN,
                ),
                _block(
                    "numbers_locked",
                    Text("Affected", "Затронуто"),
                    "numbers_blocked",
                    Text("numbers in the period", "номеров за период"),
                    _DEBT,
                    _BEGAN,
                ),
                _block(
                    "mean_lock",
                    Text("Mean lock", "В среднем"),
                    "mean_days",
                    Text("days until it is over", "дней до снятия"),
                    _DEBT,
                    _BEGAN,
                ),
            ),
        ),
        Row(
            46,
            (
                Chart(
                    *("blocked_by_day", 8, DAILY_STATES),
                    Text("Locked and frozen numbers, by day", "Заблокированные и замороженные номера по дням"),
                    over_time(
                        *("area", "numbers_that_day", "day", DAY),
                        *(_DAYS, where("state", "debt_lock", "freeze")),
                        by="state_title",
                    ),
                ),
                Chart(
                    *("lengths", 4, BLOCKS),
                    Text("How many days they last", "Сколько дней они длятся"),
                    bars("blocks", "days_band", _BEGAN, by="state_title", across=False),
                ),
            ),
        ),
        Row(
            63,
            (
                Chart(
                    *("blocked_now", 12, BLOCKS),
                    Text("Who is locked or frozen now", "Кто заблокирован или заморожен сейчас"),
                    rows(
                        ("number", "account", "region", "type_title", "state_title", "reason", "since", "days"),
                        ("since", True),
                        _NOW,
                        page=10,
                    ),
                    Text("The longest first", "Сначала самые долгие"),
                ),
            ),
        ),
        Row(
            63,
            (
                Chart(
                    *("again_and_again", 7, BLOCKS),
                    Text("Who is locked for debt most often", "Кого чаще всего блокируют за долг"),
                    totals(("number", "region"), ("blocks", "total_days", "longest_days"), _DEBT, _BEGAN, page=10),
                ),
                Chart(
                    *("days_of_month", 5, BLOCKS),
                    Text("On which days of the month debt locks begin", "По каким числам блокируют за долг"),
                    bars("blocks", "day_of_month", _DEBT, _BEGAN, by="state_title", across=False),
                ),
            ),
        ),
        Row(
            72,
            (
                Chart(
                    *("transitions", 6, STATE_CHANGES),
                    Text("Transitions between states", "Переходы между состояниями"),
                    flow("transitions", "from_title", "to_title", in_period(STATE_CHANGES)),
                    Text("From what, on the left, to what", "Слева — из какого, справа — в какое"),
                ),
                Chart(
                    *("blocks_by_region", 6, BLOCKS),
                    Text("Locks and freezes by region", "Блокировки и заморозки по регионам"),
                    bars("blocks", "region", _BEGAN, by="state_title"),
                    Text("That began in the period", "Начавшиеся за период"),
                ),
            ),
        ),
    ),
)
