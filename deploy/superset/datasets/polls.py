"""Polls, gaps between them, how recent the data is, and rejected records."""

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
    Text("One row per poll, including failed ones", "Одна строка — опрос, в том числе неудачный"),
    """
select r.account, r.started_at at time zone a.time_zone as started_at, r.outcome, {outcome} as outcome_title,
       r.error_kind, r.http_status, r.error, r.held, r.rejected
  from analytics.runs r
  join analytics.accounts a using (account_id)
""",
    (
        ACCOUNT,
        Column("started_at", "TIMESTAMP", Text("Started", "Начало")),
        Column("outcome", "TEXT", Text("Outcome (value in the view)", "Итог (значение в представлении)")),
        OUTCOME,
        Column("error_kind", "TEXT", Text("Kind of failure", "Вид сбоя")),
        Column("http_status", "INTEGER", Text("HTTP status", "Код HTTP")),
        Column("error", "TEXT", Text("Error", "Ошибка")),
        *(HELD, REJECTED_COUNT),
    ),
    (
        Metric("polls", "count(*)", Text("Polls", "Опросов")),
        Metric("most_held", "max(held)", Text("Removals held, maximum", "Удержано удалений, максимум")),
        Metric("most_rejected", "max(rejected)", Text("Records rejected, maximum", "Отклонено записей, максимум")),
        Metric("last_at", "max(started_at)", Text("Last", "Последний"), Text("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M")),
        Metric(
            "success_share",
            "avg((outcome in ('applied', 'unchanged'))::integer) filter (where outcome <> 'running')",
            Text("Successful polls", "Успешные опросы"),
            ".1%",
        ),
    ),
    time="started_at",
)

COVERAGE: Final = Dataset(
    "coverage",
    Text("Coverage by day", "Опросы по дням"),
    Text(
        "One row per account and day, with its polls and the longest gap between them",
        "Одна строка — день Личного кабинета: число опросов и самый долгий перерыв между ними",
    ),
    """
select account, day, polls, failed, longest_gap_seconds / 3600 as longest_gap_hours from analytics.coverage
""",
    (
        *(ACCOUNT, DAY),
        Column("polls", "INTEGER", Text("Polls", "Опросов")),
        Column("failed", "INTEGER", Text("Failed polls", "Неудачных опросов")),
        Column("longest_gap_hours", "NUMERIC", Text("Longest gap, hours", "Самый долгий перерыв, ч")),
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
    Text("Freshness", "Актуальность данных"),
    Text(
        "One row per account: its last successful poll and current problems",
        "Одна строка — Личный кабинет: последний успешный опрос и текущие проблемы",
    ),
    """
select f.account, f.last_success_at at time zone a.time_zone as last_success_at, f.lag_seconds / 60 as lag_minutes,
       {last_outcome} as outcome_title, coalesce(f.last_error, '') as last_error, f.held, f.rejected
  from analytics.freshness f
  join analytics.accounts a using (account_id)
""",
    (
        ACCOUNT,
        Column("last_success_at", "TIMESTAMP", Text("Last successful poll", "Последний успешный опрос")),
        Column("lag_minutes", "NUMERIC", Text("Minutes ago", "Минут назад")),
        OUTCOME,
        Column("last_error", "TEXT", Text("Last error", "Последняя ошибка")),
        *(HELD, REJECTED_COUNT),
    ),
    (
        Metric("age_minutes", "max(lag_minutes)", Text("Age of the data, minutes", "Возраст данных, минут"), ",.0f"),
        Metric("held_now", "sum(held)", Text("Removals held", "Удержано удалений")),
        Metric("rejected_now", "sum(rejected)", Text("Records rejected", "Отклонено записей")),
    ),
)

REJECTED: Final = Dataset(
    "rejected_records",
    Text("Rejected records", "Отклонённые записи"),
    Text(
        "One row per rejected record of the newest response; its number keeps the last valid values",
        "Одна строка — отклонённая запись последнего ответа; номер сохраняет последние корректные значения",
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
        Column("error", "TEXT", Text("Error", "Ошибка")),
        Column("payload", "TEXT", Text("Record as received", "Запись в полученном виде")),
        Column("occurrences", "INTEGER", Text("Times received", "Получена раз")),
        Column("first_seen_at", "TIMESTAMP", Text("First received", "Впервые получена")),
        Column("last_seen_at", "TIMESTAMP", Text("Last received", "Последний раз получена")),
    ),
    (Metric("records", "count(*)", Text("Records", "Записей")),),
)
