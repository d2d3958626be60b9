"""Which responses are evidence that a number is gone, how many it takes, and since when a number is known to be there.

Unlike elsewhere in the tests, as many believable responses are needed for a removal as by default: two.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.config.settings import Settings
from syncer.emulator import faults
from tests.builders import PolledAccount, record, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncpg

    from syncer.emulator import Emulator
    from syncer.outcome import PollResult, Trigger
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
NEXT_PAGE = {"Link": '<https://simple-api.cp.megafon.ru/numbers/virtual-number?page=2>; rel="next"'}
SELECT_REMOVED = """
select virtual_number_id, removed_at from syncer.virtual_number where removed_at is not null order by 1
"""
SELECT_PERIODS = """
select valid_from, valid_to, changed_after, closed_after from syncer.state_period where virtual_number_id = $1
 order by valid_from
"""


def start_of(hours: float) -> datetime:
    """The start of a poll, in hours after the first one."""
    return T0 + hours * HOUR


def observed_at(hours: float) -> datetime:
    """The time under which that poll records its changes: a microsecond after its start."""
    return start_of(hours) + MICROSECOND


def records(*numbers: int) -> list[dict[str, Any]]:
    return [record(number) for number in numbers]


def counts(result: PollResult) -> tuple[str, int, int, int]:
    """The outcome, and how many removals were applied, are held, and wait for their confirmation."""
    return result.outcome, result.removed, result.held, result.unconfirmed


class AccountScenario:
    """An account whose polls are given by their hours after the first one and by the records listed."""

    def __init__(self, account: PolledAccount) -> None:
        self.account = account

    async def poll(
        self,
        hours: float,
        listed: Iterable[Any],
        *,
        headers: dict[str, str] | None = None,
        trigger: Trigger = "schedule",
    ) -> tuple[str, int, int, int]:
        await self.account.set_clock(start_of(hours))
        self.account.emulator.fault = faults.Body(body=json.dumps(list(listed)), headers=headers or {})
        return counts(await self.account.poll_again(trigger=trigger))

    async def fail(self, hours: float) -> None:
        await self.account.set_clock(start_of(hours))
        self.account.emulator.fault = faults.Status(status=503)
        assert (await self.account.poll_again()).outcome == "failed"

    async def removed(self) -> list[tuple[Any, ...]]:
        return await self.account.rows(SELECT_REMOVED)

    async def periods(self, number: int) -> list[tuple[Any, ...]]:
        return await self.account.rows(SELECT_PERIODS, number)


@pytest.fixture
async def scenario(engine: Engine, emulator: Emulator, sql: asyncpg.Connection) -> AsyncIterator[AccountScenario]:
    default = Settings.model_fields["removal_confirmations"].default
    assert default == 2
    async with PolledAccount(engine, emulator, sql, settings_for(emulator, removal_confirmations=default)) as polled:
        yield AccountScenario(polled)
        assert await polled.broken_invariants() == []


# What is believed

UNBELIEVABLE: dict[str, tuple[list[Any], dict[str, str]]] = {
    "an empty list": ([], {}),
    "an error in an array": ([{"error": "internal error"}], {}),
    "ids sent as text": ([record(number) | {"id": str(number)} for number in range(1, 101)], {}),
    "one page of several": (records(1, 2, 3), NEXT_PAGE),
    "a smaller part than X-Total-Count says": (records(1, 2, 3), {"X-Total-Count": "100"}),
    "a smaller part than Content-Range says": (records(1, 2, 3), {"Content-Range": "items 0-2/100"}),
    "a smaller part than an unsatisfied Content-Range says": (records(1, 2, 3), {"Content-Range": "*/100"}),
}


@pytest.mark.parametrize("case", UNBELIEVABLE)
async def test_a_response_that_is_not_believed_lets_no_hold_time_pass(scenario: AccountScenario, case: str) -> None:
    """A partial list comes after a day of such responses: its losses are held for a day of their own."""
    listed, headers = UNBELIEVABLE[case]
    everything = records(*range(1, 101))
    await scenario.poll(0, everything)
    missing = 97 if len(listed) == 3 else 100
    assert (await scenario.poll(1, listed, headers=headers))[1:] == (0, missing, 0)
    for hours in (12, 25, 26):
        assert await scenario.poll(hours, listed, headers=headers) == ("unchanged", 0, missing, 0)

    assert await scenario.poll(27, everything[:60]) == ("applied", 0, 40, 0)
    assert await scenario.poll(50, everything[:60]) == ("unchanged", 0, 40, 0)
    assert await scenario.poll(51, everything[:59]) == ("applied", 40, 0, 1)
    assert await scenario.removed() == [(number, observed_at(1)) for number in range(61, 101)]


async def test_a_response_that_is_not_believed_neither_confirms_a_removal_nor_resets_it(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, records(*range(1, 11)))
    assert await scenario.poll(1, records(*range(2, 11))) == ("applied", 0, 0, 1)
    assert await scenario.poll(2, records(*range(2, 11)), headers=NEXT_PAGE) == ("unchanged", 0, 1, 0)
    await scenario.fail(3)
    assert await scenario.poll(4, []) == ("applied", 0, 10, 0)
    assert await scenario.poll(5, records(*range(2, 11))) == ("applied", 1, 0, 0)
    assert await scenario.removed() == [(1, observed_at(1))]


async def test_a_response_that_is_not_believed_applies_what_it_lists(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(*range(1, 11)))
    await scenario.poll(1, records(*range(1, 10)), trigger="accept_removals")
    assert await scenario.poll(2, records(*range(2, 10))) == ("applied", 0, 0, 1)

    changed = [record(1), record(2, state="freeze"), record(10), record(11)]
    assert await scenario.poll(3, changed, headers=NEXT_PAGE) == ("applied", 0, 7, 0)

    assert await scenario.account.row(
        "select created, changed, restored, unchanged from syncer.sync_run order by run_id desc limit 1"
    ) == (1, 1, 1, 1)
    # Number 1 was listed again: its row of misses has begun anew.
    assert await scenario.poll(4, records(*range(2, 12))) == ("applied", 0, 0, 1)
    assert await scenario.poll(5, records(*range(2, 12))) == ("applied", 1, 0, 0)
    assert await scenario.removed() == [(1, observed_at(4))]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Link": '</numbers/virtual-number?page=1>; rel="prev", </numbers/virtual-number>; rel="first last"'},
        {"Link": '</numbers/virtual-number?a=;rel=next>; rel="first"; title="next"'},
        {"X-Total-Count": "8"},
        {"X-Total-Count": "many"},
        {"X-Total-Count": "-9"},
        {"Content-Range": "items 0-7/8"},
        {"Content-Range": "items 0-7/*"},
    ],
)
async def test_headers_that_do_not_say_that_the_list_is_longer_change_nothing(
    scenario: AccountScenario, headers: dict[str, str]
) -> None:
    await scenario.poll(0, records(*range(1, 10)))
    assert await scenario.poll(1, records(*range(1, 9)), headers=headers) == ("applied", 0, 0, 1)
    assert await scenario.poll(2, records(*range(1, 9)), headers=headers) == ("applied", 1, 0, 0)


@pytest.mark.parametrize(
    "headers",
    [
        NEXT_PAGE,
        {"Link": "</a>; rel=next"},
        {"link": '</a>; title="one; two", <http://[>; REL="last next"'},
        {"X-Total-Count": " 9 "},
        {"Content-Range": "items 0-7/9"},
        {"Content-Range": "records */9", "X-Total-Count": "8"},
    ],
)
async def test_each_header_that_says_that_the_list_is_longer_is_read(
    scenario: AccountScenario, headers: dict[str, str]
) -> None:
    await scenario.poll(0, records(*range(1, 10)))
    assert await scenario.poll(1, records(*range(1, 9)), headers=headers) == ("applied", 0, 1, 0)


async def test_a_byte_identical_response_with_such_a_header_is_not_the_last_believable_one(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, records(1, 2))
    assert (await scenario.poll(1, records(1, 2), headers=NEXT_PAGE))[0] == "unchanged"
    assert (await scenario.poll(2, records(1, 2, 3)))[0] == "applied"
    assert (await scenario.periods(3))[0][2] == start_of(0)


@pytest.mark.parametrize("listed", [[], ["?", record(1)]])
async def test_a_byte_identical_response_that_is_not_believable_stays_so(
    scenario: AccountScenario, listed: list[Any]
) -> None:
    await scenario.poll(0, listed)
    await scenario.poll(1, listed)
    assert await scenario.account.row(
        "select believable_responses, believable_run_id, believable_started_at from syncer.account_fence"
    ) == (0, None, None)


# Two responses for a removal


async def test_a_backend_that_lags_removes_and_restores_nothing(scenario: AccountScenario) -> None:
    """Two backends of the vendor take turns, and one of them does not know 2 of 20 numbers yet."""
    await scenario.poll(0, records(*range(1, 21)))
    for poll in range(1, 21):
        listed = range(1, 19) if poll % 2 else range(1, 21)
        assert (await scenario.poll(poll / 12, records(*listed)))[1:] == (0, 0, 2 if poll % 2 else 0)
    assert await scenario.account.row("select sum(removed), sum(restored) from syncer.sync_run") == (0, 0)


async def test_a_byte_identical_second_response_confirms_a_removal_dated_at_the_first_miss(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, records(*range(1, 11)))
    assert await scenario.poll(1, records(*range(2, 11))) == ("applied", 0, 0, 1)
    assert await scenario.poll(2, records(*range(2, 11))) == ("applied", 1, 0, 0)
    assert await scenario.poll(3, records(*range(2, 11))) == ("unchanged", 0, 0, 0)
    assert await scenario.periods(1) == [(observed_at(0), observed_at(1), None, start_of(0))]


@pytest.mark.parametrize("confirmations", [1, 3, 5])
async def test_as_many_responses_in_a_row_as_are_set_confirm_a_removal(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection, confirmations: int
) -> None:
    settings = settings_for(emulator, removal_confirmations=confirmations)
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        scenario = AccountScenario(polled)
        await scenario.poll(0, records(*range(1, 11)))
        for misses in range(1, confirmations):
            assert (await scenario.poll(misses, records(*range(2, 11))))[1:] == (0, 0, 1)
            polled.restart()
        assert await scenario.poll(confirmations, records(*range(2, 11))) == ("applied", 1, 0, 0)
        assert await scenario.removed() == [(1, observed_at(1))]
        assert await polled.broken_invariants() == []


async def test_each_number_has_its_own_row_of_misses(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(*range(1, 21)))
    assert await scenario.poll(1, records(*range(2, 21))) == ("applied", 0, 0, 1)
    assert await scenario.poll(2, records(*range(3, 21))) == ("applied", 1, 0, 1)
    assert await scenario.poll(3, records(*range(4, 21))) == ("applied", 1, 0, 1)
    assert await scenario.poll(4, records(*range(2, 21))) == ("applied", 0, 0, 0)  # 2 and 3 are back
    assert await scenario.removed() == [(1, observed_at(1))]


async def test_a_large_loss_past_the_hold_time_waits_for_its_confirmation_too(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = settings_for(emulator, removal_confirmations=2, removal_guard_hold=timedelta(0))
    async with PolledAccount(engine, emulator, sql, settings) as polled:
        scenario = AccountScenario(polled)
        await scenario.poll(0, records(1, 2))
        assert await scenario.poll(1, records(1)) == ("applied", 0, 0, 1)
        assert await scenario.poll(2, records(1)) == ("applied", 1, 0, 0)


async def test_a_number_that_stays_missing_costs_no_write_of_its_row(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(1, 2))
    await scenario.poll(1, records(1))
    before = await scenario.account.rows("select xmin::text, * from syncer.virtual_number order by virtual_number_id")
    for hours in (2, 3, 4):
        assert await scenario.poll(hours, records(1)) == ("unchanged", 0, 1, 0)
        await scenario.poll(hours + 0.5, [])
        await scenario.poll(hours + 0.6, records(1))
    after = await scenario.account.rows("select xmin::text, * from syncer.virtual_number order by virtual_number_id")
    assert after[1] == before[1]


async def test_an_unconfirmed_removal_is_no_held_one_for_analysts(scenario: AccountScenario) -> None:
    counted = "select held, unconfirmed from analytics."
    await scenario.poll(0, records(*range(1, 11)))
    await scenario.poll(1, records(*range(2, 11)))
    assert await scenario.account.row(counted + "freshness") == (0, 1)
    assert await scenario.account.row(counted + "runs order by run_id desc limit 1") == (0, 1)
    await scenario.poll(2, records(*range(5, 11)))
    assert await scenario.account.row(counted + "freshness") == (4, 0)


# The operator's word


@pytest.mark.parametrize(
    ("listed", "headers"),
    [
        ([*records(*range(2, 10)), record(10) | {"id": "ten"}], {}),
        (records(2, 3), NEXT_PAGE),
        ([], {}),
        (records(*range(2, 10)), {}),
    ],
)
async def test_removals_that_an_operator_accepts_are_applied_whatever_the_response_is(
    scenario: AccountScenario, listed: list[Any], headers: dict[str, str]
) -> None:
    await scenario.poll(0, records(*range(1, 10)))
    missing = 9 - len([one for one in listed if isinstance(one["id"], int)])

    accepted = await scenario.poll(1, listed, headers=headers, trigger="accept_removals")

    assert accepted == ("applied", missing, 0, 0)


# Windows


async def test_what_the_first_response_with_numbers_finds_has_no_lower_end(scenario: AccountScenario) -> None:
    await scenario.poll(0, [])
    await scenario.poll(1, [])
    await scenario.poll(2, records(1, 2))
    assert (
        await scenario.account.rows(
            "select valid_from, changed_after from syncer.state_period order by virtual_number_id"
        )
        == [(observed_at(2), None)] * 2
    )


async def test_what_a_part_of_the_list_leaves_out_has_no_lower_end_either(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(1), headers=NEXT_PAGE)
    await scenario.poll(1, records(1, 2))
    await scenario.poll(2, records(1, 2, 3))
    assert await scenario.account.rows("select changed_after from syncer.state_period order by virtual_number_id") == [
        (None,),
        (None,),
        (start_of(1),),
    ]


async def test_a_number_was_created_after_the_last_believable_response(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(1))
    await scenario.poll(1, records(1))
    await scenario.poll(2, [])
    await scenario.poll(3, records(1), headers=NEXT_PAGE)
    await scenario.fail(4)
    await scenario.poll(5, records(1, 2))
    assert await scenario.periods(2) == [(observed_at(5), None, start_of(1), None)]


async def test_a_number_returned_after_the_last_believable_response_that_did_not_list_it(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, records(*range(1, 11)))
    for hours in (1, 2, 3):
        await scenario.poll(hours, records(*range(2, 11)))
    await scenario.poll(4, [])
    await scenario.poll(5, records(*range(2, 11)), headers=NEXT_PAGE)
    await scenario.poll(6, records(*range(1, 11)))
    assert await scenario.periods(1) == [
        (observed_at(0), observed_at(1), None, start_of(0)),
        (observed_at(6), None, start_of(3), None),
    ]
    assert await scenario.account.row(
        "select valid_to, closed_after from syncer.virtual_number_history where virtual_number_id = 1"
    ) == (observed_at(1), start_of(0))


async def test_a_number_returned_after_the_run_whose_removals_an_operator_accepted(scenario: AccountScenario) -> None:
    await scenario.poll(0, records(1, 2))
    await scenario.poll(1, [record(2), "?"], trigger="accept_removals")
    await scenario.poll(2, [record(2), "?"])
    await scenario.poll(3, records(1, 2))
    assert (await scenario.periods(1))[1] == (observed_at(3), None, start_of(1), None)


async def test_a_removed_number_that_was_rejected_before_it_returned_was_there_since_nobody_knows_when(
    scenario: AccountScenario,
) -> None:
    await scenario.poll(0, records(*range(1, 11)))
    await scenario.poll(1, records(*range(2, 11)))
    await scenario.poll(2, records(*range(2, 11)))
    await scenario.poll(3, records(*range(2, 11)))
    await scenario.poll(4, [record(1, number=None), *records(*range(2, 11))])
    await scenario.poll(5, records(*range(1, 11)))
    assert (await scenario.periods(1))[1] == (observed_at(5), None, start_of(2), None)
