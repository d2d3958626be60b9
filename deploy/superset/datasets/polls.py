"""How the account was watched."""

from __future__ import annotations

from typing import Final

from deploy.superset.datasets.dataset import (
    ACCOUNT,
    DAY,
    HELD,
    NUMBER,
    OUTCOME,
    REJECTED_COUNT,
    Column,
    Dataset,
    Metric,
)
from deploy.superset.language import Text

RUNS: Final = Dataset(
    "runs",
    Text("Polls", "Опросы"),
    Text("A row is a poll, failed ones included", "Строка — опрос, в том числе неудачный"),
    """
select r.account, r.started_at at time zone a.time_zone as started_at, r.outcome, {outcome} as outcome_title,
       r.error_kind, r.http_status, r.error, r.held, r.rejected
  from analytics.runs r
  join analytics.accounts a using (account_id)
""",
    (
        ACCOUNT,
        Column("started_at", "TIMESTAMP", Text("Began", "Начало")),
        Column("outcome", "TEXT", Text("Outcome, as the view names it", "Итог, как в представлении")),
        OUTCOME,
        Column("error_kind", "TEXT", Text("Kind of failure", "Вид отказа")),
        Column("http_status", "INTEGER", Text("HTTP status", "Код HTTP")),
        Column("error", "TEXT", Text("Error", "Ошибка")),
        *(HELD, REJECTED_COUNT),
    ),
    (
        Metric("polls", "count(*)", Text("Polls", "Опросов")),
        Metric("most_held", "max(held)", Text("Removals held, at most", "Отложено удалений, самое большее")),
        Metric(
            "most_rejected", "max(rejected)", Text("Records rejected, at most", "Отвергнуто записей, самое большее")
        ),
        Metric("last_at", "max(started_at)", Text("Last", "Последний"), Text("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M")),
        Metric(
            "success_share",
            "avg((outcome in ('applied', 'unchanged'))::integer) filter (where outcome <> 'running')",
            Text("Successful", "Успешных"),
            ".1%",
        ),
    ),
    time="started_at",
)

COVERAGE: Final = Dataset(
    "coverage",
    Text("Coverage", "Покрытие"),
    Text("A row is how well a day of an account was watched", "Строка — насколько хорошо видели день аккаунта"),
    """
select account, day, polls, failed, longest_gap_seconds / 3600 as longest_gap_hours from analytics.coverage
""",
    (
        *(ACCOUNT, DAY),
        Column("polls", "INTEGER", Text("Polls", "Опросов")),
        Column("failed", "INTEGER", Text("Failed polls", "Неудачных опросов")),
        Column("longest_gap_hours", "NUMERIC", Text("Longest gap, hours", "Самый долгий перерыв, часов")),
    ),
    (
        Metric("longest_gap", "max(longest_gap_hours)", Text("Longest gap, hours", "Самый долгий перерыв, ч"), ",.1f"),
        Metric(
            "days_seen",
            "avg((longest_gap_hours < 24)::integer)",
            Text("Days with a successful poll", "Дни с успешным опросом"),
            ".1%",
        ),
    ),
    time="day",
)

FRESHNESS: Final = Dataset(
    "freshness",
    Text("Freshness", "Свежесть"),
    Text("A row is how the polling of an account is doing now", "Строка — как сейчас идёт опрос аккаунта"),
    """
select f.account, f.last_success_at at time zone a.time_zone as last_success_at, f.lag_seconds / 60 as lag_minutes,
       {last_outcome} as outcome_title, coalesce(f.last_error, '') as last_error, f.held, f.rejected
  from analytics.freshness f
  join analytics.accounts a using (account_id)
""",
    (
        ACCOUNT,
        Column("last_success_at", "TIMESTAMP", Text("Last success", "Последний успех")),
        Column("lag_minutes", "NUMERIC", Text("Minutes ago", "Минут назад")),
        OUTCOME,
        Column("last_error", "TEXT", Text("Last error", "Последняя ошибка")),
        *(HELD, REJECTED_COUNT),
    ),
    (
        Metric("age_minutes", "max(lag_minutes)", Text("Age of the data, minutes", "Возраст данных, минут"), ",.0f"),
        Metric("held_now", "sum(held)", Text("Removals held", "Отложено удалений")),
        Metric("rejected_now", "sum(rejected)", Text("Records rejected", "Отвергнуто записей")),
    ),
)

REJECTED: Final = Dataset(
    "rejected_records",
    Text("Rejected records", "Отвергнутые записи"),
    Text(
        "A row is a record of the newest response that could not be taken; its number keeps the last good values",
        "Строка — запись последнего ответа, которую нельзя принять; у её номера остаются последние верные значения",
    ),
    """
select r.account, r.number, r.error, replace(left(r.payload, 300), ',"', ', "') as payload, r.occurrences,
       r.first_seen_at at time zone a.time_zone as first_seen_at,
       r.last_seen_at at time zone a.time_zone as last_seen_at
  from analytics.rejected_records r
  join analytics.accounts a using (account_id)
""",
    (
        *(ACCOUNT, NUMBER),
        Column("error", "TEXT", Text("What is wrong", "Что не так")),
        Column("payload", "TEXT", Text("Record as received", "Запись, как она пришла")),
        Column("occurrences", "INTEGER", Text("Times", "Раз")),
        Column("first_seen_at", "TIMESTAMP", Text("First seen", "Впервые")),
        Column("last_seen_at", "TIMESTAMP", Text("Last seen", "Последний раз")),
    ),
    (Metric("records", "count(*)", Text("Records", "Записей")),),
)
