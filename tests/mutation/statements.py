"""Generates mutants of a module's SQL: each statement that the module has as text, with one thing changed."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlglot
from sqlalchemy import TextClause
from sqlglot import exp

from syncer.store.poll.staged import BatchedStatement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Mutations = Iterator[tuple[str, Any]]
    """A description of the change, and the node that replaces the original."""

_READ_BY_COLUMN_NAME: Final = {"_ACCOUNT", "_LOCK", "_LAST_COUNTERS"}
"""Statements whose result is read by column name: swapping two of their columns changes nothing."""


class Mutant(NamedTuple):
    """A statement with one change: the name of the module's constant, the change in words, and the changed SQL."""

    name: str
    change: str
    sql: str


def statements(module: str) -> dict[str, Any]:
    """Parses the statements that a module has as constants, by name."""
    found = {}
    for name, value in vars(import_module(module)).items():
        text = (
            value.text if isinstance(value, TextClause) else value.sql if isinstance(value, BatchedStatement) else value
        )
        if isinstance(text, str) and not name.startswith("__"):
            try:
                tree = sqlglot.parse_one(text, dialect="postgres")
            except sqlglot.ParseError:
                continue  # part of a statement, or not SQL
            if isinstance(tree, exp.Select | exp.Insert | exp.Update | exp.Delete):
                found[name] = tree
    return found


def mutants(module: str) -> Iterator[Mutant]:
    """Yields every mutant of a module's statements."""
    for name, tree in statements(module).items():
        seen = Counter[str]()
        for index, node in enumerate(tree.walk()):
            for change, replacement in _mutations(node):
                if name in _READ_BY_COLUMN_NAME and change.endswith(" swapped"):
                    continue
                mutated = _replace(tree, index, replacement)
                if mutated != tree:
                    seen[change] += 1
                    number = f" ({seen[change]})" if seen[change] > 1 else ""
                    yield Mutant(name, change + number, render(mutated))


def _replace(tree: Any, index: int, replacement: Any) -> Any:
    """Returns a copy of the tree with another node in the place of its n-th one."""
    if index == 0:
        return replacement
    copy = tree.copy()
    list(copy.walk())[index].replace(replacement)
    return copy


def render(node: Any) -> str:
    """Renders SQL in lower case, as the program writes it: some tests look for its words in the network traffic."""
    text: str = node.sql(dialect="postgres")
    return text.lower()


def _mutations(node: Any) -> Mutations:
    for kind, operator in _OPERATORS:
        if isinstance(node, kind):
            yield from operator(node)


def _keep_parameters(replacement: Any, original: Any) -> Any:
    """Returns the replacement, with the original in a branch that is never taken if it has a parameter.

    PostgreSQL rejects a call whose statement lacks a parameter, so every test would notice.
    """
    if original.find(exp.Parameter) is None:
        return replacement.copy()
    always = exp.If(this=exp.Boolean(this=True), true=replacement.copy())
    return exp.Case(ifs=[always], default=original.copy())


def _with(node: Any, **arguments: Any) -> Any:
    copy = node.copy()
    for name, value in arguments.items():
        copy.set(name, value)
    return copy


def _swap_operator(node: Any) -> Mutations:
    other = _SWAPS[type(node)](**node.copy().args)
    yield f"{render(node)} → {render(other)}", other


def _drop_operand(node: Any) -> Mutations:
    for kept, dropped in ((node.this, node.expression), (node.expression, node.this)):
        if not isinstance(dropped, type(node)):  # otherwise its operands are dropped one by one
            yield f"without {render(dropped)}", _keep_parameters(kept, dropped)


def _drop_condition(node: Any) -> Mutations:
    if not isinstance(node.this, exp.And):
        yield f"without {render(node)}", _with(node, this=_keep_parameters(exp.true(), node.this))


def _loosen_join(node: Any) -> Mutations:
    if node.args.get("side"):
        yield f"{render(node)} not outer", _with(node, side=None)
    if node.args.get("on") is not None and not isinstance(node.args["on"], exp.And):
        yield f"{render(node)} on true", _with(node, on=exp.true())


def _drop_not(node: Any) -> Mutations:
    yield f"{render(node)} → without not", node.this.copy()


def _negate(node: Any) -> Mutations:
    if not isinstance(node.parent, exp.Not):
        yield f"{render(node)} → is not", exp.Not(this=node.copy())


def _drop_argument(node: Any) -> Mutations:
    arguments = (node.this, *node.expressions)
    for dropped in arguments:
        first, *others = [argument.copy() for argument in arguments if argument is not dropped]
        fewer = _with(node, this=first, expressions=others) if others else first
        yield f"{render(node)} without {render(dropped)}", _keep_parameters(fewer, node)


def _take_branch(node: Any) -> Mutations:
    default = node.args.get("default") or exp.null()
    for branch in (*(one.args["true"] for one in node.args["ifs"]), default):
        yield f"{render(node)} → always {render(branch)}", _keep_parameters(branch, node)


def _change_assignments(node: Any) -> Mutations:
    """Drops each assignment of an UPDATE or ON CONFLICT, and gives each the value of the next one."""
    assignments = node.expressions

    def with_value(index: int, value: Any) -> Any:
        assignment = assignments[index]
        changed = _with(assignment, expression=_keep_parameters(value, assignment.expression))
        return _with(node, expressions=[*assignments[:index], changed, *assignments[index + 1 :]])

    for index, assignment in enumerate(assignments):
        if assignment.expression.find(exp.Parameter) is not None:
            itself = exp.column(assignment.this.name, table=node.this.alias_or_name)
            yield f"set without {render(assignment)}", with_value(index, itself)
        elif len(assignments) > 1:
            others = [*assignments[:index], *assignments[index + 1 :]]
            yield f"set without {render(assignment)}", _with(node, expressions=others)
    for index, (assignment, following) in enumerate(pairwise(assignments)):
        change = f"set {render(assignment)} with the value of {render(following)}"
        yield change, with_value(index, following.expression)


def _swap_columns(node: Any) -> Mutations:
    """Swaps neighbouring columns of a SELECT, unless the result does not depend on their order."""
    columns = node.expressions
    if any(isinstance(column, exp.Star) or render(column).endswith(".*") for column in columns):
        return
    if isinstance(node.parent, exp.CTE) or any(render(column).startswith("set_config(") for column in columns):
        return
    for index, (one, other) in enumerate(pairwise(columns)):
        swapped = [*columns[:index], other, one, *columns[index + 2 :]]
        yield f"{render(one)} and {render(other)} swapped", _with(node, expressions=swapped)


def _drop_clause(name: str) -> Callable[[Any], Mutations]:
    def drop(node: Any) -> Mutations:
        if node.args.get(name):
            yield f"without {name}", _with(node, **{name: None})

    return drop


def _drop_filter(node: Any) -> Mutations:
    yield f"{render(node)} → {render(node.this)}", node.this.copy()


def _change_literal(node: Any) -> Mutations:
    if isinstance(node.parent, exp.Parameter | exp.Interval | exp.DataType):
        return
    if node.is_string:
        word = {"on": "off", "off": "on"}.get(node.this, f"{node.this}1")
        yield f"{render(node.parent)} with '{word}'", exp.Literal.string(word)
    else:
        yield f"{render(node.parent)} with {int(node.this) + 1}", exp.Literal.number(int(node.this) + 1)


def _change_boolean(node: Any) -> Mutations:
    yield f"{render(node.parent)} with {str(not node.this).lower()}", exp.Boolean(this=not node.this)


_SWAPS: Final[dict[Any, Any]] = {
    exp.LT: exp.LTE,
    exp.LTE: exp.LT,
    exp.GT: exp.GTE,
    exp.GTE: exp.GT,
    exp.NEQ: exp.EQ,
    exp.NullSafeEQ: exp.EQ,
    exp.NullSafeNEQ: exp.NEQ,
    exp.Min: exp.Max,
    exp.Max: exp.Min,
}
_OPERATORS: Final[tuple[tuple[Any, Callable[[Any], Mutations]], ...]] = (
    (exp.And | exp.Or | exp.Add | exp.Sub, _drop_operand),
    (tuple(_SWAPS), _swap_operator),
    (exp.Where, _drop_condition),
    (exp.Join, _loosen_join),
    (exp.Not, _drop_not),
    (exp.Is, _negate),
    (exp.Coalesce | exp.Greatest, _drop_argument),
    (exp.Case, _take_branch),
    (exp.Update | exp.OnConflict, _change_assignments),
    (exp.Select, _swap_columns),
    (exp.Select, _drop_clause("distinct")),
    (exp.Select, _drop_clause("locks")),
    (exp.Filter, _drop_filter),
    (exp.Literal, _change_literal),
    (exp.Boolean, _change_boolean),
)
