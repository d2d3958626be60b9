"""The body of a webhook: exact bytes, limits, and phone numbers as the channel may show them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.notice import TestNotice
from syncer.notices.messages import render
from syncer.notices.payload import MAX_EVENTS
from syncer.notices.rules import NUMBER_EVENTS, Language, NumberFormat
from tests.notices import MESSAGE_ID, at, blocked, changes, channel, condition, conditions, digest, event

if TYPE_CHECKING:
    from syncer.notice import ChangesNotice, ConditionsNotice

PHONE_FIELDS: Final = ("number", "redirect_number", "dgn_number", "from_redirect_numbers", "sip_uri")
TEXT_FIELDS: Final = ("comment", "region", "type", "purpose", "state", "nc_type", "reason", "of_a_later_version")


def body_of(notice: ChangesNotice | ConditionsNotice | TestNotice, numbers: NumberFormat = "full") -> bytes:
    return render(notice, channel("ru", numbers)).body


def data_of(notice: ChangesNotice | ConditionsNotice | TestNotice, numbers: NumberFormat = "full") -> dict[str, Any]:
    body = json.loads(body_of(notice, numbers))
    data: dict[str, Any] = body["data"]
    return data


def test_a_change_has_everything_that_is_known_of_it() -> None:
    notice = changes([event(reason="Задолженность\n540 руб.")])

    assert body_of(notice).decode() == (
        '{"data":{"account":"Головной офис","account_id":1,"after_run_id":53,"counts":{"locked":1},"digest":null,'
        '"events":[{"changed_after":"2026-11-28T06:55:00Z","changed_at":"2026-11-28T07:00:00Z","employee":null,'
        '"employee_id":null,"event":"locked","field":"state","new":"debt_lock","new_name":null,"number":"79261234250",'
        '"old":"active","old_name":null,"reason":"Задолженность 540 руб.",'
        '"recorded_at":"2026-11-28T07:00:00Z","run_id":54,"virtual_number_id":250}],"more":0,"rule":"locks",'
        '"through_run_id":54,"window":{"after":"2026-11-28T06:55:00Z","until":"2026-11-28T07:00:00Z"}},'
        '"timestamp":"2026-11-28T07:00:05Z","type":"numbers.changed"}'
    )


def test_a_digest_has_what_is_blocked_and_which_polls_failed() -> None:
    notice = changes(
        [],
        digest=digest(
            blocked_counts={"freeze": 1, "debt_lock": 21},
            blocked=[blocked(250, at("10:00", "2026-10-18"))],
            failed_polls={"timeout": 2, "abandoned": 1},
        ),
    )

    assert body_of(notice).decode() == (
        '{"data":{"account":"Головной офис","account_id":1,"after_run_id":53,"counts":{},"digest":{"blocked":'
        '[{"employee":null,"employee_id":null,"number":"79261234250","since":"2026-10-18T07:00:00Z","state":"debt_lock","virtual_number_id":250}],'
        '"blocked_counts":{"debt_lock":21,"freeze":1},"conditions":[],"failed_polls":{"abandoned":1,"timeout":2},'
        '"polls_since":"2026-11-27T06:00:00Z"},"events":[],"more":0,"rule":"locks","through_run_id":54,"window":null},'
        '"timestamp":"2026-11-28T07:00:05Z","type":"numbers.changed"}'
    )


def test_conditions_say_what_began_and_what_ended() -> None:
    notice = conditions(
        condition("held", count=120),
        condition(account_id=2, account="Склад", ended_at=at("10:35"), began_before=True),
        condition("refused", 3, "Архив", ended_at=at("10:35")),
    )

    assert body_of(notice).decode() == (
        '{"data":{"conditions":['
        '{"account":"Головной офис","account_id":1,"began_at":"2026-11-28T06:55:00Z","condition":"held","count":120,'
        '"ended_at":null,"event":"began"},'
        '{"account":"Склад","account_id":2,"began_at":"2026-11-28T06:55:00Z","condition":"stale","count":null,'
        '"ended_at":"2026-11-28T07:35:00Z","event":"ended"},'
        '{"account":"Архив","account_id":3,"began_at":"2026-11-28T06:55:00Z","condition":"refused","count":null,'
        '"ended_at":"2026-11-28T07:35:00Z","event":"began_and_ended"}],'
        '"more":0,"rule":"operations"},"timestamp":"2026-11-28T07:40:00Z","type":"account.condition"}'
    )


@pytest.mark.parametrize(("numbers", "number"), [("full", '"70000000000"'), ("last4", '"0000"'), ("none", "null")])
def test_a_test_has_a_made_up_number_and_no_account(numbers: NumberFormat, number: str) -> None:
    notice = TestNotice(message_id=MESSAGE_ID, created_at=at("10:00"))

    assert body_of(notice, numbers).decode() == (
        f'{{"data":{{"number":{number}}},"timestamp":"2026-11-28T07:00:00Z","type":"test"}}'
    )


def test_at_most_a_hundred_events_are_in_it_and_the_rest_is_counted() -> None:
    long = "я" * 100_000
    events = [
        event(kind, number_id, field="comment", old=long, new=long) for kind in NUMBER_EVENTS for number_id in range(20)
    ]
    notice = changes(events, dict.fromkeys(NUMBER_EVENTS, 10_000))
    data = data_of(notice)

    assert [one["event"] for one in data["events"]] == [kind for kind in NUMBER_EVENTS[:5] for _ in range(20)]
    assert data["more"] == 99_900
    assert {len(one["new"]) for one in data["events"]} == {200}
    assert len(data["events"]) == MAX_EVENTS
    assert len(body_of(notice)) < 150_000


def test_the_same_notice_has_the_same_bytes() -> None:
    notice = changes([event("new"), event("locked")], {"new": 2, "locked": 3, "frozen": 1})
    again = msgspec.structs.replace(
        notice,
        counts=dict(sorted(notice.counts.items())),
        created_at=notice.created_at.astimezone(ZoneInfo("Asia/Kamchatka")),
    )

    assert body_of(again) == body_of(notice)


def test_moments_keep_their_microseconds() -> None:
    seen = at("10:00") + timedelta(microseconds=250)

    assert data_of(changes([event(changed_at=seen)]))["events"][0]["changed_at"] == "2026-11-28T07:00:00.000250Z"


@pytest.mark.parametrize("field", PHONE_FIELDS[:-1])
def test_the_values_of_fields_with_phone_numbers_are_shown_as_the_channel_says(field: str) -> None:
    notice = changes([event("redirect", field=field, old="74951234567", new=None)])
    shown = {numbers: data_of(notice, numbers)["events"][0] for numbers in get_args(NumberFormat)}

    assert {numbers: one["old"] for numbers, one in shown.items()} == {
        "full": "74951234567",
        "last4": "4567",
        "none": None,
    }
    assert {numbers: one["number"] for numbers, one in shown.items()} == {
        "full": "79261234250",
        "last4": "4250",
        "none": None,
    }
    assert [one["new"] for one in shown.values()] == [None] * 3


def test_an_identifier_is_no_phone_number() -> None:
    notice = changes([event("employee", 1234567890, field="employee_id", old="1200054", new="тел. 79261234567")])
    shown = data_of(notice, "none")["events"][0]

    assert (shown["virtual_number_id"], shown["old"], shown["new"]) == (1234567890, "1200054", "тел. …")


@pytest.mark.parametrize(("numbers", "names"), [("full", True), ("full", False), ("last4", True), ("none", False)])
def test_names_are_beside_the_ids_where_the_channel_shows_them(numbers: NumberFormat, *, names: bool) -> None:
    changed = event(
        "employee",
        field="employee_id",
        old="124",
        new="125",
        old_name="Ким Игорь",
        new_name="Белова Анна",
        employee_id=125,
        employee="Белова Анна",
    )
    longest = blocked(251, at("09:00"), employee_id=7, employee="Орлова Анна")
    notice = changes([changed], digest=digest(blocked_counts={"debt_lock": 1}, blocked=[longest]))
    data = json.loads(render(notice, channel("ru", numbers, names=names)).body)["data"]

    (shown,) = data["events"]
    assert (shown["old"], shown["new"], shown["employee_id"]) == ("124", "125", 125)
    assert (shown["old_name"], shown["new_name"], shown["employee"]) == (
        ("Ким Игорь", "Белова Анна", "Белова Анна") if names else (None, None, None)
    )
    (also_shown,) = data["digest"]["blocked"]
    assert (also_shown["employee_id"], also_shown["employee"]) == (7, "Орлова Анна" if names else None)


def spelled(digits: str, separators: list[str]) -> str:
    """Writes a number with something between its digits that is neither a letter nor a digit."""
    return "".join(digit + separator for digit, separator in zip(digits, separators, strict=True))


@settings(deadline=None)  # the machine may be busy
@given(
    digits=st.from_regex("[1-9][0-9]{6,14}", fullmatch=True),
    separators=st.lists(
        st.sampled_from(["", "", "", " ", "-", " (", ") ", "\N{NO-BREAK SPACE}", "\u200b", "\n", "_"]),
        min_size=15,
        max_size=15,
    ),
    around=st.tuples(*[st.sampled_from(["", "тел. ", " доб", "sip:", "@example.org", "\x00"])] * 2),
    field=st.sampled_from(PHONE_FIELDS + TEXT_FIELDS),
    kind=st.sampled_from(NUMBER_EVENTS),
    numbers=st.sampled_from(["last4", "none"]),
    language=st.sampled_from(["ru", "en"]),
)
def test_a_phone_number_is_nowhere_unless_the_channel_shows_it(
    digits: str,
    separators: list[str],
    around: tuple[str, str],
    field: str,
    kind: str,
    numbers: NumberFormat,
    language: Language,
) -> None:
    text = around[0] + spelled(digits, separators[: len(digits)]) + around[1]
    notice = changes(
        [
            event(
                kind,
                7,
                number=digits,
                field=field,
                old=text,
                new=digits,
                reason=text,
                old_name=text,
                new_name=text,
                employee=text,
            )
        ],
        digest=digest(
            blocked_counts={"debt_lock": 1},
            blocked=[msgspec.structs.replace(blocked(7, at("09:00")), number=digits)],
            polls_since=at("09:00"),
        ),
    )
    message = render(notice, channel(language, numbers, names=True))
    texts = [message.subject, message.text, *strings_of(json.loads(message.body)["data"])]
    # Without what separates digits, there is no run of more than four of them.
    shown = [re.sub(r"[\s()_�-]", "", one) for one in texts if not re.fullmatch(r"2026-[0-9:T-]+Z", one)]
    runs = {digits[start : start + 5] for start in range(len(digits) - 4)}

    assert [one for one in shown if any(run in one for run in runs)] == []


def strings_of(value: object) -> list[str]:
    """Returns the texts in JSON."""
    if isinstance(value, dict):
        return [found for one in value.values() for found in strings_of(one)]
    if isinstance(value, list):
        return [found for one in value for found in strings_of(one)]
    return [value] if isinstance(value, str) else []
