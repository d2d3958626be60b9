"""Checks the references inside the bundle, because an import silently skips what it cannot resolve."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import yaml

from deploy.superset.queries import PERIOD, Query, filter_values_sql, query_of, sql_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Yaml = dict[str, Any]
_COLUMNS: Final = 12
_UNATTACHED_NODES: Final = ("DASHBOARD_VERSION_KEY", "HEADER_ID", "GRID_ID")


class BundleQuery(NamedTuple):
    """A query, and the file of the bundle that causes it."""

    file: str
    sql: str


class Bundle:
    """The files of a bundle.

    Args:
        folder: The folder of the files.

    Attributes:
        checked_references: How many references `problems` has checked.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.rglob("*.yaml"))
        self._files: dict[str, Yaml] = {
            str(path.relative_to(folder)): yaml.load(path.read_text(), yaml.CSafeLoader) for path in paths
        }
        self._by_uuid = {content["uuid"]: (file, content) for file, content in self._files.items() if "uuid" in content}
        self.checked_references = 0

    def problems(self) -> list[str]:
        """Returns the problems of the bundle, each a sentence after the name of the file."""
        return [f"{file}: {sentence}" for file, sentence in self._find_problems()]

    def queries(self) -> list[BundleQuery]:
        """Returns every query that a dashboard can make: of datasets, filters, and charts with and without filters."""
        queries = [
            BundleQuery(file, sql_of(_select_all(dataset), dataset)) for file, dataset in self._files_in("datasets")
        ]
        for file, dashboard in self._files_in("dashboards"):
            filters = dashboard["metadata"]["native_filter_configuration"]
            queries += [
                BundleQuery(file, sql) for native_filter in filters if (sql := self._filter_values_sql(native_filter))
            ]
        queries += [
            BundleQuery(file, sql_of(query_of(chart["params"]), self._dataset_of(chart)))
            for file, chart in self._files_in("charts")
        ]
        return queries + list(self._filtered_charts())

    def _filtered_charts(self) -> Iterator[BundleQuery]:
        """The query of each chart with every filter that applies to it."""
        for _, dashboard in self._files_in("dashboards"):
            for node in _charts_of(dashboard):
                file, chart = self._by_uuid[node["uuid"]]
                conditions = [
                    f'"{column}" in ({self._filter_values_sql(native_filter)})'
                    for native_filter in dashboard["metadata"]["native_filter_configuration"]
                    if node["chartId"] not in native_filter["scope"]["excluded"]
                    and (column := _column_of(native_filter))
                ]
                yield BundleQuery(file, sql_of(query_of(chart["params"]), self._dataset_of(chart), *conditions))

    def _filter_values_sql(self, native_filter: Yaml) -> str | None:
        column = _column_of(native_filter)
        return column and filter_values_sql(column, self._by_uuid[native_filter["targets"][0]["datasetUuid"]][1])

    def _dataset_of(self, chart: Yaml) -> Yaml:
        return self._by_uuid[chart["dataset_uuid"]][1]

    def _files_in(self, folder: str) -> list[tuple[str, Yaml]]:
        return [(file, content) for file, content in self._files.items() if file.startswith(f"{folder}/")]

    def _exists(self, uuid: str, kind: str) -> bool:
        self.checked_references += 1
        return uuid in self._by_uuid and self._by_uuid[uuid][0].startswith(f"{kind}/")

    def _find_problems(self) -> Iterator[tuple[str, str]]:
        uuids = Counter(content["uuid"] for content in self._files.values() if "uuid" in content)
        for uuid, count in uuids.items():
            if count > 1:
                yield self._by_uuid[uuid][0], f"its uuid {uuid} is also used by another file"
        for file, database in self._files_in("databases"):
            if urlsplit(database["sqlalchemy_uri"]).password:
                yield file, "it contains a password"
        for file, dataset in self._files_in("datasets"):
            yield from ((file, sentence) for sentence in self._check_dataset(dataset))
        on_dashboards = {
            node["uuid"] for _, dashboard in self._files_in("dashboards") for node in _charts_of(dashboard)
        }
        for file, chart in self._files_in("charts"):
            yield from ((file, sentence) for sentence in self._check_chart(chart))
            if chart["uuid"] not in on_dashboards:
                yield file, "it is on no dashboard"
        for file, dashboard in self._files_in("dashboards"):
            sentences = chain(
                _check_layout(dashboard["position"]),
                self._check_chart_nodes(dashboard),
                self._check_filters(dashboard),
                self._check_colours(dashboard),
            )
            yield from ((file, sentence) for sentence in sentences)

    def _check_dataset(self, dataset: Yaml) -> Iterator[str]:
        if not self._exists(dataset["database_uuid"], "databases"):
            yield f"there is no database {dataset['database_uuid']}"
        if dataset.get("schema") != "analytics":
            yield "its schema is not analytics"
        if dataset["main_dttm_col"] not in {None, *_times_of(dataset)}:
            yield f"its main_dttm_col {dataset['main_dttm_col']} is not one of its time columns"

    def _check_chart(self, chart: Yaml) -> Iterator[str]:
        if chart["viz_type"] != chart["params"]["viz_type"]:
            yield f"its viz_type is {chart['viz_type']}, but {chart['params']['viz_type']} in its params"
        if not self._exists(chart["dataset_uuid"], "datasets"):
            yield f"there is no dataset {chart['dataset_uuid']}"
            return
        dataset, query = self._dataset_of(chart), query_of(chart["params"])
        known = {"column": _names_of(dataset), "metric": {metric["metric_name"] for metric in dataset["metrics"]}}
        for kind, names in (("column", query.column_names()), ("metric", query.metrics)):
            self.checked_references += len(names)
            yield from (f"its dataset has no {kind} {name}" for name in names if name not in known[kind])
        for name in (condition["subject"] for condition in query.conditions if condition["operator"] == PERIOD):
            if name not in _times_of(dataset):
                yield f"its period filter uses {name}, which is not a time column"

    def _check_colours(self, dashboard: Yaml) -> Iterator[str]:
        """Superset ignores the colour of a series whose label is also the title of a column or metric."""
        titles = {
            item["verbose_name"]
            for _, dataset in self._files_in("datasets")
            for item in [*dataset["columns"], *dataset["metrics"]]
        }
        for label in titles & set(dashboard["metadata"]["label_colors"]):
            yield f"the colour of {label} is ignored, because a column or metric has the same title"

    def _check_chart_nodes(self, dashboard: Yaml) -> Iterator[str]:
        nodes = _charts_of(dashboard)
        for node in nodes:
            if not self._exists(node["uuid"], "charts"):
                yield f"there is no chart {node['uuid']}"
        for chart_id, count in Counter(node["chartId"] for node in nodes).items():
            if count > 1:
                yield f"chartId {chart_id} is used by {count} charts"

    def _check_filters(self, dashboard: Yaml) -> Iterator[str]:
        position = dashboard["position"]
        chart_ids = {node["chartId"] for node in _charts_of(dashboard)}
        for native_filter in dashboard["metadata"]["native_filter_configuration"]:
            scope, filter_id = native_filter["scope"], native_filter["id"]
            self.checked_references += len(scope["excluded"]) + len(scope["rootPath"])
            for chart_id in set(scope["excluded"]) - chart_ids:
                yield f"{filter_id} excludes chart {chart_id}, which is not on the dashboard"
            for name in set(scope["rootPath"]) - set(position):
                yield f"{filter_id} applies to {name}, which is not on the dashboard"
            yield from (f"{filter_id}: {sentence}" for sentence in self._check_target(native_filter))
            column = _column_of(native_filter)
            for node in _charts_of(dashboard):
                if node["chartId"] not in scope["excluded"] and not self._is_filterable(node["uuid"], column):
                    yield f"{filter_id} cannot filter the chart {node['sliceName']}, but does not exclude it"

    def _check_target(self, native_filter: Yaml) -> Iterator[str]:
        column = _column_of(native_filter)
        if column is None:
            return
        uuid = native_filter["targets"][0]["datasetUuid"]
        if not self._exists(uuid, "datasets"):
            yield f"there is no dataset {uuid}"
        elif column not in _names_of(self._by_uuid[uuid][1]):
            yield f"its dataset has no column {column}"

    def _is_filterable(self, uuid: str, column: str | None) -> bool:
        """Whether a filter by a column, or by the period if the column is None, has an effect on a chart."""
        self.checked_references += 1
        if uuid not in self._by_uuid or (chart := self._by_uuid[uuid][1])["dataset_uuid"] not in self._by_uuid:
            return True  # reported by another check
        if column is None:
            return any(condition["operator"] == PERIOD for condition in chart["params"]["adhoc_filters"])
        return column in _names_of(self._dataset_of(chart))


async def find_empty_results(connection: asyncpg.Connection[Any], queries: list[BundleQuery]) -> list[str]:
    """Runs the queries; returns a message with the file for each that fails, or returns no rows or only nulls."""
    problems = []
    for file, sql in queries:
        try:
            rows = await connection.fetch(sql)
        except asyncpg.PostgresError as error:
            problems.append(f"{file}: {error}")
        else:
            if not any(value is not None for row in rows for value in row.values()):
                problems.append(f"{file}: this query returns no data:\n{sql}")
    return problems


def _check_layout(position: Yaml) -> Iterator[str]:
    """The problems of the tree of tabs, rows and charts."""
    tree = list(_walk("ROOT_ID", [], position))
    for name, ancestors in tree:
        if name not in position:
            yield f"{ancestors[-1]} contains {name}, which does not exist"
        elif position[name].get("parents", []) != ancestors:
            yield f"{name} is below {', '.join(ancestors)}, but its parents differ"
    for name in set(position) - {name for name, _ in tree} - set(_UNATTACHED_NODES):
        yield f"{name} is not part of the layout"
    for name, node in position.items():
        if name.startswith("ROW-"):
            width = sum(position[child]["meta"]["width"] for child in node["children"] if child in position)
            if width > _COLUMNS:
                yield f"{name} is {width} columns wide, but a row has {_COLUMNS}"


def _walk(name: str, ancestors: list[str], position: Yaml) -> Iterator[tuple[str, list[str]]]:
    yield name, ancestors
    for child in position.get(name, {}).get("children", []):
        yield from _walk(child, [*ancestors, name], position)


def _charts_of(dashboard: Yaml) -> list[Yaml]:
    nodes = (node for node in dashboard["position"].values() if isinstance(node, dict))
    return [node["meta"] for node in nodes if node["type"] == "CHART"]


def _column_of(native_filter: Yaml) -> str | None:
    """The column of a value filter; None for the period filter."""
    name: str | None = native_filter["targets"][0].get("column", {}).get("name")
    return name


def _names_of(dataset: Yaml) -> set[str]:
    return {column["column_name"] for column in dataset["columns"]}


def _times_of(dataset: Yaml) -> set[str]:
    return {column["column_name"] for column in dataset["columns"] if column["is_dttm"]}


def _select_all(dataset: Yaml) -> Query:
    columns = tuple((column["column_name"], None) for column in dataset["columns"])
    return Query(columns, (), (), (), 1000)
