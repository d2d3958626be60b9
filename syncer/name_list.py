"""The vendor's lists of names: what is behind the ids of employees, groups and scenarios in the records of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

NameWord = Literal["employees", "groups", "scenarios"]
"""A word of SYNCER_NAMES."""
MAX_NAME_CHARS: Final = 300
"""The maximum length of a name and of a position."""


class NameList(NamedTuple):
    """A list of names.

    Attributes:
        name: Its name in the tables.
        path: Its path below the endpoint's base address.
        word: The word of SYNCER_NAMES with which it is read.
    """

    name: str
    path: str
    word: NameWord


_LISTS: Final = (
    NameList("employees", "/employee", "employees"),
    NameList("groups", "/scenario/inbound/group", "groups"),
    NameList("employee_groups", "/employee-group/", "scenarios"),  # the vendor documents it with the slash
    NameList("scenarios", "/scenario/inbound/virtual-number", "scenarios"),
    NameList("group_scenarios", "/scenario/inbound/virtual-number-group", "scenarios"),
)
NAME_LISTS: Final = {one.name: one for one in _LISTS}
"""All lists, by their name in the tables."""


class Named(NamedTuple):
    """What a list says about an id, as it is stored.

    Attributes:
        name: None of scenarios, and if it was erased.
        position: An employee's position.
        scenario_type: What a scenario does with a call, as the vendor names it; `varies` if its working shifts differ.
        target_list: The list, `employees` or `employee_groups`, of whom a scenario leads a call to.
        target_id: The id in that list.
    """

    name: str | None = None
    position: str | None = None
    scenario_type: str | None = None
    target_list: str | None = None
    target_id: int | None = None


class StoredName(NamedTuple):
    """What is stored about an id.

    Attributes:
        changed_at: When the list was first seen to say so.
        is_unlisted: Whether the list has not had the id since.
    """

    named: Named
    changed_at: datetime
    is_unlisted: bool


def lists_of(words: Collection[NameWord]) -> list[NameList]:
    """Returns the lists that are read with some words of SYNCER_NAMES."""
    return [one for one in NAME_LISTS.values() if one.word in words]
