"""A pytest plugin that replaces SQL statements of a module, as the environment variable `SQL_MUTANT` specifies.

The tests use the server at the address in `SQL_MUTANT_SERVER` instead of starting one of their own.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace

from sqlalchemy import TextClause, text

from syncer.store.poll.staged import BatchedStatement


def pytest_configure() -> None:
    """Replaces the statements before any test is imported."""
    replacement = json.loads(os.environ["SQL_MUTANT"])
    module = import_module(replacement["module"])
    for name, sql in replacement["statements"].items():
        original = getattr(module, name)
        if isinstance(original, BatchedStatement):
            setattr(module, name, original._replace(sql=sql))
        else:
            setattr(module, name, text(sql) if isinstance(original, TextClause) else sql)


def pytest_sessionstart() -> None:
    """Replaces the server that the fixtures would start."""
    conftest = import_module("tests.conftest")
    conftest.running_server = lambda: nullcontext(SimpleNamespace(url=os.environ["SQL_MUTANT_SERVER"]))  # type: ignore[attr-defined]
