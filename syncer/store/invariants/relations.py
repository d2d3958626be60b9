"""The tables and views that the invariants are about, for queries about all accounts or about one."""

from __future__ import annotations

from typing import Final

MAX_SECONDS: Final = 3600.0
"""How long one query may take; some take minutes where there are tens of millions of rows."""

_RELATIONS: Final = (
    "absence_history",
    "account",
    "account_fence",
    "name",
    "name_version",
    "number_version",
    "redirect_period",
    "rejected_record",
    "state_history",
    "state_period",
    "sync_run",
    "virtual_number",
    "virtual_number_history",
    "virtual_number_redirect_history",
)


def of_all_accounts(query: str) -> str:
    """Returns a query that names tables without their schema, for the rows of all accounts."""
    return _with_relations(query, "")


def of_one_account(query: str) -> str:
    """Returns a query that names tables without their schema, for the rows of the account `$1`.

    Where the tables are distributed over servers, a query of this form runs on the server of the account, whatever else
    it has: each table in it, also inside a view, has the condition.
    """
    return _with_relations(query, " where account_id = $1")


def _with_relations(query: str, condition: str) -> str:
    relations = (f"{name} as not materialized (select * from syncer.{name}{condition})" for name in _RELATIONS)  # noqa: S608 - names above
    return f"with {', '.join(relations)} select * from ({query}) checked"  # noqa: S608 - of constants
