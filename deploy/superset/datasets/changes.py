"""What changed."""

from __future__ import annotations

from typing import Final

from deploy.superset.datasets.dataset import ACCOUNT, CHANGED, NUMBER, REGION, TYPE, Column, Dataset, Metric
from deploy.superset.language import Text

STATE_CHANGES: Final = Dataset(
    "state_changes",
    Text("Transitions of state", "Переходы состояний"),
    Text("A row is a change from one state to another", "Строка — переход из одного состояния в другое"),
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
        "A row is a field that changed, a number that came, went or returned, or a redirect; "
        "what the first poll found is no change",
        "Строка — изменившееся поле, появление, удаление или возвращение номера либо переадресация; "
        "то, что нашёл первый опрос, — не изменение",
    ),
    """
with words as (
    select 'state' as field, state as word, title_{language} as title from analytics.states
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
  left join words o on o.field = c.field and o.word = c.old_value
  left join words w on w.field = c.field and w.word = c.new_value
 where c.changed_after is not null and (c.kind not in ('created', 'restored') or c.field = 'state')
""",
    (
        *(ACCOUNT, NUMBER, REGION, TYPE, CHANGED),
        Column("kind", "TEXT", Text("Kind, as the view names it", "Вид, как в представлении")),
        Column("kind_title", "TEXT", Text("What happened", "Что произошло")),
        Column("field_title", "TEXT", Text("Field", "Поле")),
        Column("old_value", "TEXT", Text("Before", "Было")),
        Column("new_value", "TEXT", Text("After", "Стало")),
    ),
    (Metric("changes", "count(*)", Text("Changes", "Изменений")),),
    time="changed_at",
)
