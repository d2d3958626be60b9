"""Generates plans: any that hypothesis finds, and those in which every action follows every other one."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from tests.model.plan_run import ACTIONS, Plan

if TYPE_CHECKING:
    from tests.model.action_statistics import ActionStatistics
    from tests.model.plan_run import Step

MAX_CHOICE: Final = 63
STEP_COUNT: Final = 15
LONG_STEP_COUNT: Final = 100
ACTIONS_PER_STEP: Final = 3
COMPARED_EVERY: Final = 12
VIEWS_COMPARED_EVERY: Final = 70
KILLED_SHARE: Final = 0.3
RATIOS: Final = (0.2, 0.5, 0.0, 1.0)
HOLD_HOURS: Final = (24, 2, 0)
CONFIRMATIONS: Final = (1, 2, 3)

# A number that returns must have disappeared before, and so on: these are drawn more often than the others.
_OFTEN: Final = tuple(
    name for name in ACTIONS if any(part in name for part in ("disappear", "return", "waits", "accepted", "hold_time"))
)
# In the plans of many polls. After its session was killed, a poll needs as long as many others.
_WEIGHTS: Final = [KILLED_SHARE if name == "transaction_is_killed" else 1 for name in (*ACTIONS, *_OFTEN)]
# Prepares for the actions that need something to act on.
_FIRST_STEP: Final = (
    ("known_record_is_invalid", 1, 0),
    ("unknown_field_changes", 1, 2),
    ("keys_are_omitted", 2, 3),
    ("several_numbers_disappear", 3, 1),
    ("poll_begins_and_waits", 1, 0),
    ("poll_begins_and_waits", 2, 0),
)

_choices = st.integers(0, MAX_CHOICE)
_steps = st.lists(
    st.tuples(st.sampled_from((*ACTIONS, *_OFTEN)), _choices, _choices), min_size=1, max_size=ACTIONS_PER_STEP
).map(tuple)


def plans(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[Plan]:
    """Returns a strategy for plans whose accounts initially have these numbers of numbers."""
    return st.builds(
        Plan,
        # Always the same number, since hypothesis prefers few; in a counterexample, nothing happens in most steps.
        steps=st.lists(_steps, min_size=STEP_COUNT, max_size=STEP_COUNT).map(tuple),
        numbers=sizes,
        ratio=st.sampled_from(RATIOS),
        hold_hours=st.sampled_from(HOLD_HOURS),
        confirmations=st.sampled_from(CONFIRMATIONS),
        replays=st.booleans(),
    )


def random_plan(number: int) -> Plan:
    """Returns one of the plans of many polls, whose rows are compared now and then; the same for the same number."""
    random = Random(number)  # noqa: S311 - no secret: the number must choose the same plan each time

    def step() -> Step:
        count = random.randint(1, ACTIONS_PER_STEP)
        names = random.choices((*ACTIONS, *_OFTEN), _WEIGHTS, k=count)
        return tuple((name, random.randint(0, MAX_CHOICE), random.randint(0, MAX_CHOICE)) for name in names)

    return Plan(
        steps=tuple(step() for _ in range(LONG_STEP_COUNT)),
        numbers=random.choice((random.randint(0, 6), random.randint(0, 6), random.randint(10, 50))),
        ratio=random.choice(RATIOS),
        hold_hours=random.choice(HOLD_HOURS),
        confirmations=random.choice(CONFIRMATIONS),
        replays=random.random() < 0.2,
        compared_every=COMPARED_EVERY,
        views_compared_every=VIEWS_COMPARED_EVERY,
    )


def plan_for_missing_pairs(statistics: ActionStatistics, random: Random) -> Plan:
    """Returns a plan in which each step consists of the actions that have followed the previous ones least often."""

    def chosen(name: str) -> tuple[str, int, int]:
        return name, random.randint(0, MAX_CHOICE), random.randint(0, MAX_CHOICE)

    steps: list[Step] = [(), _FIRST_STEP]
    names = [name for name, _, _ in _FIRST_STEP]
    for _ in range(STEP_COUNT):
        # Among equals, prefers the action with the fewest followers so far; the random part makes plans differ.
        seen = {name: sum((before, name) in statistics.pairs for before in names) for name in ACTIONS}
        follow_ups = {name: sum((name, after) in statistics.pairs for after in ACTIONS) for name in ACTIONS}
        names = sorted(ACTIONS, key=lambda name: (seen[name], follow_ups[name] + random.randint(0, 9)))[
            :ACTIONS_PER_STEP
        ]
        random.shuffle(names)
        steps.append(tuple(map(chosen, names)))
    return Plan(
        steps=tuple(steps),
        numbers=random.choice((6, 12)),
        ratio=random.choice(RATIOS),
        hold_hours=random.choice(HOLD_HOURS),
        confirmations=random.choice(CONFIRMATIONS),
        replays=random.random() < 0.2,
    )
