"""What an erased record loses, and what it keeps."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from syncer.diff.content_hash import ContentHash
from syncer.diff.erasures import NOTHING_ERASED, Erasures, hash_number, redirect_mask
from syncer.diff.record import COLUMNS, ParsedRecord, Rejection, decode
from tests.builders import record, redirect

HASH = ContentHash(b"key")
NUMBER = "79261234567"
BY_ID = Erasures({1: "erased-1"}, {}, HASH)
BY_NUMBER = Erasures({}, {hash_number(NUMBER, HASH): "erased-2"}, HASH)


def parsed(**fields: Any) -> ParsedRecord:
    found = decode(json.dumps(record(**fields)).encode(), b"fingerprint")
    assert isinstance(found, ParsedRecord)
    return found


def values(one: ParsedRecord) -> dict[str, Any]:
    return dict(zip(COLUMNS, one.values, strict=True))


def test_an_erased_number_keeps_its_state_type_and_region_and_nothing_that_says_whose_it_is() -> None:
    whole = parsed(
        id=1,
        number=NUMBER,
        comment="Иванов",
        employee_id=125,
        dgn_number="74951234567",
        redirect_number="79031112233",
        sip_uri="sip:1@example.org",
        from_redirect_numbers=[redirect(7, "79051112233"), redirect(8, "79051112234")],
        reason="debt",
        owner="Иванов",
    )

    masked = BY_ID.mask(whole)

    lost = {"number": "erased-1", "comment": None, "employee_id": None, "dgn_number": None, "redirect_number": None}
    assert values(masked) == values(whole) | lost | {"sip_uri": None}
    assert masked.redirects == frozenset(
        {
            (7, redirect_mask("erased-1", "79051112233", HASH)),
            (8, redirect_mask("erased-1", "79051112234", HASH)),
        }
    )
    assert (masked.extra, masked.fingerprint) == ({}, whole.fingerprint)
    assert values(parsed(number=NUMBER))["number"] not in repr(masked)


def test_a_key_that_was_not_reported_stays_so() -> None:
    whole = parsed(id=1, comment="Иванов")
    absent = ParsedRecord(
        1, tuple(UNSET if name == "comment" else value for name, value in values(whole).items()), UNSET, {}, b""
    )

    masked = BY_ID.mask(absent)

    assert (values(masked)["comment"], masked.redirects) == (UNSET, UNSET)


def test_a_number_that_has_an_erased_phone_number_is_erased_whatever_its_id_is() -> None:
    masked = BY_NUMBER.mask(parsed(id=9, number=NUMBER, comment="Иванов"))

    assert (values(masked)["number"], values(masked)["comment"]) == ("erased-2", None)


def test_other_numbers_lose_what_mentions_an_erased_phone_number_and_nothing_else() -> None:
    whole = parsed(
        id=9,
        comment=f"см. {NUMBER}, 7926123456, 792612345678",
        dgn_number=NUMBER,
        redirect_number="79031112233",
        sip_uri=f"sip:{NUMBER}@example.org",
        from_redirect_numbers=[redirect(7, NUMBER), redirect(7, "79051112234")],
    )

    masked = BY_NUMBER.mask(whole)

    assert values(masked) == values(whole) | {
        "comment": "см. erased-2, 7926123456, 792612345678",
        "dgn_number": "erased-2",
        "sip_uri": "sip:erased-2@example.org",
    }
    assert masked.redirects == frozenset({(7, "erased-2"), (7, "79051112234")})


def test_an_erased_phone_number_is_recognised_in_each_of_its_spellings_and_two_of_them_stay_two_redirects() -> None:
    other = {spelling: redirect_mask("erased-2", spelling, HASH) for spelling in ("89261234567", "9261234567")}
    whole = parsed(
        id=9,
        comment="см. 89261234567, 9261234567, +79261234567, 99261234567",
        from_redirect_numbers=[redirect(7, NUMBER), redirect(7, "89261234567"), redirect(7, "9261234567")],
    )

    masked = BY_NUMBER.mask(whole)

    assert values(masked)["comment"] == f"см. {other['89261234567']}, {other['9261234567']}, +erased-2, 99261234567"
    assert masked.redirects == frozenset({(7, "erased-2"), (7, other["89261234567"]), (7, other["9261234567"])})
    assert BY_NUMBER.mask(parsed(id=9, note="89261234567")).extra == {}
    assert BY_NUMBER.is_in_payload(b'{"comment": "89261234567"}')
    listed = BY_NUMBER.mask(parsed(id=9, number="8 (926) 123-45-67", comment="Иванов"))
    assert (values(listed)["number"], values(listed)["comment"]) == (other["89261234567"], None)


def test_a_phone_number_that_was_hashed_as_it_was_written_with_8_is_recognised_in_each_spelling() -> None:
    erasures = Erasures({}, {HASH(b"89261234567"): "erased-2"}, HASH)

    assert values(erasures.mask(parsed(id=9, comment="89261234567")))["comment"] == "erased-2"
    assert values(erasures.mask(parsed(id=9, comment=NUMBER)))["comment"] == redirect_mask("erased-2", NUMBER, HASH)
    assert values(erasures.mask(parsed(id=9, number=NUMBER)))["number"] == redirect_mask("erased-2", NUMBER, HASH)


def test_fields_without_a_column_are_left_out_if_they_mention_an_erased_phone_number() -> None:
    assert BY_NUMBER.mask(parsed(id=9, note={"of": [NUMBER]}, other=1)).extra == {}
    assert BY_NUMBER.mask(parsed(id=9, note={"of": ["79031112233"]})).extra == {"note": {"of": ["79031112233"]}}


def test_a_rejected_record_is_stored_without_its_bytes_if_they_have_what_was_erased() -> None:
    def rejection(id_: int | None, payload: bytes) -> Rejection:
        return Rejection(id_, None, "wrong", payload, b"fingerprint")

    assert BY_ID.mask_rejection(rejection(1, b"anything")).payload == b""
    assert BY_ID.mask_rejection(rejection(None, NUMBER.encode())).payload == NUMBER.encode()
    assert BY_NUMBER.mask_rejection(rejection(None, b'{"a": "+%s"}' % NUMBER.encode())).payload == b""
    assert BY_NUMBER.mask_rejection(rejection(None, b"7926123456")).payload == b"7926123456"


def test_without_erasures_a_record_is_the_same_object() -> None:
    one = parsed(comment=NUMBER)

    assert NOTHING_ERASED.mask(one) is one
    assert BY_ID.mask(parsed(id=2)) == parsed(id=2)


texts = st.text(max_size=20) | st.sampled_from([NUMBER, f"+{NUMBER}", f"{NUMBER},{NUMBER}", f"1{NUMBER}", "Иванов"])


@given(
    st.dictionaries(st.sampled_from(["comment", "reason", "dgn_number", "redirect_number", "sip_uri"]), texts), texts
)
def test_no_record_has_an_erased_phone_number_and_masking_twice_changes_nothing(
    fields: dict[str, str], other: str
) -> None:
    found = decode(json.dumps(record(9, other=other, **fields)).encode(), b"fingerprint")
    if not isinstance(found, ParsedRecord):
        return
    masked = BY_NUMBER.mask(found)

    whole = [value for value in [*masked.values, json.dumps(masked.extra)] if isinstance(value, str)]
    assert [value for value in whole if NUMBER in value.replace(f"1{NUMBER}", "")] == []
    assert BY_NUMBER.mask(masked) == masked
