"""The lists of names of one account: employees, groups, employee groups, and scenarios of numbers and of groups."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from syncer.emulator import paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from syncer.emulator.name_record import NameGenerator, Record

ID_FIELDS: Final = ("employee_id", "group_id", "scenario_id", "group_scenario_id")
"""The fields of a number that have an id of a list of names."""


class NumberIds(msgspec.Struct, gc=False):
    """What a number's record says about the lists of names."""

    id: int
    number: str
    type: str
    employee_id: int | None
    group_id: int | None
    scenario_id: int | None
    group_scenario_id: int | None


class NameLists:
    """The lists of names of one account at one moment: they have all ids that its numbers have.

    They also have the groups and the scenarios that its numbers had before. Half of the employees leave the list with
    their last number, the others later.

    Args:
        generator: What makes the records.
        numbers: The numbers of the account.
        former_ids: Ids that its numbers had, by field; with each the departures when it was last lost.
    """

    def __init__(
        self, generator: NameGenerator, numbers: Sequence[NumberIds], former_ids: Mapping[str, Mapping[int, float]]
    ) -> None:
        self._generator = generator
        self._former_ids = former_ids
        self._numbers: dict[str, dict[int, list[NumberIds]]] = {field: defaultdict(list) for field in ID_FIELDS}
        for number in sorted(numbers, key=attrgetter("id")):
            for field, by_id in self._numbers.items():
                if (key := getattr(number, field)) is not None:
                    by_id[key].append(number)

    def body(self, path: str) -> bytes:
        """Returns the JSON array that is served at the path."""
        return msgspec.json.encode(self.records(path))

    def records(self, path: str) -> list[Record]:
        """Returns the records that are served at the path, in the order of their ids.

        Raises:
            KeyError: It is not the path of a list of names.
        """
        make_records = {
            paths.EMPLOYEES: self._employees,
            paths.GROUPS: self._groups,
            paths.EMPLOYEE_GROUPS: self._employee_groups,
            paths.SCENARIOS: self._scenarios,
            paths.GROUP_SCENARIOS: self._group_scenarios,
        }
        return make_records[path]()

    def secrets(self) -> frozenset[str]:
        """Returns what nobody needs who reads names, of employees who have left too: texts to search for.

        They are the passwords, logins, e-mail addresses, private phone numbers and photos of employees, and the
        external numbers of scenarios. Nothing else that is served contains one of them.
        """
        employees = [self._employee(key) for key in self._ids("employee_id", self._generator.staff_ids)]
        scenarios = self._scenarios() + self._group_scenarios()
        shifts = [shift for scenario in scenarios for shift in scenario.values() if isinstance(shift, dict)]
        fields = ("password", "login", "email", "phone", "photo_link", "external_numb")
        secrets = {record.get(field) for record in employees + shifts for field in fields}
        return frozenset(secret for secret in secrets if secret is not None)

    def _ids(self, field: str, others: Iterable[int] = ()) -> list[int]:
        """Returns the ids that numbers have or had in the field, and others."""
        return sorted({*self._numbers[field], *self._former_ids.get(field, ()), *others})

    def _employees(self) -> list[Record]:
        former = self._former_ids.get("employee_id", {})
        has_left = self._generator.has_left
        left = {key for key in former.keys() - self._numbers["employee_id"] if has_left(key, former[key])}
        ids = self._ids("employee_id", self._generator.staff_ids)
        return [self._employee(key) for key in ids if key not in left or key in self._generator.staff_ids]

    def _employee(self, employee_id: int) -> Record:
        sims = (number for number in self._numbers["employee_id"].get(employee_id, ()) if number.type == "def")
        sim = next(sims, None)
        return self._generator.employee(
            employee_id, sim_id=None if sim is None else sim.id, sim_phone=None if sim is None else sim.number
        )

    def _groups(self) -> list[Record]:
        groups = []
        for group_id in self._ids("group_id"):
            numbers = self._numbers["group_id"].get(group_id, [])
            scenario_id = numbers[0].group_scenario_id if numbers else None
            number_ids = [number.id for number in numbers]
            groups.append(self._generator.group(group_id, number_ids=number_ids, scenario_id=scenario_id))
        return groups

    def _employee_groups(self) -> list[Record]:
        return [self._generator.employee_group(group_id) for group_id in self._generator.employee_group_ids]

    def _scenarios(self) -> list[Record]:
        scenarios = []
        for scenario_id in self._ids("scenario_id"):
            numbers = self._numbers["scenario_id"].get(scenario_id)
            owner = {"virtual_number_id": numbers[0].id if numbers else None}
            scenarios.append(self._generator.scenario("scenario", scenario_id, owner=owner))
        return scenarios

    def _group_scenarios(self) -> list[Record]:
        scenarios = []
        for scenario_id in self._ids("group_scenario_id"):
            numbers = self._numbers["group_scenario_id"].get(scenario_id)
            owner = {"virtual_number_id": None, "virtual_number_group_id": numbers[0].group_id if numbers else None}
            scenarios.append(self._generator.scenario("group scenario", scenario_id, owner=owner))
        return scenarios
