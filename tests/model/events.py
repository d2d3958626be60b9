# ruff: noqa: ARG001 - every event is given both integers
"""The events, each a function of the world and of two small integers that choose whom it befalls and how."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from tests.builders import APP_ID, record, redirect, without
from tests.model.world import (
    COLUMNS,
    EXTRA,
    LARGEST,
    OPTIONAL,
    REDIRECTS,
    STYLES,
    VALUES,
    spell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.model.world import Fields, World

    Event = Callable[[World, int, int], bool]

EVENTS: Final[dict[str, Event]] = {}
"""By name; each tells whether there was anything that it could befall."""

# What makes a record one that cannot be taken, while its id can be read; None leaves the key out.
_BROKEN: Final[tuple[dict[str, Any], ...]] = (
    {"number": None},
    {"number": ""},
    {"number": 79000000001},
    {"state": None},
    {"type": "x" * 201},
    {"scenario_id": "7"},
    {"employee_id": LARGEST + 1},
    {"group_id": 1.5},
    {"is_scenario_active": 1},
    {"comment": 5},
    {"reason": []},
    {"from_redirect_numbers": [{"id": 249}]},
    {"from_redirect_numbers": [{"id": None, "number": "74994088157"}]},
    {"from_redirect_numbers": {}},
)
_UNREADABLE_IDS: Final[tuple[Any, ...]] = (None, "one", "1", -1, 0, LARGEST + 1, True, 1.5, [1], {})
_NO_RECORDS: Final[tuple[Any, ...]] = (None, 5, "record", [], {}, True)


def event(function: Event) -> Event:
    """Makes a function an event of its name."""
    EVENTS[function.__name__] = function
    return function


def other(values: Sequence[Any], present: Any, choice: int) -> Any:
    """One of some values that is not the present one."""
    others = [value for value in values if value is not present and value != present]
    return others[choice % len(others)]


# The vendor's numbers change


@event
def number_appears(world: World, a: int, b: int) -> bool:
    number = world.absent_id()
    if number is None:
        return False
    world.present[number] = record(number, state=VALUES["state"][b % 4], comment=VALUES["comment"][a % 7])
    return True


@event
def many_numbers_appear(world: World, a: int, b: int) -> bool:
    return sum(number_appears(world, b, b) for _ in range(2 + a % 5)) > 0


@event
def column_changes(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    name = COLUMNS[b % len(COLUMNS)]
    fields[name] = other(VALUES[name], fields.get(name), a)
    return True


@event
def column_changes_in_many(world: World, a: int, b: int) -> bool:
    return sum(column_changes(world, position, b) for position in range(a % 7 + 2)) > 0


@event
def state_changes(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["state"] = other(VALUES["state"], fields.get("state"), b)
    return True


@event
def reason_changes(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["reason"] = other(VALUES["reason"], fields.get("reason"), b)
    return True


@event
def reason_becomes_null_or_a_value(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["reason"] = VALUES["reason"][1 + b % 3] if fields.get("reason") is None else None
    return True


@event
def state_and_reason_change(world: World, a: int, b: int) -> bool:
    return state_changes(world, a, b) and reason_changes(world, a, b)


@event
def numbers_swap_their_phone_numbers(world: World, a: int, b: int) -> bool:
    one, another = world.pick(a), world.pick(b)
    if one is None or another is None or one["number"] == another["number"]:
        return False
    one["number"], another["number"] = another["number"], one["number"]
    return True


@event
def redirects_are_set(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["from_redirect_numbers"] = [
        copy.deepcopy(REDIRECTS[(b + step) % len(REDIRECTS)]) for step in range(1 + a % 3)
    ]
    return True


@event
def redirects_are_swapped(world: World, a: int, b: int) -> bool:
    one, another = _with_redirects(world, a), world.pick(b)
    key = "from_redirect_numbers"
    if one is None or another is None or one[key] == another.get(key):
        return False
    one[key], another[key] = another.get(key), one[key]
    return True


@event
def redirect_is_shared(world: World, a: int, b: int) -> bool:
    one, another = _with_redirects(world, a), world.pick(b)
    key = "from_redirect_numbers"
    if one is None or another is None or one[key][0] in (another.get(key) or []):
        return False
    another[key] = [*(another.get(key) or []), copy.deepcopy(one[key][0])]
    return True


@event
def redirect_id_gets_another_number(world: World, a: int, b: int) -> bool:
    listed = _some_redirects(world, a)
    if not listed:
        return False
    chosen = listed[b % len(listed)]
    chosen["number"] = "74994088157" if chosen["number"] != "74994088157" else "74950000003"
    return True


@event
def redirect_id_is_listed_with_two_numbers(world: World, a: int, b: int) -> bool:
    listed = _some_redirects(world, a)
    if not listed:
        return False
    listed.append(redirect(listed[b % len(listed)]["id"], "78009966666"))
    return True


@event
def redirects_are_cleared(world: World, a: int, b: int) -> bool:
    listed = _some_redirects(world, a + b)
    if not listed:
        return False
    listed.clear()
    return True


def _with_redirects(world: World, position: int) -> Fields | None:
    having = [fields for _, fields in sorted(world.present.items()) if fields.get("from_redirect_numbers")]
    return having[position % len(having)] if having else None


def _some_redirects(world: World, position: int) -> list[Fields]:
    fields = _with_redirects(world, position)
    listed: list[Fields] = [] if fields is None else fields["from_redirect_numbers"]
    return listed


@event
def keys_are_left_out(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    told = [name for name in OPTIONAL if fields is not None and name in fields]
    if fields is None or not told:
        return False
    for step in range(1 + a % 4):
        fields.pop(told[(b + step) % len(told)], None)
    return True


@event
def redirects_are_left_out(world: World, a: int, b: int) -> bool:
    fields = world.pick(a + b)
    return fields is not None and fields.pop("from_redirect_numbers", "absent") != "absent"


@event
def all_keys_are_told_again(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    absent = {name: value for name, value in record(fields["id"]).items() if name not in fields}
    fields |= absent if b % 2 else dict.fromkeys(absent)
    return bool(absent)


@event
def unknown_field_changes(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["tariff" if a % 2 else "vip"] = EXTRA[b % len(EXTRA)]
    return True


@event
def unknown_field_goes(world: World, a: int, b: int) -> bool:
    having = [fields for fields in world.present.values() if "tariff" in fields or "vip" in fields]
    if not having:
        return False
    fields = having[(a + b) % len(having)]
    fields.pop("tariff" if "tariff" in fields else "vip")
    return True


# Neighbours that mean the same, and neighbours that Python takes for the same although they do not.
_SPELLED: Final[tuple[Any, ...]] = (1, 1.0, True, [1], [True], 0, False, 0.0, 100, 1e2)


@event
def unknown_number_is_spelled_otherwise(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    spelled = [json.dumps(value) for value in _SPELLED]
    now = json.dumps(fields.get("tariff"))
    following = spelled.index(now) + 1 + b // 32 if now in spelled else b
    fields["tariff"] = _SPELLED[following % len(_SPELLED)]
    return True


@event
def record_carries_another_app_id(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    fields["app_id"] = 7 + b % 2 if fields.get("app_id") in {APP_ID, None} else APP_ID
    return True


@event
def number_vanishes(world: World, a: int, b: int) -> bool:
    fields = world.pick(a + b)
    if fields is None:
        return False
    world.gone[fields["id"]] = world.present.pop(fields["id"])
    return True


@event
def several_numbers_vanish(world: World, a: int, b: int) -> bool:
    return sum(number_vanishes(world, a, 0) for _ in range(2 + b % 4)) > 0


@event
def all_numbers_vanish(world: World, a: int, b: int) -> bool:
    world.gone |= world.present
    had_any = bool(world.present)
    world.present = {}
    return had_any


def _return(world: World, position: int) -> Fields | None:
    keys = sorted(world.gone)
    if not keys:
        return None
    number = keys[position % len(keys)]
    fields = world.present[number] = world.gone.pop(number)
    return fields


@event
def number_returns_as_it_was(world: World, a: int, b: int) -> bool:
    return _return(world, a + b) is not None


@event
def all_numbers_return(world: World, a: int, b: int) -> bool:
    return sum(number_returns_as_it_was(world, a, b) for _ in range(len(world.gone))) > 0


@event
def number_returns_changed(world: World, a: int, b: int) -> bool:
    fields = _return(world, a)
    if fields is None:
        return False
    fields["state"] = other(VALUES["state"], fields.get("state"), b)
    name = COLUMNS[(a + b) % len(COLUMNS)]
    fields[name] = other(VALUES[name], fields.get(name), b)
    fields["from_redirect_numbers"] = [copy.deepcopy(REDIRECTS[b % len(REDIRECTS)])]
    return True


@event
def number_returns_without_keys(world: World, a: int, b: int) -> bool:
    fields = _return(world, a)
    if fields is None:
        return False
    for step in range(2 + b % 5):
        fields.pop(OPTIONAL[(b + step) % len(OPTIONAL)], None)
    return True


@event
def number_returns_without_its_redirects(world: World, a: int, b: int) -> bool:
    having = [number for number, fields in sorted(world.gone.items()) if fields.get("from_redirect_numbers")]
    if not having:
        return False
    number = having[(a + b) % len(having)]
    world.present[number] = without(world.gone.pop(number), "from_redirect_numbers")
    return True


# The response is spelled or composed otherwise


@event
def response_is_reordered(world: World, a: int, b: int) -> bool:
    world.order = other(range(8), world.order, a + b)
    return len(world.present) > 1


@event
def response_is_reformatted(world: World, a: int, b: int) -> bool:
    world.style = other(range(STYLES), world.style, a + b)
    world.styles.clear()
    return bool(world.present)


@event
def record_is_reformatted(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    world.styles[fields["id"]] = other(range(STYLES), world.styles.get(fields["id"], world.style), b)
    return True


def _edit(world: World, choice: int, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Composes the response otherwise: this one only, or all until it is mended."""
    (world.lasting if choice % 4 == 1 else world.edits).append(edit)


def _beside(world: World, choice: int, *elements: bytes) -> None:
    """Puts elements into the response, at its beginning or its end."""
    _edit(world, choice, lambda others: [*elements, *others] if choice % 3 else [*others, *elements])


def _in_place_of(world: World, choice: int, fields: Fields, *elements: bytes) -> None:
    """Puts elements into the response, in place of those that have the id of a record."""

    def edit(others: list[bytes]) -> list[bytes]:
        return [*(one for one in others if _id_of(one) != fields["id"]), *elements]

    _edit(world, choice, edit)


def _id_of(element: bytes) -> Any:
    value = json.loads(element.decode(errors="replace"))
    return value.get("id") if isinstance(value, dict) else None


def _broken(fields: Fields, choice: int) -> bytes:
    """A record that cannot be taken, though its id can be read."""
    if choice % (len(_BROKEN) + 2) == len(_BROKEN):
        return spell(without(fields, "number"))
    if choice % (len(_BROKEN) + 2) == len(_BROKEN) + 1:
        return spell(fields | {"sip_uri": "X"}).replace(b'"X"', b'"\xff"')
    return spell(fields | _BROKEN[choice % (len(_BROKEN) + 2)])


@event
def record_arrives_twice(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _beside(world, b, spell(fields, world.styles.get(fields["id"], world.style)))
    return True


@event
def record_arrives_twice_in_two_spellings(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _beside(world, b, spell(fields, other(range(STYLES), world.styles.get(fields["id"], world.style), a + b)))
    return True


@event
def two_different_records_have_one_id(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    name = OPTIONAL[(a + b) % len(OPTIONAL)]
    _beside(world, b, spell(fields | {name: other(VALUES[name], fields.get(name), a)}))
    return True


@event
def two_records_with_one_id_differ_in_an_unknown_field(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _beside(world, b, spell(fields | {"tariff": EXTRA[(a + b) % len(EXTRA)]}))
    return True


@event
def two_of_three_records_with_one_id_are_the_same(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    differing = spell(fields | {"state": other(VALUES["state"], fields.get("state"), b)})
    _beside(world, b, spell(fields, a), differing, *([differing] if a % 2 else []))
    return True


@event
def one_says_null_where_the_other_says_nothing(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    name = OPTIONAL[b % len(OPTIONAL)]
    _in_place_of(world, a + b, fields, spell(without(fields, name)), spell(fields | {name: None}))
    return True


@event
def known_record_arrives_broken(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _in_place_of(world, a + b, fields, _broken(fields, b))
    return True


@event
def known_record_arrives_broken_and_whole(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _beside(world, a + b, _broken(fields, b))
    return True


@event
def known_record_arrives_broken_in_two_ways(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _in_place_of(world, a + b, fields, _broken(fields, b), _broken(fields, b + 1), _broken(fields, b))
    return True


@event
def unknown_record_arrives_broken(world: World, a: int, b: int) -> bool:
    number = world.absent_id()
    if number is None:
        return False
    _beside(world, a + b, _broken(record(number), b))
    return True


@event
def vanished_record_arrives_broken(world: World, a: int, b: int) -> bool:
    keys = sorted(world.gone)
    if not keys:
        return False
    _beside(world, a + b, _broken(world.gone[keys[a % len(keys)]], b))
    return True


@event
def id_of_a_known_record_cannot_be_read(world: World, a: int, b: int) -> bool:
    fields = world.pick(a)
    if fields is None:
        return False
    _in_place_of(world, a + b, fields, spell(fields | {"id": _UNREADABLE_IDS[b % len(_UNREADABLE_IDS)]}))
    return True


@event
def element_is_no_record(world: World, a: int, b: int) -> bool:
    _beside(world, a + b, json.dumps(_NO_RECORDS[b % len(_NO_RECORDS)]).encode())
    return True


@event
def response_is_composed_well_again(world: World, a: int, b: int) -> bool:
    was_not = bool(world.lasting)
    world.lasting = []
    return was_not


# The response as a whole


@event
def list_is_empty(world: World, a: int, b: int) -> bool:
    world.whole = lambda _: b" [ ]\n" if a % 2 else b"[]"
    return True


@event
def response_is_cut(world: World, a: int, b: int) -> bool:
    world.whole = lambda body: body[: (a * 64 + b) % len(body)]
    return True


@event
def response_ends_in_a_comma(world: World, a: int, b: int) -> bool:
    world.whole = lambda body: body[:-1] + b","
    return True


@event
def response_is_not_json(world: World, a: int, b: int) -> bool:
    bodies = (b"<!DOCTYPE html><html></html>", b"", "Сервис недоступен".encode(), b"[1 2]", b"]", b"[NaN]", b"\xff")
    world.whole = lambda _: bodies[(a + b) % len(bodies)]
    return True


@event
def response_is_no_array(world: World, a: int, b: int) -> bool:
    bodies = (b"{}", b"null", b'"string"', b"5", spell(record(1)), b'{"data": []}')
    world.whole = lambda _: bodies[(a + b) % len(bodies)]
    return True


@event
def response_is_of_another_account(world: World, a: int, b: int) -> bool:
    fields = [record(number, app_id=7) for number in range(1, 2 + a % 4)]
    if b % 2:
        fields.append(without(record(50), "app_id"))
    world.whole = lambda _: b"[" + b",".join(map(spell, fields)) + b"]"
    return True


@event
def endpoint_refuses(world: World, a: int, b: int) -> bool:
    statuses = (500, 401, 403, 429, 503, 404)
    world.http_error = statuses[(a + b) % len(statuses)]
    return True


@event
def same_bytes_again(world: World, a: int, b: int) -> bool:
    body = world.last_body
    world.whole = lambda _: body
    return True
