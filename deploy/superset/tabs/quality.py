"""How well the account was watched, and what needs a person."""

from __future__ import annotations

from typing import Final

from deploy.superset.charts import (
    DAY,
    Chart,
    Row,
    Tab,
    card,
    in_period,
    over_time,
    rows,
    totals,
    where,
)
from deploy.superset.datasets.polls import COVERAGE, FRESHNESS, REJECTED, RUNS
from deploy.superset.language import Text

_POLLED: Final = in_period(RUNS)
_WATCHED: Final = in_period(COVERAGE)

_CARDS: Final = 20
_BAR: Final = "timeseries_bar"


TAB: Final = Tab(
    "quality",
    Text("Data quality", "Качество данных"),
    (
        Row(
            _CARDS,
            (
                Chart(
                    *("successful_polls", 3, RUNS),
                    Text("Successful", "Успешных"),
                    card("success_share", Text("of the polls of the period", "опросов за период"), _POLLED),
                ),
                Chart(
                    *("days_seen", 3, COVERAGE),
                    Text("Watched", "Под наблюдением"),
                    card(
                        "days_seen",
                        Text("of the days had a successful poll", "дней, когда был успешный опрос"),
                        _WATCHED,
                    ),
                ),
                Chart(
                    *("held_now", 3, FRESHNESS),
                    Text("Held", "Отложено"),
                    card("held_now", Text("removals not believed yet", "удалений, которым ещё нельзя верить")),
                ),
                Chart(
                    *("rejected_now", 3, FRESHNESS),
                    Text("Rejected", "Отвергнуто"),
                    card("rejected_now", Text("records that need a person", "записей, которым нужен человек")),
                ),
            ),
        ),
        Row(
            46,
            (
                Chart(
                    *("polls_by_day", 12, RUNS),
                    Text("Polls by day and outcome", "Опросы по дням и итогам"),
                    over_time(_BAR, "polls", "started_at", DAY, _POLLED, by="outcome_title"),
                ),
            ),
        ),
        Row(
            40,
            (
                Chart(
                    *("gaps", 4, COVERAGE),
                    Text("Longest gap of a day, hours", "Самый долгий перерыв за день, часов"),
                    over_time(_BAR, "longest_gap", "day", DAY, _WATCHED),
                    Text("Without a successful poll", "Без успешных опросов"),
                ),
                Chart(
                    *("held_by_day", 4, RUNS),
                    Text("Removals held, at most that day", "Отложено удалений, наибольшее за день"),
                    over_time(_BAR, "most_held", "started_at", DAY, _POLLED),
                ),
                Chart(
                    *("failures", 4, RUNS),
                    Text("What polls failed with", "Отчего не удавались опросы"),
                    totals(("error_kind", "http_status"), ("polls", "last_at"), where("outcome", "failed"), _POLLED),
                ),
            ),
        ),
        Row(
            25,
            (
                Chart(
                    *("rejected_records", 12, REJECTED),
                    Text("Records that need a person", "Записи, которым нужен человек"),
                    rows(
                        ("number", "error", "first_seen_at", "last_seen_at", "occurrences", "payload"),
                        ("first_seen_at", True),
                    ),
                ),
            ),
        ),
    ),
)
