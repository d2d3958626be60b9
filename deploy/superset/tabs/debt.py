"""The tab of debt locks and freezes: which numbers, since when, how long and how often."""

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


def _block_card(key: str, title: Text, metric: str, subtitle: Text, *conditions: Filter) -> Chart:
    return Chart(key, 2, BLOCKS, title, card(metric, subtitle, *conditions))


TAB: Final = Tab(
    "debt",
    Text("Debt locks and freezes", "Блокировки и заморозки"),
    (
        Row(
            _CARDS,
            (
                _block_card(
                    "locked_now",
                    Text("Locked now", "Заблокировано"),
                    "numbers_blocked",
                    Text("numbers, for debt", "номеров за долг, сейчас"),
                    _DEBT,
                    _NOW,
                ),
                _block_card(
                    "frozen_now",
                    Text("Frozen now", "Заморожено"),
                    "numbers_blocked",
                    Text("numbers", "номеров, сейчас"),
                    _FREEZE,
                    _NOW,
                ),
                _block_card(
                    "longest_now",
                    Text("Longest lock", "Самая долгая"),
                    "longest_days",
                    Text("days so far, for debt", "блокировка за долг сейчас, дней"),
                    _DEBT,
                    _NOW,
                ),
                _block_card(
                    "locks",
                    Text("Debt locks", "Блокировки"),
                    "blocks",
                    Text("in the period", "за долг за период"),
                    _DEBT,
                    _BEGAN,
                ),
                _block_card(
                    "numbers_locked",
                    Text("Numbers locked", "С блокировкой"),
                    "numbers_blocked",
                    Text("for debt in the period", "номеров за период"),
                    _DEBT,
                    _BEGAN,
                ),
                _block_card(
                    "mean_lock",
                    Text("Mean lock", "В среднем"),
                    "mean_days",
                    Text("days, ended locks only", "дней до снятия блокировки"),
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
                    Text("Locked and frozen numbers by day", "Заблокированные и замороженные номера по дням"),
                    over_time(
                        *("area", "numbers_that_day", "day", DAY),
                        *(_DAYS, where("state", "debt_lock", "freeze")),
                        by="state_title",
                    ),
                ),
                Chart(
                    *("lengths", 4, BLOCKS),
                    Text("Duration of locks and freezes, days", "Длительность, дней"),
                    bars("blocks", "days_band", _BEGAN, by="state_title", horizontal=False),
                ),
            ),
        ),
        Row(
            63,
            (
                Chart(
                    *("blocked_now", 12, BLOCKS),
                    Text("Numbers that are locked or frozen now", "Номера, заблокированные или замороженные сейчас"),
                    rows(
                        ("number", "account", "region", "type_title", "state_title", "reason", "since", "days"),
                        ("since", True),
                        _NOW,
                        page=10,
                    ),
                    Text("Longest first", "Сначала самые долгие"),
                ),
            ),
        ),
        Row(
            63,
            (
                Chart(
                    *("again_and_again", 7, BLOCKS),
                    Text("Numbers locked for debt most often", "Номера, которые чаще всего блокируют за долг"),
                    totals(("number", "region"), ("blocks", "total_days", "longest_days"), _DEBT, _BEGAN, page=10),
                ),
                Chart(
                    *("days_of_month", 5, BLOCKS),
                    Text("Days of the month on which debt locks begin", "По каким числам месяца блокируют за долг"),
                    bars("blocks", "day_of_month", _DEBT, _BEGAN, by="state_title", horizontal=False),
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
                    Text(
                        "From the state on the left to the state on the right",
                        "Слева — из какого состояния, справа — в какое",
                    ),
                ),
                Chart(
                    *("blocks_by_region", 6, BLOCKS),
                    Text("Locks and freezes by region", "Блокировки и заморозки по регионам"),
                    bars("blocks", "region", _BEGAN, by="state_title"),
                    Text("Those that began in the period", "Начавшиеся за период"),
                ),
            ),
        ),
    ),
)
