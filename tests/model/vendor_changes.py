# ruff: noqa: ARG001 - all vendor changes have the same signature
"""Changes of an account at the vendor, and of the vendor's responses.

A vendor change has two small integers as arguments, which choose what it changes and how. It returns whether there was
anything to change. So a sequence of them is plain data, which hypothesis can shrink: it can leave out any of them.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from syncer.threads import THREAD_THRESHOLD_BYTES
from tests.builders import APP_ID, record, redirect, without
from tests.model.vendor_account import (
    COLUMNS,
    EXTRA,
    MAX_BIGINT,
    MAX_NUMBERS,
    OPTIONAL,
    REDIRECTS,
    STYLE_COUNT,
    VALUES,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.model.vendor_account import Fields, VendorAccount

    VendorChange = Callable[[VendorAccount, int, int], bool]

VENDOR_CHANGES: Final[dict[str, VendorChange]] = {}
"""All vendor changes, by name."""

# Each of these makes a record invalid, while its id can be read.
_INVALID_FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {"number": None},
    {"number": ""},
    {"number": 79000000001},
    {"state": None},
    {"type": "x" * 201},
    {"scenario_id": "7"},
    {"employee_id": MAX_BIGINT + 1},
    {"group_id": 1.5},
    {"is_scenario_active": 1},
    {"comment": 5},
    {"reason": []},
    {"from_redirect_numbers": [{"id": 249}]},
    {"from_redirect_numbers": [{"id": None, "number": "74994088157"}]},
    {"from_redirect_numbers": {}},
)
_INVALID_IDS: Final[tuple[Any, ...]] = (None, "one", "1", -1, 0, MAX_BIGINT + 1, True, 1.5, [1], {})
_NOT_RECORDS: Final[tuple[Any, ...]] = (None, 5, "record", [], {}, True)


def vendor_change(function: VendorChange) -> VendorChange:
    """Registers a function as a vendor change."""
    VENDOR_CHANGES[function.__name__] = function
    return function


def another_value(values: Sequence[Any], present: Any, choice: int) -> Any:
    """Returns one of some values that differs from the present one."""
    others = [value for value in values if value is not present and value != present]
    return others[choice % len(others)]


# The vendor's numbers change


@vendor_change
def number_appears(vendor: VendorAccount, a: int, b: int) -> bool:
    number = vendor.unused_id()
    if number is None:
        return False
    vendor.listed[number] = record(number, state=VALUES["state"][b % 4], comment=VALUES["comment"][a % 7])
    return True


@vendor_change
def many_numbers_appear(vendor: VendorAccount, a: int, b: int) -> bool:
    return sum(number_appears(vendor, b, b) for _ in range(2 + a % 5)) > 0


@vendor_change
def column_changes(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    name = COLUMNS[b % len(COLUMNS)]
    fields[name] = another_value(VALUES[name], fields.get(name), a)
    return True


@vendor_change
def column_changes_in_many(vendor: VendorAccount, a: int, b: int) -> bool:
    return sum(column_changes(vendor, position, b) for position in range(a % 7 + 2)) > 0


@vendor_change
def state_changes(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["state"] = another_value(VALUES["state"], fields.get("state"), b)
    return True


@vendor_change
def reason_changes(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["reason"] = another_value(VALUES["reason"], fields.get("reason"), b)
    return True


@vendor_change
def reason_becomes_null_or_a_value(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["reason"] = VALUES["reason"][1 + b % 3] if fields.get("reason") is None else None
    return True


@vendor_change
def state_and_reason_change(vendor: VendorAccount, a: int, b: int) -> bool:
    return state_changes(vendor, a, b) and reason_changes(vendor, a, b)


@vendor_change
def numbers_swap_their_phone_numbers(vendor: VendorAccount, a: int, b: int) -> bool:
    first, second = vendor.pick_listed(a), vendor.pick_listed(b)
    if first is None or second is None or first["number"] == second["number"]:
        return False
    first["number"], second["number"] = second["number"], first["number"]
    return True


@vendor_change
def redirects_are_set(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["from_redirect_numbers"] = [
        copy.deepcopy(REDIRECTS[(b + step) % len(REDIRECTS)]) for step in range(1 + a % 3)
    ]
    return True


@vendor_change
def redirects_are_swapped(vendor: VendorAccount, a: int, b: int) -> bool:
    first, second = _with_redirects(vendor, a), vendor.pick_listed(b)
    key = "from_redirect_numbers"
    if first is None or second is None or first[key] == second.get(key):
        return False
    first[key], second[key] = second.get(key), first[key]
    return True


@vendor_change
def redirect_is_shared(vendor: VendorAccount, a: int, b: int) -> bool:
    first, second = _with_redirects(vendor, a), vendor.pick_listed(b)
    key = "from_redirect_numbers"
    if first is None or second is None or first[key][0] in (second.get(key) or []):
        return False
    second[key] = [*(second.get(key) or []), copy.deepcopy(first[key][0])]
    return True


@vendor_change
def redirect_id_gets_another_number(vendor: VendorAccount, a: int, b: int) -> bool:
    listed = _some_redirects(vendor, a)
    if not listed:
        return False
    chosen = listed[b % len(listed)]
    chosen["number"] = "74994088157" if chosen["number"] != "74994088157" else "74950000003"
    return True


@vendor_change
def redirect_id_is_listed_with_two_numbers(vendor: VendorAccount, a: int, b: int) -> bool:
    listed = _some_redirects(vendor, a)
    if not listed:
        return False
    listed.append(redirect(listed[b % len(listed)]["id"], "78009966666"))
    return True


@vendor_change
def redirects_are_cleared(vendor: VendorAccount, a: int, b: int) -> bool:
    listed = _some_redirects(vendor, a + b)
    if not listed:
        return False
    listed.clear()
    return True


def _with_redirects(vendor: VendorAccount, position: int) -> Fields | None:
    candidates = [fields for _, fields in sorted(vendor.listed.items()) if fields.get("from_redirect_numbers")]
    return candidates[position % len(candidates)] if candidates else None


def _some_redirects(vendor: VendorAccount, position: int) -> list[Fields]:
    fields = _with_redirects(vendor, position)
    listed: list[Fields] = [] if fields is None else fields["from_redirect_numbers"]
    return listed


@vendor_change
def keys_are_omitted(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    existing = [name for name in OPTIONAL if fields is not None and name in fields]
    if fields is None or not existing:
        return False
    for step in range(1 + a % 4):
        fields.pop(existing[(b + step) % len(existing)], None)
    return True


@vendor_change
def redirects_are_omitted(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a + b)
    return fields is not None and fields.pop("from_redirect_numbers", "missing") != "missing"


@vendor_change
def omitted_keys_return(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    missing = {name: value for name, value in record(fields["id"]).items() if name not in fields}
    fields |= missing if b % 2 else dict.fromkeys(missing)
    return bool(missing)


@vendor_change
def unknown_field_changes(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["tariff" if a % 2 else "vip"] = EXTRA[b % len(EXTRA)]
    return True


@vendor_change
def unknown_field_is_removed(vendor: VendorAccount, a: int, b: int) -> bool:
    candidates = [fields for fields in vendor.listed.values() if "tariff" in fields or "vip" in fields]
    if not candidates:
        return False
    fields = candidates[(a + b) % len(candidates)]
    fields.pop("tariff" if "tariff" in fields else "vip")
    return True


# Some neighbours are equal as JSON; others are equal in Python, but not as JSON.
_EQUAL_OR_SIMILAR_VALUES: Final[tuple[Any, ...]] = (1, 1.0, True, [1], [True], 0, False, 0.0, 100, 1e2)


@vendor_change
def unknown_field_is_formatted_differently(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    encoded = [json.dumps(value) for value in _EQUAL_OR_SIMILAR_VALUES]
    current = json.dumps(fields.get("tariff"))
    following = encoded.index(current) + 1 + b // 32 if current in encoded else b
    fields["tariff"] = _EQUAL_OR_SIMILAR_VALUES[following % len(_EQUAL_OR_SIMILAR_VALUES)]
    return True


@vendor_change
def record_has_another_app_id(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    fields["app_id"] = 7 + b % 2 if fields.get("app_id") in {APP_ID, None} else APP_ID
    return True


@vendor_change
def number_disappears(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a + b)
    if fields is None:
        return False
    vendor.unlisted[fields["id"]] = vendor.listed.pop(fields["id"])
    return True


@vendor_change
def several_numbers_disappear(vendor: VendorAccount, a: int, b: int) -> bool:
    return sum(number_disappears(vendor, a, 0) for _ in range(2 + b % 4)) > 0


@vendor_change
def all_numbers_disappear(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.unlisted |= vendor.listed
    had_any = bool(vendor.listed)
    vendor.listed = {}
    return had_any


def _list_again(vendor: VendorAccount, position: int) -> Fields | None:
    keys = sorted(vendor.unlisted)
    if not keys:
        return None
    number = keys[position % len(keys)]
    fields = vendor.listed[number] = vendor.unlisted.pop(number)
    return fields


@vendor_change
def number_returns_unchanged(vendor: VendorAccount, a: int, b: int) -> bool:
    return _list_again(vendor, a + b) is not None


@vendor_change
def all_numbers_return(vendor: VendorAccount, a: int, b: int) -> bool:
    return sum(number_returns_unchanged(vendor, a, b) for _ in range(len(vendor.unlisted))) > 0


@vendor_change
def number_returns_changed(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = _list_again(vendor, a)
    if fields is None:
        return False
    fields["state"] = another_value(VALUES["state"], fields.get("state"), b)
    name = COLUMNS[(a + b) % len(COLUMNS)]
    fields[name] = another_value(VALUES[name], fields.get(name), b)
    fields["from_redirect_numbers"] = [copy.deepcopy(REDIRECTS[b % len(REDIRECTS)])]
    return True


@vendor_change
def number_returns_without_keys(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = _list_again(vendor, a)
    if fields is None:
        return False
    for step in range(2 + b % 5):
        fields.pop(OPTIONAL[(b + step) % len(OPTIONAL)], None)
    return True


@vendor_change
def number_returns_without_redirects(vendor: VendorAccount, a: int, b: int) -> bool:
    candidates = [number for number, fields in sorted(vendor.unlisted.items()) if fields.get("from_redirect_numbers")]
    if not candidates:
        return False
    number = candidates[(a + b) % len(candidates)]
    vendor.listed[number] = without(vendor.unlisted.pop(number), "from_redirect_numbers")
    return True


# The response is formatted or composed differently


@vendor_change
def response_is_reordered(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.order = another_value(range(8), vendor.order, a + b)
    return len(vendor.listed) > 1


@vendor_change
def response_is_reformatted(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.style = another_value(range(STYLE_COUNT), vendor.style, a + b)
    vendor.style_by_id.clear()
    return bool(vendor.listed)


@vendor_change
def response_becomes_large_or_small(vendor: VendorAccount, a: int, b: int) -> bool:
    """Large ones are parsed and hashed in threads, and their first bytes say whether they can be the last one."""
    spaces = b"" if a % 3 == 0 else b" " * THREAD_THRESHOLD_BYTES
    before, after = (spaces, b"") if b % 2 else (b"", spaces)
    is_other = (before, after) != (vendor.spaces_before, vendor.spaces_after)
    vendor.spaces_before, vendor.spaces_after = before, after
    return is_other


@vendor_change
def record_is_reformatted(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    vendor.style_by_id[fields["id"]] = another_value(
        range(STYLE_COUNT), vendor.style_by_id.get(fields["id"], vendor.style), b
    )
    return True


def _edit(vendor: VendorAccount, choice: int, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Edits the elements of the next response, or of all responses until `persistent_edits_end`."""
    (vendor.persistent_edits if choice % 4 == 1 else vendor.edits).append(edit)


def _add_elements(vendor: VendorAccount, choice: int, *elements: bytes) -> None:
    """Adds elements at the beginning or the end of the response."""
    _edit(vendor, choice, lambda others: [*elements, *others] if choice % 3 else [*others, *elements])


def _replace_record(vendor: VendorAccount, choice: int, fields: Fields, *elements: bytes) -> None:
    """Replaces the elements that have the id of a record by others."""

    def edit(others: list[bytes]) -> list[bytes]:
        return [*(element for element in others if _id_of(element) != fields["id"]), *elements]

    _edit(vendor, choice, edit)


def _id_of(element: bytes) -> Any:
    value = json.loads(element.decode(errors="replace"))
    return value.get("id") if isinstance(value, dict) else None


def _invalid_record(fields: Fields, choice: int) -> bytes:
    """Returns an invalid record whose id can be read."""
    if choice % (len(_INVALID_FIELDS) + 2) == len(_INVALID_FIELDS):
        return encode(without(fields, "number"))
    if choice % (len(_INVALID_FIELDS) + 2) == len(_INVALID_FIELDS) + 1:
        return encode(fields | {"sip_uri": "X"}).replace(b'"X"', b'"\xff"')
    return encode(fields | _INVALID_FIELDS[choice % (len(_INVALID_FIELDS) + 2)])


@vendor_change
def record_is_repeated(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _add_elements(vendor, b, encode(fields, vendor.style_by_id.get(fields["id"], vendor.style)))
    return True


@vendor_change
def record_is_repeated_in_another_format(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _add_elements(
        vendor,
        b,
        encode(fields, another_value(range(STYLE_COUNT), vendor.style_by_id.get(fields["id"], vendor.style), a + b)),
    )
    return True


@vendor_change
def two_different_records_have_the_same_id(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    name = OPTIONAL[(a + b) % len(OPTIONAL)]
    _add_elements(vendor, b, encode(fields | {name: another_value(VALUES[name], fields.get(name), a)}))
    return True


@vendor_change
def two_records_with_the_same_id_differ_in_an_unknown_field(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _add_elements(vendor, b, encode(fields | {"tariff": EXTRA[(a + b) % len(EXTRA)]}))
    return True


@vendor_change
def two_of_three_records_with_the_same_id_are_equal(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    differing = encode(fields | {"state": another_value(VALUES["state"], fields.get("state"), b)})
    _add_elements(vendor, b, encode(fields, a), differing, *([differing] if a % 2 else []))
    return True


@vendor_change
def one_record_has_null_where_the_other_has_no_key(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    name = OPTIONAL[b % len(OPTIONAL)]
    _replace_record(vendor, a + b, fields, encode(without(fields, name)), encode(fields | {name: None}))
    return True


@vendor_change
def known_record_is_invalid(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _replace_record(vendor, a + b, fields, _invalid_record(fields, b))
    return True


@vendor_change
def known_record_is_valid_and_invalid(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _add_elements(vendor, a + b, _invalid_record(fields, b))
    return True


@vendor_change
def known_record_is_invalid_in_two_ways(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _replace_record(
        vendor, a + b, fields, _invalid_record(fields, b), _invalid_record(fields, b + 1), _invalid_record(fields, b)
    )
    return True


@vendor_change
def new_record_is_invalid(vendor: VendorAccount, a: int, b: int) -> bool:
    number = vendor.unused_id()
    if number is None:
        return False
    _add_elements(vendor, a + b, _invalid_record(record(number), b))
    return True


@vendor_change
def unlisted_record_is_invalid(vendor: VendorAccount, a: int, b: int) -> bool:
    keys = sorted(vendor.unlisted)
    if not keys:
        return False
    _add_elements(vendor, a + b, _invalid_record(vendor.unlisted[keys[a % len(keys)]], b))
    return True


@vendor_change
def id_of_a_known_record_is_invalid(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = vendor.pick_listed(a)
    if fields is None:
        return False
    _replace_record(vendor, a + b, fields, encode(fields | {"id": _INVALID_IDS[b % len(_INVALID_IDS)]}))
    return True


@vendor_change
def element_is_not_a_record(vendor: VendorAccount, a: int, b: int) -> bool:
    _add_elements(vendor, a + b, json.dumps(_NOT_RECORDS[b % len(_NOT_RECORDS)]).encode())
    return True


@vendor_change
def persistent_edits_end(vendor: VendorAccount, a: int, b: int) -> bool:
    had_any = bool(vendor.persistent_edits)
    vendor.persistent_edits = []
    return had_any


# The response as a whole


@vendor_change
def response_says_that_it_is_a_part(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.headers = (
        {"Link": '</numbers/virtual-number?page=1>; rel="prev", </numbers/virtual-number?page=3>; rel="next"'},
        {"X-Total-Count": str(MAX_NUMBERS + 5 + b)},
        {"Content-Range": f"items 0-{b}/{MAX_NUMBERS + 5 + b}"},
        {"Content-Range": f"*/{MAX_NUMBERS + 5 + b}"},
    )[a % 4]
    return True


@vendor_change
def part_of_the_list_says_so(vendor: VendorAccount, a: int, b: int) -> bool:
    total = len(vendor.listed)
    vendor.headers = {"X-Total-Count": str(total)} if b % 2 else {"Content-Range": f"items 0-9/{total}"}
    _edit(vendor, 0, lambda elements: elements[: len(elements) * (a % 4) // 4])
    return total > 0


@vendor_change
def response_says_how_long_it_is(vendor: VendorAccount, a: int, b: int) -> bool:
    total = len(vendor.listed)
    vendor.headers = (
        {"X-Total-Count": str(total)},
        {"Content-Range": f"items 0-{total}/{total}"},
        {"X-Total-Count": "many", "Content-Range": "items 0-9/*"},
        {"Link": '</numbers/virtual-number?page=1>; rel="first"', "X-Total-Count": "0"},
    )[a % 4]
    return True


@vendor_change
def list_is_empty(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.transform_body = lambda _: b" [ ]\n" if a % 2 else b"[]"
    return True


@vendor_change
def response_is_truncated(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.transform_body = lambda body: body[: (a * 64 + b) % len(body)]
    return True


@vendor_change
def response_ends_in_a_comma(vendor: VendorAccount, a: int, b: int) -> bool:
    vendor.transform_body = lambda body: body[:-1] + b","
    return True


@vendor_change
def response_is_not_json(vendor: VendorAccount, a: int, b: int) -> bool:
    bodies = (b"<!DOCTYPE html><html></html>", b"", "Сервис недоступен".encode(), b"[1 2]", b"]", b"[NaN]", b"\xff")
    vendor.transform_body = lambda _: bodies[(a + b) % len(bodies)]
    return True


@vendor_change
def response_is_not_an_array(vendor: VendorAccount, a: int, b: int) -> bool:
    bodies = (b"{}", b"null", b'"string"', b"5", encode(record(1)), b'{"data": []}')
    vendor.transform_body = lambda _: bodies[(a + b) % len(bodies)]
    return True


@vendor_change
def response_is_of_another_account(vendor: VendorAccount, a: int, b: int) -> bool:
    fields = [record(number, app_id=7) for number in range(1, 2 + a % 4)]
    if b % 2:
        fields.append(without(record(50), "app_id"))
    vendor.transform_body = lambda _: b"[" + b",".join(map(encode, fields)) + b"]"
    return True


@vendor_change
def endpoint_returns_an_error(vendor: VendorAccount, a: int, b: int) -> bool:
    statuses = (500, 401, 403, 429, 503, 404)
    vendor.http_error = statuses[(a + b) % len(statuses)]
    return True


@vendor_change
def response_is_repeated(vendor: VendorAccount, a: int, b: int) -> bool:
    body = vendor.last_body
    vendor.transform_body = lambda _: body
    return True
