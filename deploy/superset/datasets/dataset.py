"""Datasets: queries of the views, with their columns and metrics, from which the charts are built.

Times are local times of the account, like its days: Superset shows times without a zone unchanged.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from deploy.superset.language import Language, Text, in_language
from deploy.superset.vocabulary import FIELDS, KINDS, NO_REGION, NO_TYPE, OUTCOMES, title_expression


class Column(NamedTuple):
    """A column of a query; `type` is a PostgreSQL type."""

    name: str
    type: str
    title: Text

    @property
    def is_time(self) -> bool:
        """Whether a period filter can use it."""
        return self.type in {"TIMESTAMP", "DATE"}


class Metric(NamedTuple):
    """An aggregate of a dataset."""

    name: str
    expression: str
    title: Text
    format: str | Text = ",d"


class Dataset(NamedTuple):
    """A query; its placeholders are `{language}`, the suffix of title columns, and the names in `_EXPRESSIONS`."""

    name: str
    title: Text
    description: Text
    sql: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...]
    time: str | None = None
    """The column that the dashboard's period filter applies to."""

    def has_column(self, name: str) -> bool:
        """Whether it has a column of that name."""
        return name in {column.name for column in self.columns}


_EXPRESSIONS: Final = {
    "outcome": title_expression("r.outcome", OUTCOMES),
    "last_outcome": title_expression("f.last_outcome", OUTCOMES),
    "kind": title_expression("c.kind", KINDS),
    "field": title_expression("c.field", FIELDS),
    "region": Text(f"coalesce(n.region, '{NO_REGION.en}')", f"coalesce(n.region, '{NO_REGION.ru}')"),
    "type": Text(
        f"coalesce(n.type_title_en, n.type, '{NO_TYPE.en}')", f"coalesce(n.type_title_ru, n.type, '{NO_TYPE.ru}')"
    ),
}

ACCOUNT: Final = Column("account", "TEXT", Text("Account", "Личный кабинет"))
NUMBER: Final = Column("number", "TEXT", Text("Number", "Номер"))
REGION: Final = Column("region", "TEXT", Text("Region", "Регион"))
TYPE: Final = Column("type_title", "TEXT", Text("Type", "Тип"))
STATE: Final = Column("state", "TEXT", Text("State, as the vendor names it", "Состояние (код оператора)"))
STATE_TITLE: Final = Column("state_title", "TEXT", Text("State", "Состояние"))
REASON: Final = Column("reason", "TEXT", Text("Reason", "Причина"))
DAY: Final = Column("day", "DATE", Text("Day", "День"))
CHANGED: Final = Column("changed_at", "TIMESTAMP", Text("Changed", "Изменено"))
OUTCOME: Final = Column("outcome_title", "TEXT", Text("Outcome", "Итог"))
HELD: Final = Column("held", "INTEGER", Text("Removals held", "Удержано удалений"))
REJECTED_COUNT: Final = Column("rejected", "INTEGER", Text("Records rejected", "Отклонено записей"))


def sql_of(dataset: Dataset, language: Language) -> str:
    """Returns the query of a dataset in one language."""
    return dataset.sql.format(language=language, **in_language(_EXPRESSIONS, language)).strip()
