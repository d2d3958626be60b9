"""What changed: a feed, and what it adds up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.superset.charts import (
    WEEK,
    Chart,
    Row,
    Tab,
    bars,
    card,
    in_period,
    over_time,
    rows,
    totals,
    where,
)
from deploy.superset.datasets.changes import CHANGES
from deploy.superset.language import Text

if TYPE_CHECKING:
    from deploy.superset.charts import Params

_CHANGED: Final = in_period(CHANGES)

_CARDS: Final = 20
_BAR: Final = "timeseries_bar"
_NUMBERS: Final = Text("numbers in the period", "номеров за период")


def _happened(key: str, title: Text, below: Text, kind: str) -> Chart:
    return Chart(key, 2, CHANGES, title, card("changes", below, where("kind", kind), _CHANGED))


def _by_week(*kinds: str) -> Params:
    return over_time(_BAR, "changes", "changed_at", WEEK, _CHANGED, where("kind", *kinds), by="kind_title")


TAB: Final = Tab(
    "changes",
    Text("Changes", "Изменения"),
    (
        Row(
            _CARDS,
            (
                _happened("arrived", Text("Arrived", "Появилось"), _NUMBERS, "created"),
                _happened("removed", Text("Removed", "Удалено"), _NUMBERS, "removed"),
                _happened("returned", Text("Returned", "Вернулось"), _NUMBERS, "restored"),
                _happened(
                    "state_changes",
                    Text("States", "Состояния"),
                    Text("changes in the period", "изменений за период"),
                    "state",
                ),
                _happened(
                    "redirects_added",
                    Text("Redirects", "Добавлено"),
                    Text("added in the period", "переадресаций за период"),
                    "redirect_opened",
                ),
                _happened(
                    "redirects_removed",
                    Text("Redirects", "Снято"),
                    Text("removed in the period", "переадресаций за период"),
                    "redirect_closed",
                ),
            ),
        ),
        Row(
            46,
            (
                Chart(
                    *("arrivals_and_removals", 6, CHANGES),
                    Text("Arrivals, removals and returns by week", "Появления, удаления и возвращения по неделям"),
                    _by_week("created", "removed", "restored"),
                ),
                Chart(
                    *("redirects_by_week", 6, CHANGES),
                    Text("Changes of redirects by week", "Изменения переадресаций по неделям"),
                    _by_week("redirect_opened", "redirect_closed"),
                ),
            ),
        ),
        Row(
            82,
            (
                Chart(
                    *("feed", 12, CHANGES),
                    Text("All changes, the latest first", "Все изменения, начиная с последних"),
                    rows(
                        (
                            *("changed_at", "number", "region", "type_title"),
                            *("kind_title", "field_title", "old_value", "new_value"),
                        ),
                        ("changed_at", False),
                        _CHANGED,
                        page=15,
                    ),
                ),
            ),
        ),
        Row(
            63,
            (
                Chart(
                    *("fields", 6, CHANGES),
                    Text("Which fields change", "Какие поля меняются"),
                    bars("changes", "field_title", where("kind", "changed", "state"), _CHANGED, by="kind_title"),
                ),
                Chart(
                    *("busiest", 6, CHANGES),
                    Text("Which numbers change most", "Какие номера меняются чаще всего"),
                    totals(("number", "region", "type_title"), ("changes",), _CHANGED, page=10),
                ),
            ),
        ),
    ),
)
