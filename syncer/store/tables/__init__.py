"""The tables of schema `syncer`, as the newest migration leaves them.

Every key of account-owned data starts with `account_id`. The tables are SQLAlchemy Core tables, without ORM entities;
the statements that read and write them are in the modules that use them. Analysts see the comments in their tools.

    schema.py     what all tables share
    accounts.py   accounts, their schedule, and their polls
    numbers.py    the current numbers, the lookup tables, and the rejected records
    history.py    the history of numbers
    notices.py    notices, and up to where each rule has been followed
    erasures.py   personal data that were erased
    names.py      names behind the ids of employees, groups and scenarios
    summaries.py  days of accounts, counted from the history
"""

from syncer.store.tables import erasures, history, names, notices, summaries
from syncer.store.tables.accounts import sync_run
from syncer.store.tables.schema import SCHEMA, metadata

# `erasures`, `history`, `names`, `notices` and `summaries` are imported so that `metadata` has every table.
__all__ = [
    "SCHEMA",
    "erasures",
    "history",
    "metadata",
    "names",
    "notices",
    "summaries",
    "sync_run",
]
