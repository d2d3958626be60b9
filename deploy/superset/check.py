"""Opens every tab of the dashboards in both languages, and compares what their charts plot with the history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from deploy.superset import bundle
from deploy.superset.plotted import Expected, differences, expected, numbers_of, points_of
from deploy.superset.visit import visitor

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.superset.bundle import Files
    from deploy.superset.plotted import Point
    from deploy.superset.server import Superset

LANGUAGES: Final = ("en", "ru")
_REGION: Final = "Брянская область"
"""A region with few numbers, where on most days no number is in most states."""
_OF_A_REGION: Final = ("not_active_by_day", "blocked_by_day", "days", "days_of_month")


def check(superset: Superset, url: str, pictures: Path) -> list[str]:
    """Saves a screenshot of each tab; returns the problems found.

    The Russian dashboard has to plot the same numbers as the English one, and that what `plotted.sql` finds.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    english, russian = bundle.both()
    wanted = asyncio.run(expected(url))
    problems, plotted = _visit(superset, "en", english, pictures)
    for name in wanted.keys() | plotted.keys():
        problems += differences(name, plotted.get(name, []), wanted.get(name, Expected([], 0)))
    of_region = asyncio.run(expected(url, _REGION))
    _, plotted_of_region = _visit(superset, "en", english, pictures, _REGION)
    for name in _OF_A_REGION:
        problems += differences(f"{name} of {_REGION}", plotted_of_region[name], of_region[name])
    more_problems, plotted_in_russian = _visit(superset, "ru", russian, pictures)
    for name, points in plotted.items():
        same = Expected(numbers_of(points), wanted[name].tolerance)
        problems += differences(f"{name}_ru", numbers_of(plotted_in_russian.get(f"{name}_ru", [])), same)
    return problems + more_problems


def _visit(
    superset: Superset, language: str, files: Files, pictures: Path, region: str | None = None
) -> tuple[list[str], dict[str, list[Point]]]:
    """Returns the problems found, and what each chart plots, by the name of its file."""
    (dashboard,) = (content for path, content in files.items() if path.startswith("dashboards/"))
    charts = {content["slice_name"]: path for path, content in files.items() if path.startswith("charts/")}
    names = {title: path.removeprefix("charts/").removesuffix(".yaml") for title, path in charts.items()}
    plotted = {}
    with visitor(superset, language) as browser:
        for tab in dashboard["position"]["TABS-pages"]["children"]:
            name = "-".join(filter(None, (tab.removeprefix("TAB-"), language, region and "region")))
            for chart in browser.open_tab(dashboard["slug"], tab, pictures / f"{name}.png", region):
                plotted[names[chart.title]] = points_of(chart)
        return browser.problems, plotted
