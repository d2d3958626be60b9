"""A pytest plugin that replaces SQL statements of a module, as the environment variable `SQL_MUTANT` specifies."""

from __future__ import annotations

import json
import os
from importlib import import_module

from sqlalchemy import TextClause, text


def pytest_configure() -> None:
    """Replaces the statements before any test is imported."""
    replacement = json.loads(os.environ["SQL_MUTANT"])
    module = import_module(replacement["module"])
    for name, sql in replacement["statements"].items():
        setattr(module, name, text(sql) if isinstance(getattr(module, name), TextClause) else sql)
