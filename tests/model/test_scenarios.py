"""Plans that random generation rarely finds; each is compared with the model after every poll."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.model.plan_run import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

SCENARIOS: Final = {
    "a number is restored without its redirects": Plan(
        steps=(
            (),
            (("number_disappears", 0, 0),),
            (("number_returns_without_redirects", 0, 0),),
            (("omitted_keys_return", 0, 0),),
        ),
        numbers=6,
        ratio=1.0,
    ),
    "held numbers are removed when the response is repeated after the hold time": Plan(
        steps=((), (("several_numbers_disappear", 0, 2),), (("response_is_repeated_after_the_hold_time", 0, 0),)),
        numbers=6,
    ),
    "removals count as a loss until their hold time ends": Plan(
        steps=(
            (),
            (("number_disappears", 0, 0), ("number_disappears", 1, 0)),
            (("hold_time_of_a_number_ends", 0, 0), ("number_disappears", 2, 0)),
        ),
        numbers=11,
    ),
    "removals count as a loss one microsecond before their hold time ends": Plan(
        steps=(
            (),
            (("number_disappears", 0, 0), ("number_disappears", 1, 0)),
            (("hold_time_of_a_number_ends", 0, 1), ("number_disappears", 2, 0)),
        ),
        numbers=11,
    ),
    "a number that another process removed returns unchanged": Plan(
        steps=(
            (("another_process_polls", 0, 0),),
            (("number_disappears", 0, 0),),
            (("another_process_polls", 0, 0), ("number_returns_unchanged", 0, 0)),
        ),
        numbers=3,
        ratio=1.0,
    ),
    "an operator accepts removals of a response in which an id cannot be read": Plan(
        steps=(
            (),
            (("number_disappears", 0, 0), ("element_is_not_a_record", 0, 0), ("removals_are_accepted", 0, 0)),
            (("removals_are_accepted", 0, 0),),
        ),
        numbers=3,
    ),
    "a removal is dated back to a day that was summarised": Plan(
        steps=(
            (),
            (("several_numbers_disappear", 0, 2),),
            (("hours_pass", 10, 0),),
            (("hours_pass", 1, 0), ("state_changes", 0, 1)),
            (("hold_time_passes", 1, 0),),
            (("hours_pass", 11, 0),),
            (("hours_pass", 11, 0), ("number_returns_unchanged", 0, 0)),
        ),
        numbers=6,
    ),
    "a poll gets its response after its run was deleted": Plan(
        steps=(
            (("poll_begins_and_waits", 1, 0),),
            *((("hold_time_passes", 0, 0),) for _ in range(4)),
            (("old_runs_are_deleted", 0, 0), ("waiting_poll_gets_the_current_list", 0, 0)),
        ),
        numbers=3,
    ),
    "numbers are created together with a loss": Plan(
        steps=((), (("number_disappears", 0, 0), ("many_numbers_appear", 4, 0)), (("response_is_repeated", 0, 0),)),
        numbers=1,
        replays=True,
    ),
    "numbers are restored together with a loss that is held": Plan(
        steps=(
            (),
            (("several_numbers_disappear", 0, 0),),
            (("hold_time_passes", 0, 0),),
            (("several_numbers_disappear", 0, 1), ("number_returns_unchanged", 0, 0)),
            (("hold_time_is_almost_over", 0, 0), ("number_disappears", 0, 0)),
            (("response_is_repeated_after_the_hold_time", 0, 0),),
        ),
        numbers=12,
        replays=False,
    ),
    "two records with the same id differ only in an unknown field": Plan(
        steps=(
            (("unknown_field_changes", 1, 0),),
            (("two_records_with_the_same_id_differ_in_an_unknown_field", 1, 1),),
            (("two_records_with_the_same_id_differ_in_an_unknown_field", 1, 2),),
        ),
        numbers=2,
    ),
    "a number in an unknown field is formatted differently": Plan(
        steps=tuple((("unknown_field_is_formatted_differently", 0, 0),) for _ in range(11)),
        numbers=1,
        replays=True,
    ),
    "an account is polled by another process with an outdated cache": Plan(
        steps=(
            (("another_process_polls", 0, 0),),
            (("state_changes", 0, 0),),
            (("another_process_polls", 0, 0), ("state_changes", 0, 0)),
            (("another_process_polls", 0, 0), ("fingerprints_are_deleted", 0, 0), ("reason_changes", 0, 1)),
            (("process_restarts", 0, 0), ("number_disappears", 1, 0)),
            (("another_process_polls", 0, 0), ("number_returns_unchanged", 0, 0)),
        ),
        numbers=3,
        ratio=1.0,
        replays=True,
    ),
    "the feed is complete while polls are superseded and killed": Plan(
        steps=(
            (("poll_begins_and_waits", 1, 0), ("poll_begins_and_waits", 1, 0)),
            (("state_changes", 0, 0), ("redirects_are_cleared", 0, 0)),
            (("number_disappears", 1, 0), ("waiting_poll_gets_its_response", 0, 0)),
            (("waiting_poll_is_killed", 0, 0), ("column_changes", 2, 1)),
            (("poll_begins_and_waits", 1, 0), ("endpoint_returns_an_error", 0, 0)),
            (("number_returns_changed", 0, 1), ("waiting_poll_gets_the_current_list", 0, 0)),
            (("several_numbers_disappear", 0, 0), ("another_account_is_polled", 0, 0)),
            (("column_changes", 3, 0),),
        ),
        numbers=6,
        ratio=1.0,
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=[name.replace(" ", "_") for name in SCENARIOS])
def test_scenario(run_plan: Callable[[Plan], None], scenario: Plan) -> None:
    run_plan(scenario)
