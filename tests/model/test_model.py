"""Any sequence of polls stores exactly the rows that the contract requires.

The quick profile runs the same few plans each time. The long one, `python -m tests.model 2000`, runs this many new
ones, and more until every action has followed every other one.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.plan_run import ACTIONS
from tests.model.plans import plan_for_missing_pairs, plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.action_statistics import ActionStatistics
    from tests.model.plan_run import Plan

EXAMPLES: Final = int(os.environ.get("SYNCER_MODEL_EXAMPLES") or 0)
MAX_RUNS_FOR_PAIRS: Final = 3000

# Hypothesis takes minutes to shrink a counterexample, so the usual limit is too short.
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
def test_any_sequence_of_polls_gives_the_result_of_the_model(run_plan: Callable[[Plan], None], plan: Plan) -> None:
    run_plan(plan)


@profile(share=0.2, quick=4)
@given(plan=plans(st.integers(10, 50)))
def test_any_sequence_of_polls_of_many_numbers_gives_the_result_of_the_model(
    run_plan: Callable[[Plan], None], plan: Plan
) -> None:
    run_plan(plan)


@pytest.mark.skipif(not EXAMPLES, reason="takes minutes: python -m tests.model")
def test_every_action_can_follow_every_other(run_plan: Callable[[Plan], None], statistics: ActionStatistics) -> None:
    random = Random(EXAMPLES)  # noqa: S311 - no secret
    for _ in range(MAX_RUNS_FOR_PAIRS):
        if not statistics.missing_pairs(ACTIONS):
            return
        run_plan(plan_for_missing_pairs(statistics, random))
    assert statistics.missing_pairs(ACTIONS) == []
