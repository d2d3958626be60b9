"""Random records and randomly mutated bodies, polled into the database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.builders import record, redirect

if TYPE_CHECKING:
    from tests.builders import PolledAccount

# All examples use one account on purpose: each one starts with the data that the previous one left.
database_settings = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

VALID_RECORDS = [
    record(1, from_redirect_numbers=[redirect(11, "74950000011")]),
    record(2, state="debt_lock", comment="кириллица 😀"),
]
text = st.text(st.characters(codec=None), max_size=30)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
odd_strings = st.sampled_from(
    ["", "a" * 200, "a" * 201, "\x00", "\ud800", "'; drop table", "сompany", "1e400", "\\u0000"]
)
field_values = any_json | odd_strings | st.just([{"id": 1, "number": "2"}] * 2) | st.just([{"id": 2**63, "number": ""}])


@st.composite
def odd_records(draw: st.DrawFn) -> Any:
    """Draws a record in which some fields have arbitrary values, some are absent and some are unknown."""
    fields = record(draw(st.integers(3, 6)))
    for name in draw(st.sets(st.sampled_from(sorted(fields)), max_size=4)):
        fields[name] = draw(field_values)
    for name in draw(st.sets(st.sampled_from(sorted(fields)), max_size=3)):
        del fields[name]
    fields |= draw(st.dictionaries(text, any_json, max_size=2))
    return draw(st.just(fields) | any_json)


@database_settings
@given(others=st.lists(odd_records(), max_size=4))
async def test_no_record_makes_the_poll_of_the_others_fail(account: PolledAccount, others: list[Any]) -> None:
    assume(not any(isinstance(one, dict) and one.get("id") in [1, 2] for one in others))
    body = json.dumps([VALID_RECORDS[0], *others, VALID_RECORDS[1]], ensure_ascii=True)
    assume("NaN" not in body and "Infinity" not in body)

    result = await account.poll_body(body.encode())

    assert result.outcome in {"applied", "unchanged"}, result.error
    assert await account.rows(
        """
        select virtual_number_id, number, state, comment, missing_since, last_read_at
          from syncer.virtual_number where virtual_number_id in (1, 2) order by 1
        """
    ) == [
        (1, "79000000001", "active", None, None, None),
        (2, "79000000002", "debt_lock", "кириллица 😀", None, None),
    ]
    redirects = "select number from syncer.virtual_number_redirect where virtual_number_id = 1"
    assert await account.rows(redirects) == [("74950000011",)]
    assert await account.broken_invariants() == []
    again = await account.poll_body(body.encode())
    assert (again.outcome, again.rejected, again.received) == ("unchanged", result.rejected, result.received)


BODY = json.dumps([record(key, comment=f"№ {key}") for key in range(1, 6)], ensure_ascii=False).encode()


@st.composite
def mutated_bodies(draw: st.DrawFn) -> bytes:
    """Draws a valid body in which bytes were replaced, deleted, duplicated or inserted."""
    body = bytearray(BODY)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 40))
        match draw(st.sampled_from(["replace", "delete", "duplicate", "insert", "truncate"])):
            case "replace":
                body[start : start + length] = draw(st.binary(max_size=length))
            case "delete":
                del body[start : start + length]
            case "duplicate":
                body[start:start] = body[start : start + length]
            case "insert":
                body[start:start] = draw(st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"null", b"\xff"]))
            case _:
                del body[start:]
    return bytes(body)


@database_settings
@given(body=mutated_bodies())
async def test_a_randomly_mutated_body_fails_its_poll_or_is_stored_as_it_decodes(
    account: PolledAccount, body: bytes
) -> None:
    await account.poll_body(BODY)
    query = "select virtual_number_id, number, state, comment from syncer.virtual_number order by 1"
    before = await account.rows(query)

    result = await account.poll_body(body)

    assert await account.broken_invariants() == []
    if result.outcome == "failed":
        assert result.error_kind in {"not_json", "not_an_array", "wrong_account"}
        assert await account.rows(query) == before
        return
    elements = json.loads(body.decode(errors="replace"))
    assert result.received == len(elements)
    decoded = [
        (one.get("id"), one.get("number"), one.get("state"), one.get("comment", stored_comment(before, one.get("id"))))
        for one in elements
        if isinstance(one, dict)
    ]
    for row in await account.rows(query):
        assert row in before or row in decoded


def stored_comment(rows: list[tuple[Any, ...]], key: Any) -> Any:
    """The stored comment of a number, for a record without the key."""
    return next((row[3] for row in rows if row[0] == key), None)
