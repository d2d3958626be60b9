"""Whether all that the bundle names is there: an import leaves out in silence what it cannot tie together."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import yaml

from deploy.superset.queries import PERIOD, Query, query_of, sql_of, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Yaml = dict[str, Any]
_COLUMNS: Final = 12
_OUTER: Final = ("DASHBOARD_VERSION_KEY", "HEADER_ID", "GRID_ID")


class Asked(NamedTuple):
    """A query that something in a file makes."""

    file: str
    sql: str


class Bundle:
    """The files of a bundle.

    Args:
        folder: Where they are.

    Attributes:
        looked_up: How many references `problems` looked up.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.rglob("*.yaml"))
        self._files: dict[str, Yaml] = {
            str(path.relative_to(folder)): yaml.load(path.read_text(), yaml.CSafeLoader) for path in paths
        }
        self._by_uuid = {one["uuid"]: (file, one) for file, one in self._files.items() if "uuid" in one}
        self.looked_up = 0

    def problems(self) -> list[str]:
        """What is wrong, a sentence each, which names the file."""
        return [f"{file}: {sentence}" for file, sentence in self._problems()]

    def queries(self) -> list[Asked]:
        """Every query that an opened dashboard can make: of each dataset, filter and chart, filtered and not."""
        asked = [Asked(file, sql_of(_everything_in(one), one)) for file, one in self._of("datasets")]
        for file, dashboard in self._of("dashboards"):
            filters = dashboard["metadata"]["native_filter_configuration"]
            asked += [Asked(file, sql) for one in filters if (sql := self._values_of(one))]
        asked += [
            Asked(file, sql_of(query_of(one["params"]), self._dataset_of(one))) for file, one in self._of("charts")
        ]
        return asked + list(self._filtered())

    def _filtered(self) -> Iterator[Asked]:
        """Each chart with every filter that it is in the scope of."""
        for _, dashboard in self._of("dashboards"):
            for node in _charts_of(dashboard):
                file, chart = self._by_uuid[node["uuid"]]
                conditions = [
                    f'"{column}" in ({self._values_of(one)})'
                    for one in dashboard["metadata"]["native_filter_configuration"]
                    if node["chartId"] not in one["scope"]["excluded"] and (column := _column_of(one))
                ]
                yield Asked(file, sql_of(query_of(chart["params"]), self._dataset_of(chart), *conditions))

    def _values_of(self, one: Yaml) -> str | None:
        column = _column_of(one)
        return column and values_of(column, self._by_uuid[one["targets"][0]["datasetUuid"]][1])

    def _dataset_of(self, chart: Yaml) -> Yaml:
        return self._by_uuid[chart["dataset_uuid"]][1]

    def _of(self, kind: str) -> list[tuple[str, Yaml]]:
        return [(file, one) for file, one in self._files.items() if file.startswith(f"{kind}/")]

    def _finds(self, uuid: str, kind: str) -> bool:
        self.looked_up += 1
        return uuid in self._by_uuid and self._by_uuid[uuid][0].startswith(f"{kind}/")

    def _problems(self) -> Iterator[tuple[str, str]]:
        for uuid, times in Counter(one["uuid"] for one in self._files.values() if "uuid" in one).items():
            if times > 1:
                yield self._by_uuid[uuid][0], f"its uuid {uuid} is another file's too"
        for file, database in self._of("databases"):
            if urlsplit(database["sqlalchemy_uri"]).password:
                yield file, "it holds a password"
        for file, dataset in self._of("datasets"):
            yield from ((file, sentence) for sentence in self._of_dataset(dataset))
        shown = {node["uuid"] for _, dashboard in self._of("dashboards") for node in _charts_of(dashboard)}
        for file, chart in self._of("charts"):
            yield from ((file, sentence) for sentence in self._of_chart(chart))
            if chart["uuid"] not in shown:
                yield file, "it is on no dashboard"
        for file, dashboard in self._of("dashboards"):
            found = chain(_of_layout(dashboard["position"]), self._of_cells(dashboard), self._of_filters(dashboard))
            found = chain(found, self._of_colours(dashboard))
            yield from ((file, sentence) for sentence in found)

    def _of_dataset(self, dataset: Yaml) -> Iterator[str]:
        if not self._finds(dataset["database_uuid"], "databases"):
            yield f"there is no database {dataset['database_uuid']}"
        if dataset.get("schema") != "analytics":
            yield "its schema is not analytics"
        if dataset["main_dttm_col"] not in {None, *_times_of(dataset)}:
            yield f"its main_dttm_col {dataset['main_dttm_col']} is none of its times"

    def _of_chart(self, chart: Yaml) -> Iterator[str]:
        if chart["viz_type"] != chart["params"]["viz_type"]:
            yield f"its viz_type is {chart['viz_type']}, and {chart['params']['viz_type']} in its params"
        if not self._finds(chart["dataset_uuid"], "datasets"):
            yield f"there is no dataset {chart['dataset_uuid']}"
            return
        dataset, query = self._dataset_of(chart), query_of(chart["params"])
        known = {"column": _names_of(dataset), "metric": {one["metric_name"] for one in dataset["metrics"]}}
        for kind, names in (("column", query.names()), ("metric", query.metrics)):
            self.looked_up += len(names)
            yield from (f"its dataset has no {kind} {name}" for name in names if name not in known[kind])
        for name in (one["subject"] for one in query.conditions if one["operator"] == PERIOD):
            if name not in _times_of(dataset):
                yield f"its period is of {name}, which is no time"

    def _of_colours(self, dashboard: Yaml) -> Iterator[str]:
        """Superset takes a series called as a column or a metric for that, and colours it by its name."""
        titles = {one["verbose_name"] for _, dataset in self._of("datasets") for one in _parts_of(dataset)}
        for word in titles & set(dashboard["metadata"]["label_colors"]):
            yield f"the colour of {word} is lost, for a column or metric has that title too"

    def _of_cells(self, dashboard: Yaml) -> Iterator[str]:
        cells = _charts_of(dashboard)
        for node in cells:
            if not self._finds(node["uuid"], "charts"):
                yield f"there is no chart {node['uuid']}"
        for identity, times in Counter(node["chartId"] for node in cells).items():
            if times > 1:
                yield f"chartId {identity} stands for {times} charts"

    def _of_filters(self, dashboard: Yaml) -> Iterator[str]:
        position = dashboard["position"]
        identities = {node["chartId"] for node in _charts_of(dashboard)}
        for one in dashboard["metadata"]["native_filter_configuration"]:
            scope = one["scope"]
            self.looked_up += len(scope["excluded"]) + len(scope["rootPath"])
            for identity in set(scope["excluded"]) - identities:
                yield f"{one['id']} excludes chart {identity}, which is not on the dashboard"
            for name in set(scope["rootPath"]) - set(position):
                yield f"{one['id']} is of {name}, which is not on the dashboard"
            yield from (f"{one['id']}: {sentence}" for sentence in self._of_target(one))
            for node in _charts_of(dashboard):
                if node["chartId"] not in scope["excluded"] and not self._obeys(node["uuid"], _column_of(one)):
                    yield f"{one['id']} does not fit the chart {node['sliceName']}, which it does not exclude"

    def _of_target(self, one: Yaml) -> Iterator[str]:
        column = _column_of(one)
        if column is None:
            return
        uuid = one["targets"][0]["datasetUuid"]
        if not self._finds(uuid, "datasets"):
            yield f"there is no dataset {uuid}"
        elif column not in _names_of(self._by_uuid[uuid][1]):
            yield f"its dataset has no column {column}"

    def _obeys(self, uuid: str, column: str | None) -> bool:
        """Whether a filter by a column, or by the period if there is none, does anything to a chart."""
        self.looked_up += 1
        if uuid not in self._by_uuid or (chart := self._by_uuid[uuid][1])["dataset_uuid"] not in self._by_uuid:
            return True  # said elsewhere
        if column is None:
            return any(one["operator"] == PERIOD for one in chart["params"]["adhoc_filters"])
        return column in _names_of(self._dataset_of(chart))


async def unanswered(connection: asyncpg.Connection[Any], asked: list[Asked]) -> list[str]:
    """The queries that fail, or that return nothing but nulls, a sentence each, which names the file."""
    found = []
    for file, sql in asked:
        try:
            rows = await connection.fetch(sql)
        except asyncpg.PostgresError as error:
            found.append(f"{file}: {error}")
        else:
            if not any(value is not None for row in rows for value in row.values()):
                found.append(f"{file}: nothing answers this query:\n{sql}")
    return found


def _of_layout(position: Yaml) -> Iterator[str]:
    """What is wrong with the tree of tabs, rows and charts."""
    reached = list(_reached("ROOT_ID", [], position))
    for name, above in reached:
        if name not in position:
            yield f"{above[-1]} holds {name}, which is not there"
        elif position[name].get("parents", []) != above:
            yield f"{name} stands below {', '.join(above)}, and its parents say otherwise"
    for name in set(position) - {name for name, _ in reached} - set(_OUTER):
        yield f"{name} stands nowhere"
    for name, node in position.items():
        if name.startswith("ROW-"):
            wide = sum(position[child]["meta"]["width"] for child in node["children"] if child in position)
            if wide > _COLUMNS:
                yield f"{name} is {wide} columns wide, and there are {_COLUMNS}"


def _reached(name: str, above: list[str], position: Yaml) -> Iterator[tuple[str, list[str]]]:
    yield name, above
    for child in position.get(name, {}).get("children", []):
        yield from _reached(child, [*above, name], position)


def _charts_of(dashboard: Yaml) -> list[Yaml]:
    nodes = (node for node in dashboard["position"].values() if isinstance(node, dict))
    return [node["meta"] for node in nodes if node["type"] == "CHART"]


def _column_of(native_filter: Yaml) -> str | None:
    """The column of a filter by values; None of one by period."""
    name: str | None = native_filter["targets"][0].get("column", {}).get("name")
    return name


def _parts_of(dataset: Yaml) -> list[Yaml]:
    return [*dataset["columns"], *dataset["metrics"]]


def _names_of(dataset: Yaml) -> set[str]:
    return {one["column_name"] for one in dataset["columns"]}


def _times_of(dataset: Yaml) -> set[str]:
    return {one["column_name"] for one in dataset["columns"] if one["is_dttm"]}


def _everything_in(dataset: Yaml) -> Query:
    columns = tuple((one["column_name"], None) for one in dataset["columns"])
    return Query(columns, (), (), (), 1000)
