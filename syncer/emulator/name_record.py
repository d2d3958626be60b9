"""The vendor's records of employees, groups and scenarios, with their fields in the order of the vendor's examples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from syncer.emulator import name_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.emulator.rates import Rates

Item = TypeVar("Item")
Record = dict[str, Any]

_FIRST_STAFF_ID: Final = 1001
"""Staff are employees without a number of their own: their ids are greater than those that numbers are assigned to."""
_FIRST_EMPLOYEE_GROUP_ID: Final = 71
_SHIFTS: Final = ("working_shift1", "working_shift2", "working_shift3", "default_working_shift")


@dataclass(slots=True)
class NameChanges:
    """How many changes of each kind a record had so far, on average: each record rounds it up or down for itself."""

    renames: float = 0
    position_changes: float = 0
    departures: float = 0
    group_renames: float = 0
    target_changes: float = 0

    def add(self, rates: Rates) -> None:
        """Adds those of one step."""
        self.renames += rates.renames
        self.position_changes += rates.position_changes
        self.departures += rates.departures
        self.group_renames += rates.group_renames
        self.target_changes += rates.target_changes


class Draws(Random):
    """The random choices of one record, always the same ones."""

    def chance(self, share: float) -> bool:
        """Returns True in this share of all records."""
        return self.random() < share

    def version(self, changes: float) -> int:
        """Returns how often the record has changed, if all records have that many changes on average."""
        return int(changes + self.random())

    def pick(self, values: Sequence[Item], version: int) -> Item:
        """Returns a value that is another one in the next version."""
        return values[(self.randrange(len(values)) + version) % len(values)]


class NameGenerator:
    """Makes each record from the seed, its id and the changes so far, and stores nothing.

    Attributes:
        staff_ids: The ids of the staff, who answer the calls of scenarios and of employee groups.
        employee_group_ids: The ids of the employee groups.
    """

    def __init__(self, seed: int | str, app_id: int, changes: NameChanges) -> None:
        self._seed = seed
        self._app_id = app_id
        self._changes = changes
        draws = self._draws("account", 0)
        self.staff_ids = range(_FIRST_STAFF_ID, _FIRST_STAFF_ID + draws.randrange(4, 10))
        self.employee_group_ids = range(_FIRST_EMPLOYEE_GROUP_ID, _FIRST_EMPLOYEE_GROUP_ID + draws.randrange(3, 6))
        self._first_group_name = draws.randrange(len(name_values.GROUPS))

    def _draws(self, kind: str, record_id: int) -> Draws:
        """Returns the random choices of a record."""
        return Draws(f"{self._seed}:{kind}:{record_id}")

    def employee(self, employee_id: int, *, sim_id: int | None, sim_phone: str | None) -> Record:
        """Returns an employee; the SIM card is one of the numbers."""
        draws = self._draws("employee", employee_id)
        secret = self._secret("employee", employee_id)
        is_woman = draws.chance(0.5)
        last_name = draws.pick(name_values.SURNAMES, draws.version(self._changes.renames))
        if is_woman:
            last_name += "а"
        first_name = draws.choice(name_values.FIRST_NAMES[is_woman]) if draws.chance(0.9) else None
        position = draws.pick((*name_values.POSITIONS, None), draws.version(self._changes.position_changes))
        role_index = draws.randrange(len(name_values.ROLES))
        phone = _outside_number(secret) if draws.chance(0.6) else None
        return {
            "first_name": first_name,
            "last_name": last_name,
            "position_id": None if position is None else 45 + name_values.POSITIONS.index(position),
            "role_id": 273 + role_index,
            "short_phone": str(100 + employee_id),
            "email": f"{secret}@mail.example",
            "sim_number_capacity_id": sim_id,
            "dialing_type": draws.choice(("parallel", "parallel", "first_sip", "first_virtual_number")),
            "delay": None,
            "phone": phone,
            "is_phone_dialing_enabled": phone is not None,
            "phone_dialing_type": "dialing_rule",
            "phone_delay": None if phone is None else 30,
            "id": employee_id,
            "is_sip_registered": draws.chance(0.5),
            "photo_link": f"https://photos.example/{secret}.jpg" if draws.chance(0.2) else None,
            "role": "employee",
            "role_name": name_values.ROLES[role_index],
            "app_id": self._app_id,
            "user_id": 20 + employee_id,
            "full_name": last_name if first_name is None else f"{last_name} {first_name}",
            "login": f"login-{secret}@vats{self._app_id}.example",
            "password": f"password-{secret}",
            "sim_phone": sim_phone,
            "position_name": position,
        }

    def group(self, group_id: int, *, number_ids: list[int], scenario_id: int | None) -> Record:
        """Returns a group of numbers."""
        draws = self._draws("group", group_id)
        names = name_values.GROUPS
        return {
            "name": self._group_name(names[(self._first_group_name + group_id) % len(names)], draws),
            "is_active": draws.chance(0.9),
            "comment": "Временная группа" if draws.chance(0.1) else None,
            "virtual_number_ids": number_ids,
            "scenario_id": scenario_id,
            "id": group_id,
        }

    def employee_group(self, group_id: int) -> Record:
        """Returns a group of employees, who are of the staff."""
        draws = self._draws("employee group", group_id)
        names = name_values.EMPLOYEE_GROUPS
        members = sorted(draws.sample(self.staff_ids, draws.randrange(1, len(self.staff_ids))))
        return {
            "name": self._group_name(names[(self._first_group_name + group_id) % len(names)], draws),
            "short_phone": str(3000 + group_id),
            "is_managers_enabled": False,
            "manager_ids": None,
            "distribution_type": draws.choice(("parallel", "evenly", "in_turn", "increasingly")),
            "distribution_delay": 15,
            "employees": [
                {"employee_id": member, "priority": priority, "is_active": True, "id": 10 * group_id + priority}
                for priority, member in enumerate(members)
            ],
            "fail_dialing_action": "voice_mail",
            "fail_dialing_timeout": 120,
            "voice_message_type": "system",
            "media_file_id": 63,
            "text": None,
            "text_voice_id": None,
            "redirect_number": None,
            "redirect_employee_id": None,
            "redirect_employee_group_id": None,
            "is_use_group_phone": False,
            "id": group_id,
            "app_id": self._app_id,
        }

    def scenario(self, kind: str, scenario_id: int, *, owner: dict[str, int | None]) -> Record:
        """Returns a scenario.

        Args:
            kind: What it belongs to: scenarios of numbers and of groups have separate ids.
            scenario_id: Its id.
            owner: The fields that say which number or group it belongs to.
        """
        shifts = self._shifts(self._draws(kind, scenario_id), self._secret(kind, scenario_id))
        return {
            **dict(zip(_SHIFTS, shifts, strict=True)),
            "id": scenario_id,
            "is_active": None,
            **owner,
        }

    def _shifts(self, draws: Draws, secret: str) -> list[Record | None]:
        """Returns the shifts of a scenario: most have one, which points to an employee or to an employee group."""
        version = draws.version(self._changes.target_changes)
        employee_id = draws.pick(self.staff_ids, version)
        colleague_id = self.staff_ids[(self.staff_ids.index(employee_id) + 1) % len(self.staff_ids)]
        group_id = draws.pick(self.employee_group_ids, version)
        targets = {
            "employee": _shift("redirect_to_employee", employee_id=employee_id),
            "colleague": _shift("redirect_to_employee", employee_id=colleague_id),
            "group": _shift("redirect_to_employee_group", employee_group_id=group_id),
            "informer": _shift("informer"),
            "outside": _shift("duty", external_numb=_outside_number(secret)),
            "none": None,
        }
        shifts = draws.choices(list(name_values.SHIFTS), list(name_values.SHIFTS.values()))[0]
        return [targets[target] for target in shifts]

    def has_left(self, employee_id: int, lost_at: float) -> bool:
        """Returns whether an employee who has lost the last number is no longer listed.

        Args:
            employee_id: The employee.
            lost_at: How many departures there were then.
        """
        patience = self._draws("departure", employee_id).uniform(-1, 1)  # half of them leave at once
        return self._changes.departures - lost_at >= patience

    def _group_name(self, name: str, draws: Draws) -> str:
        """Returns the name of a group, with a figure once it was renamed."""
        version = draws.version(self._changes.group_renames)
        return f"{name} {version + 1}" if version else name

    def _secret(self, kind: str, record_id: int) -> str:
        """Returns what the secrets of a record are made of."""
        return hashlib.sha256(f"{self._seed}:{kind}:{record_id}".encode()).hexdigest()[:16]


def _shift(
    scenario_type: str,
    *,
    employee_id: int | None = None,
    employee_group_id: int | None = None,
    external_numb: str | None = None,
) -> Record:
    """Returns a working shift of a scenario."""
    return {
        "scenario_type": scenario_type,
        "employee_group_id": employee_group_id,
        "employee_id": employee_id,
        "external_numb": external_numb,
        "menu_settings": None,
        "is_welcome_enabled": False,
        "personal_manager_not_set": True,
        "text_voice_id": None,
        "media_file_id": None,
        "text": None,
        "media_type": None,
        "url": None,
        "http_method": None,
        "timeout": None,
        "max_access_code_len": None,
        "http_actions": None,
        "http_error_employee": None,
        "http_error_group": None,
        "http_error_enabled": False,
        "scheduler_id": None,
        "is_voice_mail_enabled": False,
        "breaks": [],
        "is_active": True,
    }


def _outside_number(secret: str) -> str:
    """Returns a phone number that no account has: its mobile code is of another operator."""
    return f"7999{int(secret, 16) % 10**7:07}"
