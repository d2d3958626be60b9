"""The dashboard around its tabs: its title and its filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from deploy.superset.datasets.numbers import DAILY_STATES
from deploy.superset.datasets.polls import FRESHNESS
from deploy.superset.language import Text
from deploy.superset.tabs import changes, debt, overview, quality

if TYPE_CHECKING:
    from deploy.superset.datasets.dataset import Dataset

TABS: Final = (overview.TAB, debt.TAB, changes.TAB, quality.TAB)
CHARTS: Final = tuple(chart for tab in TABS for row in tab.rows for chart in row.charts)
DATASETS: Final = tuple(dict.fromkeys(chart.dataset for chart in CHARTS))
TITLE: Final = Text("MegaFon virtual numbers", "Виртуальные номера МегаФона")
DESCRIPTION: Final = Text(
    "The numbers, their changes, and the quality of the data. Times and days are in the account's time zone.",
    "Номера, их изменения и качество данных. Время и дни — в часовом поясе Личного кабинета.",
)
PERIOD: Final = "Last 180 days : "
"""The last 180 days until now: without a fixed end, so that today is included."""
PERIOD_TITLE: Final = Text("Period", "Период")


class ValueFilter(NamedTuple):
    """A filter by the values of a column."""

    key: str
    title: Text
    dataset: Dataset
    column: str


FILTERS: Final = (
    ValueFilter("account", Text("Account", "Личный кабинет"), FRESHNESS, "account"),
    ValueFilter("region", Text("Region", "Регион"), DAILY_STATES, "region"),
    ValueFilter("type", Text("Type", "Тип"), DAILY_STATES, "type_title"),
)
