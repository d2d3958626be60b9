"""Compares what the charts of a dashboard plot with queries of the history that do not use its datasets."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deploy.superset.visit import Drawn

Value = str | float | None
Point = tuple[Value, ...]
_QUERIES: Final = Path(__file__).with_name("plotted.sql")
_TIME: Final = "%Y-%m-%d %H:%M"
_TEMPORAL: Final = 2  # a time, in Superset's numbers of kinds of columns
_TOLERANCE: Final = 1e-6
_SHOWN: Final = 3


class Expected(NamedTuple):
    """What a chart should plot.

    Attributes:
        points: The rows of its query.
        growth: By how much its numbers may grow in a minute, because some count until now.
    """

    points: list[Point]
    growth: float = 0


async def expected(url: str, region: str | None = None) -> dict[str, Expected]:
    """Returns what each chart should plot, by the name of its file; some queries can be limited to a region."""
    setup, *queries = re.split(r"^-- chart (.+)$\n", _QUERIES.read_text("utf-8"), flags=re.MULTILINE)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select set_config('syncer.region', $1, false)", region or "")
        await connection.execute(setup)
        found = {}
        for heading, query in zip(queries[::2], queries[1::2], strict=True):
            name, _, growth = heading.removesuffix(" a minute").partition(", grows by ")
            rows = await connection.fetch(query)
            found[name] = Expected([tuple(map(_plain, row.values())) for row in rows], float(growth or 0))
        return found
    finally:
        await connection.close()


def points_of(chart: Drawn) -> list[Point]:
    """Returns what a chart plots: the rows of a table, or values with their place on the axis and their series."""
    axis, several = chart.form.get("x_axis"), len(chart.form.get("metrics", [])) > 1 or bool(chart.form.get("groupby"))
    return [point for result in chart.results for point in _points(result, axis, has_series=several)]


def _points(result: dict[str, Any], axis: str | None, *, has_series: bool) -> Iterator[Point]:
    names, kinds = result["colnames"], dict(zip(result["colnames"], result["coltypes"], strict=True))
    for row in result["data"]:
        values = {name: _of_json(row[name], kinds[name]) for name in names}
        if axis not in values:
            yield tuple(values.values())
            continue
        place = values.pop(axis)
        for series, value in values.items():
            if value is not None:
                yield (place, series, value) if has_series else (place, value)


def differences(name: str, plotted: Iterable[Point], wanted: Expected, minutes: float = 0) -> list[str]:
    """Returns a sentence for each of the first points that differ; `minutes` may lie between both."""
    missing, extra = _unmatched(list(plotted), wanted.points, _TOLERANCE + wanted.growth * minutes)
    sentences = [f"{name} does not plot {point}" for point in missing[:_SHOWN]]
    sentences += [f"{name} plots {point}" for point in extra[:_SHOWN]]
    return [*sentences, f"{name}: {len(missing)} missing, {len(extra)} wrong"] if sentences else []


def _unmatched(plotted: list[Point], wanted: list[Point], tolerance: float) -> tuple[list[Point], list[Point]]:
    """The wanted points that are not plotted, and the plotted points that are not wanted."""
    by_text: dict[Point, list[Point]] = {}
    for point in plotted:
        by_text.setdefault(_texts(point), []).append(point)
    missing = []
    for point in wanted:
        candidates = by_text.get(_texts(point), [])
        match = next((one for one in candidates if _is_close(one, point, tolerance)), None)
        if match is None:
            missing.append(point)
        else:
            candidates.remove(match)
    return missing, [point for points in by_text.values() for point in points]


def _texts(point: Point) -> Point:
    return tuple(None if isinstance(value, float) else value for value in point)


def numbers_of(points: Iterable[Point]) -> list[Point]:
    """Returns the points without their texts, which are those of a language."""
    return [tuple(value for value in point if isinstance(value, float)) for point in points]


def _is_close(one: Point, other: Point, tolerance: float) -> bool:
    return all(
        math.isclose(a, b, abs_tol=tolerance) if isinstance(a, float) and isinstance(b, float) else a == b
        for a, b in zip(one, other, strict=True)
    )


def _of_json(value: object, kind: int) -> Value:
    if kind == _TEMPORAL and isinstance(value, (int, float)):
        return datetime.fromtimestamp(value / 1000, UTC).strftime(_TIME)
    return _plain(value)


def _plain(value: object) -> Value:
    match value:
        case datetime():
            return value.strftime(_TIME)
        case date():
            return f"{value} 00:00"
        case bool():
            return str(value)
        case int() | float() | Decimal():
            return float(value)
        case str() | None:
            return value
        case _:
            return str(value)
