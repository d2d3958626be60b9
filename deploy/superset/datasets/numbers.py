"""The current numbers, the numbers by day, and their locks and freezes."""

from __future__ import annotations

from typing import Final

from deploy.superset.datasets.dataset import (
    ACCOUNT,
    DAY,
    NUMBER,
    REASON,
    REGION,
    STATE,
    STATE_TITLE,
    TYPE,
    Column,
    Dataset,
    Metric,
)
from deploy.superset.language import Text

NUMBERS: Final = Dataset(
    "numbers",
    Text("Numbers now", "Номера сейчас"),
    Text("One row per number that is listed now", "Одна строка — номер, который сейчас есть в списке"),
    """
select n.account, n.number, {region} as region, {type} as type_title, n.state,
       coalesce(n.state_title_{language}, n.state) as state_title, n.reason, n.comment, n.employee_id, n.redirect_count
  from analytics.numbers n
""",
    (
        *(ACCOUNT, NUMBER, REGION, TYPE, STATE, STATE_TITLE, REASON),
        Column("comment", "TEXT", Text("Comment", "Комментарий")),
        Column("employee_id", "BIGINT", Text("Employee", "Сотрудник")),
        Column("redirect_count", "INTEGER", Text("Redirects to it", "Переадресаций на номер")),
    ),
    (
        Metric("numbers", "count(*)", Text("Numbers", "Номеров")),
        Metric(
            "active_share",
            "avg((state = 'active')::integer)",
            Text("Share of active numbers", "Доля активных номеров"),
            ".1%",
        ),
    ),
)

DAILY_STATES: Final = Dataset(
    "daily_states",
    Text("Numbers by day", "Номера по дням"),
    Text(
        "The number of numbers in each state at the end of each day, by region and type; add up rows of one day only",
        "Количество номеров в каждом состоянии в конце дня, по регионам и типам; складывайте строки только одного дня",
    ),
    """
select n.account, n.day, {region} as region, {type} as type_title, n.state,
       coalesce(n.state_title_{language}, n.state) as state_title, n.numbers
  from analytics.daily_states n
""",
    (
        *(ACCOUNT, DAY, REGION, TYPE, STATE, STATE_TITLE),
        Column("numbers", "INTEGER", Text("Numbers", "Номеров")),
    ),
    (
        Metric("numbers_that_day", "sum(numbers)", Text("Numbers", "Номеров")),
        Metric(
            "locked_that_day",
            "coalesce(sum(numbers) filter (where state = 'debt_lock'), 0)",
            Text("Numbers locked for debt", "Номеров заблокировано за долг"),
        ),
        Metric(
            "frozen_that_day",
            "coalesce(sum(numbers) filter (where state = 'freeze'), 0)",
            Text("Numbers frozen", "Номеров заморожено"),
        ),
    ),
    time="day",
)

BLOCKS: Final = Dataset(
    "blocks",
    Text("Debt locks and freezes", "Блокировки и заморозки"),
    Text(
        "One row per uninterrupted debt lock or freeze of a number, even if the reason changed meanwhile",
        "Одна строка — непрерывная блокировка за долг или заморозка номера, даже если причина менялась",
    ),
    """
with periods as (
    select *, valid_from is distinct from lag(valid_to) over same_state as is_first
      from analytics.state_history
     where state in ('debt_lock', 'freeze')
    window same_state as (partition by account_id, virtual_number_id, state order by valid_from)
), parts as (
    select *, count(*) filter (where is_first) over same_state as block
      from periods
    window same_state as (partition by account_id, virtual_number_id, state order by valid_from)
), blocks as (
    select account_id, virtual_number_id, state, state_title_{language} as state_title, min(valid_from) as since,
           case when not bool_or(is_current) then max(valid_to) end as until,
           (array_agg(reason order by valid_from desc))[1] as reason, sum(duration_seconds) / 86400 as days
      from parts
     group by account_id, virtual_number_id, state, state_title_{language}, block
)
select n.account, n.number, n.number_key, {region} as region, {type} as type_title, b.state, b.state_title,
       coalesce(b.reason, '') as reason,
       b.since at time zone a.time_zone as since, b.until at time zone a.time_zone as until,
       b.until is null as is_current,
       b.days, extract(day from b.since at time zone a.time_zone)::integer as day_of_month,
       case when b.days <= 1 then '  0–1' when b.days <= 3 then '  1–3' when b.days <= 7 then '  3–7'
            when b.days <= 14 then ' 7–14' when b.days <= 30 then '14–30' else '30+' end as days_band
  from blocks b
  join analytics.numbers_all n using (account_id, virtual_number_id)
  join analytics.accounts a using (account_id)
""",
    (
        *(ACCOUNT, NUMBER, REGION, TYPE, STATE, STATE_TITLE, REASON),
        Column("number_key", "TEXT", Text("Key of the number", "Ключ номера")),
        Column("since", "TIMESTAMP", Text("Since", "Начало")),
        Column("until", "TIMESTAMP", Text("Until", "Конец")),
        Column("is_current", "BOOLEAN", Text("Not ended yet", "Продолжается")),
        Column("days", "NUMERIC", Text("Days", "Дней")),
        Column("day_of_month", "INTEGER", Text("Day of the month", "Число месяца")),
        Column("days_band", "TEXT", Text("Duration, days", "Длительность, дней")),
    ),
    (
        Metric("blocks", "count(*)", Text("Count", "Количество")),
        Metric("numbers_blocked", "count(distinct number_key)", Text("Numbers", "Номеров")),
        Metric(
            "mean_days",
            "avg(days) filter (where not is_current)",
            Text("Mean duration, days", "Средняя длительность, дней"),
            ",.1f",
        ),
        Metric("longest_days", "max(days)", Text("Longest, days", "Самая долгая, дней"), ",.1f"),
        Metric("total_days", "sum(days)", Text("Total, days", "Всего, дней"), ",.1f"),
    ),
    time="since",
)
