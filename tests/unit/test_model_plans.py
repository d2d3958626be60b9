"""Plans of the model that follow from integers."""

from __future__ import annotations

from tests.model.action_statistics import ActionStatistics
from tests.model.campaign import number_of_plan
from tests.model.plan_run import ACTIONS
from tests.model.plans import random_plan


def test_a_plan_follows_from_its_number_alone() -> None:
    number = number_of_plan(7, 3)

    assert number == number_of_plan(7, 3)
    assert random_plan(number) == random_plan(number)


def test_different_seeds_and_positions_give_different_plans() -> None:
    numbers = {number_of_plan(seed, position) for seed in range(10) for position in range(100)}

    assert len(set(map(random_plan, numbers))) == 1000


def test_statistics_survive_being_stored() -> None:
    statistics = ActionStatistics(runs=2, polls=30, max_numbers=7)
    statistics.add_step(ACTIONS[:2])
    statistics.add_step(ACTIONS[2:4])
    statistics.consequences["created"] += 5

    restored = ActionStatistics.from_json(statistics.to_json())

    assert restored.to_json() == statistics.to_json()
    assert restored.table(10.0)[:2] == [f"{'polls':<34} {30:>12}", f"{'plans':<34} {2:>12}"]
