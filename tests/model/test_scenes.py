"""Sequences that chance finds late, each compared with the model after every poll as those that chance makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.model.stage import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

SCENES: Final = {
    "a removed number returns without telling the redirects it had": Plan(
        steps=(
            (),
            (("number_vanishes", 0, 0),),
            (("number_returns_without_its_redirects", 0, 0),),
            (("all_keys_are_told_again", 0, 0),),
        ),
        numbers=6,
        ratio=1.0,
    ),
    "what is held is removed when the same bytes come after the hold time": Plan(
        steps=((), (("several_numbers_vanish", 0, 2),), (("same_bytes_come_after_the_hold_time", 0, 0),)),
        numbers=6,
    ),
    "a number that another process has removed returns as it was": Plan(
        steps=(
            (("another_process_polls", 0, 0),),
            (("number_vanishes", 0, 0),),
            (("another_process_polls", 0, 0), ("number_returns_as_it_was", 0, 0)),
        ),
        numbers=3,
        ratio=1.0,
    ),
    "an operator accepts removals of a response in which an id cannot be read": Plan(
        steps=(
            (),
            (("number_vanishes", 0, 0), ("element_is_no_record", 0, 0), ("removals_are_accepted", 0, 0)),
            (("removals_are_accepted", 0, 0),),
        ),
        numbers=3,
    ),
    "numbers come with a loss": Plan(
        steps=((), (("number_vanishes", 0, 0), ("many_numbers_appear", 4, 0)), (("same_bytes_again", 0, 0),)),
        numbers=1,
        replays=True,
    ),
    "numbers return with a loss that is held for its time": Plan(
        steps=(
            (),
            (("several_numbers_vanish", 0, 0),),
            (("hold_time_passes", 0, 0),),
            (("several_numbers_vanish", 0, 1), ("number_returns_as_it_was", 0, 0)),
            (("hold_time_is_almost_over", 0, 0), ("number_vanishes", 0, 0)),
            (("same_bytes_come_after_the_hold_time", 0, 0),),
        ),
        numbers=12,
        replays=False,
    ),
    "two records with one id differ in an unknown field alone": Plan(
        steps=(
            (("unknown_field_changes", 1, 0),),
            (("two_records_with_one_id_differ_in_an_unknown_field", 1, 1),),
            (("two_records_with_one_id_differ_in_an_unknown_field", 1, 2),),
        ),
        numbers=2,
    ),
    "an unknown number is spelled in other ways": Plan(
        steps=tuple((("unknown_number_is_spelled_otherwise", 0, 0),) for _ in range(11)),
        numbers=1,
        replays=True,
    ),
    "an account is polled by another process, whose memory is old": Plan(
        steps=(
            (("another_process_polls", 0, 0),),
            (("state_changes", 0, 0),),
            (("another_process_polls", 0, 0), ("state_changes", 0, 0)),
            (("another_process_polls", 0, 0), ("digests_are_deleted", 0, 0), ("reason_changes", 0, 1)),
            (("process_forgets", 0, 0), ("number_vanishes", 1, 0)),
            (("another_process_polls", 0, 0), ("number_returns_as_it_was", 0, 0)),
        ),
        numbers=3,
        ratio=1.0,
        replays=True,
    ),
    "a copy is kept from the feed while polls are overtaken and killed": Plan(
        steps=(
            (("poll_begins_and_waits", 1, 0), ("poll_begins_and_waits", 1, 0)),
            (("state_changes", 0, 0), ("redirects_are_cleared", 0, 0)),
            (("number_vanishes", 1, 0), ("waiting_poll_is_answered", 0, 0)),
            (("waiting_poll_is_killed", 0, 0), ("column_changes", 2, 1)),
            (("poll_begins_and_waits", 1, 0), ("endpoint_refuses", 0, 0)),
            (("number_returns_changed", 0, 1), ("waiting_poll_is_answered_with_what_is_now", 0, 0)),
            (("several_numbers_vanish", 0, 0), ("another_account_is_polled", 0, 0)),
            (("column_changes", 3, 0),),
        ),
        numbers=6,
        ratio=1.0,
    ),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=[name.replace(" ", "_") for name in SCENES])
def test_scene(play: Callable[[Plan], None], scene: Plan) -> None:
    play(scene)
