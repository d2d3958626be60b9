"""The vendor's paths that are emulated."""

from __future__ import annotations

from typing import Final

NUMBERS: Final = "/numbers/virtual-number"

EMPLOYEES: Final = "/employee"
GROUPS: Final = "/scenario/inbound/group"
EMPLOYEE_GROUPS: Final = "/employee-group/"
SCENARIOS: Final = "/scenario/inbound/virtual-number"
GROUP_SCENARIOS: Final = "/scenario/inbound/virtual-number-group"

NAME_LISTS: Final = (EMPLOYEES, GROUPS, EMPLOYEE_GROUPS, SCENARIOS, GROUP_SCENARIOS)
"""The lists of names: what the ids in a number's record stand for."""
