"""The kinds of charts on the dashboards, as Superset's chart parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from deploy.superset.language import Text

if TYPE_CHECKING:
    from deploy.superset.datasets.dataset import Dataset

Params = dict[str, Any]
Filter = dict[str, Any]
DAY: Final = "P1D"
WEEK: Final = "P1W"
_AXIS_DATE: Final = Text("%b %-d", "%d.%m")
_DATE: Final = Text("%Y-%m-%d", "%d.%m.%Y")
_MOMENT: Final = Text("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M")


class Chart(NamedTuple):
    """A chart; `width` in columns of the dashboard, of which there are twelve, and `params` as Superset saves them."""

    key: str
    width: int
    dataset: Dataset
    title: Text
    params: Params
    description: Text | None = None


class Row(NamedTuple):
    """Charts next to each other; `height` in Superset's units of 8 px."""

    height: int
    charts: tuple[Chart, ...]


class Tab(NamedTuple):
    """A tab of the dashboard."""

    key: str
    title: Text
    rows: tuple[Row, ...]


def where(column: str, *values: str | bool) -> Filter:
    """A condition: the column has one of the values."""
    single = len(values) == 1
    return {
        "clause": "WHERE",
        "expressionType": "SIMPLE",
        "subject": column,
        "operator": "==" if single else "IN",
        "comparator": values[0] if single else list(values),
    }


def where_not(column: str, value: str) -> Filter:
    """A condition: the column does not have the value."""
    return where(column, value) | {"operator": "!="}


def in_period(dataset: Dataset) -> Filter:
    """The condition that the dashboard's period filter replaces."""
    return where(dataset.time or "", "No filter") | {"operator": "TEMPORAL_RANGE"}


def card(metric: str, subtitle: Text, *conditions: Filter) -> Params:
    """One big number with a subtitle below it."""
    return {
        "viz_type": "big_number_total",
        "metric": metric,
        "subtitle": subtitle,
        "adhoc_filters": list(conditions),
        "header_font_size": 0.4,
        "subtitle_font_size": 0.2,
    }


def trend(metric: str, day: str, colour: str, period: Filter) -> Params:
    """The number of the last day, its change in thirty days, and a trend line."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return {
        "viz_type": "big_number",
        "metric": metric,
        "x_axis": day,
        "time_grain_sqla": DAY,
        "adhoc_filters": [period],
        "compare_lag": 30,
        "compare_suffix": Text("in 30 days", "за 30 дней"),
        "show_trend_line": True,
        "start_y_axis_at_zero": False,
        "color_picker": {"r": red, "g": green, "b": blue, "a": 1},
        "header_font_size": 0.6,
        "subheader_font_size": 0.3,
        "time_format": _DATE,
    }


def over_time(kind: str, metric: str, x_axis: str, grain: str, *conditions: Filter, by: str | None = None) -> Params:
    """A time series of the given kind (such as "area"), stacked by a column if there is one."""
    return _series(f"echarts_{kind}", metric, x_axis, by, conditions) | {
        "time_grain_sqla": grain,
        "x_axis_time_format": _AXIS_DATE,
        "tooltipTimeFormat": _DATE,
        "stack": None if by is None else "Stack",
        "opacity": 0.75,
        "seriesType": "line",
    }


def bars(metric: str, x_axis: str, *conditions: Filter, by: str | None = None, horizontal: bool = True) -> Params:
    """A bar for each value of a column; horizontal bars are sorted by length, vertical ones by the column."""
    return _series("echarts_timeseries_bar", metric, x_axis, by, conditions) | {
        "orientation": "horizontal" if horizontal else "vertical",
        "stack": None if by is None else "Stack",
        "xAxisForceCategorical": True,
        "x_axis_sort": "sum" if horizontal else "name",
        "x_axis_sort_asc": True,
        "show_value": True,
        "only_total": True,
    }


def _series(kind: str, metric: str, x_axis: str, by: str | None, conditions: tuple[Filter, ...]) -> Params:
    return {
        "viz_type": kind,
        "x_axis": x_axis,
        "metrics": [metric],
        "groupby": [] if by is None else [by],
        "adhoc_filters": list(conditions),
        "row_limit": 10000,
        "truncate_metric": True,
        "show_empty_columns": True,
        "show_legend": by is not None,
        "legendType": "plain",
        "legendOrientation": "top",
        "rich_tooltip": True,
        "showTooltipTotal": by is not None,
        "y_axis_format": ",d",
        "truncateYAxis": False,
        "sort_series_type": "sum",
    }


def donut(metric: str, by: str) -> Params:
    """Shares of a total."""
    return {
        "viz_type": "pie",
        "metric": metric,
        "groupby": [by],
        "adhoc_filters": [],
        "row_limit": 100,
        "donut": True,
        "innerRadius": 45,
        "outerRadius": 70,
        "show_total": True,
        "show_legend": True,
        "legendType": "plain",
        "legendOrientation": "top",
        "label_type": "value",
        "show_labels": True,
        "show_labels_threshold": 0,
        "labels_outside": True,
        "label_line": True,
        "number_format": ",d",
        "sort_by_metric": True,
    }


def flow(metric: str, source: str, target: str, period: Filter) -> Params:
    """A flow from the values of one column to those of another."""
    return {
        "viz_type": "sankey_v2",
        "metric": metric,
        "source": source,
        "target": target,
        "adhoc_filters": [period],
        "row_limit": 100,
    }


def rows(columns: tuple[str, ...], order: tuple[str, bool], *conditions: Filter, page: int = 0) -> Params:
    """A table of a dataset's rows.

    Args:
        columns: The columns to show.
        order: The column to sort by, and whether ascending.
        conditions: Conditions that the rows satisfy.
        page: Rows per page, with a search box above; 0 for a short table without pages and search.
    """
    return _table(page) | {
        "query_mode": "raw",
        "all_columns": list(columns),
        "order_by_cols": [json.dumps(order)],
        "adhoc_filters": list(conditions),
    }


def totals(columns: tuple[str, ...], metrics: tuple[str, ...], *conditions: Filter, page: int = 0) -> Params:
    """A table of metrics, sorted by the first one, largest first; `page` as in `rows`."""
    return _table(page) | {
        "query_mode": "aggregate",
        "groupby": list(columns),
        "metrics": list(metrics),
        "timeseries_limit_metric": metrics[0],
        "order_desc": True,
        "adhoc_filters": list(conditions),
    }


def _table(page: int) -> Params:
    return {
        "viz_type": "table",
        "row_limit": 10000,
        "page_length": page,
        "include_search": page > 0,
        "show_cell_bars": False,
        "color_pn": False,
        "table_timestamp_format": _MOMENT,
        "column_config": {
            "days": {"d3NumberFormat": ",.1f"},
            "lag_minutes": {"d3NumberFormat": ",.0f"},
        },
    }
