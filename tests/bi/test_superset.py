"""The bundle for Superset is consistent, and every query of its dashboards returns data."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.superset import bundle
from deploy.superset.checker import Bundle, find_empty_results
from deploy.superset.vocabulary import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import asyncpg

    Yaml = dict[str, Any]
    Defect = Callable[[Yaml], object]

DATABASE = "databases/syncer.yaml"
DATASET = "datasets/syncer/blocks_ru.yaml"
CHART = "charts/blocked_now_ru.yaml"
BY_DAY = "charts/blocked_by_day_ru.yaml"
DASHBOARD = "dashboards/numbers_ru.yaml"
BY_DAY_UUID = bundle.uuid_of(BY_DAY)
NOWHERE = "00000000-0000-0000-0000-000000000000"


def test_the_bundle_matches_the_declarations() -> None:
    written = {
        str(path.relative_to(bundle.FOLDER)): path.read_text() for path in bundle.FOLDER.rglob("*") if path.is_file()
    }

    assert written == bundle.files(), "make bundle"


def test_every_reference_in_the_bundle_resolves() -> None:
    checked = Bundle(bundle.FOLDER)

    assert checked.problems() == []
    assert checked.checked_references > 800


def test_the_dashboards_differ_only_in_language() -> None:
    english, russian = (_read(bundle.FOLDER / f"dashboards/numbers_{language}.yaml") for language in ("en", "ru"))

    assert english["position"].keys() == russian["position"].keys()
    assert len(english["metadata"]["label_colors"]) == len(russian["metadata"]["label_colors"])
    for chart in _files("charts", "en"):
        assert chart["slice_name"].isascii()
    for chart in _files("charts", "ru"):
        assert not chart["slice_name"].isascii()


def test_only_a_field_that_is_called_by_its_key_in_both_languages_begins_with_a_small_letter() -> None:
    for language in ("en", "ru"):
        titles = {name: getattr(text, language) for name, text in FIELDS.items()}

        assert {name: title for name, title in titles.items() if title[0].islower()} == {
            "app_id": "app_id",
            "nc_type": "nc_type",
        }


@pytest.mark.timeout(400)  # half a year of history is generated first
async def test_every_query_returns_data_to_an_analyst(analyst: asyncpg.Connection[Any]) -> None:
    queries = Bundle(bundle.FOLDER).queries()

    assert len(queries) > 180
    assert await find_empty_results(analyst, queries) == []


async def test_every_state_has_a_colour_in_each_language(analyst: asyncpg.Connection[Any]) -> None:
    for language in ("en", "ru"):
        states = await analyst.fetch(f"select title_{language} from analytics.states where documented")  # noqa: S608 - ours
        (dashboard,) = _files("dashboards", language)

        assert {title for (title,) in states} <= dashboard["metadata"]["label_colors"].keys()


def _chart_node(dashboard: Yaml) -> Yaml:
    node: Yaml = dashboard["position"]["CHART-blocked_now"]["meta"]
    return node


def _filter(dashboard: Yaml, name: str) -> Yaml:
    filters: list[Yaml] = dashboard["metadata"]["native_filter_configuration"]
    (found,) = [one for one in filters if one["id"] == f"NATIVE_FILTER-{name}"]
    return found


DEFECTS: list[tuple[str, str, Defect, str]] = [
    (
        "a password",
        DATABASE,
        lambda one: one.update(sqlalchemy_uri="postgresql://analyst:secret@localhost/syncer"),
        "it contains a password",
    ),
    (
        "a duplicate uuid",
        CHART,
        lambda one: one.update(uuid=BY_DAY_UUID),
        f"its uuid {BY_DAY_UUID} is also used by another file",
    ),
    ("a database", DATASET, lambda one: one.update(database_uuid=NOWHERE), f"there is no database {NOWHERE}"),
    ("a schema", DATASET, lambda one: one.pop("schema"), "its schema is not analytics"),
    (
        "a dataset's time",
        DATASET,
        lambda one: one.update(main_dttm_col="days"),
        "its main_dttm_col days is not one of its time columns",
    ),
    ("a dataset", CHART, lambda one: one.update(dataset_uuid=NOWHERE), f"there is no dataset {NOWHERE}"),
    (
        "a kind of chart",
        CHART,
        lambda one: one.update(viz_type="pie"),
        "its viz_type is pie, but table in its params",
    ),
    ("a column", CHART, lambda one: one["params"]["all_columns"].append("colour"), "its dataset has no column colour"),
    (
        "an order",
        CHART,
        lambda one: one["params"].update(order_by_cols=['["age", true]']),
        "its dataset has no column age",
    ),
    (
        "a condition",
        CHART,
        lambda one: one["params"]["adhoc_filters"][0].update(subject="is_open"),
        "its dataset has no column is_open",
    ),
    ("an axis", BY_DAY, lambda one: one["params"].update(x_axis="date"), "its dataset has no column date"),
    ("a dimension", BY_DAY, lambda one: one["params"].update(groupby=["colour"]), "its dataset has no column colour"),
    ("a metric", BY_DAY, lambda one: one["params"].update(metrics=["total"]), "its dataset has no metric total"),
    (
        "a period",
        BY_DAY,
        lambda one: one["params"]["adhoc_filters"][0].update(subject="region"),
        "its period filter uses region, which is not a time column",
    ),
    ("a node's chart", DASHBOARD, lambda one: _chart_node(one).update(uuid=NOWHERE), f"there is no chart {NOWHERE}"),
    ("a duplicate chartId", DASHBOARD, lambda one: _chart_node(one).update(chartId=1), "chartId 1 is used by 2 charts"),
    (
        "a child",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"]["children"].append("CHART-gone"),
        "ROW-debt-2 contains CHART-gone, which does not exist",
    ),
    (
        "a node outside the layout",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"]["children"].remove("CHART-blocked_now"),
        "CHART-blocked_now is not part of the layout",
    ),
    (
        "parents",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"].update(parents=["ROOT_ID"]),
        "ROW-debt-2 is below ROOT_ID, TABS-pages, TAB-debt, but its parents differ",
    ),
    (
        "a wide row",
        DASHBOARD,
        lambda one: _chart_node(one).update(width=13),
        "ROW-debt-2 is 13 columns wide, but a row has 12",
    ),
    (
        "a filter's dataset",
        DASHBOARD,
        lambda one: _filter(one, "region")["targets"][0].update(datasetUuid=NOWHERE),
        f"NATIVE_FILTER-region: there is no dataset {NOWHERE}",
    ),
    (
        "a filter's column",
        DASHBOARD,
        lambda one: _filter(one, "region")["targets"][0]["column"].update(name="area"),
        "NATIVE_FILTER-region: its dataset has no column area",
    ),
    (
        "a filter's excluded chart",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"]["excluded"].append(999),
        "NATIVE_FILTER-region excludes chart 999, which is not on the dashboard",
    ),
    (
        "a filter's scope",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"].update(rootPath=["TAB-gone"]),
        "NATIVE_FILTER-region applies to TAB-gone, which is not on the dashboard",
    ),
    (
        "a filter that cannot filter a chart",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"].update(excluded=[]),
        "NATIVE_FILTER-region cannot filter the chart Возраст данных, but does not exclude it",
    ),
    (
        "a period that cannot filter a chart",
        DASHBOARD,
        lambda one: _filter(one, "period")["scope"].update(excluded=[]),
        "NATIVE_FILTER-period cannot filter the chart Возраст данных, but does not exclude it",
    ),
    (
        "a colour",
        DASHBOARD,
        lambda one: one["metadata"]["label_colors"].update({"Номеров": "#000000"}),
        "the colour of Номеров is ignored, because a column or metric has the same title",
    ),
]


@pytest.mark.parametrize(("file", "add_defect", "sentence"), [pytest.param(*case[1:], id=case[0]) for case in DEFECTS])
def test_a_defect_is_reported_with_its_file(tmp_path: Path, file: str, add_defect: Defect, sentence: str) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    broken = _read(tmp_path / file)
    add_defect(broken)
    (tmp_path / file).write_text(yaml.safe_dump(broken))

    assert f"{file}: {sentence}" in Bundle(tmp_path).problems()


def test_a_chart_on_no_dashboard_is_reported(tmp_path: Path) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / DASHBOARD).unlink()

    assert f"{CHART}: it is on no dashboard" in Bundle(tmp_path).problems()


@pytest.mark.timeout(400)  # half a year of history is generated first
async def test_a_failing_query_is_reported_with_its_file(tmp_path: Path, analyst: asyncpg.Connection[Any]) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    broken = _read(tmp_path / DATASET)
    broken["sql"] = "select gone from analytics.numbers"
    (tmp_path / DATASET).write_text(yaml.safe_dump(broken))

    queries = [query for query in Bundle(tmp_path).queries() if query.file == DATASET]
    assert await find_empty_results(analyst, queries) == [f'{DATASET}: column "gone" does not exist']


def _files(kind: str, language: str) -> list[Yaml]:
    return [_read(path) for path in sorted((bundle.FOLDER / kind).glob(f"*_{language}.yaml"))]


def _read(path: Path) -> Yaml:
    read: Yaml = yaml.load(path.read_text(), yaml.CSafeLoader)
    return read
