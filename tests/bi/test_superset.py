"""The bundle for Superset is well-formed in both languages, and an analyst can run its queries."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks import tiles
from deploy.superset import bundle, plotted
from deploy.superset.visit import Drawn
from tests.bi.test_names import moscow, store_names
from tests.builders import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import asyncpg

    from tests.builders import PolledAccount

Yaml = dict[str, Any]
RESULT: Yaml = {
    "colnames": ["day", "Active", "Frozen"],
    "coltypes": [2, 0, 0],
    "data": [
        {"day": 1772323200000.0, "Active": 5.0, "Frozen": 0.0},
        {"day": 1772409600000.0, "Active": 4.0, "Frozen": None},
    ],
}
ENGLISH, RUSSIAN = bundle.both()
TABLE: dict[str, str] = yaml.safe_load(bundle.TABLE.read_text("utf-8"))
LANGUAGES = pytest.mark.parametrize("files", [pytest.param(ENGLISH, id="en"), pytest.param(RUSSIAN, id="ru")])
TEXTS = {
    *("table_name", "description", "verbose_name", "slice_name", "dashboard_title", "subtitle", "text", "sliceName"),
    *("name", "table_timestamp_format", "x_axis_time_format", "tooltipTimeFormat", "time_format", "d3format", "header"),
    *("x_axis_title", "y_axis_title", "slug"),
}
NO_TEXTS = {"account", "region", "type_title", "number", "employee_now"}
"""The columns of filters, which are called `name` too."""


def test_every_text_has_a_translation() -> None:
    texts = {text for file in ENGLISH.values() for text in _texts(file)}

    assert {text for text in texts if text not in TABLE} == set()


def test_every_literal_of_several_words_has_a_translation() -> None:
    literals = {text for file in ENGLISH.values() for text in re.findall("'((?:[^']|'')*)'", file.get("sql", ""))}

    assert {text for text in literals if re.search(r"\w \w", text) and text not in TABLE} == set()


def test_every_translation_is_used() -> None:
    in_sql = " ".join(file["sql"] for file in ENGLISH.values() if "sql" in file)
    texts = {text for file in ENGLISH.values() for text in _strings(file)}

    assert {text for text in TABLE if text not in texts and f"'{text}'" not in in_sql} == set()


def test_a_translation_never_replaces_a_name_of_the_views() -> None:
    assert [text for text in TABLE if text.isidentifier() and text.islower()] == []


def test_no_two_charts_have_the_same_title() -> None:
    for files in (ENGLISH, RUSSIAN):
        titles = [chart["slice_name"] for chart in _of(files, "charts").values()]

        assert len(set(titles)) == len(titles)


def test_the_russian_bundle_keeps_its_identifiers() -> None:
    assert RUSSIAN["dashboards/numbers_ru.yaml"]["uuid"] == "530fa594-1535-507f-8bd5-deafc8fc4e1c"
    assert not _uuids(ENGLISH) & _uuids(RUSSIAN)


@LANGUAGES
def test_every_reference_is_to_something_in_the_bundle(files: Yaml) -> None:
    database = ENGLISH["databases/syncer.yaml"]
    datasets = {dataset["uuid"]: dataset for dataset in _of(files, "datasets").values()}
    charts = {chart["uuid"]: chart for chart in _of(files, "charts").values()}
    (dashboard,) = _of(files, "dashboards").values()
    nodes = {name: node for name, node in dashboard["position"].items() if isinstance(node, dict)}
    placed = [node["meta"] for node in nodes.values() if node["type"] == "CHART"]

    for dataset in datasets.values():
        assert dataset["database_uuid"] == database["uuid"]
        assert dataset["schema"] == "analytics"
    for chart in charts.values():
        assert chart["viz_type"] == chart["params"]["viz_type"]
        assert _names_in(chart["params"]) <= _names_of(datasets[chart["dataset_uuid"]]), chart["slice_name"]
    assert sorted(node["uuid"] for node in placed) == sorted(charts)
    assert all(node["sliceName"] == charts[node["uuid"]]["slice_name"] for node in placed)
    assert sorted(node["chartId"] for node in placed) == list(range(1, len(charts) + 1))
    for name, node in nodes.items():
        assert all(nodes[child]["parents"] == [*node.get("parents", []), name] for child in node.get("children", []))
        if node["type"] == "ROW":
            assert sum(nodes[child]["meta"]["width"] for child in node["children"]) <= 12


@LANGUAGES
def test_a_filter_applies_to_the_charts_that_it_can_filter(files: Yaml) -> None:
    datasets = {dataset["uuid"]: _names_of(dataset) for dataset in _of(files, "datasets").values()}
    charts = {chart["uuid"]: chart for chart in _of(files, "charts").values()}
    (dashboard,) = _of(files, "dashboards").values()
    placed = [node["meta"] for node in dashboard["position"].values() if isinstance(node, dict) and "meta" in node]

    for native_filter in dashboard["metadata"]["native_filter_configuration"]:
        (target,) = native_filter["targets"]
        column = target.get("column", {}).get("name")
        assert column is None or column in datasets[target["datasetUuid"]]
        for node in (node for node in placed if "chartId" in node):
            chart = charts[node["uuid"]]
            has_period = any(one["operator"] == "TEMPORAL_RANGE" for one in chart["params"]["adhoc_filters"])
            can_filter = has_period if column is None else column in datasets[chart["dataset_uuid"]]
            if native_filter["scope"]["rootPath"] == ["ROOT_ID"]:
                excluded = node["chartId"] in native_filter["scope"]["excluded"]
                assert can_filter is not excluded, f"{native_filter['name']}: {chart['slice_name']}"


@LANGUAGES
@pytest.mark.timeout(400)  # half a year of history is generated first
async def test_an_analyst_can_run_every_query(files: Yaml, analyst: asyncpg.Connection[Any]) -> None:
    for path, dataset in _of(files, "datasets").items():
        columns = ", ".join(f'max("{column["column_name"]}"::text)' for column in dataset["columns"])
        metrics = ", ".join(f"({metric['expression']})::text" for metric in dataset["metrics"])
        row = await analyst.fetchrow(f"select {columns}, {metrics} from ({dataset['sql']}) as dataset")  # noqa: S608 - ours

        assert row is not None, path


async def test_the_datasets_name_an_employee_or_have_the_id_and_can_be_filtered_by_the_name_of_now(
    account: PolledAccount,
) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, group_id=9), record(2, employee_id=7))
    await account.poll_at(moscow(5), record(1, employee_id=6, group_id=9), record(2, employee_id=7, state="debt_lock"))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна"), (moscow(7), "Орлова Анна")])
    await store_names(account.sql, "employees", 6, [(moscow(1), "Ким Игорь")])
    await store_names(account.sql, "groups", 9, [(moscow(1), "Продажи")])

    async def rows(dataset: str, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
        query = ENGLISH[f"datasets/syncer/{dataset}.yaml"]["sql"]
        found = await account.rows(f"select {columns} from ({query}) d where {condition} order by 1, 2")  # noqa: S608 - from here
        return [tuple(row) for row in found]

    assert await rows("numbers", "number, employee, number_group") == [
        ("79000000001", "Ким Игорь (6)", "Продажи (9)"),
        ("79000000002", "7", ""),
    ]
    assert await rows("assignments", "employee, number", "employee_now = 'Орлова Анна (5)'") == [
        ("Белова Анна (5)", "79000000001")
    ]
    assert await rows("changes", "field_title, old_value, new_value, employee_now", "kind = 'changed'") == [
        ("Employee", "Белова Анна (5)", "Ким Игорь (6)", "Ким Игорь (6)")
    ]
    assert await rows("spells", "state, employee, employee_now", "state = 'debt_lock' or employee <> '7'") == [
        ("active", "Белова Анна (5)", "Орлова Анна (5)"),
        ("debt_lock", "7", "7"),
    ]


async def test_every_state_has_a_colour_in_each_language(analyst: asyncpg.Connection[Any]) -> None:
    for language, files in (("en", ENGLISH), ("ru", RUSSIAN)):
        states = await analyst.fetch(f"select title_{language} from analytics.states where documented")  # noqa: S608 - ours
        (dashboard,) = _of(files, "dashboards").values()

        assert {title for (title,) in states} <= dashboard["metadata"]["label_colors"].keys()


@LANGUAGES
def test_no_column_or_metric_has_the_title_of_a_coloured_value(files: Yaml) -> None:
    """Superset would ignore the colour."""
    datasets = _of(files, "datasets").values()
    titles = {one["verbose_name"] for dataset in datasets for one in [*dataset["columns"], *dataset["metrics"]]}
    (dashboard,) = _of(files, "dashboards").values()

    assert titles & dashboard["metadata"]["label_colors"].keys() == set()


def test_the_benchmarks_ask_what_each_chart_asks() -> None:
    """Otherwise `python -m benchmarks.tiles` has to record the queries again."""
    recorded = {path.stem: path.read_text().partition("\n")[0] for path in tiles.FOLDER.glob("*.sql")}
    charts = [path.removeprefix("charts/").removesuffix(".yaml") for path in _of(ENGLISH, "charts")]

    assert recorded == {chart: f"-- {tiles.digest_of(ENGLISH, chart)}" for chart in charts}


def test_times_are_compared_with_constants() -> None:
    """Superset compares a column of type TIMESTAMP or DATE with a function, which PostgreSQL computes for each row."""
    types = {column["type"] for file in ENGLISH.values() for column in file.get("columns", []) if column["is_dttm"]}

    assert types == {"LOCAL DATE", "LOCAL TIMESTAMP"}
    recorded = {path.stem: path.read_text() for path in sorted(tiles.FOLDER.glob("*.sql"))}
    assert [chart for chart, query in recorded.items() if re.search("TO_(TIMESTAMP|DATE)", query)] == []


@pytest.mark.timeout(400)  # half a year of history is generated first
async def test_a_query_of_the_history_says_what_each_chart_should_plot(demo_history: str) -> None:
    wanted = await plotted.expected(demo_history)

    assert wanted.keys() == {path.removeprefix("charts/").removesuffix(".yaml") for path in _of(ENGLISH, "charts")}


def test_what_a_chart_plots_is_compared_point_by_point() -> None:
    chart = Drawn("Numbers by day", {"x_axis": "day", "metrics": ["numbers"], "groupby": ["state_title"]}, [RESULT])
    right: list[plotted.Point] = [
        ("2026-03-01 00:00", "Active", 5.0),
        ("2026-03-01 00:00", "Frozen", 0.0),
        ("2026-03-02 00:00", "Active", 4.0),
    ]

    assert plotted.points_of(chart) == right
    assert plotted.differences("by_day", right, plotted.Expected(right)) == []
    assert plotted.differences("by_day", right[:2], plotted.Expected(right)) == [
        "by_day does not plot ('2026-03-02 00:00', 'Active', 4.0)",
        "by_day: 1 missing, 0 wrong",
    ]
    assert plotted.differences("by_day", [*right, right[0]], plotted.Expected(right)) == [
        "by_day plots ('2026-03-01 00:00', 'Active', 5.0)",
        "by_day: 0 missing, 1 wrong",
    ]


def test_a_number_that_counts_until_now_may_have_grown_meanwhile() -> None:
    wanted = plotted.Expected([("demo", 3.0)], growth=1)

    assert plotted.differences("age", [("demo", 4.5)], wanted, minutes=2) == []
    assert plotted.differences("age", [("demo", 4.5)], wanted, minutes=1) == [
        "age does not plot ('demo', 3.0)",
        "age plots ('demo', 4.5)",
        "age: 1 missing, 1 wrong",
    ]


def test_a_table_plots_its_rows() -> None:
    result = RESULT | {"data": [{"day": 1772323200000.0, "Active": 5, "Frozen": None}]}

    assert plotted.points_of(Drawn("Days", {}, [result])) == [("2026-03-01 00:00", 5.0, None)]


def test_the_address_of_the_database_has_no_password() -> None:
    assert ENGLISH["databases/syncer.yaml"]["sqlalchemy_uri"] == "postgresql+psycopg2://syncer_analyst@localhost/syncer"


def test_an_export_is_taken_over_under_the_same_names_and_numbers(tmp_path: Path) -> None:
    exported = json.loads(json.dumps(ENGLISH))
    for node in exported["dashboards/numbers.yaml"]["position"].values():
        if isinstance(node, dict) and "chartId" in node.get("meta", {}):
            node["meta"]["chartId"] += 700
    for native_filter in exported["dashboards/numbers.yaml"]["metadata"]["native_filter_configuration"]:
        native_filter["scope"]["excluded"] = [number + 700 for number in native_filter["scope"]["excluded"]]
    exported["charts/age.yaml"] |= {"query_context": "{}", "cache_timeout": None}
    exported["charts/age.yaml"]["params"] |= {"datasource": "12__table", "slice_id": 705}
    exported["datasets/syncer/numbers.yaml"]["columns"].reverse()
    exported["datasets/syncer/numbers.yaml"]["metrics"].reverse()
    exported["datasets/syncer/numbers.yaml"]["sql"] = "SELECT 1"
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for path, content in exported.items():
            name = path if path.startswith("metadata") else path.replace(".yaml", "_7.yaml")
            archive.writestr(f"dashboard_export/{name}", yaml.safe_dump(content))

    assert bundle.take(tmp_path / "export.zip") == ENGLISH


def test_a_chart_made_in_superset_is_named_after_its_title(tmp_path: Path) -> None:
    chart = ENGLISH["charts/age.yaml"] | {"uuid": "6c1d0f4e-0000-4000-8000-000000000000"}
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("dashboard_export/charts/Numbers_by_week_12.yaml", yaml.safe_dump(chart))

    assert bundle.take(tmp_path / "export.zip")["charts/numbers_by_week.yaml"] == chart


def test_both_languages_are_written_to_one_folder_and_each_to_a_file(tmp_path: Path) -> None:
    bundle.make(tmp_path)

    assert bundle.read(tmp_path / "bundle") == ENGLISH | RUSSIAN
    for name, files in (("syncer-en", ENGLISH), ("syncer-ru", RUSSIAN)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            paths = {path for path in archive.namelist() if path.endswith(".yaml")}
        shared = {f"{name}/{path}" for path in ("metadata.yaml", "databases/syncer.yaml")}
        assert paths == shared | {f"{name}/{path}" for path in files}


def test_the_bundle_of_a_login_is_imported_beside_the_one_for_all_accounts(tmp_path: Path) -> None:
    bundle.make(tmp_path, "analytics_clerk-1")
    written = bundle.read(tmp_path / "bundle")
    everything = ENGLISH | RUSSIAN

    assert written.keys() == everything.keys()
    assert not {one["uuid"] for one in written.values() if "uuid" in one} & (_uuids(ENGLISH) | _uuids(RUSSIAN))
    assert {one["schema"] for one in _of(written, "datasets").values()} == {"analytics_clerk-1"}
    assert [one["sql"] for one in _of(written, "datasets").values() if re.search(r"\banalytics\.", one["sql"])] == []
    assert written["datasets/syncer/assignments.yaml"]["sql"].count('"analytics_clerk-1".') == 3
    database = written["databases/syncer.yaml"]
    assert (database["database_name"], database["sqlalchemy_uri"]) == (
        "syncer (clerk-1)",
        "postgresql+psycopg2://clerk-1@localhost/syncer",
    )
    dashboards = [(one["slug"], one["dashboard_title"]) for one in _of(written, "dashboards").values()]
    assert dashboards == [
        ("syncer-en-clerk-1", "MegaFon virtual numbers (clerk-1)"),
        ("syncer-ru-clerk-1", "Виртуальные номера МегаФона (clerk-1)"),
    ]
    for language in (ENGLISH, RUSSIAN):
        files = {path: content for path, content in written.items() if path in language}
        datasets = {one["uuid"] for one in _of(files, "datasets").values()}
        assert {one["database_uuid"] for one in _of(files, "datasets").values()} == {database["uuid"]}
        assert {one["dataset_uuid"] for one in _of(files, "charts").values()} <= datasets


@pytest.mark.parametrize("schema", ["syncer", "analytics_"])
def test_only_a_schema_of_a_login_can_take_the_place_of_analytics(schema: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the schema of a login, such as analytics_clerk"):
        bundle.make(tmp_path, schema)


def _of(files: Yaml, folder: str) -> Yaml:
    return {path: content for path, content in files.items() if path.startswith(f"{folder}/")}


def _uuids(files: Yaml) -> set[str]:
    return {
        content["uuid"] for folder in ("dashboards", "charts", "datasets") for content in _of(files, folder).values()
    }


def _names_of(dataset: Yaml) -> set[str]:
    return {column["column_name"] for column in dataset["columns"]} | {
        metric["metric_name"] for metric in dataset["metrics"]
    }


def _names_in(params: Yaml) -> set[str]:
    """The columns and metrics that a chart uses."""
    names: set[str] = {condition["subject"] for condition in params["adhoc_filters"]}
    for key in (
        *("x_axis", "groupby", "groupbyRows", "groupbyColumns", "all_columns", "metric", "metrics", "source", "target"),
        *("timeseries_limit_metric", "columns"),
    ):
        value = params.get(key) or []
        names |= {value} if isinstance(value, str) else set(value)
    return names | {json.loads(order)[0] for order in params.get("order_by_cols", [])}


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """The texts that people read."""
    if isinstance(value, str) and key in TEXTS and not (value.startswith((",", ".", "+")) or value in NO_TEXTS):
        yield value
    elif isinstance(value, dict):
        if key == "label_colors":
            yield from (label for label in value if not label.islower())
        yield from (text for name, item in value.items() for text in _texts(item, name))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for item in pair for text in _strings(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _strings(item))
