"""Mutants of SQL: the statements that a module holds as text, each with one thing changed."""

from __future__ import annotations

import inspect
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import sqlglot
from sqlalchemy import TextClause
from sqlglot import exp

from tests.mutation.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Edit = tuple[str, Callable[[], object]]

_SWAPS: Final = {
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

_TAKEN_BY_NAME: Final = {"_ACCOUNT", "_LOCK", "_STANDING_COUNTERS"}
"""Statements of whose rows each column is asked for by its name, so that its place means nothing."""


def mutants_of(module: str) -> Iterator[Mutant]:
    """Each way to change one thing in one statement of a module."""
    loaded = import_module(module)
    source = inspect.getsource(loaded)
    for name, tree in _statements(loaded):
        for index, node in enumerate(tree.walk()):
            for position, (change, _) in enumerate(_edits(node)):
                if name in _TAKEN_BY_NAME and change.endswith(" swapped"):
                    continue
                copy = tree.copy()
                _, edit = list(_edits(list(copy.walk())[index]))[position]
                edit()
                if copy != tree:
                    yield Mutant(module, name, change, source + _said_anew(loaded, name, copy))


def unchanged(module: str) -> Mutant:
    """The module with its statements as they are printed here, and nothing changed."""
    loaded = import_module(module)
    said = [_said_anew(loaded, name, tree) for name, tree in _statements(loaded)]
    return Mutant(module, "all of it", "nothing", inspect.getsource(loaded) + "".join(said))


def _statements(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        text = value.text if isinstance(value, TextClause) else value
        if isinstance(text, str) and not name.startswith("__"):
            try:
                tree = sqlglot.parse_one(text, dialect="postgres")
            except sqlglot.ParseError:
                continue  # a part of a statement, or no SQL at all
            if isinstance(tree, exp.Select | exp.Insert | exp.Update | exp.Delete):
                yield name, tree


def _said_anew(module: ModuleType, name: str, tree: Any) -> str:
    """The line which, at the end of the module, puts a statement in the place of the one it holds."""
    text = repr(_sql(tree))
    return f"\n{name} = {f'text({text})' if isinstance(vars(module)[name], TextClause) else text}\n"


def _sql(node: Any) -> str:
    """In small letters, as the program spells it: there are tests that look for words of it on the wire."""
    text: str = node.sql(dialect="postgres")
    return text.lower()


def _edits(node: Any) -> Iterator[Edit]:
    """What can be changed at a node: in words, and what does it to this very node."""
    for kind, operator in _OPERATORS:
        if isinstance(node, kind):
            yield from operator(node)
    swapped = _SWAPS.get(type(node))
    if swapped is not None:
        other = swapped(**node.copy().args)
        yield f"{_sql(node)} → {_sql(other)}", partial(node.replace, other)


def _instead(told: Any, left_out: Any) -> Any:
    """The one, beside the other where that names a parameter: a statement that lacks one fails whatever is tried."""
    if left_out.find(exp.Parameter) is None:
        return told.copy()
    always = exp.If(this=exp.Boolean(this=True), true=told.copy())
    return exp.Case(ifs=[always], default=left_out.copy())


def _one_side(node: Any) -> Iterator[Edit]:
    for kept, dropped in ((node.this, node.expression), (node.expression, node.this)):
        if not isinstance(dropped, type(node)):  # else each of its sides is dropped alone
            yield f"without {_sql(dropped)}", partial(node.replace, _instead(kept, dropped))


def _no_condition(node: Any) -> Iterator[Edit]:
    if not isinstance(node.this, exp.And):
        yield f"without {_sql(node)}", partial(node.set, "this", _instead(exp.true(), node.this))


def _any_row(node: Any) -> Iterator[Edit]:
    if node.args.get("side"):
        yield f"{_sql(node)} not outer", partial(node.set, "side", None)
    if node.args.get("on") is not None and not isinstance(node.args["on"], exp.And):
        yield f"{_sql(node)} on true", partial(node.set, "on", exp.true())


def _affirmed(node: Any) -> Iterator[Edit]:
    yield f"{_sql(node)} → without not", partial(node.replace, node.this)


def _denied(node: Any) -> Iterator[Edit]:
    if not isinstance(node.parent, exp.Not):
        yield f"{_sql(node)} → is not", lambda: node.replace(exp.Not(this=node.copy()))


def _one_of_the_arguments(node: Any) -> Iterator[Edit]:
    for dropped in (node.this, *node.expressions):
        kept = [argument.copy() for argument in (node.this, *node.expressions) if argument is not dropped]
        fewer = type(node)(**(node.args | {"this": kept[0], "expressions": kept[1:]})) if len(kept) > 1 else kept[0]
        yield f"{_sql(node)} without {_sql(dropped)}", partial(node.replace, _instead(fewer, node))


def _one_branch(node: Any) -> Iterator[Edit]:
    otherwise = node.args.get("default") or exp.null()
    for branch in (*(one.args["true"] for one in node.args["ifs"]), otherwise):
        yield f"{_sql(node)} → always {_sql(branch)}", partial(node.replace, _instead(branch, node))


def _assignments(node: Any) -> Iterator[Edit]:
    """Of `set`, in an update or where an insert meets a conflict: all but one; two that change places."""
    given = node.expressions
    for index, one in enumerate(given):
        if one.expression.find(exp.Parameter) is not None:
            itself = exp.column(one.this.name, table=node.this.alias_or_name)
            yield f"set without {_sql(one)}", partial(one.set, "expression", _instead(itself, one.expression))
        elif len(given) > 1:
            others = [*given[:index], *given[index + 1 :]]
            yield f"set without {_sql(one)}", partial(node.set, "expressions", others)
        if index + 1 < len(given):
            other = given[index + 1].expression
            yield (
                f"set {_sql(one)} with the value of {_sql(given[index + 1])}",
                partial(one.set, "expression", _instead(other, one.expression)),
            )


def _columns(node: Any) -> Iterator[Edit]:
    """Two columns of a row, asked for or inserted, that change places, unless their places mean nothing."""
    columns = node.expressions
    if any(isinstance(column, exp.Star) or _sql(column).endswith(".*") for column in columns):
        return
    if isinstance(node.parent, exp.CTE) or any(_sql(column).startswith("set_config(") for column in columns):
        return
    for index, (one, other) in enumerate(pairwise(columns)):
        swapped = [*columns[:index], other, one, *columns[index + 2 :]]
        yield f"{_sql(one)} and {_sql(other)} swapped", partial(node.set, "expressions", swapped)


def _without(argument: str) -> Callable[[Any], Iterator[Edit]]:
    def edits(node: Any) -> Iterator[Edit]:
        if node.args.get(argument):
            yield f"without {argument}", partial(node.set, argument, None)

    return edits


def _inner(node: Any) -> Iterator[Edit]:
    yield f"{_sql(node)} → {_sql(node.this)}", partial(node.replace, node.this)


def _other_literal(node: Any) -> Iterator[Edit]:
    if isinstance(node.parent, exp.Parameter | exp.Interval | exp.DataType):
        return
    if node.is_string:
        word = {"on": "off", "off": "on"}.get(node.this, f"{node.this}1")
        yield f"{_sql(node)} → '{word}'", partial(node.replace, exp.Literal.string(word))
    else:
        number = int(node.this) + 1
        yield f"{_sql(node.parent)} with {number}", partial(node.replace, exp.Literal.number(number))


def _other_truth(node: Any) -> Iterator[Edit]:
    yield f"{_sql(node.parent)} with {not node.this}", partial(node.set, "this", not node.this)


_OPERATORS: Final[tuple[tuple[Any, Callable[[Any], Iterator[Edit]]], ...]] = (
    (exp.And | exp.Or, _one_side),
    (exp.Add | exp.Sub, _one_side),
    (exp.Where, _no_condition),
    (exp.Join, _any_row),
    (exp.Not, _affirmed),
    (exp.Is, _denied),
    (exp.Coalesce | exp.Greatest, _one_of_the_arguments),
    (exp.Case, _one_branch),
    (exp.Update | exp.OnConflict, _assignments),
    (exp.Select, _columns),
    (exp.Select, _without("distinct")),
    (exp.Select, _without("locks")),
    (exp.Filter, _inner),
    (exp.Literal, _other_literal),
    (exp.Boolean, _other_truth),
)
