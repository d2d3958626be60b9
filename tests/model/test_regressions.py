"""What the model found, each fault in the fewest polls that show it, with the contract's sentence that it broke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import record, redirect, without

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.builders import PolledAccount

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
async def every_invariant_holds_at_the_end(account: PolledAccount) -> AsyncIterator[None]:
    yield
    assert await account.broken_invariants() == []


def records(*numbers: int) -> list[dict[str, Any]]:
    return [record(number) for number in numbers]


# "A key that is absent was not told: the last known value stays." The poll ended in a KeyError of the region's name,
# without a result, and so did every one after it.
async def test_a_record_that_changes_without_telling_its_region_keeps_the_region(account: PolledAccount) -> None:
    await account.poll(record(1))

    result = await account.poll(without(record(1, comment="new"), "region_name"))

    assert (result.outcome, result.changed) == ("applied", 1)
    assert await account.row(
        "select comment, r.name from syncer.virtual_number join syncer.region r using (region_id)"
    ) == (
        "new",
        "регион Москва",
    )


async def test_a_removed_number_that_returns_without_its_region_has_the_region_it_had(account: PolledAccount) -> None:
    await account.poll(record(1))
    await account.poll(trigger="accept_removals")

    result = await account.poll(without(record(1), "region_name"))

    assert (result.outcome, result.restored) == ("applied", 1)
    assert await account.row("select r.name from syncer.virtual_number join syncer.region r using (region_id)") == (
        "регион Москва",
    )


# Invariant 6: "Replaying the same response changes nothing and writes no row but its run and its account's."
async def test_numbers_that_come_with_a_loss_do_not_make_its_replay_believable(account: PolledAccount) -> None:
    await account.poll(*records(1))

    held = await account.poll(*records(2, 3, 4, 5, 6))
    replayed = await account.poll(*records(2, 3, 4, 5, 6))

    assert (held.held, held.removed) == (1, 0)
    assert (replayed.outcome, replayed.held, replayed.removed) == ("unchanged", 1, 0)


async def test_numbers_that_return_with_a_loss_do_not_make_its_replay_believable(account: PolledAccount) -> None:
    await account.poll_at(T0, *records(*range(1, 11)))
    removed = await account.poll_at(T0 + HOUR, *records(*range(3, 11)))

    held = await account.poll_at(T0 + 2 * HOUR, *records(*range(1, 10)))
    replayed = await account.poll_at(T0 + 2 * HOUR, *records(*range(1, 10)))

    assert removed.removed == 2
    assert (held.restored, held.held, held.removed) == (2, 1, 0)
    assert (replayed.outcome, replayed.held, replayed.removed) == ("unchanged", 1, 0)


async def test_those_that_have_waited_do_not_make_the_replay_remove_the_others(account: PolledAccount) -> None:
    await account.poll_at(T0, *records(*range(1, 11)))
    await account.poll_at(T0 + HOUR, *records(*range(1, 7)))
    await account.poll_at(T0 + 24 * HOUR, *records(*range(1, 6)))

    waited = await account.poll_at(T0 + 25 * HOUR + HOUR / 60, *records(*range(1, 6)))
    replayed = await account.poll_at(T0 + 25 * HOUR + HOUR / 60, *records(*range(1, 6)))

    assert waited.removed + waited.held == 5
    assert (replayed.outcome, replayed.held) == ("unchanged", waited.held)


async def test_a_number_that_comes_and_goes_after_a_loss_does_not_make_its_replay_believable(
    account: PolledAccount,
) -> None:
    await account.poll(*records(*range(1, 10)))
    held = await account.poll(*records(*range(3, 13)))

    result = await account.poll(*records(*range(2, 10), 11, 12))
    replayed = await account.poll(*records(*range(2, 10), 11, 12))

    assert (held.created, held.removed, held.held) == (3, 0, 2)
    # Number 1 of the 9 that were listed, and number 10 that came later: 2 of 10.
    assert (result.removed, result.held) == (2, 0)
    assert (replayed.outcome, replayed.removed, replayed.held) == ("unchanged", 0, 0)


# `account.app_id`: "a response in which records carry an `app_id` and none of them this one is refused".
async def test_a_response_of_records_that_stand_and_carry_another_app_id_alone_is_refused(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), record(2), record(3, app_id=7))

    result = await account.poll(record(3, app_id=7))

    assert (result.outcome, result.error_kind) == ("failed", "wrong_account")


# `numbers_as_of` "returns `numbers` as history has it at that moment". Of a number that is missing now it told when its
# record was read last, although that was after the moment.
async def test_the_past_does_not_tell_of_what_was_read_after_it(account: PolledAccount) -> None:
    as_of = "select last_read_at, missing_since from analytics.numbers_as_of($1)"
    await account.poll_at(T0, *records(1))
    await account.poll_at(T0 + 2 * HOUR, *records(1))
    await account.poll_at(T0 + 3 * HOUR)

    assert await account.row(as_of, T0 + HOUR) == (None, None)
    assert await account.row(as_of, T0 + 4 * HOUR) == (T0 + 2 * HOUR, T0 + 3 * HOUR + TICK)


# `duration_seconds` and `lag_seconds` are how long something has lasted. A transaction's `now()` is when it began, and
# what a tool has open for hours sees changes that are younger: they lasted less than nothing.
async def test_what_is_younger_than_the_transaction_that_looks_has_not_lasted_less_than_nothing(
    account: PolledAccount,
) -> None:
    async with account.sql.transaction():
        await account.sql.execute("select")
        await account.poll(record(1, from_redirect_numbers=[redirect(2, "79000000002")]))

        lasted = "select duration_seconds from analytics."
        assert await account.rows(f"{lasted}state_history union all {lasted}redirects") == [(0,), (0,)]
        assert await account.row("select lag_seconds from analytics.freshness") == (0,)


# `greatest` passes over nulls: an account that was never read successfully had a lag of 0.
async def test_an_account_that_was_never_read_has_no_lag(account: PolledAccount) -> None:
    await account.poll_body(b"[")

    assert await account.row("select last_success_at, lag_seconds from analytics.freshness") == (None, None)
