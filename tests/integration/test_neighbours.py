"""Accounts of one database that have the same ids do not affect each other."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.builders import PolledAccount, record, redirect, settings_for, without

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

COUNTERS: Final = (
    *("received", "created", "changed", "unchanged", "removed", "restored", "held", "rejected"),
    *("state_changes", "redirects_opened", "redirects_closed"),
)
TABLES: Final = {
    "virtual_number": "virtual_number_id",
    "virtual_number_history": "virtual_number_id, valid_from",
    "state_history": "virtual_number_id, valid_from",
    "virtual_number_redirect": "virtual_number_id, redirect_number_id, number",
    "virtual_number_redirect_history": "virtual_number_id, redirect_number_id, number, valid_from",
    "absence_history": "virtual_number_id, missing_since",
    "record_fingerprint": "virtual_number_id",
    "rejected_record": "rejected_record_id",
    "sync_run": "run_id",
    "account": "account_id",
}
# Compared by the position of the run among the runs of its account.
RUN_ID_COLUMNS: Final = (
    *("run_id", "closed_run_id", "first_run_id", "last_run_id"),
    *("reason_run_id", "missing_run_id", "removed_run_id"),
)
# Not compared: they differ between accounts.
IDENTITY_COLUMNS: Final = (
    "account_id",
    "name",
    "created_at",
    "success_run_id",
    "applied_run_id",
    "fingerprints_version",
    "believable_run_id",
)


def make_records(*numbers: int, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns records with a redirect and an extra field each; `changed` has other fields, by `n` and the id."""
    return [
        record(number, from_redirect_numbers=[redirect(90, "74950000090")], note=number) | changed.get(f"n{number}", {})
        for number in numbers
    ]


def hourly_responses() -> list[tuple[float, list[Any]]]:
    """Returns hours and the records at each, with every kind of change that a number can have."""
    states: dict[str, dict[str, Any]] = {
        "n2": {"state": "freeze", "reason": "debt"},
        "n3": {"comment": "new"},
        "n4": {"note": "new"},
    }
    broken: dict[str, dict[str, Any]] = {
        "n5": {"number": None},
        "n1": {"from_redirect_numbers": [redirect(91, "74950000091")]},
    }
    always = (*range(1, 7), 10)
    return [
        (0, make_records(*range(1, 11))),
        (1, make_records(*range(1, 11), **states, **broken)),
        (2, [dict(reversed(fields.items())) for fields in make_records(*always, 9, **states)]),
        (3, [*make_records(*always, 9, **states), without(record(7), "from_redirect_numbers")]),
        (4, [*make_records(*always, **states), without(record(7), "from_redirect_numbers")]),
        (5, [*make_records(*always, 11, **states), record(7), record(8, number=None), record(12, number=None)]),
        (6, [*make_records(*always, 11, **states), *map(record, (7, 12, 13, 14))]),
        (29, [*make_records(*always, 11, **states), *map(record, (7, 12, 13)), record(14, number=None)]),
        (30, make_records(*range(1, 15))),
    ]


async def poll_all_hours(account: PolledAccount) -> list[tuple[str, dict[str, int]]]:
    """Polls all hours, each poll as a new process; returns the outcome and the counters of each poll."""
    results: list[tuple[str, dict[str, int]]] = []
    for hours, records in hourly_responses():
        account.restart()
        result = await account.poll_at(T0 + hours * HOUR, *records)
        counters = {name: getattr(result, name) for name in COUNTERS if getattr(result, name)}
        run = await account.sql.fetchrow("select * from syncer.sync_run where run_id = $1", result.run_id)
        assert run is not None
        assert {name: run[name] for name in COUNTERS if run[name]} == counters
        results.append((result.outcome, counters))
    return results


async def rows_of(account: PolledAccount, table: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns an account's rows of a table, each with its ctid, which any update would change."""
    query = f"""
        select t.ctid::text, to_jsonb(t)::text from syncer.{table} t join syncer.account using (account_id)
         where account.name = $1 order by {TABLES[table]}
    """  # noqa: S608 - names from above
    return [(ctid, json.loads(row)) for ctid, row in await account.rows(query, account.account.name)]


async def comparable_rows(account: PolledAccount) -> dict[str, list[dict[str, Any]]]:
    """Returns all rows of an account by table, in a form that can be compared with those of another account."""
    runs = [row["run_id"] for _, row in await rows_of(account, "sync_run")]
    return {
        table: [
            {
                name: runs.index(value) if name in RUN_ID_COLUMNS and value is not None else value
                for name, value in row.items()
                if name not in IDENTITY_COLUMNS or (name == "run_id" and table != "account")
            }
            for _, row in await rows_of(account, table)
        ]
        for table in TABLES
    }


@pytest.fixture
async def neighbours(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[list[PolledAccount]]:
    """Two accounts."""
    async with AsyncExitStack() as stack:
        accounts = [
            PolledAccount(engine, emulator, sql, settings_for(emulator, account_name=name))
            for name in ("alone", "neighbour")
        ]
        yield [await stack.enter_async_context(account) for account in accounts]
        assert await accounts[0].broken_invariants() == []


async def test_an_account_is_polled_as_if_it_were_alone_and_no_row_of_others_moves(
    neighbours: list[PolledAccount],
) -> None:
    alone, neighbour = neighbours
    expected_results, expected_rows = await poll_all_hours(alone), await comparable_rows(alone)
    last = await alone.poll_at(T0 + 31 * HOUR, *make_records(1, 2, 3), record(4, number=None), record(13, number=None))
    before = {table: await rows_of(alone, table) for table in TABLES}

    assert (last.held, last.rejected) == (9, 2)
    assert [table for table, rows in before.items() if not rows] == []
    assert await poll_all_hours(neighbour) == expected_results
    assert await comparable_rows(neighbour) == expected_rows
    assert {table: await rows_of(alone, table) for table in TABLES} == before
    assert {name for _, counters in expected_results for name in counters} == set(COUNTERS)


async def test_a_redirect_that_ended_when_another_accounts_number_was_removed_opens_again(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    for polled in neighbours:
        await polled.poll_at(T0, *make_records(1, 2))
    await account.poll_at(T0 + HOUR, *make_records(1, 2, n1={"from_redirect_numbers": []}))
    removal = await neighbour.poll_at(T0 + HOUR, *make_records(2), trigger="accept_removals")

    again = await account.poll_at(T0 + 2 * HOUR, *make_records(1, 2))

    ended = await account.rows("select distinct valid_to from syncer.virtual_number_redirect_history")
    assert (removal.removed, len(ended)) == (1, 1)
    assert (again.redirects_opened, again.redirects_closed) == (1, 0)


async def test_numbers_removed_when_another_accounts_numbers_changed_state_count_as_missing(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    for polled in neighbours:
        await polled.poll_at(T0, *make_records(*range(1, 11)))
    first = await account.poll_at(T0 + HOUR, *make_records(*range(3, 11)))
    frozen = {"state": "freeze", "reason": None}
    await neighbour.poll_at(T0 + HOUR, *make_records(*range(1, 11), n1=frozen, n2=frozen))

    second = await account.poll_at(T0 + 2 * HOUR, *make_records(*range(4, 11)))

    assert (first.removed, second.removed, second.held) == (2, 0, 1)


async def test_returned_numbers_count_once_though_those_of_another_account_are_still_removed(
    neighbours: list[PolledAccount],
) -> None:
    account = neighbours[0]
    for polled in neighbours:
        await polled.poll_at(T0, *make_records(*range(1, 15)))
        await polled.poll_at(T0 + HOUR, *make_records(*range(3, 15)))
    await account.poll_at(T0 + 2 * HOUR, *make_records(*range(1, 15)))

    lost = await account.poll_at(T0 + 3 * HOUR, *make_records(1, 2, *range(4, 15)))

    assert (lost.removed, lost.held) == (0, 1)  # 1 of 14, and 2 before


async def test_numbers_added_to_another_account_since_a_loss_do_not_count(neighbours: list[PolledAccount]) -> None:
    account, neighbour = neighbours
    await account.poll_at(T0, *make_records(*range(1, 11)))
    await account.poll_at(T0 + HOUR, *make_records(*range(4, 11)))
    await neighbour.poll_at(T0 + 2 * HOUR, *make_records(*range(1, 11)))

    fewer = await account.poll_at(T0 + 3 * HOUR, *make_records(*range(3, 11)))

    assert (fewer.removed, fewer.held) == (2, 0)  # 2 of 10


async def test_a_number_added_with_a_loss_counts_though_another_accounts_changed_state_at_the_same_time(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    await account.poll_at(T0, *make_records(*range(1, 10)))
    await neighbour.poll_at(T0, *make_records(10))
    await account.poll_at(T0 + HOUR, *make_records(*range(3, 11)))
    await neighbour.poll_at(T0 + HOUR, *make_records(10, n10={"state": "freeze", "reason": None}))

    again = await account.poll_at(T0 + 2 * HOUR, *make_records(*range(3, 11)))

    assert (again.removed, again.held) == (0, 2)  # 2 of 9


async def test_a_poll_does_not_wait_for_another_account_that_is_locked_and_changed(
    neighbours: list[PolledAccount], sql: asyncpg.Connection
) -> None:
    alone, neighbour = neighbours
    await alone.poll(*make_records(1, 2))
    async with sql.transaction():
        await sql.execute("update syncer.account_fence set observed_at = observed_at where account_id = 1")

        async with asyncio.timeout(15):
            polls = [await neighbour.poll(*make_records(*numbers)) for numbers in ((1, 2), (1, 2), (1,))]

    assert [poll.outcome for poll in polls] == ["applied", "unchanged", "applied"]
