"""The query that Superset makes of a chart's parameters, and the SQL it comes to.

Superset's pages build the query in the browser; this says the same for the kinds of chart that the bundle has.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

Yaml = dict[str, Any]
PERIOD: Final = "TEMPORAL_RANGE"
"""The operator of the condition that a dashboard's period takes hold of."""
_GRAINS: Final = {"P1D": "day", "P1W": "week", "P1M": "month"}
_OPERATORS: Final = {"==": "=", "!=": "<>"}
_LONG_AGO: Final = "timestamp '2000-01-01'"


class Query(NamedTuple):
    """What is asked of a dataset: columns (and the grain of one that is a time), metrics, conditions, order."""

    columns: tuple[tuple[str, str | None], ...]
    metrics: tuple[str, ...]
    conditions: tuple[Yaml, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int

    def as_superset_asks(self) -> Yaml:
        """The query in the words of `POST /api/v1/chart/data`."""
        return {
            "columns": [name if grain is None else _base_axis(name, grain) for name, grain in self.columns],
            "metrics": list(self.metrics),
            "filters": [
                {"col": one["subject"], "op": one["operator"], "val": one["comparator"]} for one in self.conditions
            ],
            "orderby": [list(one) for one in self.order],
            "row_limit": self.limit,
        }

    def names(self) -> list[str]:
        """The columns that it needs."""
        ordered = [name for name, _ in self.order if name not in self.metrics]
        return [*(name for name, _ in self.columns), *(one["subject"] for one in self.conditions), *ordered]


def query_of(params: Yaml) -> Query:
    """The query of a chart."""
    grain = params.get("time_grain_sqla")
    columns = [(params["x_axis"], grain)] if "x_axis" in params else []
    for key in ("groupby", "all_columns", "source", "target"):
        columns += [(name, None) for name in _listed(params.get(key))]
    metrics = [*_listed(params.get("metric")), *_listed(params.get("metrics"))]
    order = [(name, bool(ascends)) for name, ascends in map(json.loads, params.get("order_by_cols", []))]
    if not order and columns:
        order = [(metrics[0], False)]
    return Query(
        tuple(columns), tuple(metrics), tuple(params["adhoc_filters"]), tuple(order), params.get("row_limit", 10000)
    )


def sql_of(query: Query, dataset: Yaml, *further: str) -> str:
    """The query as PostgreSQL is asked.

    Args:
        query: Of a chart on the dataset.
        dataset: As the bundle has it.
        further: Conditions of the dashboard's filters.
    """
    expressions = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    columns = [_truncated(name, grain) for name, grain in query.columns]
    metrics = [f"{expressions[name]} as {_quoted(name)}" for name in query.metrics]
    conditions = [*map(_condition, query.conditions), *further]
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


def values_of(column: str, dataset: Yaml) -> str:
    """What a filter asks for: the values of its column, as SQL."""
    return f"select distinct {_quoted(column)} from ({dataset['sql']}) as filtered_table"  # noqa: S608 - the bundle's own


def _listed(value: str | list[str] | None) -> list[str]:
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


def _truncated(name: str, grain: str | None) -> str:
    return _quoted(name) if grain is None else f"date_trunc('{_GRAINS[grain]}', {_quoted(name)}) as {_quoted(name)}"


def _condition(one: Yaml) -> str:
    column, value = one["subject"], one["comparator"]
    match one["operator"]:
        case op if op == PERIOD:
            return f"{_quoted(column)} >= {_LONG_AGO}"
        case "IN":
            return f"{_quoted(column)} in ({', '.join(map(_literal, value))})"
        case operator:
            return f"{_quoted(column)} {_OPERATORS[operator]} {_literal(value)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else "'" + value.replace("'", "''") + "'"
