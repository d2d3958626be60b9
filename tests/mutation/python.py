"""Mutants of Python: the operators of mutmut, and some that it lacks, on all of a module.

mutmut's own runner changes functions alone: no property, no constant, no limit in a type.
"""

from __future__ import annotations

import difflib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

from tests.mutation.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_BEHAVIOUR: Final = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)
_FOR_SPEED: Final = {"frozen", "gc"}
"""Arguments of a structure's class, which change what it costs and not what it does."""


def mutants_of(module: str) -> Iterator[Mutant]:
    """Each way to change one thing in a module."""
    tree = cst.MetadataWrapper(cst.parse_module(unchanged(module).source)).module  # a copy where no node stands twice
    texts = [tree.code_for_node(statement) for statement in tree.body]
    head, tail = tree.code.split("".join(texts))
    seen = {tree.code}
    for index, statement in enumerate(tree.body):
        for node, place in _nodes(statement, ()):
            for changed in _changed(node):
                text = tree.code_for_node(statement.deep_replace(node, changed))
                mutated = "".join((head, *texts[:index], text, *texts[index + 1 :], tail))
                if mutated not in seen:
                    seen.add(mutated)
                    yield Mutant(module, place, _difference(texts[index], text), mutated)


def unchanged(module: str) -> Mutant:
    """The module as it is."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Mutant(module, "all of it", "nothing", Path(spec.origin).read_text("utf-8"))


def _nodes(node: Any, place: tuple[str, ...], *, inside: bool = False) -> Iterator[tuple[Any, str]]:
    """A node and all below it that do something, with the name of the function or constant in which they stand."""
    if isinstance(node, _NO_BEHAVIOUR) or (isinstance(node, cst.If) and _is_named(node.test, "TYPE_CHECKING")):
        return
    if isinstance(node, cst.AnnAssign) and isinstance(node.value, cst.Call) and _is_named(node.value.func, "field"):
        return  # what begins empty: another beginning fails whatever is tried
    if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value in _FOR_SPEED:
        return
    if isinstance(node, cst.ClassDef) or (isinstance(node, cst.FunctionDef) and not inside):
        place = (*place, node.name.value)
    elif not place and isinstance(node, cst.Assign | cst.AnnAssign):
        target = node.target if isinstance(node, cst.AnnAssign) else node.targets[0].target
        place = (target.value,)
    yield node, ".".join(place)
    for child in node.children:
        yield from _nodes(child, place, inside=inside or isinstance(node, cst.FunctionDef))


def _is_named(node: Any, name: str) -> bool:
    return isinstance(node, cst.Name) and node.value == name


def _changed(node: Any) -> Iterator[Any]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from operator(node)
    if isinstance(node, cst.BooleanOperation | cst.BinaryOperation):
        yield from (kept for kept, left_out in _sides(node) if not _is_of_the_chain(left_out, node))
    elif isinstance(node, cst.If | cst.While | cst.CompIf):
        yield node.with_changes(test=_negated(node.test))
    elif isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
        yield cst.Pass()
    elif isinstance(node, cst.ExceptHandler) and isinstance(node.type, cst.Tuple):
        for caught in node.type.elements:
            others = [other for other in node.type.elements if other is not caught]
            yield node.with_changes(type=node.type.with_changes(elements=others))


def _sides(node: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (node.left, node.right), (node.right, node.left)


def _is_of_the_chain(operand: Any, node: Any) -> bool:
    """Whether the sides of an operand are left out one by one."""
    return isinstance(operand, type(node)) and not operand.lpar and isinstance(operand.operator, type(node.operator))


def _negated(condition: Any) -> Any:
    in_parentheses = condition.with_changes(
        lpar=[cst.LeftParen(), *condition.lpar], rpar=[*condition.rpar, cst.RightParen()]
    )
    return cst.UnaryOperation(operator=cst.Not(), expression=in_parentheses)


def _difference(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    removed, added = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{removed} → {added}"
