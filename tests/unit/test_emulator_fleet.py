"""The emulated numbers: plausible, repeatable, and changed exactly as requested."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from syncer.emulator import REALISTIC, STATIC, Fleet, Rates
from syncer.emulator.vendor_values import REGIONS, STATES, TYPES

APP_ID = 1200054
PAGE_FIELDS = {
    "number",
    "comment",
    "type",
    "purpose",
    "scenario_id",
    "group_scenario_id",
    "group_id",
    "is_scenario_active",
    "is_group_scenario_active",
    "id",
    "state",
    "reason",
    "from_redirect_numbers",
    "employee_id",
    "region_name",
    "app_id",
    "nc_type",
    "sip_uri",
}


def make(numbers: int = 1000, *, seed: int | str = 1, rates: Rates = STATIC) -> Fleet:
    return Fleet(numbers=numbers, seed=seed, app_id=APP_ID, rates=rates)


def by_id(fleet: Fleet) -> dict[int, dict[str, Any]]:
    return {record["id"]: record for record in fleet.records()}


def only(**rates: float) -> Rates:
    return dataclasses.replace(STATIC, **rates)


def differing(before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> list[set[str]]:
    return [
        {key for key in before[number_id] if before[number_id][key] != after[number_id][key]}
        for number_id in before
        if before[number_id] != after[number_id]
    ]


def test_the_same_seed_and_steps_give_the_same_bytes() -> None:
    one, other = make(rates=REALISTIC), make(rates=REALISTIC)
    for fleet in (one, other):
        for _ in range(50):
            fleet.step()
        fleet.change_fraction(0.1)
        fleet.shuffle()
    assert one.body() == other.body()


def test_another_seed_gives_other_numbers() -> None:
    assert make(seed=1).body() != make(seed=2).body()


def test_the_body_is_compact_utf8_json_with_the_given_number_of_records() -> None:
    fleet = make(1000)
    records = json.loads(fleet.body())
    assert len(records) == len(fleet) == 1000
    assert {record["app_id"] for record in records} == {APP_ID}
    assert fleet.body() == json.dumps(records, ensure_ascii=False, separators=(",", ":")).encode()
    assert 420 < len(fleet.body()) / len(fleet) < 500


def test_every_record_has_the_documented_fields_and_one_or_both_of_the_redirection_numbers() -> None:
    extra = {frozenset(record.keys() - PAGE_FIELDS) for record in make().records()}
    assert extra == {
        frozenset({"dgn_number"}),
        frozenset({"redirect_number"}),
        frozenset({"dgn_number", "redirect_number"}),
    }
    assert all(record.keys() >= PAGE_FIELDS for record in make().records())


def test_every_documented_value_occurs() -> None:
    records = make(5000).records()
    assert {record["type"] for record in records} == set(TYPES)
    assert {record["state"] for record in records} == set(STATES)
    assert {record["purpose"] for record in records} == {"company", "\u0441ompany", "employee", "not_specified"}
    assert {record["nc_type"] for record in records} == {"custom", "custom+fmc"}
    assert {record["region_name"] for record in records} == {region.name for region in REGIONS} | {None}
    assert {len(record["from_redirect_numbers"] or ()) for record in records} == {0, 1, 2, 3}
    assert {str(record["from_redirect_numbers"]) for record in records if not record["from_redirect_numbers"]} == {
        "[]",
        "None",
    }


def test_most_numbers_are_active() -> None:
    records = make(5000).records()
    active = sum(record["state"] == "active" for record in records)
    assert 0.9 < active / len(records) < 0.96


def test_ids_and_numbers_are_unique_and_numbers_have_eleven_digits() -> None:
    records = make(20_000).records()
    assert len({record["id"] for record in records}) == 20_000
    numbers = {record["number"] for record in records}
    assert len(numbers) == 20_000
    assert all(len(number) == 11 and number.isdigit() for number in numbers)


def test_a_number_has_a_code_of_its_region_and_type() -> None:
    regions = {region.name: region for region in REGIONS}
    for record in make(5000).records():
        if record["type"] == "toll_free":
            assert record["number"].startswith("7800")
            assert record["region_name"] is None
        else:
            region = regions[record["region_name"]]
            codes = region.mobile_codes if record["type"] == "def" else region.area_codes
            assert record["number"][1:].startswith(codes)


def test_a_record_has_an_employee_if_and_only_if_its_purpose_is_employee() -> None:
    assert all((record["purpose"] == "employee") == (record["employee_id"] is not None) for record in make().records())


def test_a_record_has_a_sip_uri_if_and_only_if_its_type_is_sip_redirection() -> None:
    assert all((record["type"] == "sip_redirection") == (record["sip_uri"] is not None) for record in make().records())


def test_only_numbers_that_are_not_active_have_a_reason() -> None:
    assert not any(record["reason"] for record in make().records() if record["state"] == "active")
    assert any(record["reason"] for record in make().records())


def test_some_redirects_come_from_listed_numbers_and_some_do_not() -> None:
    listed = {(record["id"], record["number"]) for record in make().records()}
    redirects = {
        (redirect["id"], redirect["number"])
        for record in make().records()
        for redirect in record["from_redirect_numbers"] or ()
    }
    assert redirects & listed
    assert redirects - listed
    assert not {redirect[0] for redirect in redirects - listed} & {number[0] for number in listed}


def test_with_static_rates_the_body_never_changes() -> None:
    fleet = make(rates=STATIC)
    before = fleet.body()
    for _ in range(20):
        fleet.step()
    assert fleet.body() is before
    assert fleet.steps == 20


def test_deactivations_change_that_share_of_the_active_numbers() -> None:
    fleet = make(rates=only(deactivations=0.1))
    before = by_id(fleet)
    active = [record for record in before.values() if record["state"] == "active"]
    fleet.step()
    changes = differing(before, by_id(fleet))
    assert len(active) * 0.1 - 1 < len(changes) < len(active) * 0.1 + 1
    assert all("state" in change and change <= {"state", "reason"} for change in changes)
    after = by_id(fleet)
    assert {after[record["id"]]["state"] for record in active} == {"active", "debt_lock", "freeze", "inactive"}


def test_reactivations_make_every_number_active_again() -> None:
    fleet = make(rates=only(reactivations=1))
    for _ in range(30):
        fleet.step()
    assert {(record["state"], record["reason"]) for record in fleet.records()} == {("active", None)}


@pytest.mark.parametrize(
    ("rate", "fields"),
    [
        ("comment_edits", {"comment"}),
        ("redirect_changes", {"from_redirect_numbers", "dgn_number", "redirect_number"}),
        ("reassignments", {"purpose", "employee_id"}),
    ],
)
def test_each_rate_changes_its_own_fields_in_that_share_of_the_numbers(rate: str, fields: set[str]) -> None:
    fleet = make(1000, rates=only(**{rate: 0.05}))
    before = by_id(fleet)
    fleet.step()
    changes = differing(before, by_id(fleet))
    assert len(changes) == 50
    assert all(change <= fields for change in changes)


def test_arrivals_add_new_numbers() -> None:
    fleet = make(1000, rates=only(arrivals=0.03))
    before = by_id(fleet)
    fleet.step()
    after = by_id(fleet)
    assert len(after.keys() - before.keys()) == 30
    assert {number_id: after[number_id] for number_id in before} == before


def test_removed_numbers_return_unchanged() -> None:
    fleet = make(1000, rates=only(removals=0.03))
    before = by_id(fleet)
    fleet.step()
    assert len(before.keys() - by_id(fleet).keys()) == 30
    fleet.rates = only(returns=1)
    fleet.step()
    assert by_id(fleet) == before


def test_permanently_removed_numbers_do_not_return() -> None:
    fleet = make(1000, rates=only(removals=0.03))
    fleet.step()
    remaining = fleet.body()
    fleet.rates = only(permanent_removals=1)
    fleet.step()
    fleet.rates = only(returns=1)
    fleet.step()
    assert fleet.body() == remaining


def test_a_rate_below_one_number_per_step_still_has_an_effect() -> None:
    fleet = make(10, rates=only(arrivals=0.01))
    for _ in range(100):
        fleet.step()
    assert 11 <= len(fleet) <= 30


def test_after_many_steps_the_numbers_are_still_plausible() -> None:
    fleet = make(1000, rates=REALISTIC)
    for _ in range(500):
        fleet.step()
    records = fleet.records()
    assert 800 < len(records) < 1300
    assert len({record["id"] for record in records}) == len({record["number"] for record in records}) == len(records)
    assert 0.85 < sum(record["state"] == "active" for record in records) / len(records) < 0.97


@pytest.mark.parametrize("seed", range(3))
def test_over_many_steps_the_list_keeps_its_length_and_most_of_its_numbers(seed: int) -> None:
    fleet = make(200, seed=seed, rates=REALISTIC)
    first = by_id(fleet).keys()
    lengths = []
    for _ in range(15_000):
        fleet.step()
        lengths.append(len(fleet))
    assert min(lengths) > 175
    assert max(lengths) < 215
    assert len(first - by_id(fleet).keys()) < 0.15 * len(first)


def test_arrivals_balance_permanent_removals() -> None:
    rates = REALISTIC
    removed_share = rates.removals / (rates.returns + rates.permanent_removals)
    assert rates.permanent_removals * removed_share == pytest.approx(rates.arrivals, rel=0.01)


@pytest.mark.parametrize("fraction", [0, 0.001, 0.01, 0.5, 1])
def test_exactly_the_requested_fraction_changes(fraction: float) -> None:
    fleet = make(1000)
    before = by_id(fleet)
    assert fleet.change_fraction(fraction) == 1000 * fraction
    after = by_id(fleet)
    assert list(after) == list(before)
    assert len(differing(before, after)) == 1000 * fraction


def test_changes_are_a_quarter_each_of_state_comment_redirects_and_employee() -> None:
    fleet = make(1000)
    before = by_id(fleet)
    fleet.change_fraction(0.4)
    changes = differing(before, by_id(fleet))
    assert [
        sum(bool(change & fields) for change in changes)
        for fields in ({"state"}, {"comment"}, {"from_redirect_numbers"}, {"purpose", "employee_id"})
    ] == [100, 100, 100, 100]


def test_exactly_the_requested_fraction_is_removed() -> None:
    fleet = make(1000)
    before = by_id(fleet)
    assert fleet.remove_fraction(0.25) == 250
    assert len(fleet) == 750
    assert by_id(fleet).items() <= before.items()


def test_shuffling_changes_the_order_and_nothing_else() -> None:
    fleet = make(1000)
    before = by_id(fleet)
    fleet.shuffle()
    assert list(by_id(fleet)) != list(before)
    assert by_id(fleet) == before
