"""The removal guard: which losses are applied at once and which are held. The expected results are computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.emulator import faults
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.outcome import PollResult, Trigger
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)

SELECT_REMOVED = """
select virtual_number_id, removed_at from syncer.virtual_number where removed_at is not null
 order by virtual_number_id
"""
SELECT_HELD = """
select virtual_number_id, missing_since from syncer.virtual_number
 where missing_since is not null and removed_at is null order by virtual_number_id
"""
SELECT_CLOSED_STATES = """
select virtual_number_id, valid_to, closed_after from syncer.state_history order by virtual_number_id, valid_to
"""
SELECT_ALL_BUT_RUNS_AND_ABSENCES = """
select 'number', to_jsonb(n)::text from syncer.virtual_number n
 union all select 'version', to_jsonb(h)::text from syncer.virtual_number_history h
 union all select 'state', to_jsonb(s)::text from syncer.state_history s
 union all select 'redirect', to_jsonb(r)::text from syncer.virtual_number_redirect r
 union all select 'ended redirect', to_jsonb(e)::text from syncer.virtual_number_redirect_history e
 union all select 'rejected', to_jsonb(j)::text from syncer.rejected_record j
 order by 1, 2
"""
SELECT_ABSENCES = """
select virtual_number_id, missing_since, ended_at, ended_by from syncer.absence_history
 order by virtual_number_id, missing_since
"""


def start_of(hours: float) -> datetime:
    """The start of a poll, in hours after the first one."""
    return T0 + hours * HOUR


def observed_at(hours: float) -> datetime:
    """The time under which that poll records its changes: a microsecond after its start."""
    return start_of(hours) + MICROSECOND


def records_of(*keys: int) -> list[dict[str, Any]]:
    """Records with these ids."""
    return [record(key) for key in keys]


def record_range(first: int, last: int) -> list[dict[str, Any]]:
    """Records with the ids `first` to `last`."""
    return records_of(*range(first, last + 1))


def outcome_of(result: PollResult) -> tuple[str, int, int]:
    """The outcome, how many removals were applied, and how many are held."""
    return result.outcome, result.removed, result.held


class AccountScenario:
    """An account whose polls are given by their hours after the first one and by the records listed."""

    def __init__(self, account: PolledAccount, *, restarts: bool = False) -> None:
        self.account = account
        self._restarts = restarts

    async def poll(
        self, hours: float, records: Iterable[Any], *, trigger: Trigger = "schedule"
    ) -> tuple[str, int, int]:
        if self._restarts:
            self.account.restart()
        return outcome_of(await self.account.poll_at(start_of(hours), *records, trigger=trigger))

    async def fail(self, hours: float) -> tuple[str, int, int]:
        self.account.emulator.fault = faults.Status(status=503)
        await self.account.set_clock(start_of(hours))
        return outcome_of(await self.account.poll_again())

    async def removed(self) -> list[tuple[Any, ...]]:
        return await self.account.rows(SELECT_REMOVED)

    async def held(self) -> list[tuple[Any, ...]]:
        return await self.account.rows(SELECT_HELD)


@pytest.fixture(params=["one process", "a new process every poll"])
def scenario(account: PolledAccount, request: pytest.FixtureRequest) -> AccountScenario:
    return AccountScenario(account, restarts=request.param != "one process")


@pytest.fixture
async def half_ratio_scenario(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> AsyncIterator[AccountScenario]:
    """An account with a removal guard ratio of 0.5."""
    settings = settings_for(emulator, removal_guard_ratio=0.5)
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        yield AccountScenario(polled)
        assert await polled.broken_invariants() == []


@pytest.fixture(autouse=True)
async def check_invariants_at_the_end(account: PolledAccount) -> object:
    yield
    assert await account.broken_invariants() == []


# Losses up to the ratio


@pytest.mark.parametrize(
    ("numbers", "missing", "is_removed"),
    [
        (1, 1, False),  # all of it
        (2, 1, False),  # 50 %
        (2, 2, False),
        (4, 1, False),  # 25 %
        (5, 1, True),  # 20 %: exactly the ratio
        (10, 1, True),
        (10, 2, True),  # 20 %
        (10, 3, False),  # 30 %
        (10, 10, False),
        (11, 2, True),
        (14, 3, False),  # 21.4 %
        (15, 3, True),  # 20 %
    ],
)
async def test_up_to_a_fifth_of_the_numbers_are_removed_at_once(
    account: PolledAccount, numbers: int, missing: int, is_removed: bool
) -> None:
    scenario = AccountScenario(account)
    other = records_of(900) if numbers == missing else []  # keeps the list from being empty; it was not listed before
    await scenario.poll(0, record_range(1, numbers))

    result = await scenario.poll(1, record_range(missing + 1, numbers) + other)

    assert result == (("applied", missing, 0) if is_removed else ("applied", 0, missing))
    missed = [(key, observed_at(1)) for key in range(1, missing + 1)]
    assert (await scenario.removed(), await scenario.held()) == ((missed, []) if is_removed else ([], missed))


async def test_at_most_twenty_thousand_of_a_hundred_thousand_numbers_are_removed_at_once(
    account: PolledAccount,
) -> None:
    def body(first: int) -> bytes:
        return b"[%b]" % b",".join(
            b'{"id":%d,"number":"7%010d","state":"active"}' % (key, key) for key in range(first, 100_001)
        )

    await account.set_clock(start_of(0))
    await account.poll_body(body(1))
    await account.set_clock(start_of(1))
    above = await account.poll_body(body(20_002))
    await account.set_clock(start_of(2))
    exactly = await account.poll_body(body(20_001))
    await account.set_clock(start_of(3))
    one_more = await account.poll_body(body(20_002))

    assert outcome_of(above) == ("applied", 0, 20_001)
    assert outcome_of(exactly) == ("applied", 20_000, 0)
    assert outcome_of(one_more) == ("applied", 0, 1)  # the 20,000 were removed within the hold time: 20,001 of 100,000
    assert await account.rows(
        "select removed_at, count(*), max(virtual_number_id) from syncer.virtual_number group by 1 order by 1"
    ) == [(observed_at(1), 20_000, 20_000), (None, 80_000, 100_000)]


async def test_added_numbers_count_as_listed_from_the_next_poll_on(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 9))
    assert await scenario.poll(1, record_range(2, 9)) == ("applied", 1, 0)  # 1 of 9
    assert await scenario.poll(2, record_range(2, 10)) == ("applied", 0, 0)
    assert await scenario.poll(3, record_range(3, 10)) == ("applied", 1, 0)  # 2 of 9 listed and 1 removed


async def test_numbers_added_with_a_loss_do_not_release_it(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))

    assert await scenario.poll(1, record_range(4, 40)) == ("applied", 0, 3)  # 3 of the 10 that were listed, not of 40
    assert await scenario.poll(2, record_range(4, 80)) == ("applied", 0, 3)
    assert await scenario.poll(25, record_range(4, 80)) == ("applied", 3, 0)


# Successive losses


async def test_losses_within_the_hold_time_add_up(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(2, 10)) == ("applied", 1, 0)  # 1 of 10
    assert await scenario.poll(2, record_range(3, 10)) == ("applied", 1, 0)  # 1 of 9, and 1 before: 2 of 10
    assert await scenario.poll(3, record_range(4, 10)) == ("applied", 0, 1)  # 3 of 10
    assert await scenario.poll(4, record_range(5, 10)) == ("applied", 0, 2)  # 4 of 10
    assert await scenario.poll(25 - 1e-9, record_range(5, 10)) == ("unchanged", 0, 2)
    # The first removal is 24 hours ago and counts no longer: 2 held, 1 removed, of 8 listed and 1 removed.
    assert await scenario.poll(25, record_range(5, 10)) == ("unchanged", 0, 2)
    assert await scenario.poll(26, record_range(5, 10)) == ("unchanged", 0, 2)  # 2 of 8
    # The third has been missing for 24 hours; without it the fourth is 1 of 7.
    assert await scenario.poll(27, record_range(5, 10)) == ("applied", 2, 0)
    assert await scenario.removed() == [
        (1, observed_at(1)),
        (2, observed_at(2)),
        (3, observed_at(3)),
        (4, observed_at(4)),
    ]


async def test_a_state_change_in_a_poll_with_removals_neither_counts_as_a_loss_nor_hides_one(
    scenario: AccountScenario,
) -> None:
    frozen = [record(key, state="freeze") for key in (2, 3, 4)]
    await scenario.poll(0, record_range(1, 15))
    assert await scenario.poll(1, [*frozen, *record_range(5, 15)]) == ("applied", 1, 0)  # 1 of 15
    assert await scenario.poll(2, [*record_range(2, 4), *record_range(7, 15)]) == (
        "applied",
        2,
        0,
    )  # 2 of 14, and 1 before
    assert await scenario.poll(3, [*record_range(2, 4), *record_range(8, 15)]) == (
        "applied",
        0,
        1,
    )  # 1 of 12, and 3 before


async def test_losses_further_apart_than_the_hold_time_do_not_add_up(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 8))
    for key in (1, 2, 3, 4):  # 1 of 8, of 7, of 6, of 5
        assert await scenario.poll(24 * key, record_range(key + 1, 8)) == ("applied", 1, 0)
    assert await scenario.poll(24 * 5, record_range(6, 8)) == ("applied", 0, 1)  # 1 of 4
    assert await scenario.poll(24 * 6, record_range(6, 8)) == ("applied", 1, 0)
    assert await scenario.removed() == [(key, observed_at(24 * key)) for key in (1, 2, 3, 4, 5)]


async def test_a_loss_just_before_the_hold_time_ends_adds_to_the_previous_one(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 5))
    assert await scenario.poll(1, record_range(2, 5)) == ("applied", 1, 0)  # 1 of 5
    await scenario.account.set_clock(start_of(25) - MICROSECOND)
    assert outcome_of(await scenario.account.poll(*record_range(3, 5))) == ("applied", 0, 1)  # 2 of 5
    # 1 of 4, and nothing was removed within the hold time: still held.
    assert await scenario.poll(25, record_range(3, 5)) == ("unchanged", 0, 1)


async def test_a_list_that_shrinks_by_one_every_poll_loses_a_fifth_a_day(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 20))
    for key in range(1, 13):
        await scenario.poll(key, record_range(key + 1, 20))
    assert await scenario.removed() == [(key, observed_at(key)) for key in (1, 2, 3, 4)]
    assert await scenario.held() == [(key, observed_at(key)) for key in range(5, 13)]


async def test_held_removals_are_applied_once_enough_numbers_have_returned(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(5, 10)) == ("applied", 0, 4)

    assert await scenario.poll(2, record_range(4, 10)) == ("applied", 0, 3)
    assert await scenario.poll(3, record_range(3, 10)) == ("applied", 2, 0)
    assert await scenario.removed() == [(1, observed_at(1)), (2, observed_at(1))]
    assert await scenario.held() == []


async def test_a_removal_held_at_first_counts_from_when_the_number_was_first_missed(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(4, 10)) == ("applied", 0, 3)
    assert await scenario.poll(2, record_range(3, 10)) == ("applied", 2, 0)
    await scenario.account.set_clock(start_of(25) - MICROSECOND)
    assert outcome_of(await scenario.account.poll(*record_range(4, 10))) == (
        "applied",
        0,
        1,
    )  # 1 of 8, and 2 first missed within the hold time
    assert await scenario.poll(25, record_range(4, 10)) == ("applied", 1, 0)  # 1 of 8


async def test_a_state_change_after_a_loss_does_not_affect_its_release(scenario: AccountScenario) -> None:
    frozen = [record(key, state="freeze") for key in range(4, 11)]
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(4, 10)) == ("applied", 0, 3)
    assert await scenario.poll(2, [*frozen, record(11)]) == ("applied", 0, 3)
    assert await scenario.poll(3, [record(3), *frozen, record(11)]) == ("applied", 2, 0)  # 2 of 10


async def test_a_removal_counts_for_the_hold_time_even_if_the_number_has_returned(scenario: AccountScenario) -> None:
    """If each response lacks other numbers, the first loss is applied and the following ones are held."""
    all_ids = range(1, 11)
    await scenario.poll(0, records_of(*all_ids))
    assert await scenario.poll(1, records_of(*(key for key in all_ids if key not in {1, 2}))) == (
        "applied",
        2,
        0,
    )  # 2 of 10
    for hours, missing in enumerate(((3, 4), (5, 6), (7, 8), (9, 10), (3, 4)), start=2):
        # 2 are missing, and 2 were removed an hour or more ago.
        assert (await scenario.poll(hours, records_of(*(key for key in all_ids if key not in missing))))[1:] == (
            0,
            2,
        )
    assert await scenario.poll(7, records_of(*all_ids)) == ("applied", 0, 0)
    assert await scenario.account.rows(SELECT_CLOSED_STATES) == [(1, observed_at(1), T0), (2, observed_at(1), T0)]


async def test_a_number_that_disappears_twice_within_the_hold_time_counts_once(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 5))
    assert await scenario.poll(1, record_range(2, 5)) == ("applied", 1, 0)  # 1 of 5
    assert await scenario.poll(2, record_range(1, 5)) == ("applied", 0, 0)
    assert await scenario.poll(3, record_range(2, 5)) == ("applied", 1, 0)  # the same 1 of 5
    assert await scenario.account.rows(SELECT_CLOSED_STATES) == [
        (1, observed_at(1), T0),
        (1, observed_at(3), start_of(2)),
    ]


async def test_a_number_that_has_returned_counts_once_as_listed(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(3, 10)) == ("applied", 2, 0)  # 2 of 10
    assert await scenario.poll(2, record_range(1, 10)) == ("applied", 0, 0)
    assert await scenario.poll(3, record_range(1, 9)) == ("applied", 0, 1)  # 3 of 10, not of 12


# Held removals, and other changes meanwhile


async def test_other_changes_are_applied_while_removals_are_held(scenario: AccountScenario) -> None:
    first = record(1, from_redirect_numbers=[redirect(90, "74950000090")])
    await scenario.poll(0, [first, *record_range(2, 10)])

    result = await scenario.account.poll_at(
        start_of(1),
        record(1, from_redirect_numbers=[redirect(91, "74950000091")]),
        record(2, state="debt_lock", reason="долг"),
        record(3, comment="new"),
        record(11),
        record(12, number=None),
    )

    assert (result.outcome, result.held, result.removed) == ("applied", 7, 0)
    assert (result.created, result.changed, result.state_changes, result.rejected) == (1, 3, 1, 1)
    assert (result.redirects_opened, result.redirects_closed) == (1, 1)
    assert await scenario.account.rows(
        "select virtual_number_id, state, changed_after from syncer.state_period where valid_from = $1 order by 1",
        observed_at(1),
    ) == [(2, "debt_lock", T0), (11, "active", T0)]

    later = await scenario.account.poll_at(
        start_of(2), first, record(2), record(3), record(11, state="freeze"), record(4, state="freeze")
    )

    # Number 4 is back, last read by the first poll; 5 to 10 stay held.
    assert (later.outcome, later.held, later.changed, later.state_changes, later.rejected) == ("applied", 6, 5, 3, 0)
    assert await scenario.held() == [(key, observed_at(1)) for key in range(5, 11)]
    assert await scenario.account.rows(
        "select virtual_number_id, state, changed_after from syncer.state_period where valid_from = $1 order by 1",
        observed_at(2),
    ) == [(2, "active", start_of(1)), (4, "freeze", T0), (11, "freeze", start_of(1))]


async def test_held_numbers_that_return_leave_no_history_but_their_absences(scenario: AccountScenario) -> None:
    all_records = [record(1, from_redirect_numbers=[redirect(90, "74950000090")]), *record_range(2, 4)]
    await scenario.poll(0, all_records)
    before = await scenario.account.rows(SELECT_ALL_BUT_RUNS_AND_ABSENCES)

    for hours in (1, 2, 23.9, 24.9):
        assert (await scenario.poll(hours, records_of(4)))[1:] == (0, 3)
    assert await scenario.account.rows(SELECT_ABSENCES) == []
    assert await scenario.poll(25.5, all_records) == ("applied", 0, 0)
    assert await scenario.account.rows(SELECT_ALL_BUT_RUNS_AND_ABSENCES) == before
    assert await scenario.account.rows(SELECT_ABSENCES) == [
        (key, observed_at(1), observed_at(25.5), "returned") for key in (1, 2, 3)
    ]
    assert await scenario.poll(48.9, records_of(4)) == ("applied", 0, 3)  # their hold time starts again
    assert await scenario.poll(49.9, records_of(4)) == ("unchanged", 0, 3)


async def test_a_held_number_is_removed_exactly_at_the_hold_time_and_dated_at_the_first_miss(
    scenario: AccountScenario,
) -> None:
    first = record(1, from_redirect_numbers=[redirect(90, "74950000090")])
    await scenario.poll(0, [first, *record_range(2, 4)])
    await scenario.poll(1, [first, *record_range(2, 4)])
    assert await scenario.poll(2, records_of(2, 3, 4)) == ("applied", 0, 1)
    await scenario.account.set_clock(start_of(26) - MICROSECOND)
    assert outcome_of(await scenario.account.poll(*records_of(2, 3, 4))) == ("unchanged", 0, 1)

    result = await scenario.account.poll_at(start_of(26), *records_of(2, 3, 4))

    assert (outcome_of(result), result.redirects_closed) == (("applied", 1, 0), 1)
    assert await scenario.account.rows(SELECT_CLOSED_STATES) == [(1, observed_at(2), start_of(1))]
    assert await scenario.account.row(
        "select last_read_at, missing_since, removed_at from syncer.virtual_number where virtual_number_id = 1"
    ) == (start_of(1), observed_at(2), observed_at(2))
    assert await scenario.account.row(
        "select valid_to, closed_after, closed_run_id, ended_by from syncer.virtual_number_redirect_history"
    ) == (observed_at(2), start_of(1), result.run_id, "removed")
    assert await scenario.account.rows("select * from syncer.virtual_number_redirect") == []
    assert await scenario.account.rows(SELECT_ABSENCES) == [(1, observed_at(2), observed_at(26), "removed")]


async def test_each_number_has_its_own_hold_time(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 4))
    assert await scenario.poll(1, record_range(2, 4)) == ("applied", 0, 1)
    assert await scenario.poll(2, record_range(3, 4)) == ("applied", 0, 2)
    assert await scenario.poll(25, record_range(3, 4)) == ("applied", 1, 1)
    assert await scenario.poll(26, record_range(3, 4)) == ("applied", 1, 0)
    assert await scenario.removed() == [(1, observed_at(1)), (2, observed_at(2))]


async def test_failed_polls_neither_count_towards_the_hold_time_nor_reset_it(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 4))
    for hours in (1, 1.2, 1.4):
        assert await scenario.fail(hours) == ("failed", 0, 0)
    assert await scenario.poll(2, records_of(4)) == (
        "applied",
        0,
        3,
    )  # the hold time starts here, not at the failed polls
    for hours in (3, 10, 25):
        assert await scenario.fail(hours) == ("failed", 0, 0)
    assert await scenario.poll(25.9, records_of(4)) == ("unchanged", 0, 3)
    assert await scenario.fail(27) == (
        "failed",
        0,
        0,
    )  # the hold time is over, but a failed poll does not confirm that they are missing
    assert await scenario.removed() == []
    assert await scenario.poll(28, records_of(4)) == ("applied", 3, 0)
    assert await scenario.account.rows(SELECT_CLOSED_STATES) == [(key, observed_at(2), T0) for key in (1, 2, 3)]


async def test_a_loss_first_seen_after_a_long_outage_is_held_for_the_whole_hold_time(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 4))
    for hours in range(1, 72, 10):
        await scenario.fail(hours)
    assert await scenario.poll(72, records_of(4)) == ("applied", 0, 3)
    assert await scenario.poll(95, records_of(4)) == ("unchanged", 0, 3)
    assert await scenario.poll(96, records_of(4)) == ("applied", 3, 0)


async def test_a_number_whose_record_is_rejected_is_not_missing_and_its_hold_time_begins_when_it_is_not_listed(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, record_range(1, 4))
    for hours in (1, 20, 40):
        assert (await scenario.poll(hours, [record(1, number=None), *record_range(2, 4)]))[1:] == (0, 0)
    assert await scenario.poll(41, record_range(2, 4)) == ("applied", 0, 1)
    assert await scenario.poll(64, record_range(2, 4)) == ("unchanged", 0, 1)
    assert await scenario.poll(65, record_range(2, 4)) == ("applied", 1, 0)
    assert await scenario.account.rows(SELECT_CLOSED_STATES) == [(1, observed_at(41), T0)]
    assert await scenario.account.rows(SELECT_ABSENCES) == [(1, observed_at(41), observed_at(65), "removed")]


async def test_a_held_number_that_returns_rejected_is_no_longer_missing(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 4))
    assert await scenario.poll(1, record_range(2, 4)) == ("applied", 0, 1)
    assert await scenario.poll(24, [record(1, state=None), *record_range(2, 4)]) == ("applied", 0, 0)
    assert await scenario.account.rows(SELECT_ABSENCES) == [(1, observed_at(1), observed_at(24), "returned")]
    assert await scenario.poll(25, record_range(2, 4)) == ("applied", 0, 1)
    assert await scenario.held() == [(1, observed_at(25))]


# Removals an operator accepts


async def test_accepted_removals_do_not_count_towards_later_losses(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(6, 10)) == ("applied", 0, 5)
    assert await scenario.poll(2, record_range(6, 10), trigger="accept_removals") == ("applied", 5, 0)

    assert await scenario.poll(3, record_range(7, 10)) == ("applied", 1, 0)  # 1 of 5; with the accepted ones 6 of 10
    assert await scenario.poll(4, record_range(8, 10)) == ("applied", 0, 1)  # 2 of 5
    assert await scenario.removed() == [*((key, observed_at(1)) for key in range(1, 6)), (6, observed_at(3))]


async def test_accepted_removals_do_not_count_with_later_removals(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 20))
    assert await scenario.poll(1, record_range(6, 20), trigger="accept_removals") == ("applied", 5, 0)
    assert await scenario.poll(2, record_range(7, 20)) == ("applied", 1, 0)  # 1 of 15
    assert await scenario.poll(3, record_range(8, 20)) == (
        "applied",
        1,
        0,
    )  # 1 of 14, and 1 before; with the accepted ones 7


async def test_accepting_removals_applies_to_one_poll(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(2, 10), trigger="accept_removals") == ("applied", 1, 0)
    assert await scenario.poll(2, record_range(6, 10)) == ("applied", 0, 4)


# The empty list


@pytest.mark.parametrize("numbers", [1, 2, 10])
async def test_an_empty_list_removes_no_number_in_a_thousand_hours(scenario: AccountScenario, numbers: int) -> None:
    all_records = record_range(1, numbers)
    await scenario.poll(0, all_records)
    before = await scenario.account.rows(SELECT_ALL_BUT_RUNS_AND_ABSENCES)

    assert await scenario.poll(1, []) == ("applied", 0, numbers)
    for hours in range(25, 1001, 25):
        assert await scenario.poll(hours, []) == ("unchanged", 0, numbers)
    assert await scenario.poll(1001, all_records) == ("applied", 0, 0)
    assert await scenario.account.rows(SELECT_ALL_BUT_RUNS_AND_ABSENCES) == before
    assert await scenario.account.rows(SELECT_ABSENCES) == [
        (key, observed_at(1), observed_at(1001), "returned") for key in range(1, numbers + 1)
    ]


async def test_numbers_that_stay_missing_after_an_empty_list_have_been_missing_since_it(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, []) == ("applied", 0, 10)
    assert await scenario.poll(24, record_range(6, 10)) == ("applied", 0, 5)  # their hold time starts here
    assert await scenario.poll(25, record_range(6, 10)) == ("unchanged", 0, 5)
    assert await scenario.poll(48, record_range(6, 10)) == ("applied", 5, 0)
    assert await scenario.removed() == [(key, observed_at(1)) for key in range(1, 6)]


# An element whose id cannot be read


async def test_an_unreadable_id_holds_removals_until_an_operator_accepts_them(scenario: AccountScenario) -> None:
    unreadable = record(99) | {"id": "ninety-nine"}
    await scenario.poll(0, record_range(1, 10))

    assert await scenario.poll(1, [unreadable, *record_range(2, 10)]) == ("applied", 0, 1)
    assert await scenario.poll(2, [unreadable, *record_range(2, 10)], trigger="accept_removals") == ("applied", 1, 0)
    assert await scenario.removed() == [(1, observed_at(1))]


async def test_an_unreadable_id_holds_removals_and_their_hold_time_does_not_start(scenario: AccountScenario) -> None:
    unreadable = record(99) | {"id": "ninety-nine"}
    await scenario.poll(0, record_range(1, 10))

    assert await scenario.poll(1, [unreadable, *record_range(2, 10)]) == ("applied", 0, 1)
    assert await scenario.poll(26, [unreadable, *record_range(2, 10)]) == (
        "unchanged",
        0,
        1,
    )
    assert await scenario.held() == [(1, observed_at(1))]
    assert await scenario.poll(27, record_range(2, 10)) == ("applied", 1, 0)
    assert await scenario.removed() == [(1, observed_at(1))]


async def test_the_hold_time_counts_from_the_first_response_whose_ids_can_all_be_read(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, record_range(1, 4))
    assert await scenario.poll(1, ["?", *record_range(4, 4)]) == ("applied", 0, 3)
    assert await scenario.poll(2, record_range(4, 4)) == ("applied", 0, 3)
    assert await scenario.poll(25, record_range(4, 4)) == ("unchanged", 0, 3)
    assert await scenario.poll(26, record_range(4, 4)) == ("applied", 3, 0)
    assert await scenario.removed() == [(key, observed_at(1)) for key in (1, 2, 3)]


# The same response polled again


REPLAYED: dict[str, tuple[list[list[Any]], list[Any]]] = {
    "a loss within the ratio": ([record_range(1, 10)], record_range(3, 10)),
    "a loss above the ratio": ([record_range(1, 10)], record_range(4, 10)),
    "a loss above the ratio, with many new numbers": ([record_range(1, 10)], record_range(4, 100)),
    "a second loss, above the ratio": ([record_range(1, 10), record_range(3, 10)], record_range(4, 10)),
    "a second loss with many new numbers": ([record_range(1, 10), record_range(3, 10)], record_range(4, 100)),
    "new numbers, and a second loss among the older ones": (
        [record_range(1, 10), record_range(4, 40)],
        record_range(6, 80),
    ),
    "new numbers that are lost again": ([record_range(1, 10), record_range(4, 40)], record_range(4, 10)),
    "a number returns, another goes": ([record_range(1, 10), record_range(3, 10)], records_of(1, *range(4, 11))),
    "all that was removed returns, another goes": (
        [record_range(1, 10), record_range(3, 10)],
        records_of(1, 2, *range(4, 11)),
    ),
    "all that was held returns, another goes": ([record_range(1, 4), record_range(3, 4)], records_of(1, 2, 4)),
    "an empty list": ([record_range(1, 4)], []),
    "an empty list after a loss": ([record_range(1, 10), record_range(3, 10)], []),
    "an id that cannot be read": ([record_range(1, 10)], ["?", *record_range(2, 10)]),
    "a rejected record": ([record_range(1, 10)], [record(1, state=1), *record_range(5, 10)]),
}


@pytest.mark.parametrize("case", REPLAYED)
async def test_a_response_polled_again_right_away_changes_nothing(scenario: AccountScenario, case: str) -> None:
    before, response = REPLAYED[case]
    for hours, records in enumerate(before):
        await scenario.poll(hours, records)
    first = await scenario.poll(5, response)
    stored, absences = [
        await scenario.account.rows(query) for query in (SELECT_ALL_BUT_RUNS_AND_ABSENCES, SELECT_ABSENCES)
    ]

    for later in (5, 5.1, 6):
        assert await scenario.poll(later, response) == ("unchanged", 0, first[2])
    assert await scenario.poll(7, reversed(response)) == ("unchanged", 0, first[2])
    assert await scenario.account.rows(SELECT_ALL_BUT_RUNS_AND_ABSENCES) == stored
    assert await scenario.account.rows(SELECT_ABSENCES) == absences


async def test_numbers_that_return_with_a_loss_do_not_release_it_when_polled_again(
    half_ratio_scenario: AccountScenario,
) -> None:
    """The two that return were removed within the hold time, so they count with the missing one: 3 of 4."""
    await half_ratio_scenario.poll(0, record_range(1, 4))
    assert await half_ratio_scenario.poll(1, records_of(1, 2)) == ("applied", 2, 0)  # 2 of 4
    assert await half_ratio_scenario.poll(2, records_of(2, 3, 4)) == (
        "applied",
        0,
        1,
    )  # 1 missing and 2 removed, of 2 and 2
    assert await half_ratio_scenario.poll(2.1, records_of(2, 3, 4)) == ("unchanged", 0, 1)


async def test_a_loss_stays_held_though_other_numbers_returned_with_it(scenario: AccountScenario) -> None:
    await scenario.poll(0, record_range(1, 100))
    assert await scenario.poll(1, record_range(21, 100)) == ("applied", 20, 0)  # 20 of 100
    returned = records_of(*range(1, 11), *range(22, 101))  # 1 to 10 are back, 21 has gone
    assert await scenario.poll(2, returned) == ("applied", 0, 1)  # 21 of 100
    assert await scenario.poll(2.1, returned) == ("unchanged", 0, 1)


async def test_a_number_whose_removal_was_accepted_and_that_returns_with_a_loss_does_not_release_it(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, record_range(1, 10))
    assert await scenario.poll(1, record_range(2, 10), trigger="accept_removals") == ("applied", 1, 0)
    assert await scenario.poll(2, records_of(1, *range(4, 11))) == ("applied", 0, 2)  # 2 of 9
    assert await scenario.poll(2.1, records_of(1, *range(4, 11))) == ("unchanged", 0, 2)


async def test_numbers_added_before_a_loss_count_as_listed_before_it_though_the_clock_went_back(
    scenario: AccountScenario,
) -> None:
    await scenario.account.poll(*record_range(1, 10))
    assert await scenario.poll(0, record_range(4, 10)) == ("applied", 0, 3)
    assert await scenario.poll(1, record_range(3, 10)) == ("applied", 2, 0)  # 2 of 10
