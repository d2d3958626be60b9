"""The tab of data quality: polls, gaps between them, held removals and rejected records."""

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
_COVERED: Final = in_period(COVERAGE)

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
                    Text("Successful polls", "Успешные опросы"),
                    card("success_share", Text("of all polls in the period", "доля опросов за период"), _POLLED),
                ),
                Chart(
                    *("days_seen", 3, COVERAGE),
                    Text("Covered days", "Дни с опросами"),
                    card(
                        "days_seen",
                        Text("of the days had a successful poll", "дней, когда был успешный опрос"),
                        _COVERED,
                    ),
                ),
                Chart(
                    *("held_now", 3, FRESHNESS),
                    Text("Held removals", "Удержано"),
                    card("held_now", Text("of missing numbers", "удалений пропавших номеров")),
                ),
                Chart(
                    *("rejected_now", 3, FRESHNESS),
                    Text("Rejected records", "Отклонено"),
                    card("rejected_now", Text("that need attention", "записей, требующих внимания")),
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
                    Text("Longest gap of the day, hours", "Самый долгий перерыв за день, ч"),
                    over_time(_BAR, "longest_gap", "day", DAY, _COVERED),
                    Text("Time without a successful poll", "Время без успешных опросов"),
                ),
                Chart(
                    *("held_by_day", 4, RUNS),
                    Text("Removals held, maximum of the day", "Удержано удалений, максимум за день"),
                    over_time(_BAR, "most_held", "started_at", DAY, _POLLED),
                ),
                Chart(
                    *("failures", 4, RUNS),
                    Text("Causes of failed polls", "Причины неудачных опросов"),
                    totals(("error_kind", "http_status"), ("polls", "last_at"), where("outcome", "failed"), _POLLED),
                ),
            ),
        ),
        Row(
            25,
            (
                Chart(
                    *("rejected_records", 12, REJECTED),
                    Text("Rejected records that need attention", "Отклонённые записи, требующие внимания"),
                    rows(
                        ("number", "error", "first_seen_at", "last_seen_at", "occurrences", "payload"),
                        ("first_seen_at", True),
                    ),
                ),
            ),
        ),
    ),
)
