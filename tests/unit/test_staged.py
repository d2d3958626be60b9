"""Columns are passed to a statement as arrays or as the texts of arrays, which PostgreSQL reads as the same values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from syncer.store.poll.staged import from_unnest


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("bigint", [1, None, -(2**63)], "{1,NULL,-9223372036854775808}"),
        ("boolean", [True, None, False], "{True,NULL,False}"),
        ("text", ["", None, "null", 'a "b"', "c\\d", "{e,f}", " "], r'{"",NULL,"null","a \"b\"","c\\d","{e,f}"," "}'),
        ("timestamptz", [datetime(2026, 3, 1, 12, 0, 0, 1, UTC), None], "{2026-03-01T12:00:00.000001+00:00,NULL}"),
        ("text", [], "{}"),
    ],
)
def test_a_column_is_encoded_as_the_text_of_an_array(kind: str, values: list[object], text: str) -> None:
    statement = from_unnest("select from staged", virtual_number_id="bigint", value=kind)

    assert statement.encoders[1](values) == text


@pytest.mark.parametrize("kind", ["bytea", "uuid"])
def test_a_column_of_another_type_is_passed_as_an_array(kind: str) -> None:
    statement = from_unnest("select from staged", virtual_number_id="bigint", value=kind)

    assert statement.encoders[1]([b"1", None]) == [b"1", None]
    assert f"$5::{kind}[]" in statement.sql
