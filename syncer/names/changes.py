"""Decides what a list of names changes, in pure code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.name_list import Named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    candidates: Mapping[int, Sequence[Named]], stored: Mapping[int, StoredName], erased: Collection[int]
) -> NameChanges:
    """Compares a list with what is stored.

    Args:
        candidates: What the records say about each id. Of several, the one that is stored already stays, else the first
            is stored.
        stored: What is stored about each id.
        erased: The ids whose names were erased, and are not stored again.
    """
    new, changed = {}, {}
    relisted = []
    for object_id, found in candidates.items():
        before = stored.get(object_id)
        allowed = (Named(),) if object_id in erased else found
        if before is None:
            new[object_id] = allowed[0]
        elif before.named not in allowed:
            changed[object_id] = allowed[0]
        elif before.is_unlisted:
            relisted.append(object_id)
    unlisted = [one for one, before in stored.items() if not before.is_unlisted and one not in candidates]
    return NameChanges(new, changed, relisted, unlisted)
