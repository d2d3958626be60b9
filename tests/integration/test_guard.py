"""How much absence is believed, at once and in time: small accounts, with what must come of it worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import faults
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncer.emulator import Emulator
    from syncer.outcome import PollResult, Trigger

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)

REMOVED = """
select virtual_number_id, removed_at from syncer.virtual_number where removed_at is not null
 order by virtual_number_id
"""
HELD = """
select virtual_number_id, missing_since from syncer.virtual_number
 where missing_since is not null and removed_at is null order by virtual_number_id
"""
CLOSED = """
select virtual_number_id, valid_to, closed_after from syncer.state_history where valid_to is not null
 order by virtual_number_id, valid_to
"""
ALL_BUT_RUNS = """
select 'number', to_jsonb(n)::text from syncer.virtual_number n
 union all select 'version', to_jsonb(h)::text from syncer.virtual_number_history h
 union all select 'state', to_jsonb(s)::text from syncer.state_history s
 union all select 'redirect', to_jsonb(r)::text from syncer.virtual_number_redirect r
 union all select 'rejected', to_jsonb(j)::text from syncer.rejected_record j
 order by 1, 2
"""


def at(hours: float) -> datetime:
    """When a poll begins, in hours after the first one."""
    return T0 + hours * HOUR


def seen(hours: float) -> datetime:
    """When a poll that began then records what it saw: a tick later."""
    return at(hours) + TICK


def some(*keys: int) -> list[dict[str, Any]]:
    """A record of each of these numbers."""
    return [record(key) for key in keys]


def listed(first: int, last: int) -> list[dict[str, Any]]:
    """The records of the numbers from the first to the last."""
    return some(*range(first, last + 1))


def came_of(result: PollResult) -> tuple[str, int, int]:
    """The outcome, how many removals were applied, and how many are held."""
    return result.outcome, result.removed, result.held


class AccountScenario:
    """An account that is polled so many hours after the beginning, with these numbers listed."""

    def __init__(self, account: PolledAccount, *, restarts: bool = False) -> None:
        self.account = account
        self._restarts = restarts

    async def poll(
        self, hours: float, records: Iterable[Any], *, trigger: Trigger = "schedule"
    ) -> tuple[str, int, int]:
        if self._restarts:
            self.account.forget()
        return came_of(await self.account.poll_at(at(hours), *records, trigger=trigger))

    async def fail(self, hours: float) -> tuple[str, int, int]:
        self.account.emulator.fault = faults.Status(status=503)
        await self.account.set_clock(at(hours))
        return came_of(await self.account.poll_again())

    async def removed(self) -> list[tuple[Any, ...]]:
        return await self.account.rows(REMOVED)

    async def held(self) -> list[tuple[Any, ...]]:
        return await self.account.rows(HELD)


@pytest.fixture(params=["one process", "a new process every poll"])
def told(account: PolledAccount, request: pytest.FixtureRequest) -> AccountScenario:
    return AccountScenario(account, restarts=request.param != "one process")


@pytest.fixture
async def half(engine: AsyncEngine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[AccountScenario]:
    """An account of which half the numbers may go at once."""
    settings = settings_for(emulator, removal_guard_ratio=0.5)
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield AccountScenario(polled)
        assert await polled.broken_invariants() == []


@pytest.fixture(autouse=True)
async def every_invariant_holds_at_the_end(account: PolledAccount) -> object:
    yield
    assert await account.broken_invariants() == []


# Which share is believed


@pytest.mark.parametrize(
    ("numbers", "missing", "believed"),
    [
        (1, 1, False),  # all of it
        (2, 1, False),  # 50 %
        (2, 2, False),
        (4, 1, False),  # 25 %
        (5, 1, True),  # 20 %: exactly the share is not more than it
        (10, 1, True),
        (10, 2, True),  # 20 %
        (10, 3, False),  # 30 %
        (10, 10, False),
        (11, 2, True),
        (14, 3, False),  # 21.4 %
        (15, 3, True),  # 20 %
    ],
)
async def test_up_to_a_fifth_of_the_numbers_may_go_at_once(
    account: PolledAccount, numbers: int, missing: int, believed: bool
) -> None:
    told = AccountScenario(account)
    other = some(900) if numbers == missing else []  # so that the list is not empty; it was never listed before
    await told.poll(0, listed(1, numbers))

    result = await told.poll(1, listed(missing + 1, numbers) + other)

    assert result == (("applied", missing, 0) if believed else ("applied", 0, missing))
    gone = [(key, seen(1)) for key in range(1, missing + 1)]
    assert (await told.removed(), await told.held()) == ((gone, []) if believed else ([], gone))


async def test_of_a_hundred_thousand_numbers_twenty_thousand_may_go_at_once_and_no_more(
    account: PolledAccount,
) -> None:
    def body(first: int) -> bytes:
        return b"[%b]" % b",".join(
            b'{"id":%d,"number":"7%010d","state":"active"}' % (key, key) for key in range(first, 100_001)
        )

    await account.set_clock(at(0))
    await account.poll_body(body(1))
    await account.set_clock(at(1))
    above = await account.poll_body(body(20_002))
    await account.set_clock(at(2))
    exactly = await account.poll_body(body(20_001))
    await account.set_clock(at(3))
    one_more = await account.poll_body(body(20_002))

    assert came_of(above) == ("applied", 0, 20_001)
    assert came_of(exactly) == ("applied", 20_000, 0)
    assert came_of(one_more) == ("applied", 0, 1)  # the 20,000 were removed within the hold time: 20,001 of 100,000
    assert await account.rows(
        "select removed_at, count(*), max(virtual_number_id) from syncer.virtual_number group by 1 order by 1"
    ) == [(seen(1), 20_000, 20_000), (None, 80_000, 100_000)]


async def test_numbers_that_came_are_part_of_what_was_listed_from_the_next_poll_on(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 9))
    assert await told.poll(1, listed(2, 9)) == ("applied", 1, 0)  # 1 of 9
    assert await told.poll(2, listed(2, 10)) == ("applied", 0, 0)
    assert await told.poll(3, listed(3, 10)) == ("applied", 1, 0)  # 2 of 9 listed and 1 removed


async def test_numbers_that_come_with_a_loss_do_not_make_it_believable(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))

    assert await told.poll(1, listed(4, 40)) == ("applied", 0, 3)  # 3 of the 10 that were listed, not of 40
    assert await told.poll(2, listed(4, 80)) == ("applied", 0, 3)
    assert await told.poll(25, listed(4, 80)) == ("applied", 3, 0)


# Losses that trickle


async def test_losses_within_the_hold_time_count_together(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(2, 10)) == ("applied", 1, 0)  # 1 of 10
    assert await told.poll(2, listed(3, 10)) == ("applied", 1, 0)  # 1 of 9, and 1 before: 2 of 10
    assert await told.poll(3, listed(4, 10)) == ("applied", 0, 1)  # 3 of 10
    assert await told.poll(4, listed(5, 10)) == ("applied", 0, 2)  # 4 of 10
    assert await told.poll(25 - 1e-9, listed(5, 10)) == ("unchanged", 0, 2)
    # The first removal is 24 hours ago and counts no longer: 2 held, 1 removed, of 8 listed and 1 removed.
    assert await told.poll(25, listed(5, 10)) == ("unchanged", 0, 2)
    assert await told.poll(26, listed(5, 10)) == ("unchanged", 0, 2)  # 2 of 8
    # The third has been missing for 24 hours; without it the fourth is 1 of 7.
    assert await told.poll(27, listed(5, 10)) == ("applied", 2, 0)
    assert await told.removed() == [(1, seen(1)), (2, seen(2)), (3, seen(3)), (4, seen(4))]


async def test_a_change_of_state_in_a_poll_that_removes_is_no_loss_and_hides_none(told: AccountScenario) -> None:
    frozen = [record(key, state="freeze") for key in (2, 3, 4)]
    await told.poll(0, listed(1, 15))
    assert await told.poll(1, [*frozen, *listed(5, 15)]) == ("applied", 1, 0)  # 1 of 15
    assert await told.poll(2, [*listed(2, 4), *listed(7, 15)]) == ("applied", 2, 0)  # 2 of 14, and 1 before
    assert await told.poll(3, [*listed(2, 4), *listed(8, 15)]) == ("applied", 0, 1)  # 1 of 12, and 3 before


async def test_losses_further_apart_than_the_hold_time_count_alone(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 8))
    for gone in (1, 2, 3, 4):  # 1 of 8, of 7, of 6, of 5
        assert await told.poll(24 * gone, listed(gone + 1, 8)) == ("applied", 1, 0)
    assert await told.poll(24 * 5, listed(6, 8)) == ("applied", 0, 1)  # 1 of 4
    assert await told.poll(24 * 6, listed(6, 8)) == ("applied", 1, 0)
    assert await told.removed() == [(gone, seen(24 * gone)) for gone in (1, 2, 3, 4, 5)]


async def test_a_loss_a_tick_before_the_hold_time_is_over_counts_with_the_one_before(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 5))
    assert await told.poll(1, listed(2, 5)) == ("applied", 1, 0)  # 1 of 5
    await told.account.set_clock(at(25) - TICK)
    assert came_of(await told.account.poll(*listed(3, 5))) == ("applied", 0, 1)  # 2 of 5
    # 1 of 4, and nothing was removed lately: still held.
    assert await told.poll(25, listed(3, 5)) == ("unchanged", 0, 1)


async def test_a_list_that_shrinks_by_one_every_poll_loses_a_fifth_a_day(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 20))
    for gone in range(1, 13):
        await told.poll(gone, listed(gone + 1, 20))
    assert await told.removed() == [(gone, seen(gone)) for gone in (1, 2, 3, 4)]
    assert await told.held() == [(gone, seen(gone)) for gone in range(5, 13)]


async def test_what_was_held_is_removed_as_soon_as_enough_of_it_has_returned(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(5, 10)) == ("applied", 0, 4)

    assert await told.poll(2, listed(4, 10)) == ("applied", 0, 3)
    assert await told.poll(3, listed(3, 10)) == ("applied", 2, 0)
    assert await told.removed() == [(1, seen(1)), (2, seen(1))]
    assert await told.held() == []


async def test_a_removal_that_was_held_at_first_counts_from_when_the_number_was_missed(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(4, 10)) == ("applied", 0, 3)
    assert await told.poll(2, listed(3, 10)) == ("applied", 2, 0)
    await told.account.set_clock(at(25) - TICK)
    assert came_of(await told.account.poll(*listed(4, 10))) == ("applied", 0, 1)  # 1 of 8, and 2 missed lately
    assert await told.poll(25, listed(4, 10)) == ("applied", 1, 0)  # 1 of 8


async def test_a_change_of_state_after_a_loss_does_not_make_it_less_believable(told: AccountScenario) -> None:
    frozen = [record(key, state="freeze") for key in range(4, 11)]
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(4, 10)) == ("applied", 0, 3)
    assert await told.poll(2, [*frozen, record(11)]) == ("applied", 0, 3)
    assert await told.poll(3, [record(3), *frozen, record(11)]) == ("applied", 2, 0)  # 2 of 10


async def test_what_was_removed_counts_for_its_time_though_it_has_returned(told: AccountScenario) -> None:
    """A vendor whose answers lack other numbers every time is believed once, not time after time."""
    everything = range(1, 11)
    await told.poll(0, some(*everything))
    assert await told.poll(1, some(*(key for key in everything if key not in {1, 2}))) == ("applied", 2, 0)  # 2 of 10
    for hours, missing in enumerate(((3, 4), (5, 6), (7, 8), (9, 10), (3, 4)), start=2):
        # 2 are missing, and 2 were removed an hour or more ago.
        assert (await told.poll(hours, some(*(key for key in everything if key not in missing))))[1:] == (0, 2)
    assert await told.poll(7, some(*everything)) == ("applied", 0, 0)
    assert await told.account.rows(CLOSED) == [(1, seen(1), T0), (2, seen(1), T0)]


async def test_a_number_that_goes_twice_within_the_hold_time_is_one_loss(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 5))
    assert await told.poll(1, listed(2, 5)) == ("applied", 1, 0)  # 1 of 5
    assert await told.poll(2, listed(1, 5)) == ("applied", 0, 0)
    assert await told.poll(3, listed(2, 5)) == ("applied", 1, 0)  # the same 1 of 5
    assert await told.account.rows(CLOSED) == [(1, seen(1), T0), (1, seen(3), at(2))]


async def test_who_has_returned_is_counted_once_among_those_listed(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(3, 10)) == ("applied", 2, 0)  # 2 of 10
    assert await told.poll(2, listed(1, 10)) == ("applied", 0, 0)
    assert await told.poll(3, listed(1, 9)) == ("applied", 0, 1)  # 3 of 10, not of 12


# Held, and what happens meanwhile


async def test_all_else_is_applied_while_removals_are_held(told: AccountScenario) -> None:
    first = record(1, from_redirect_numbers=[redirect(90, "74950000090")])
    await told.poll(0, [first, *listed(2, 10)])

    result = await told.account.poll_at(
        at(1),
        record(1, from_redirect_numbers=[redirect(91, "74950000091")]),
        record(2, state="debt_lock", reason="долг"),
        record(3, comment="new"),
        record(11),
        record(12, number=None),
    )

    assert (result.outcome, result.held, result.removed) == ("applied", 7, 0)
    assert (result.created, result.changed, result.state_changes, result.rejected) == (1, 3, 1, 1)
    assert (result.redirects_opened, result.redirects_closed) == (1, 1)
    assert await told.account.rows(
        "select virtual_number_id, state, changed_after from syncer.state_history where valid_from = $1 order by 1",
        seen(1),
    ) == [(2, "debt_lock", T0), (11, "active", T0)]

    later = await told.account.poll_at(
        at(2), first, record(2), record(3), record(11, state="freeze"), record(4, state="freeze")
    )

    # Number 4 is back, last read by the first poll; 5 to 10 stay held.
    assert (later.outcome, later.held, later.changed, later.state_changes, later.rejected) == ("applied", 6, 5, 3, 0)
    assert await told.held() == [(key, seen(1)) for key in range(5, 11)]
    assert await told.account.rows(
        "select virtual_number_id, state, changed_after from syncer.state_history where valid_from = $1 order by 1",
        seen(2),
    ) == [(2, "active", at(1)), (4, "freeze", T0), (11, "freeze", at(1))]


async def test_held_numbers_that_return_leave_no_trace(told: AccountScenario) -> None:
    everything = [record(1, from_redirect_numbers=[redirect(90, "74950000090")]), *listed(2, 4)]
    await told.poll(0, everything)
    before = await told.account.rows(ALL_BUT_RUNS)

    for hours in (1, 2, 23.9, 24.9):
        assert (await told.poll(hours, some(4)))[1:] == (0, 3)
    assert await told.poll(25.5, everything) == ("applied", 0, 0)
    assert await told.account.rows(ALL_BUT_RUNS) == before
    assert await told.poll(48.9, some(4)) == ("applied", 0, 3)  # their time begins anew
    assert await told.poll(49.9, some(4)) == ("unchanged", 0, 3)


async def test_a_held_number_is_removed_exactly_at_the_hold_time_and_dated_at_the_first_miss(
    told: AccountScenario,
) -> None:
    first = record(1, from_redirect_numbers=[redirect(90, "74950000090")])
    await told.poll(0, [first, *listed(2, 4)])
    await told.poll(1, [first, *listed(2, 4)])
    assert await told.poll(2, some(2, 3, 4)) == ("applied", 0, 1)
    await told.account.set_clock(at(26) - TICK)
    assert came_of(await told.account.poll(*some(2, 3, 4))) == ("unchanged", 0, 1)

    result = await told.account.poll_at(at(26), *some(2, 3, 4))

    assert (came_of(result), result.redirects_closed) == (("applied", 1, 0), 1)
    assert await told.account.rows(CLOSED) == [(1, seen(2), at(1))]
    assert await told.account.row(
        "select last_read_at, missing_since, removed_at from syncer.virtual_number where virtual_number_id = 1"
    ) == (at(1), seen(2), seen(2))
    assert await told.account.row(
        "select valid_to, closed_after, closed_run_id from syncer.virtual_number_redirect"
    ) == (seen(2), at(1), result.run_id)


async def test_each_number_has_a_time_of_its_own(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 4))
    assert await told.poll(1, listed(2, 4)) == ("applied", 0, 1)
    assert await told.poll(2, listed(3, 4)) == ("applied", 0, 2)
    assert await told.poll(25, listed(3, 4)) == ("applied", 1, 1)
    assert await told.poll(26, listed(3, 4)) == ("applied", 1, 0)
    assert await told.removed() == [(1, seen(1)), (2, seen(2))]


async def test_failed_polls_between_neither_count_nor_reset(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 4))
    for hours in (1, 1.2, 1.4):
        assert await told.fail(hours) == ("failed", 0, 0)
    assert await told.poll(2, some(4)) == ("applied", 0, 3)  # the time begins here, not where polls failed
    for hours in (3, 10, 25):
        assert await told.fail(hours) == ("failed", 0, 0)
    assert await told.poll(25.9, some(4)) == ("unchanged", 0, 3)
    assert await told.fail(27) == ("failed", 0, 0)  # the hold time is over, but nobody saw them missing
    assert await told.removed() == []
    assert await told.poll(28, some(4)) == ("applied", 3, 0)
    assert await told.account.rows(CLOSED) == [(key, seen(2), T0) for key in (1, 2, 3)]


async def test_a_loss_first_seen_after_a_long_outage_is_held_for_the_whole_time(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 4))
    for hours in range(1, 72, 10):
        await told.fail(hours)
    assert await told.poll(72, some(4)) == ("applied", 0, 3)
    assert await told.poll(95, some(4)) == ("unchanged", 0, 3)
    assert await told.poll(96, some(4)) == ("applied", 3, 0)


async def test_a_number_whose_record_is_rejected_is_not_missing_and_its_time_begins_when_it_is_not_listed(
    told: AccountScenario,
) -> None:
    await told.poll(0, listed(1, 4))
    for hours in (1, 20, 40):
        assert (await told.poll(hours, [record(1, number=None), *listed(2, 4)]))[1:] == (0, 0)
    assert await told.poll(41, listed(2, 4)) == ("applied", 0, 1)
    assert await told.poll(64, listed(2, 4)) == ("unchanged", 0, 1)
    assert await told.poll(65, listed(2, 4)) == ("applied", 1, 0)
    assert await told.account.rows(CLOSED) == [(1, seen(41), T0)]


async def test_a_held_number_that_returns_rejected_is_no_longer_missing(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 4))
    assert await told.poll(1, listed(2, 4)) == ("applied", 0, 1)
    assert await told.poll(24, [record(1, state=None), *listed(2, 4)]) == ("applied", 0, 0)
    assert await told.poll(25, listed(2, 4)) == ("applied", 0, 1)
    assert await told.held() == [(1, seen(25))]


# What an operator accepts


async def test_what_an_operator_accepted_does_not_count_against_later_losses(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(6, 10)) == ("applied", 0, 5)
    assert await told.poll(2, listed(6, 10), trigger="accept_removals") == ("applied", 5, 0)

    assert await told.poll(3, listed(7, 10)) == ("applied", 1, 0)  # 1 of 5; with the accepted ones 6 of 10
    assert await told.poll(4, listed(8, 10)) == ("applied", 0, 1)  # 2 of 5
    assert await told.removed() == [*((key, seen(1)) for key in range(1, 6)), (6, seen(3))]


async def test_what_an_operator_accepted_does_not_count_beside_what_was_removed_since(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 20))
    assert await told.poll(1, listed(6, 20), trigger="accept_removals") == ("applied", 5, 0)
    assert await told.poll(2, listed(7, 20)) == ("applied", 1, 0)  # 1 of 15
    assert await told.poll(3, listed(8, 20)) == ("applied", 1, 0)  # 1 of 14, and 1 before; with the accepted ones 7


async def test_an_operators_word_is_for_one_poll(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(2, 10), trigger="accept_removals") == ("applied", 1, 0)
    assert await told.poll(2, listed(6, 10)) == ("applied", 0, 4)


# The empty list


@pytest.mark.parametrize("numbers", [1, 2, 10])
async def test_an_empty_list_removes_nobody_in_a_thousand_hours(told: AccountScenario, numbers: int) -> None:
    everything = listed(1, numbers)
    await told.poll(0, everything)
    before = await told.account.rows(ALL_BUT_RUNS)

    assert await told.poll(1, []) == ("applied", 0, numbers)
    for hours in range(25, 1001, 25):
        assert await told.poll(hours, []) == ("unchanged", 0, numbers)
    assert await told.poll(1001, everything) == ("applied", 0, 0)
    assert await told.account.rows(ALL_BUT_RUNS) == before


async def test_after_an_empty_list_those_that_stay_missing_have_been_missing_since_it(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, []) == ("applied", 0, 10)
    assert await told.poll(24, listed(6, 10)) == ("applied", 0, 5)
    assert await told.poll(25, listed(6, 10)) == ("applied", 5, 0)
    assert await told.removed() == [(key, seen(1)) for key in range(1, 6)]


# An element whose id cannot be read


async def test_an_id_that_cannot_be_read_holds_even_accepted_removals_and_their_time_starts(
    told: AccountScenario,
) -> None:
    unreadable = record(99) | {"id": "ninety-nine"}
    await told.poll(0, listed(1, 10))

    assert await told.poll(1, [unreadable, *listed(2, 10)], trigger="accept_removals") == ("applied", 0, 1)
    assert await told.poll(26, [unreadable, *listed(2, 10)]) == ("unchanged", 0, 1)  # though its time is over
    assert await told.held() == [(1, seen(1))]
    assert await told.poll(27, listed(2, 10)) == ("applied", 1, 0)
    assert await told.removed() == [(1, seen(1))]


async def test_removals_beyond_the_share_go_when_their_time_is_over_though_an_id_could_not_be_read_at_first(
    told: AccountScenario,
) -> None:
    await told.poll(0, listed(1, 4))
    assert await told.poll(1, ["?", *listed(4, 4)]) == ("applied", 0, 3)
    assert await told.poll(2, listed(4, 4)) == ("applied", 0, 3)
    assert await told.poll(25, listed(4, 4)) == ("applied", 3, 0)
    assert await told.removed() == [(key, seen(1)) for key in (1, 2, 3)]


# The same response again


REPLAYED: dict[str, tuple[list[list[Any]], list[Any]]] = {
    "a loss within the share": ([listed(1, 10)], listed(3, 10)),
    "a loss beyond the share": ([listed(1, 10)], listed(4, 10)),
    "a loss beyond the share, with many new numbers": ([listed(1, 10)], listed(4, 100)),
    "a second loss, beyond the share": ([listed(1, 10), listed(3, 10)], listed(4, 10)),
    "a second loss with many new numbers": ([listed(1, 10), listed(3, 10)], listed(4, 100)),
    "new numbers, and a second loss among the older ones": ([listed(1, 10), listed(4, 40)], listed(6, 80)),
    "new numbers that are lost again": ([listed(1, 10), listed(4, 40)], listed(4, 10)),
    "a number returns, another goes": ([listed(1, 10), listed(3, 10)], some(1, *range(4, 11))),
    "all that was removed returns, another goes": ([listed(1, 10), listed(3, 10)], some(1, 2, *range(4, 11))),
    "all that was held returns, another goes": ([listed(1, 4), listed(3, 4)], some(1, 2, 4)),
    "an empty list": ([listed(1, 4)], []),
    "an empty list after a loss": ([listed(1, 10), listed(3, 10)], []),
    "an id that cannot be read": ([listed(1, 10)], ["?", *listed(2, 10)]),
    "a rejected record": ([listed(1, 10)], [record(1, state=1), *listed(5, 10)]),
}


@pytest.mark.parametrize("case", REPLAYED)
async def test_a_response_polled_again_right_away_changes_nothing(told: AccountScenario, case: str) -> None:
    before, response = REPLAYED[case]
    for hours, records in enumerate(before):
        await told.poll(hours, records)
    first = await told.poll(5, response)
    stored = await told.account.rows(ALL_BUT_RUNS)

    for later in (5, 5.1, 6):
        assert await told.poll(later, response) == ("unchanged", 0, first[2])
    assert await told.poll(7, reversed(response)) == ("unchanged", 0, first[2])
    assert await told.account.rows(ALL_BUT_RUNS) == stored


async def test_numbers_that_return_with_a_loss_do_not_make_it_believable_when_polled_again(
    half: AccountScenario,
) -> None:
    """The two that return were removed lately, and so part of what made the loss unbelievable: 3 of 4."""
    await half.poll(0, listed(1, 4))
    assert await half.poll(1, some(1, 2)) == ("applied", 2, 0)  # 2 of 4
    assert await half.poll(2, some(2, 3, 4)) == ("applied", 0, 1)  # 1 missing and 2 removed, of 2 and 2
    assert await half.poll(2.1, some(2, 3, 4)) == ("unchanged", 0, 1)


async def test_of_a_hundred_numbers_a_loss_stays_held_though_others_returned_with_it(told: AccountScenario) -> None:
    await told.poll(0, listed(1, 100))
    assert await told.poll(1, listed(21, 100)) == ("applied", 20, 0)  # 20 of 100
    returned = some(*range(1, 11), *range(22, 101))  # 1 to 10 are back, 21 has gone
    assert await told.poll(2, returned) == ("applied", 0, 1)  # 21 of 100
    assert await told.poll(2.1, returned) == ("unchanged", 0, 1)


async def test_a_number_that_an_operator_had_removed_and_that_returns_with_a_loss_does_not_make_it_believable(
    told: AccountScenario,
) -> None:
    await told.poll(0, listed(1, 10))
    assert await told.poll(1, listed(2, 10), trigger="accept_removals") == ("applied", 1, 0)
    assert await told.poll(2, some(1, *range(4, 11))) == ("applied", 0, 2)  # 2 of 9
    assert await told.poll(2.1, some(1, *range(4, 11))) == ("unchanged", 0, 2)


async def test_what_came_before_a_loss_was_listed_before_it_though_the_clock_went_back(told: AccountScenario) -> None:
    await told.account.poll(*listed(1, 10))
    assert await told.poll(0, listed(4, 10)) == ("applied", 0, 3)
    assert await told.poll(1, listed(3, 10)) == ("applied", 2, 0)  # 2 of 10
