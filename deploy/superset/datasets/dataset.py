"""What the charts ask: a query on the views for each, its columns and its metrics.

Every time is the account's local time, as its days are: Superset shows times without a zone as they are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from deploy.superset.language import Language, Text, in_language
from deploy.superset.vocabulary import FIELDS, KINDS, NO_REGION, NO_TYPE, OUTCOMES, as_case


class Column(NamedTuple):
    """A column of a query; `type` as PostgreSQL names it."""

    name: str
    type: str
    title: Text

    @property
    def is_time(self) -> bool:
        """Whether a period can be chosen by it."""
        return self.type in {"TIMESTAMP", "DATE"}


class Metric(NamedTuple):
    """A number that a dataset can be asked for."""

    name: str
    expression: str
    title: Text
    format: str | Text = ",d"


class Dataset(NamedTuple):
    """A query; `{language}` in it ends the name of a title's column, other names in braces are those of `_PARTS`."""

    name: str
    title: Text
    description: Text
    sql: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...]
    time: str | None = None
    """The column that the period of the dashboard chooses by."""

    def has(self, column: str) -> bool:
        """Whether it has a column of that name."""
        return column in {one.name for one in self.columns}


_PARTS: Final = {
    "outcome": as_case("r.outcome", OUTCOMES),
    "last_outcome": as_case("f.last_outcome", OUTCOMES),
    "kind": as_case("c.kind", KINDS),
    "field": as_case("c.field", FIELDS),
    "region": Text(f"coalesce(n.region, '{NO_REGION.en}')", f"coalesce(n.region, '{NO_REGION.ru}')"),
    "type": Text(
        f"coalesce(n.type_title_en, n.type, '{NO_TYPE.en}')", f"coalesce(n.type_title_ru, n.type, '{NO_TYPE.ru}')"
    ),
}

ACCOUNT: Final = Column("account", "TEXT", Text("Account", "Аккаунт"))
NUMBER: Final = Column("number", "TEXT", Text("Number", "Номер"))
REGION: Final = Column("region", "TEXT", Text("Region", "Регион"))
TYPE: Final = Column("type_title", "TEXT", Text("Type", "Тип"))
STATE: Final = Column("state", "TEXT", Text("State, the vendor's word", "Состояние, слово оператора"))
STATE_TITLE: Final = Column("state_title", "TEXT", Text("State", "Состояние"))
REASON: Final = Column("reason", "TEXT", Text("Reason", "Причина"))
DAY: Final = Column("day", "DATE", Text("Day", "День"))
CHANGED: Final = Column("changed_at", "TIMESTAMP", Text("Changed", "Изменено"))
OUTCOME: Final = Column("outcome_title", "TEXT", Text("Outcome", "Итог"))
HELD: Final = Column("held", "INTEGER", Text("Removals held", "Удалений отложено"))
REJECTED_COUNT: Final = Column("rejected", "INTEGER", Text("Records rejected", "Записей отвергнуто"))


def sql_of(dataset: Dataset, language: Language) -> str:
    """The query of a dataset in one language."""
    return dataset.sql.format(language=language, **in_language(_PARTS, language)).strip()
