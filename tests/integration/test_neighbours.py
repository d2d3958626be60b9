"""Accounts of one database that have the same ids: each lives as if it were alone."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.builders import PolledAccount, record, redirect, settings_for, without

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.emulator import Emulator

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

COUNTED: Final = (
    *("received", "created", "changed", "unchanged", "removed", "restored", "held", "rejected"),
    *("state_changes", "redirects_opened", "redirects_closed"),
)
TABLES: Final = {
    "virtual_number": "virtual_number_id",
    "virtual_number_history": "virtual_number_id, valid_from",
    "state_history": "virtual_number_id, valid_from",
    "virtual_number_redirect": "virtual_number_id, redirect_number_id, number, valid_from",
    "record_fingerprint": "virtual_number_id",
    "rejected_record": "rejected_record_id",
    "sync_run": "run_id",
    "account": "account_id",
}
# Which run it was is told by its place among the account's.
RUNS: Final = ("run_id", "closed_run_id", "first_run_id", "last_run_id")
ITS_OWN: Final = ("account_id", "name", "created_at", "success_run_id", "applied_run_id", "fingerprints_run_id")


def whole(*numbers: int, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of some numbers, each with a redirect and an extra field; `changed` by `n` and the id."""
    return [
        record(number, from_redirect_numbers=[redirect(90, "74950000090")], note=number) | changed.get(f"n{number}", {})
        for number in numbers
    ]


def life() -> list[tuple[float, list[Any]]]:
    """What an account is answered with, by the hour: all that can befall a number."""
    states: dict[str, dict[str, Any]] = {
        "n2": {"state": "freeze", "reason": "debt"},
        "n3": {"comment": "new"},
        "n4": {"note": "new"},
    }
    broken: dict[str, dict[str, Any]] = {
        "n5": {"number": None},
        "n1": {"from_redirect_numbers": [redirect(91, "74950000091")]},
    }
    rest = (*range(1, 7), 10)
    return [
        (0, whole(*range(1, 11))),
        (1, whole(*range(1, 11), **states, **broken)),
        (2, [dict(reversed(one.items())) for one in whole(*rest, 9, **states)]),
        (3, [*whole(*rest, 9, **states), without(record(7), "from_redirect_numbers")]),
        (4, [*whole(*rest, **states), without(record(7), "from_redirect_numbers")]),
        (5, [*whole(*rest, 11, **states), record(7), record(8, number=None), record(12, number=None)]),
        (6, [*whole(*rest, 11, **states), *map(record, (7, 12, 13, 14))]),
        (29, [*whole(*rest, 11, **states), *map(record, (7, 12, 13)), record(14, number=None)]),
        (30, whole(*range(1, 15))),
    ]


async def live(account: PolledAccount) -> list[tuple[str, dict[str, int]]]:
    """Lives that life, each poll in a process of its own, and tells what each poll came to."""
    told: list[tuple[str, dict[str, int]]] = []
    for hours, records in life():
        account.restart()
        result = await account.poll_at(T0 + hours * HOUR, *records)
        counted = {name: getattr(result, name) for name in COUNTED if getattr(result, name)}
        run = await account.sql.fetchrow("select * from syncer.sync_run where run_id = $1", result.run_id)
        assert run is not None
        assert {name: run[name] for name in COUNTED if run[name]} == counted
        told.append((result.outcome, counted))
    return told


async def rows(account: PolledAccount, table: str) -> list[tuple[str, dict[str, Any]]]:
    """An account's rows of a table, each with the place where it lies, which any change would move."""
    query = f"""
        select t.ctid::text, to_jsonb(t)::text from syncer.{table} t join syncer.account using (account_id)
         where account.name = $1 order by {TABLES[table]}
    """  # noqa: S608 - names from above
    return [(place, json.loads(told)) for place, told in await account.rows(query, account.account.name)]


async def history(account: PolledAccount) -> dict[str, list[dict[str, Any]]]:
    """All rows of an account, without what tells it from another."""
    runs = [row["run_id"] for _, row in await rows(account, "sync_run")]
    return {
        table: [
            {
                name: runs.index(value) if name in RUNS and value is not None else value
                for name, value in row.items()
                if name not in ITS_OWN or (name == "run_id" and table != "account")
            }
            for _, row in await rows(account, table)
        ]
        for table in TABLES
    }


@pytest.fixture
async def neighbours(
    engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection
) -> AsyncIterator[list[PolledAccount]]:
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
    expected, told = await live(alone), await history(alone)
    left = await alone.poll_at(T0 + 31 * HOUR, *whole(1, 2, 3), record(4, number=None), record(13, number=None))
    before = {table: await rows(alone, table) for table in TABLES}

    assert (left.held, left.rejected) == (9, 2)
    assert await live(neighbour) == expected
    assert await history(neighbour) == told
    assert {table: await rows(alone, table) for table in TABLES} == before
    assert {name for _, counted in expected for name in counted} == set(COUNTED)


async def test_a_redirect_that_ended_when_another_accounts_number_was_removed_opens_again(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    for one in neighbours:
        await one.poll_at(T0, *whole(1, 2))
    await account.poll_at(T0 + HOUR, *whole(1, 2, n1={"from_redirect_numbers": []}))
    removal = await neighbour.poll_at(T0 + HOUR, *whole(2), trigger="accept_removals")

    again = await account.poll_at(T0 + 2 * HOUR, *whole(1, 2))

    ended = await account.rows("select distinct valid_to from syncer.virtual_number_redirect where valid_to < now()")
    assert (removal.removed, len(ended)) == (1, 1)
    assert (again.redirects_opened, again.redirects_closed) == (1, 0)


async def test_numbers_removed_when_another_accounts_numbers_changed_state_count_as_missing(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    for one in neighbours:
        await one.poll_at(T0, *whole(*range(1, 11)))
    first = await account.poll_at(T0 + HOUR, *whole(*range(3, 11)))
    frozen = {"state": "freeze", "reason": None}
    await neighbour.poll_at(T0 + HOUR, *whole(*range(1, 11), n1=frozen, n2=frozen))

    second = await account.poll_at(T0 + 2 * HOUR, *whole(*range(4, 11)))

    assert (first.removed, second.removed, second.held) == (2, 0, 1)


async def test_returned_numbers_count_once_though_those_of_another_account_are_still_removed(
    neighbours: list[PolledAccount],
) -> None:
    account = neighbours[0]
    for one in neighbours:
        await one.poll_at(T0, *whole(*range(1, 15)))
        await one.poll_at(T0 + HOUR, *whole(*range(3, 15)))
    await account.poll_at(T0 + 2 * HOUR, *whole(*range(1, 15)))

    lost = await account.poll_at(T0 + 3 * HOUR, *whole(1, 2, *range(4, 15)))

    assert (lost.removed, lost.held) == (0, 1)  # 1 of 14, and 2 before


async def test_numbers_added_to_another_account_since_a_loss_do_not_count(neighbours: list[PolledAccount]) -> None:
    account, neighbour = neighbours
    await account.poll_at(T0, *whole(*range(1, 11)))
    await account.poll_at(T0 + HOUR, *whole(*range(4, 11)))
    await neighbour.poll_at(T0 + 2 * HOUR, *whole(*range(1, 11)))

    fewer = await account.poll_at(T0 + 3 * HOUR, *whole(*range(3, 11)))

    assert (fewer.removed, fewer.held) == (2, 0)  # 2 of 10


async def test_a_number_added_with_a_loss_counts_though_another_accounts_changed_state_at_the_same_time(
    neighbours: list[PolledAccount],
) -> None:
    account, neighbour = neighbours
    await account.poll_at(T0, *whole(*range(1, 10)))
    await neighbour.poll_at(T0, *whole(10))
    await account.poll_at(T0 + HOUR, *whole(*range(3, 11)))
    await neighbour.poll_at(T0 + HOUR, *whole(10, n10={"state": "freeze", "reason": None}))

    again = await account.poll_at(T0 + 2 * HOUR, *whole(*range(3, 11)))

    assert (again.removed, again.held) == (0, 2)  # 2 of 9
