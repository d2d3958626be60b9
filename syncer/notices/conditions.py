"""Which conditions of accounts hold now: pure code, from what the database has and how the accounts are configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.store.account_conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.store.account_conditions import AccountState

_REFUSALS: Final = {"unauthorized", "forbidden"}


def current_conditions(
    state: AccountState, stale_at: datetime, now: datetime, open_conditions: Mapping[str, Condition]
) -> list[Condition]:
    """Returns the conditions that hold.

    `stale`: no poll has succeeded for as long as the metrics say. `refused`: the endpoint answered 401 or 403, and no
    poll has succeeded since. `held` and `rejected`: the newest successful poll held removals, or rejected records.

    Args:
        state: The account.
        stale_at: When it counts as stale.
        now: The database's time.
        open_conditions: The conditions that hold as far as they are stored, by kind.
    """
    account_id, found = state.account_id, list[Condition]()
    if now >= stale_at:
        found.append(Condition(account_id, "stale", state.success_started_at or state.created_at, None, None))
    refused = open_conditions.get("refused")
    if state.newest_error_kind in _REFUSALS:
        found.append(Condition(account_id, "refused", state.newest_finished_at or now, state.newest_run_id, None))
    elif refused is not None and (state.success_run_id or 0) < (refused.run_id or 0):
        found.append(refused)
    for kind, affected in (("held", state.held), ("rejected", state.rejected)):
        if affected:
            began_at = state.success_finished_at or now
            found.append(Condition(account_id, kind, began_at, state.success_run_id, affected))
    return found


def compare_conditions(
    state: AccountState, found: Sequence[Condition], open_conditions: Mapping[str, Condition], now: datetime
) -> tuple[list[Condition], list[tuple[Condition, datetime]]]:
    """Returns the conditions of an account that have begun, and those that have ended and when.

    A condition ends with the successful poll that shows it, so its end is the time of that poll.
    """
    kinds = {condition.kind for condition in found}
    ended_at = state.success_finished_at or now
    return (
        [condition for condition in found if condition.kind not in open_conditions],
        [(condition, min(ended_at, now)) for kind, condition in open_conditions.items() if kind not in kinds],
    )
