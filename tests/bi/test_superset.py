"""The bundle for Superset holds together, and every query that its dashboards make has an answer."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.superset import bundle
from deploy.superset.checker import Bundle, unanswered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import asyncpg

    Yaml = dict[str, Any]
    Break = Callable[[Yaml], object]

DATABASE = "databases/syncer.yaml"
DATASET = "datasets/syncer/blocks_ru.yaml"
CHART = "charts/blocked_now_ru.yaml"
BY_DAY = "charts/blocked_by_day_ru.yaml"
DASHBOARD = "dashboards/numbers_ru.yaml"
BY_DAY_UUID = bundle.uuid_of(BY_DAY)
NOWHERE = "00000000-0000-0000-0000-000000000000"


def test_the_bundle_is_what_the_declarations_say() -> None:
    written = {
        str(path.relative_to(bundle.FOLDER)): path.read_text() for path in bundle.FOLDER.rglob("*") if path.is_file()
    }

    assert written == bundle.files(), "make bundle"


def test_everything_that_the_bundle_names_is_there() -> None:
    checked = Bundle(bundle.FOLDER)

    assert checked.problems() == []
    assert checked.looked_up > 800


def test_the_dashboards_differ_in_language_alone() -> None:
    english, russian = (_read(bundle.FOLDER / f"dashboards/numbers_{language}.yaml") for language in ("en", "ru"))

    assert english["position"].keys() == russian["position"].keys()
    assert len(english["metadata"]["label_colors"]) == len(russian["metadata"]["label_colors"])
    for chart in _files("charts", "en"):
        assert chart["slice_name"].isascii()
    for chart in _files("charts", "ru"):
        assert not chart["slice_name"].isascii()


@pytest.mark.timeout(400)  # half a year is told first
async def test_every_query_has_an_answer_for_an_analyst(analyst: asyncpg.Connection[Any]) -> None:
    asked = Bundle(bundle.FOLDER).queries()

    assert len(asked) > 180
    assert await unanswered(analyst, asked) == []


async def test_every_state_has_its_colour_in_each_language(analyst: asyncpg.Connection[Any]) -> None:
    for language in ("en", "ru"):
        states = await analyst.fetch(f"select title_{language} from analytics.states where documented")  # noqa: S608 - ours
        (dashboard,) = _files("dashboards", language)

        assert {title for (title,) in states} <= dashboard["metadata"]["label_colors"].keys()


def _cell(dashboard: Yaml) -> Yaml:
    cell: Yaml = dashboard["position"]["CHART-blocked_now"]["meta"]
    return cell


def _filter(dashboard: Yaml, name: str) -> Yaml:
    filters: list[Yaml] = dashboard["metadata"]["native_filter_configuration"]
    (found,) = [one for one in filters if one["id"] == f"NATIVE_FILTER-{name}"]
    return found


BREAKS: list[tuple[str, str, Break, str]] = [
    (
        "a password",
        DATABASE,
        lambda one: one.update(sqlalchemy_uri="postgresql://analyst:secret@localhost/syncer"),
        "it holds a password",
    ),
    ("a uuid twice", CHART, lambda one: one.update(uuid=BY_DAY_UUID), f"its uuid {BY_DAY_UUID} is another file's too"),
    ("a database", DATASET, lambda one: one.update(database_uuid=NOWHERE), f"there is no database {NOWHERE}"),
    ("a schema", DATASET, lambda one: one.pop("schema"), "its schema is not analytics"),
    (
        "a dataset's time",
        DATASET,
        lambda one: one.update(main_dttm_col="days"),
        "its main_dttm_col days is none of its times",
    ),
    ("a dataset", CHART, lambda one: one.update(dataset_uuid=NOWHERE), f"there is no dataset {NOWHERE}"),
    (
        "a kind of chart",
        CHART,
        lambda one: one.update(viz_type="pie"),
        "its viz_type is pie, and table in its params",
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
        "its period is of region, which is no time",
    ),
    ("a cell's chart", DASHBOARD, lambda one: _cell(one).update(uuid=NOWHERE), f"there is no chart {NOWHERE}"),
    ("a chartId twice", DASHBOARD, lambda one: _cell(one).update(chartId=1), "chartId 1 stands for 2 charts"),
    (
        "a child",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"]["children"].append("CHART-gone"),
        "ROW-debt-2 holds CHART-gone, which is not there",
    ),
    (
        "a cell outside",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"]["children"].remove("CHART-blocked_now"),
        "CHART-blocked_now stands nowhere",
    ),
    (
        "parents",
        DASHBOARD,
        lambda one: one["position"]["ROW-debt-2"].update(parents=["ROOT_ID"]),
        "ROW-debt-2 stands below ROOT_ID, TABS-pages, TAB-debt, and its parents say otherwise",
    ),
    (
        "a wide row",
        DASHBOARD,
        lambda one: _cell(one).update(width=13),
        "ROW-debt-2 is 13 columns wide, and there are 12",
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
        "a filter's exception",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"]["excluded"].append(999),
        "NATIVE_FILTER-region excludes chart 999, which is not on the dashboard",
    ),
    (
        "a filter's place",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"].update(rootPath=["TAB-gone"]),
        "NATIVE_FILTER-region is of TAB-gone, which is not on the dashboard",
    ),
    (
        "a filter that does not fit",
        DASHBOARD,
        lambda one: _filter(one, "region")["scope"].update(excluded=[]),
        "NATIVE_FILTER-region does not fit the chart Возраст данных, which it does not exclude",
    ),
    (
        "a period that does not fit",
        DASHBOARD,
        lambda one: _filter(one, "period")["scope"].update(excluded=[]),
        "NATIVE_FILTER-period does not fit the chart Возраст данных, which it does not exclude",
    ),
    (
        "a colour",
        DASHBOARD,
        lambda one: one["metadata"]["label_colors"].update({"Номеров": "#000000"}),
        "the colour of Номеров is lost, for a column or metric has that title too",
    ),
]


@pytest.mark.parametrize(("file", "break_it", "sentence"), [pytest.param(*one[1:], id=one[0]) for one in BREAKS])
def test_what_is_broken_is_told_by_file_and_sentence(tmp_path: Path, file: str, break_it: Break, sentence: str) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    broken = _read(tmp_path / file)
    break_it(broken)
    (tmp_path / file).write_text(yaml.safe_dump(broken))

    assert f"{file}: {sentence}" in Bundle(tmp_path).problems()


def test_a_chart_on_no_dashboard_is_told(tmp_path: Path) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / DASHBOARD).unlink()

    assert f"{CHART}: it is on no dashboard" in Bundle(tmp_path).problems()


@pytest.mark.timeout(400)  # half a year is told first
async def test_a_query_that_fails_is_told_by_its_file(tmp_path: Path, analyst: asyncpg.Connection[Any]) -> None:
    shutil.copytree(bundle.FOLDER, tmp_path, dirs_exist_ok=True)
    broken = _read(tmp_path / DATASET)
    broken["sql"] = "select gone from analytics.numbers"
    (tmp_path / DATASET).write_text(yaml.safe_dump(broken))

    asked = [one for one in Bundle(tmp_path).queries() if one.file == DATASET]
    assert await unanswered(analyst, asked) == [f'{DATASET}: column "gone" does not exist']


def _files(kind: str, language: str) -> list[Yaml]:
    return [_read(path) for path in sorted((bundle.FOLDER / kind).glob(f"*_{language}.yaml"))]


def _read(path: Path) -> Yaml:
    read: Yaml = yaml.load(path.read_text(), yaml.CSafeLoader)
    return read
