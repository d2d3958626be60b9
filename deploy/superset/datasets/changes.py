"""The changes of numbers."""

from __future__ import annotations

from typing import Final

from deploy.superset.datasets.dataset import ACCOUNT, CHANGED, NUMBER, REGION, TYPE, Column, Dataset, Metric
from deploy.superset.language import Text

STATE_CHANGES: Final = Dataset(
    "state_changes",
    Text("State transitions", "Переходы состояний"),
    Text("One row per change from one state to another", "Одна строка — переход из одного состояния в другое"),
    """
select n.account, n.number, {region} as region, {type} as type_title,
       c.changed_at at time zone a.time_zone as changed_at,
       coalesce(c.from_state_title_{language}, c.from_state) as from_title,
       '→ ' || coalesce(c.to_state_title_{language}, c.to_state) as to_title
  from analytics.state_changes c
  join analytics.numbers_all n using (account_id, virtual_number_id)
  join analytics.accounts a using (account_id)
 where c.from_state <> c.to_state
""",
    (
        *(ACCOUNT, NUMBER, REGION, TYPE, CHANGED),
        Column("from_title", "TEXT", Text("From", "Из")),
        Column("to_title", "TEXT", Text("To", "В")),
    ),
    (Metric("transitions", "count(*)", Text("Transitions", "Переходов")),),
    time="changed_at",
)

CHANGES: Final = Dataset(
    "changes",
    Text("Changes", "Изменения"),
    Text(
        "One row per changed field, per added, removed or returned number, and per added or removed redirect; "
        "what the first poll found is not included",
        "Одна строка — изменение поля, появление, удаление или возвращение номера либо изменение переадресации; "
        "то, что обнаружил первый опрос, не включено",
    ),
    """
with titles as (
    select 'state' as field, state as value, title_{language} as title from analytics.states
     union all
    select 'type', type, title_{language} from analytics.types
     union all
    select 'purpose', purpose, title_{language} from analytics.purposes
)
select n.account, n.number, {region} as region, {type} as type_title,
       c.changed_at at time zone a.time_zone as changed_at,
       c.kind, {kind} as kind_title, {field} as field_title, coalesce(o.title, c.old_value, '') as old_value,
       coalesce(w.title, c.new_value, '') as new_value
  from analytics.changes c
  join analytics.numbers_all n using (account_id, virtual_number_id)
  join analytics.accounts a using (account_id)
  left join titles o on o.field = c.field and o.value = c.old_value
  left join titles w on w.field = c.field and w.value = c.new_value
 where c.changed_after is not null and (c.kind not in ('created', 'restored') or c.field = 'state')
""",
    (
        *(ACCOUNT, NUMBER, REGION, TYPE, CHANGED),
        Column("kind", "TEXT", Text("Kind (value in the view)", "Вид (значение в представлении)")),
        Column("kind_title", "TEXT", Text("What happened", "Что произошло")),
        Column("field_title", "TEXT", Text("Field", "Поле")),
        Column("old_value", "TEXT", Text("Before", "Было")),
        Column("new_value", "TEXT", Text("After", "Стало")),
    ),
    (Metric("changes", "count(*)", Text("Changes", "Изменений")),),
    time="changed_at",
)
