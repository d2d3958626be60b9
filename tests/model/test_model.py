"""Any sequence of polls comes, to the row, to what the contract's words say.

The quick profile plays the same few sequences each time. The long one, `python -m tests.model 2000`, plays as many new
ones, and others until every event has followed every other one.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.plans import plan_for_missing_pairs, plans
from tests.model.stage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.stage import Plan
    from tests.model.tally import Tally

EXAMPLES: Final = int(os.environ.get("SYNCER_MODEL_EXAMPLES") or 0)
MOST_PLAYS_FOR_PAIRS: Final = 3000

# Hypothesis takes minutes to shrink a counterexample.
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 600)


def profile(*, share: float, quick: int) -> settings:
    return settings(
        max_examples=max(1, int(EXAMPLES * share)) if EXAMPLES else quick,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@profile(share=0.8, quick=16)
@given(plan=plans(st.integers(0, 6)))
def test_any_sequence_of_polls_comes_to_what_the_model_says(play: Callable[[Plan], None], plan: Plan) -> None:
    play(plan)


@profile(share=0.2, quick=4)
@given(plan=plans(st.integers(10, 50)))
def test_any_sequence_of_polls_of_many_numbers_comes_to_what_the_model_says(
    play: Callable[[Plan], None], plan: Plan
) -> None:
    play(plan)


@pytest.mark.skipif(not EXAMPLES, reason="takes minutes: python -m tests.model")
def test_every_event_may_follow_every_other(play: Callable[[Plan], None], tally: Tally) -> None:
    random = Random(EXAMPLES)  # noqa: S311 - no secret
    for _ in range(MOST_PLAYS_FOR_PAIRS):
        if not tally.missing_pairs(KINDS):
            return
        play(plan_for_missing_pairs(tally, random))
    assert tally.missing_pairs(KINDS) == []
