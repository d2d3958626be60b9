"""The overview tab: the numbers now and by day."""

from __future__ import annotations

from typing import Final

from deploy.superset.charts import (
    DAY,
    Chart,
    Row,
    Tab,
    bars,
    card,
    donut,
    in_period,
    over_time,
    rows,
    trend,
    where_not,
)
from deploy.superset.datasets.numbers import DAILY_STATES, NUMBERS
from deploy.superset.datasets.polls import FRESHNESS
from deploy.superset.language import Text

_DAYS: Final = in_period(DAILY_STATES)

_GREY: Final = "#5B6B7F"
_RED: Final = "#D9444F"
_BLUE: Final = "#4A90D9"


TAB: Final = Tab(
    "overview",
    Text("Overview", "Обзор"),
    (
        Row(
            24,
            (
                Chart(
                    *("numbers_trend", 3, DAILY_STATES),
                    Text("Numbers listed", "Номеров в списке"),
                    trend("numbers_that_day", "day", _GREY, _DAYS),
                ),
                Chart(
                    *("active_share", 2, NUMBERS),
                    Text("Active numbers", "Активные"),
                    card("active_share", Text("of all listed numbers", "доля номеров в списке")),
                ),
                Chart(
                    *("locked_trend", 3, DAILY_STATES),
                    Text("Locked for debt", "Заблокированы за долг"),
                    trend("locked_that_day", "day", _RED, _DAYS),
                ),
                Chart(
                    *("frozen_trend", 2, DAILY_STATES),
                    Text("Frozen", "Заморожены"),
                    trend("frozen_that_day", "day", _BLUE, _DAYS),
                ),
                Chart(
                    *("age", 2, FRESHNESS),
                    Text("Age of the data", "Возраст данных"),
                    card(
                        "age_minutes",
                        Text("minutes since the last successful poll", "минут с последнего успешного опроса"),
                    ),
                ),
            ),
        ),
        Row(
            48,
            (
                Chart(
                    *("not_active_by_day", 7, DAILY_STATES),
                    Text("Numbers that are not active, by day", "Номера не в работе по дням"),
                    over_time(
                        *("area", "numbers_that_day", "day", DAY),
                        *(_DAYS, where_not("state", "active")),
                        by="state_title",
                    ),
                    Text("Numbers by state at the end of each day", "Номера по состояниям в конце каждого дня"),
                ),
                Chart(
                    *("states_now", 5, NUMBERS),
                    Text("Numbers by state", "Номера по состояниям"),
                    donut("numbers", "state_title"),
                ),
            ),
        ),
        Row(
            68,
            (
                Chart(
                    *("regions", 7, NUMBERS),
                    Text("Numbers by region and state", "Номера по регионам и состояниям"),
                    bars("numbers", "region", by="state_title"),
                ),
                Chart(
                    *("types", 5, NUMBERS),
                    Text("Numbers by type and state", "Номера по типам и состояниям"),
                    bars("numbers", "type_title", by="state_title"),
                ),
            ),
        ),
        Row(
            24,
            (
                Chart(
                    *("accounts", 12, FRESHNESS),
                    Text("Accounts", "Личные кабинеты"),
                    rows(
                        (
                            "account",
                            "last_success_at",
                            "lag_minutes",
                            "outcome_title",
                            "held",
                            "rejected",
                            "last_error",
                        ),
                        ("lag_minutes", False),
                    ),
                ),
            ),
        ),
    ),
)
