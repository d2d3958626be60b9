"""The emulated lists of names: they have the numbers' ids, change rarely, and leave the numbers as they are."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from syncer.emulator import REALISTIC, STATIC, Fleet, Rates, paths
from syncer.emulator.simulation import Simulation

APP_ID = 1200054
LIST_OF_FIELD: Final = {
    "employee_id": paths.EMPLOYEES,
    "group_id": paths.GROUPS,
    "scenario_id": paths.SCENARIOS,
    "group_scenario_id": paths.GROUP_SCENARIOS,
}
SHIFTS: Final = ("working_shift1", "working_shift2", "working_shift3", "default_working_shift")
NAME_RATES: Final = ("renames", "position_changes", "departures", "group_renames", "target_changes")

Records = dict[int, dict[str, Any]]


def make(numbers: int = 300, *, seed: int | str = 1, rates: Rates = STATIC) -> Fleet:
    return Fleet(numbers=numbers, seed=seed, app_id=APP_ID, rates=rates)


def only(**rates: float) -> Rates:
    return dataclasses.replace(STATIC, **rates)


def listed(fleet: Fleet, path: str) -> Records:
    return {record["id"]: record for record in json.loads(fleet.name_lists().body(path))}


def ids(fleet: Fleet, field: str) -> set[int]:
    return {record[field] for record in fleet.records()} - {None}


def bodies(fleet: Fleet) -> list[bytes]:
    return [fleet.name_lists().body(path) for path in paths.NAME_LISTS]


def shifts(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    return [scenario[shift] for shift in SHIFTS if scenario[shift] is not None]


def has_target(scenario: dict[str, Any]) -> bool:
    return any(shift["employee_id"] or shift["employee_group_id"] for shift in shifts(scenario))


def differing(before: Records, after: Records) -> list[set[str]]:
    return [
        {key for key in before[record_id] if before[record_id][key] != after[record_id][key]}
        for record_id in before
        if before[record_id] != after[record_id]
    ]


# What is in them


@pytest.mark.parametrize("seed", range(3))
def test_every_id_of_a_number_is_in_its_list_at_every_step(seed: int) -> None:
    fleet = make(100, seed=seed, rates=dataclasses.replace(REALISTIC, reassignments=0.1, removals=0.02, arrivals=0.02))
    for _ in range(100):
        fleet.step()
        assert all(ids(fleet, field) <= listed(fleet, path).keys() for field, path in LIST_OF_FIELD.items())


def test_ids_of_groups_and_scenarios_that_a_number_had_remain_in_their_lists() -> None:
    fleet = make(rates=only(removals=0.5))
    before = {field: ids(fleet, field) for field in LIST_OF_FIELD}
    fleet.step()
    fleet.rates = only(permanent_removals=1)
    fleet.step()
    for field in ("group_id", "scenario_id", "group_scenario_id"):
        assert before[field] > ids(fleet, field)
        assert listed(fleet, LIST_OF_FIELD[field]).keys() == before[field]


def test_a_number_that_is_not_listed_for_some_time_keeps_its_ids_in_the_lists() -> None:
    fleet = make(rates=only(removals=0.5))
    before = bodies(fleet)
    fleet.step()
    assert bodies(fleet) == before


def test_the_order_of_the_numbers_does_not_matter() -> None:
    fleet = make()
    before = bodies(fleet)
    fleet.shuffle()
    assert bodies(fleet) == before


def test_half_of_the_employees_leave_with_their_last_number_and_the_others_later() -> None:
    fleet = make(2000)
    before = ids(fleet, "employee_id")
    fleet.delist(record["id"] for record in fleet.records())
    fleet.rates = only(permanent_removals=1, departures=0.01)
    fleet.step()
    stayed = [len(before & listed(fleet, paths.EMPLOYEES).keys())]
    for steps in (49, 50):
        for _ in range(steps):
            fleet.step()
        stayed.append(len(before & listed(fleet, paths.EMPLOYEES).keys()))
    assert len(before) > 300
    assert [round(count / len(before), 1) for count in stayed] == [0.5, 0.2, 0]


def test_an_employee_who_gets_a_number_again_is_listed_again_with_the_same_name() -> None:
    fleet = make()
    (number,) = fleet.add_numbers(1)

    def assign(employee_id: int | None) -> None:
        fleet.update_numbers([number], lambda record: setattr(record, "employee_id", employee_id))

    seen = set()
    for employee_id in range(2000, 2020):
        assign(employee_id)
        first = listed(fleet, paths.EMPLOYEES)[employee_id]
        assign(None)
        seen.add(employee_id in listed(fleet, paths.EMPLOYEES))
        assign(employee_id)
        assert listed(fleet, paths.EMPLOYEES)[employee_id] == first
    assert seen == {True, False}


def test_an_account_without_numbers_has_some_employees_and_employee_groups() -> None:
    fleet = make(0)
    assert [len(fleet.name_lists().records(path)) > 0 for path in paths.NAME_LISTS] == [True, False, True, False, False]


def test_an_unknown_path_is_no_list_of_names() -> None:
    with pytest.raises(KeyError):
        make(0).name_lists().body("/position")


def test_employees_have_plausible_names_and_positions() -> None:
    employees = make(3000).name_lists().records(paths.EMPLOYEES)
    assert all(re.fullmatch("[А-ЯЁ][а-яё]+( [А-ЯЁ][а-яё]+)?", employee["full_name"]) for employee in employees)
    assert all(
        employee["full_name"] == " ".join(filter(None, (employee["last_name"], employee["first_name"])))
        for employee in employees
    )
    last_names_alone = sum(employee["first_name"] is None for employee in employees)
    assert 0.05 < last_names_alone / len(employees) < 0.15
    positions = {employee["position_name"] for employee in employees}
    assert None in positions
    assert len(positions) == 14


def test_groups_of_one_account_have_different_names() -> None:
    fleet = make(2000)
    for path in (paths.GROUPS, paths.EMPLOYEE_GROUPS):
        names = [group["name"] for group in fleet.name_lists().records(path)]
        assert len(names) == len(set(names)) > 2


def test_a_group_and_its_scenario_point_to_each_other_and_to_numbers_that_have_them() -> None:
    fleet = make()
    numbers = {record["id"]: record for record in fleet.records()}
    scenarios = listed(fleet, paths.GROUP_SCENARIOS)
    groups = listed(fleet, paths.GROUPS)
    assert groups
    for group in groups.values():
        assert {numbers[number_id]["group_id"] for number_id in group["virtual_number_ids"]} == {group["id"]}
        assert scenarios[group["scenario_id"]]["virtual_number_group_id"] == group["id"]


def test_scenarios_lead_to_listed_employees_and_employee_groups_and_some_elsewhere() -> None:
    fleet = make(3000)
    scenarios = list(listed(fleet, paths.SCENARIOS).values())
    employees, groups = listed(fleet, paths.EMPLOYEES).keys(), listed(fleet, paths.EMPLOYEE_GROUPS).keys()
    targets = [
        (shift["employee_id"], shift["employee_group_id"]) for scenario in scenarios for shift in shifts(scenario)
    ]
    assert {employee for employee, _ in targets} - {None} <= employees
    assert {group for _, group in targets} - {None} <= groups
    assert {shift["scenario_type"] for scenario in scenarios for shift in shifts(scenario)} == {
        "redirect_to_employee",
        "redirect_to_employee_group",
        "informer",
        "duty",
    }
    assert any(shift["external_numb"] for scenario in scenarios for shift in shifts(scenario))
    assert {len(shifts(scenario)) for scenario in scenarios} == {0, 1, 2, 3}
    # A scenario of several shifts has one target, targets of one type, or targets of different types.
    assert {
        (len({shift["scenario_type"] for shift in shifts(scenario)}), len(set(map(str, shifts(scenario)))))
        for scenario in scenarios
        if len(shifts(scenario)) > 1
    } == {(1, 1), (1, 2), (2, 2)}
    assert sum(scenario["working_shift1"] is not None for scenario in scenarios) > 0.9 * len(scenarios)


def test_the_sim_card_of_an_employee_is_a_mobile_number_that_is_assigned_to_them() -> None:
    fleet = make(1000)
    numbers = {record["id"]: record for record in fleet.records()}
    employees = listed(fleet, paths.EMPLOYEES).values()
    sims = [employee for employee in employees if employee["sim_number_capacity_id"] is not None]
    assert sims
    for employee in sims:
        number = numbers[employee["sim_number_capacity_id"]]
        assert (number["number"], number["type"], number["employee_id"]) == (
            employee["sim_phone"],
            "def",
            employee["id"],
        )


# Secrets


def test_every_secret_of_every_employee_is_in_the_set_of_secrets_and_nowhere_among_the_numbers() -> None:
    fleet = make(rates=dataclasses.replace(REALISTIC, reassignments=0.2))
    served = set()
    for _ in range(20):
        for employee in fleet.name_lists().records(paths.EMPLOYEES):
            served |= {employee[field] for field in ("password", "login", "email", "phone", "photo_link")}
        for path in (paths.SCENARIOS, paths.GROUP_SCENARIOS):
            for scenario in fleet.name_lists().records(path):
                served |= {shift["external_numb"] for shift in shifts(scenario)}
        fleet.step()
    secrets = fleet.name_lists().secrets()
    assert secrets >= served - {None}
    assert all(len(secret) > 10 for secret in secrets)
    assert [secret for secret in secrets if secret.encode() in fleet.body()] == []


def test_each_employee_has_a_password_and_another_account_has_other_secrets() -> None:
    one, other = make(seed=1).name_lists(), make(seed=2).name_lists()
    passwords = {employee["password"] for employee in one.records(paths.EMPLOYEES)}
    assert len(passwords) == len(one.records(paths.EMPLOYEES))
    assert passwords < one.secrets()
    assert not one.secrets() & other.secrets()


# Changes


def test_the_same_seed_and_steps_give_the_same_lists_whether_they_were_requested_or_not() -> None:
    rates = dataclasses.replace(REALISTIC, **dict.fromkeys(NAME_RATES, 0.01))
    requested, not_requested = make(rates=rates), make(rates=rates)
    for _ in range(50):
        bodies(requested)
        requested.step()
        not_requested.step()
    assert bodies(requested) == bodies(not_requested)
    assert bodies(requested) != bodies(make(seed=2))


def test_neither_requests_nor_changes_of_names_change_the_numbers() -> None:
    requested = make(rates=dataclasses.replace(REALISTIC, **dict.fromkeys(NAME_RATES, 0.5)))
    not_requested = make(rates=dataclasses.replace(REALISTIC, **dict.fromkeys(NAME_RATES, 0)))
    for _ in range(100):
        requested.name_lists().secrets()
        bodies(requested)
        requested.step()
        not_requested.step()
        assert requested.body() == not_requested.body()


def test_with_static_rates_the_lists_never_change() -> None:
    fleet = make(rates=STATIC)
    before = bodies(fleet)
    for _ in range(20):
        fleet.step()
    assert bodies(fleet) == before


@pytest.mark.parametrize(
    ("rate", "fields_of_list"),
    [
        ("renames", {paths.EMPLOYEES: {"last_name", "full_name"}}),
        ("position_changes", {paths.EMPLOYEES: {"position_id", "position_name"}}),
        ("group_renames", {paths.GROUPS: {"name"}, paths.EMPLOYEE_GROUPS: {"name"}}),
        ("target_changes", {paths.SCENARIOS: set(SHIFTS), paths.GROUP_SCENARIOS: set(SHIFTS)}),
    ],
)
def test_each_rate_changes_its_own_fields_of_that_share_of_the_records(
    rate: str, fields_of_list: dict[str, set[str]]
) -> None:
    fleet = make(3000, rates=only(**{rate: 0.25}))
    changed: Counter[tuple[str, int]] = Counter()
    for _ in range(4):
        before = {path: listed(fleet, path) for path in paths.NAME_LISTS}
        fleet.step()
        for path, records in before.items():
            after = listed(fleet, path)
            assert all(change <= fields_of_list.get(path, set()) for change in differing(records, after))
            changed.update((path, record_id) for record_id in records if records[record_id] != after[record_id])
    assert changed == {
        (path, record_id): 1
        for path in fields_of_list
        for record_id, record in listed(fleet, path).items()
        if rate != "target_changes" or has_target(record)
    }


def test_realistic_lists_change_rarely_and_in_all_ways() -> None:
    fleet = make(200, rates=REALISTIC)
    before = {path: listed(fleet, path) for path in paths.NAME_LISTS}
    for _ in range(100):
        fleet.step()
    shared = listed(fleet, paths.EMPLOYEES).keys() & before[paths.EMPLOYEES].keys()
    assert len(shared) > 0.9 * len(before[paths.EMPLOYEES])
    for _ in range(10_000):
        fleet.step()
    after = {path: listed(fleet, path) for path in paths.NAME_LISTS}
    assert before[paths.EMPLOYEES].keys() - after[paths.EMPLOYEES].keys()
    assert all(
        any(after[path][key] != record for key, record in before[path].items() if key in after[path])
        for path in paths.NAME_LISTS
    )


def test_in_the_simulation_names_change_over_half_a_year() -> None:
    fleet = make(200)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    simulation = Simulation(fleet, seed=1, start=start, days=180)
    before = listed(fleet, paths.EMPLOYEES)
    simulation.advance_to(start + timedelta(days=180))
    after = listed(fleet, paths.EMPLOYEES)
    renamed = [key for key in before.keys() & after.keys() if before[key]["full_name"] != after[key]["full_name"]]
    assert 3 < len(renamed) < 0.5 * len(before)
    assert before.keys() - after.keys()
    assert ids(fleet, "employee_id") <= after.keys()
