"""Decides what a list of names changes, in pure code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.diff.erasures import NOTHING_ERASED
from syncer.name_list import Named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from syncer.diff.erasures import Erasures
    from syncer.name_list import StoredName


@dataclass(frozen=True, slots=True)
class NameChanges:
    """What a list changes.

    Attributes:
        new: Ids that were never in the list, with what it says about them.
        changed: Ids about which it says something else now.
        relisted: Ids that are in the list again, as they were.
        unlisted: Ids that are not in the list any more, which changes nothing else.
    """

    new: Mapping[int, Named]
    changed: Mapping[int, Named]
    relisted: Sequence[int]
    unlisted: Sequence[int]


def compare_names(
    list_: str, candidates: Mapping[int, Sequence[Named]], stored: Mapping[int, StoredName], erasures: Erasures
) -> NameChanges:
    """Compares a list with what is stored.

    Args:
        list_: The list, as the tables name it.
        candidates: What the records say about each id. Of several, the one that is stored already stays, else the first
            is stored.
        stored: What is stored about each id.
        erasures: What was erased and is not stored again.
    """
    new, changed = {}, {}
    relisted = []
    for object_id, found in candidates.items():
        before = stored.get(object_id)
        allowed = [_mask(list_, object_id, named, erasures) for named in found]
        if before is None:
            new[object_id] = allowed[0]
        elif before.named not in allowed:
            changed[object_id] = allowed[0]
        elif before.is_unlisted:
            relisted.append(object_id)
    unlisted = [one for one, before in stored.items() if not before.is_unlisted and one not in candidates]
    return NameChanges(new, changed, relisted, unlisted)


def _mask(list_: str, object_id: int, named: Named, erasures: Erasures) -> Named:
    """Returns what a record says without what was erased: an employee's name, and phone numbers in any name."""
    if erasures is NOTHING_ERASED:
        return named
    if list_ == "employees" and object_id in erasures.employee_ids:
        return Named()
    name, position = (text and erasures.mask_name(text) for text in (named.name, named.position))
    return named._replace(name=name, position=position)
