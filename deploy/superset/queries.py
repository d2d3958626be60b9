"""Builds the query of a chart from its parameters, and the SQL of the query, as Superset does.

Superset builds the query in the browser; this module does the same for the kinds of charts in the bundle.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

Yaml = dict[str, Any]
PERIOD: Final = "TEMPORAL_RANGE"
"""The operator of the condition that a dashboard's period filter replaces."""
_GRAINS: Final = {"P1D": "day", "P1W": "week", "P1M": "month"}
_OPERATORS: Final = {"==": "=", "!=": "<>"}
_PERIOD_START: Final = "timestamp '2000-01-01'"


class Query(NamedTuple):
    """A query of a dataset; each column is a name and, for a time axis, its grain."""

    columns: tuple[tuple[str, str | None], ...]
    metrics: tuple[str, ...]
    conditions: tuple[Yaml, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int

    def as_request(self) -> Yaml:
        """Returns the query as `POST /api/v1/chart/data` expects it."""
        return {
            "columns": [name if grain is None else _base_axis(name, grain) for name, grain in self.columns],
            "metrics": list(self.metrics),
            "filters": [
                {"col": condition["subject"], "op": condition["operator"], "val": condition["comparator"]}
                for condition in self.conditions
            ],
            "orderby": [list(item) for item in self.order],
            "row_limit": self.limit,
        }

    def column_names(self) -> list[str]:
        """The columns that the query uses."""
        ordered = [name for name, _ in self.order if name not in self.metrics]
        return [*(name for name, _ in self.columns), *(condition["subject"] for condition in self.conditions), *ordered]


def query_of(params: Yaml) -> Query:
    """Returns the query of a chart with these parameters."""
    grain = params.get("time_grain_sqla")
    columns = [(params["x_axis"], grain)] if "x_axis" in params else []
    for key in ("groupby", "all_columns", "source", "target"):
        columns += [(name, None) for name in _as_list(params.get(key))]
    metrics = [*_as_list(params.get("metric")), *_as_list(params.get("metrics"))]
    order = [(name, bool(ascends)) for name, ascends in map(json.loads, params.get("order_by_cols", []))]
    if not order and columns:
        order = [(metrics[0], False)]
    return Query(
        tuple(columns), tuple(metrics), tuple(params["adhoc_filters"]), tuple(order), params.get("row_limit", 10000)
    )


def sql_of(query: Query, dataset: Yaml, *filter_conditions: str) -> str:
    """Returns the SQL that Superset sends to PostgreSQL for a query.

    Args:
        query: A query of the dataset.
        dataset: The dataset's file in the bundle.
        filter_conditions: Conditions of the dashboard's filters.
    """
    expressions = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    columns = [_select_item(name, grain) for name, grain in query.columns]
    metrics = [f"{expressions[name]} as {_quoted(name)}" for name in query.metrics]
    conditions = [*map(_condition, query.conditions), *filter_conditions]
    order = [f"{expressions.get(name, _quoted(name))} {'asc' if ascends else 'desc'}" for name, ascends in query.order]
    parts = [
        f"select {', '.join([*columns, *metrics])}",
        f"from ({dataset['sql']}) as virtual_table",
        f"where {' and '.join(conditions)}" if conditions else "",
        f"group by {', '.join(map(str, range(1, len(columns) + 1)))}" if columns and metrics else "",
        f"order by {', '.join(order)}" if order else "",
        f"limit {query.limit}",
    ]
    return "\n".join(filter(None, parts))


def filter_values_sql(column: str, dataset: Yaml) -> str:
    """Returns the SQL with which a filter reads the values of its column."""
    return f"select distinct {_quoted(column)} from ({dataset['sql']}) as filtered_table"  # noqa: S608 - the bundle's own


def _as_list(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _base_axis(name: str, grain: str) -> Yaml:
    return {
        "columnType": "BASE_AXIS",
        "expressionType": "SQL",
        "sqlExpression": name,
        "label": name,
        "timeGrain": grain,
    }


def _select_item(name: str, grain: str | None) -> str:
    return _quoted(name) if grain is None else f"date_trunc('{_GRAINS[grain]}', {_quoted(name)}) as {_quoted(name)}"


def _condition(condition: Yaml) -> str:
    column, value = condition["subject"], condition["comparator"]
    match condition["operator"]:
        case op if op == PERIOD:
            return f"{_quoted(column)} >= {_PERIOD_START}"
        case "IN":
            return f"{_quoted(column)} in ({', '.join(map(_literal, value))})"
        case operator:
            return f"{_quoted(column)} {_OPERATORS[operator]} {_literal(value)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else "'" + value.replace("'", "''") + "'"
