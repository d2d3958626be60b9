"""The tab of changes: a feed and its totals."""

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
_NUMBERS: Final = Text("in the period", "номеров за период")


def _count_card(key: str, title: Text, subtitle: Text, kind: str) -> Chart:
    return Chart(key, 2, CHANGES, title, card("changes", subtitle, where("kind", kind), _CHANGED))


def _by_week(*kinds: str) -> Params:
    return over_time(_BAR, "changes", "changed_at", WEEK, _CHANGED, where("kind", *kinds), by="kind_title")


TAB: Final = Tab(
    "changes",
    Text("Changes", "Изменения"),
    (
        Row(
            _CARDS,
            (
                _count_card("arrived", Text("Numbers added", "Появилось"), _NUMBERS, "created"),
                _count_card("removed", Text("Numbers removed", "Удалено"), _NUMBERS, "removed"),
                _count_card("returned", Text("Numbers returned", "Вернулось"), _NUMBERS, "restored"),
                _count_card(
                    "state_changes",
                    Text("State changes", "Смена состояний"),
                    Text("changed fields in the period", "изменений полей за период"),
                    "state",
                ),
                _count_card(
                    "redirects_added",
                    Text("Redirects added", "Добавлено"),
                    Text("in the period", "переадресаций за период"),
                    "redirect_opened",
                ),
                _count_card(
                    "redirects_removed",
                    Text("Redirects removed", "Снято"),
                    Text("in the period", "переадресаций за период"),
                    "redirect_closed",
                ),
            ),
        ),
        Row(
            46,
            (
                Chart(
                    *("arrivals_and_removals", 6, CHANGES),
                    Text(
                        "Added, removed and returned numbers by week",
                        "Появление, удаление и возврат номеров по неделям",
                    ),
                    _by_week("created", "removed", "restored"),
                ),
                Chart(
                    *("redirects_by_week", 6, CHANGES),
                    Text("Added and removed redirects by week", "Изменения переадресаций по неделям"),
                    _by_week("redirect_opened", "redirect_closed"),
                ),
            ),
        ),
        Row(
            82,
            (
                Chart(
                    *("feed", 12, CHANGES),
                    Text("All changes, latest first", "Все изменения, начиная с последних"),
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
                    Text("Changes by field", "Изменения по полям"),
                    bars("changes", "field_title", where("kind", "changed", "state"), _CHANGED, by="kind_title"),
                ),
                Chart(
                    *("busiest", 6, CHANGES),
                    Text("Numbers with the most changes", "Номера с наибольшим числом изменений"),
                    totals(("number", "region", "type_title"), ("changes",), _CHANGED, page=10),
                ),
            ),
        ),
    ),
)
