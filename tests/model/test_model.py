"""Random sequences of polls come, to the row, to what the contract's words say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.model.stage import KINDS, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("SYNCER_MODEL_EXAMPLES") or 0)
PROFILE = settings(
    max_examples=EXAMPLES or 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    print_blob=True,
)

_choices = st.integers(0, 63)
_events = st.tuples(st.sampled_from(KINDS), _choices, _choices)
_steps = st.lists(_events, min_size=1, max_size=3).map(tuple)


def plans(sizes: st.SearchStrategy[int], steps: int) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        steps=st.lists(_steps, min_size=1, max_size=steps).map(tuple),
        numbers=sizes,
        ratio=st.sampled_from((0.2, 0.5, 0.0, 1.0)),
        hold_hours=st.sampled_from((24, 2, 0)),
        replays=st.booleans(),
    )


@pytest.mark.timeout(0)
@PROFILE
@given(plan=plans(st.integers(0, 6), 15))
def test_any_sequence_of_polls_comes_to_what_the_model_says(play: Callable[[Plan], None], plan: Plan) -> None:
    play(plan)
