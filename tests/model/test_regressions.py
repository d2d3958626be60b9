"""Bugs that the model found, each in as few polls as possible, with the sentence of the contract that was violated."""

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


# If a key is missing, the last known value stays. The poll ended with a KeyError of the region's name and without a
# result, and so did every poll after it.
async def test_a_changed_record_without_its_region_keeps_the_stored_region(account: PolledAccount) -> None:
    await account.poll(record(1))

    result = await account.poll(without(record(1, comment="new"), "region_name"))

    assert (result.outcome, result.changed) == ("applied", 1)
    assert await account.row(
        "select comment, r.name from syncer.virtual_number join syncer.region r using (region_id)"
    ) == (
        "new",
        "регион Москва",
    )


async def test_a_number_restored_without_its_region_keeps_the_stored_region(account: PolledAccount) -> None:
    await account.poll(record(1))
    await account.poll(trigger="accept_removals")

    result = await account.poll(without(record(1), "region_name"))

    assert (result.outcome, result.restored) == ("applied", 1)
    assert await account.row("select r.name from syncer.virtual_number join syncer.region r using (region_id)") == (
        "регион Москва",
    )


# Invariant 6: polling the same response again changes nothing, and writes only the rows of the run and the account.
async def test_numbers_created_together_with_a_loss_do_not_release_it_at_a_replay(account: PolledAccount) -> None:
    await account.poll(*records(1))

    held = await account.poll(*records(2, 3, 4, 5, 6))
    replayed = await account.poll(*records(2, 3, 4, 5, 6))

    assert (held.held, held.removed) == (1, 0)
    assert (replayed.outcome, replayed.held, replayed.removed) == ("unchanged", 1, 0)


async def test_numbers_restored_together_with_a_loss_do_not_release_it_at_a_replay(account: PolledAccount) -> None:
    await account.poll_at(T0, *records(*range(1, 11)))
    removed = await account.poll_at(T0 + HOUR, *records(*range(3, 11)))

    held = await account.poll_at(T0 + 2 * HOUR, *records(*range(1, 10)))
    replayed = await account.poll_at(T0 + 2 * HOUR, *records(*range(1, 10)))

    assert removed.removed == 2
    assert (held.restored, held.held, held.removed) == (2, 1, 0)
    assert (replayed.outcome, replayed.held, replayed.removed) == ("unchanged", 1, 0)


async def test_removals_past_the_hold_time_do_not_release_the_others_at_a_replay(account: PolledAccount) -> None:
    await account.poll_at(T0, *records(*range(1, 11)))
    await account.poll_at(T0 + HOUR, *records(*range(1, 7)))
    await account.poll_at(T0 + 24 * HOUR, *records(*range(1, 6)))

    waited = await account.poll_at(T0 + 25 * HOUR + HOUR / 60, *records(*range(1, 6)))
    replayed = await account.poll_at(T0 + 25 * HOUR + HOUR / 60, *records(*range(1, 6)))

    assert waited.removed + waited.held == 5
    assert (replayed.outcome, replayed.held) == ("unchanged", waited.held)


async def test_a_number_that_appears_and_disappears_after_a_loss_does_not_change_a_replay(
    account: PolledAccount,
) -> None:
    await account.poll(*records(*range(1, 10)))
    held = await account.poll(*records(*range(3, 13)))

    result = await account.poll(*records(*range(2, 10), 11, 12))
    replayed = await account.poll(*records(*range(2, 10), 11, 12))

    assert (held.created, held.removed, held.held) == (3, 0, 2)
    # Number 1 of the 9 that were listed, and number 10, which was added later: 2 of 10.
    assert (result.removed, result.held) == (2, 0)
    assert (replayed.outcome, replayed.removed, replayed.held) == ("unchanged", 0, 0)


# A response in which records have an `app_id`, but none has the account's, fails.
async def test_a_response_of_known_records_that_all_have_another_app_id_fails(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), record(2), record(3, app_id=7))

    result = await account.poll(record(3, app_id=7))

    assert (result.outcome, result.error_kind) == ("failed", "wrong_account")


# `numbers_as_of` returns `numbers` as history has it at that time. For a number that is missing now, it returned when
# its record was last read, although that was after that time.
async def test_numbers_as_of_a_time_shows_nothing_that_was_read_later(account: PolledAccount) -> None:
    as_of = "select last_read_at, missing_since from analytics.numbers_as_of($1)"
    await account.poll_at(T0, *records(1))
    await account.poll_at(T0 + 2 * HOUR, *records(1))
    await account.poll_at(T0 + 3 * HOUR)

    assert await account.row(as_of, T0 + HOUR) == (None, None)
    assert await account.row(as_of, T0 + 3 * HOUR + TICK) == (T0 + 2 * HOUR, T0 + 3 * HOUR + TICK)


# A transaction's `now()` is the time when it began. A tool may keep one open for hours and see newer changes, whose
# `duration_seconds` and `lag_seconds` were negative.
async def test_durations_of_changes_newer_than_the_transaction_are_not_negative(
    account: PolledAccount,
) -> None:
    async with account.sql.transaction():
        await account.sql.execute("select")
        await account.poll(record(1, from_redirect_numbers=[redirect(2, "79000000002")]))

        lasted = "select duration_seconds from analytics."
        assert await account.rows(f"{lasted}state_history union all {lasted}redirects") == [(0,), (0,)]
        assert await account.row("select lag_seconds from analytics.freshness") == (0,)


# `greatest` ignores nulls: an account without a successful poll had a lag of 0.
async def test_an_account_without_a_successful_poll_has_no_lag(account: PolledAccount) -> None:
    await account.poll_body(b"[")

    assert await account.row("select last_success_at, lag_seconds from analytics.freshness") == (None, None)
