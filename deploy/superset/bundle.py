"""Generates the bundle that Superset imports, in English and Russian, from the declarations in this package.

make bundle
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from deploy.superset.dashboard import CHARTS, DATASETS, DESCRIPTION, FILTERS, PERIOD, PERIOD_TITLE, TABS, TITLE
from deploy.superset.datasets.dataset import sql_of
from deploy.superset.language import LANGUAGES, in_language
from deploy.superset.vocabulary import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.superset.charts import Chart, Tab
    from deploy.superset.dashboard import ValueFilter
    from deploy.superset.datasets.dataset import Dataset
    from deploy.superset.language import Language

FOLDER: Final = Path(__file__).with_name("bundle")
_VERSION: Final = "1.0.0"
_UUID_NAMESPACE: Final = uuid.UUID("5f0d3c1e-6a43-4c58-9c0e-3b7a4c1f2d90")
_TIMESTAMP: Final = "2025-06-25T00:00:00+00:00"
_DATABASE: Final = "databases/syncer.yaml"
Yaml = dict[str, Any]


def files() -> dict[str, str]:
    """Returns the text of each file of the bundle by its path in the bundle."""
    return {path: _to_yaml(content) for path, content in _contents()}


def _contents() -> Iterator[tuple[str, Yaml]]:
    yield "metadata.yaml", {"version": _VERSION, "type": "Dashboard", "timestamp": _TIMESTAMP}
    yield _DATABASE, _database()
    for language in LANGUAGES:
        for dataset in DATASETS:
            yield _path("datasets/syncer", dataset.name, language), in_language(_dataset(dataset, language), language)
        for chart in CHARTS:
            yield _path("charts", chart.key, language), in_language(_chart(chart, language), language)
        yield _path("dashboards", "numbers", language), in_language(_dashboard(language), language)


def _path(folder: str, name: str, language: Language) -> str:
    return f"{folder}/{name}_{language}.yaml"


def uuid_of(path: str) -> str:
    """The uuid of the object that a file of the bundle describes; it never changes."""
    return str(uuid.uuid5(_UUID_NAMESPACE, path))


def _database() -> Yaml:
    return {
        "database_name": "syncer",
        # The server, user and password come from the configuration of each Superset.
        "sqlalchemy_uri": "postgresql+psycopg2://syncer_analyst@localhost/syncer",
        "cache_timeout": None,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": uuid_of(_DATABASE),
        "version": _VERSION,
    }


def _dataset(dataset: Dataset, language: Language) -> Yaml:
    return {
        "table_name": dataset.title,
        "main_dttm_col": dataset.time,
        "description": dataset.description,
        "schema": "analytics",
        "sql": sql_of(dataset, language),
        "filter_select_enabled": True,
        "metrics": [
            {
                "metric_name": metric.name,
                "verbose_name": metric.title,
                "expression": metric.expression,
                "d3format": metric.format,
            }
            for metric in dataset.metrics
        ],
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.title,
                "is_dttm": column.is_time,
                "is_active": True,
                "type": column.type,
                "groupby": True,
                "filterable": True,
            }
            for column in dataset.columns
        ],
        "uuid": uuid_of(_path("datasets/syncer", dataset.name, language)),
        "database_uuid": uuid_of(_DATABASE),
        "version": _VERSION,
    }


def _chart(chart: Chart, language: Language) -> Yaml:
    return {
        "slice_name": chart.title,
        "description": chart.description,
        "viz_type": chart.params["viz_type"],
        "params": chart.params,
        "uuid": uuid_of(_path("charts", chart.key, language)),
        "dataset_uuid": uuid_of(_path("datasets/syncer", chart.dataset.name, language)),
        "version": _VERSION,
    }


def _dashboard(language: Language) -> Yaml:
    return {
        "dashboard_title": TITLE,
        "description": DESCRIPTION,
        "slug": f"syncer-{language}",
        "published": True,
        "metadata": {
            "color_scheme": "supersetColors",
            "label_colors": COLOURS,
            "cross_filters_enabled": True,
            "filter_bar_orientation": "HORIZONTAL",
            "refresh_frequency": 300,
            "native_filter_configuration": [
                *(_value_filter(value_filter, language) for value_filter in FILTERS),
                _period_filter(),
            ],
        },
        "position": _position(language),
        "uuid": uuid_of(_path("dashboards", "numbers", language)),
        "version": _VERSION,
    }


def _value_filter(value_filter: ValueFilter, language: Language) -> Yaml:
    unfiltered = tuple(chart for chart in CHARTS if not chart.dataset.has_column(value_filter.column))
    target = {
        "datasetUuid": uuid_of(_path("datasets/syncer", value_filter.dataset.name, language)),
        "column": {"name": value_filter.column},
    }
    return _filter(value_filter.key, "filter_select", unfiltered) | {
        "name": value_filter.title,
        "targets": [target],
        "controlValues": {"enableEmptyFilter": False, "multiSelect": True, "searchAllOptions": False},
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
    }


def _period_filter() -> Yaml:
    without_period = tuple(
        chart
        for chart in CHARTS
        if not any(condition["operator"] == "TEMPORAL_RANGE" for condition in chart.params["adhoc_filters"])
    )
    return _filter("period", "filter_time", without_period) | {
        "name": PERIOD_TITLE,
        "targets": [{}],
        "controlValues": {"enableEmptyFilter": False},
        "defaultDataMask": {
            "extraFormData": {"time_range": PERIOD},
            "filterState": {"value": PERIOD},
            "ownState": {},
        },
    }


def _filter(key: str, kind: str, excluded: tuple[Chart, ...]) -> Yaml:
    return {
        "id": f"NATIVE_FILTER-{key}",
        "type": "NATIVE_FILTER",
        "filterType": kind,
        "cascadeParentIds": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": [_chart_id(chart) for chart in excluded]},
    }


def _chart_id(chart: Chart) -> int:
    """The number of the chart in the dashboard's file; an import replaces it."""
    return CHARTS.index(chart) + 1


def _position(language: Language) -> Yaml:
    tabs = [f"TAB-{tab.key}" for tab in TABS]
    nodes: Yaml = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["TABS-pages"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": TITLE}},
        "TABS-pages": {"type": "TABS", "id": "TABS-pages", "children": tabs, "meta": {}, "parents": ["ROOT_ID"]},
    }
    for tab in TABS:
        nodes |= _tab_nodes(tab, language)
    return nodes


def _tab_nodes(tab: Tab, language: Language) -> Yaml:
    tab_id = f"TAB-{tab.key}"
    parents = ["ROOT_ID", "TABS-pages"]
    nodes: Yaml = {}
    for position, row in enumerate(tab.rows):
        row_id = f"ROW-{tab.key}-{position}"
        nodes[row_id] = {
            "type": "ROW",
            "id": row_id,
            "children": [f"CHART-{chart.key}" for chart in row.charts],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
            "parents": [*parents, tab_id],
        }
        for chart in row.charts:
            nodes[f"CHART-{chart.key}"] = {
                "type": "CHART",
                "id": f"CHART-{chart.key}",
                "children": [],
                "meta": {
                    "chartId": _chart_id(chart),
                    "uuid": uuid_of(_path("charts", chart.key, language)),
                    "sliceName": chart.title,
                    "width": chart.width,
                    "height": row.height,
                },
                "parents": [*parents, tab_id, row_id],
            }
    row_ids = [name for name in nodes if name.startswith("ROW-")]
    return {
        tab_id: {"type": "TAB", "id": tab_id, "children": row_ids, "meta": {"text": tab.title}, "parents": parents},
        **nodes,
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as block scalars, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's name
        """Always true: aliases would make the files hard to read."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _to_yaml(content: Yaml) -> str:
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)


if __name__ == "__main__":
    generated = files()
    for old in FOLDER.rglob("*.yaml"):
        if str(old.relative_to(FOLDER)) not in generated:
            old.unlink()
    for path, text in generated.items():
        file = FOLDER / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
