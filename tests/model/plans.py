"""Sequences of polls: any that hypothesis can think of, and those in which every event follows every other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from tests.model.stage import KINDS, Plan

if TYPE_CHECKING:
    from random import Random

    from tests.model.stage import Step
    from tests.model.tally import Tally

LARGEST_CHOICE: Final = 63
STEPS: Final = 15
EVENTS_A_STEP: Final = 3
RATIOS: Final = (0.2, 0.5, 0.0, 1.0)
HOLD_HOURS: Final = (24, 2, 0)

# Whoever returns must have vanished, and so on: these are drawn more often than the others.
_OFTEN: Final = tuple(
    name for name in KINDS if any(part in name for part in ("vanish", "return", "waits", "accepted", "hold_time"))
)
# What makes the events possible that need something before them.
_PRELUDE: Final = (
    ("known_record_arrives_broken", 1, 0),
    ("unknown_field_changes", 1, 2),
    ("keys_are_left_out", 2, 3),
    ("several_numbers_vanish", 3, 1),
    ("poll_begins_and_waits", 1, 0),
    ("poll_begins_and_waits", 2, 0),
)

_choices = st.integers(0, LARGEST_CHOICE)
_steps = st.lists(
    st.tuples(st.sampled_from((*KINDS, *_OFTEN)), _choices, _choices), min_size=1, max_size=EVENTS_A_STEP
).map(tuple)


def plans(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[Plan]:
    """Any sequence of polls, of accounts that have so many numbers at first."""
    return st.builds(
        Plan,
        # Always as many, since hypothesis prefers few; in a counterexample nothing happens in most of them.
        steps=st.lists(_steps, min_size=STEPS, max_size=STEPS).map(tuple),
        numbers=sizes,
        ratio=st.sampled_from(RATIOS),
        hold_hours=st.sampled_from(HOLD_HOURS),
        replays=st.booleans(),
    )


def plan_for_missing_pairs(tally: Tally, random: Random) -> Plan:
    """A sequence in which each step is made of the events that have followed those before it least."""

    def chosen(name: str) -> tuple[str, int, int]:
        return name, random.randint(0, LARGEST_CHOICE), random.randint(0, LARGEST_CHOICE)

    steps: list[Step] = [(), _PRELUDE]
    names = [name for name, _, _ in _PRELUDE]
    for _ in range(STEPS):
        # Of equals, the one from which most is missing still; the random part keeps plans apart.
        seen = {name: sum((before, name) in tally.pairs for before in names) for name in KINDS}
        leads_on = {name: sum((name, after) in tally.pairs for after in KINDS) for name in KINDS}
        names = sorted(KINDS, key=lambda name: (seen[name], leads_on[name] + random.randint(0, 9)))[:EVENTS_A_STEP]
        random.shuffle(names)
        steps.append(tuple(map(chosen, names)))
    return Plan(
        steps=tuple(steps),
        numbers=random.choice((6, 12)),
        ratio=random.choice(RATIOS),
        hold_hours=random.choice(HOLD_HOURS),
        replays=random.random() < 0.2,
    )
