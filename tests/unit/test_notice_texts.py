"""Notices as people read them, in Russian and English."""

from __future__ import annotations

import inspect
import re
import string
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.notice import TestNotice
from syncer.notices.layout import MAX_LENGTH, MAX_SUBJECT
from syncer.notices.messages import render
from syncer.notices.rules import CONDITIONS, NUMBER_EVENTS, Language, NumberFormat
from syncer.notices.texts import COUNTED, TEXTS, Words
from syncer.notices.values import vendor_text
from tests.notices import MESSAGE_ID, at, blocked, changes, channel, condition, conditions, digest, event

if TYPE_CHECKING:
    from syncer.notice import ChangesNotice, ConditionsNotice

NOTICES: Final = Path(__file__).parents[2] / "syncer" / "notices"
LANGUAGES: Final[tuple[Language, ...]] = ("ru", "en")
FORMATS: Final[tuple[NumberFormat, ...]] = ("full", "last4", "none")
YESTERDAY: Final = "2026-11-27"


def read(
    notice: ChangesNotice | ConditionsNotice | TestNotice,
    language: Language = "ru",
    numbers: NumberFormat = "full",
    *,
    names: bool | None = None,
) -> str:
    """Returns subject and text as a person reads them, with usual spaces."""
    message = render(notice, channel(language, numbers, names=names))
    return f"{message.subject}\n\n{message.text}".replace("\N{NO-BREAK SPACE}", " ")


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


# Words


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"months", "day", "thousands"}))
def test_every_text_exists_in_both_languages_with_the_same_placeholders(name: str) -> None:
    english, russian = TEXTS[name]

    assert english.strip()
    assert russian.strip()
    assert placeholders(english) == placeholders(russian)


@pytest.mark.parametrize("name", COUNTED)
def test_every_counted_text_has_the_same_placeholders_in_each_form(name: str) -> None:
    forms = [placeholders(form) - {"count"} for form in (*COUNTED[name].en, *COUNTED[name].ru)]

    assert all(one == forms[0] for one in forms)


def test_every_text_is_used() -> None:
    composed = re.compile(f"({'|'.join(CONDITIONS)})_|true$|false$")
    by_value = {*NUMBER_EVENTS, "debt_lock", "freeze"}
    source = "".join(path.read_text() for path in NOTICES.glob("*.py") if path.name != "texts.py")
    source += inspect.getsource(Words)
    used = set(re.findall(r"[\"'](\w+)[\"']", source)) | by_value

    assert [name for name in TEXTS.keys() | COUNTED.keys() if name not in used and not composed.match(name)] == []


def test_every_event_and_every_condition_has_words() -> None:
    assert set(NUMBER_EVENTS) <= COUNTED.keys()
    assert {
        f"{kind}_{what}" for kind in CONDITIONS for what in ("began", "began_and_ended", "ended", "was", "hint")
    } <= TEXTS.keys()


@pytest.mark.parametrize(
    ("count", "russian", "english"),
    [
        (0, "0 номеров", "0 numbers"),
        (1, "1 номер", "1 number"),
        (2, "2 номера", "2 numbers"),
        (4, "4 номера", "4 numbers"),
        (5, "5 номеров", "5 numbers"),
        (11, "11 номеров", "11 numbers"),
        (12, "12 номеров", "12 numbers"),
        (14, "14 номеров", "14 numbers"),
        (20, "20 номеров", "20 numbers"),
        (21, "21 номер", "21 numbers"),
        (22, "22 номера", "22 numbers"),
        (100, "100 номеров", "100 numbers"),
        (111, "111 номеров", "111 numbers"),
        (112, "112 номеров", "112 numbers"),
        (121, "121 номер", "121 numbers"),
        (1002, "1\N{NO-BREAK SPACE}002 номера", "1,002 numbers"),
        (9980, "9\N{NO-BREAK SPACE}980 номеров", "9,980 numbers"),
        (1234567, "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567 номеров", "1,234,567 numbers"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, russian: str, english: str) -> None:
    assert Words("ru").counted("numbers", count) == russian
    assert Words("en").counted("numbers", count) == english


# Changes


def test_the_lock_of_one_number() -> None:
    notice = changes([event(reason="Задолженность 540 руб.")])

    assert read(notice) == (
        "Головной офис: заблокирован за долг 1 номер, между 09:55 и 10:00\n\n"
        "Заблокирован за долг 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-50: «Задолженность 540 руб.»\n\n"
        "Личный кабинет: Головной офис. Правило: locks. Часовой пояс: Europe/Moscow."
    )
    assert read(notice, "en") == (
        "Головной офис: 1 number locked for debt, between 09:55 and 10:00\n\n"
        "1 number locked for debt, between 09:55 and 10:00:\n"
        "• +7 926 123-42-50: “Задолженность 540 руб.”\n\n"
        "Account: Головной офис. Rule: locks. Time zone: Europe/Moscow."
    )


def test_ten_thousand_locks_in_one_poll_are_twenty_lines_and_a_count() -> None:
    notice = changes([event(number_id=number_id) for number_id in range(250, 270)], {"locked": 10_000})
    numbers = [f"• +7 926 123-42-{last}" for last in range(50, 70)]

    assert read(notice).split("\n") == [
        "Головной офис: заблокировано за долг 10 000 номеров, между 09:55 и 10:00",
        "",
        "Заблокировано за долг 10 000 номеров, между 09:55 и 10:00:",
        *numbers,
        "и ещё 9 980",
        "",
        "Личный кабинет: Головной офис. Правило: locks. Часовой пояс: Europe/Moscow.",
    ]
    assert "\nи ещё 9\N{NO-BREAK SPACE}980\n" in render(notice, channel()).text
    assert read(notice, "en").split("\n") == [
        "Головной офис: 10,000 numbers locked for debt, between 09:55 and 10:00",
        "",
        "10,000 numbers locked for debt, between 09:55 and 10:00:",
        *numbers,
        "and 9,980 more",
        "",
        "Account: Головной офис. Rule: locks. Time zone: Europe/Moscow.",
    ]


EVERY_KIND: Final = changes(
    [
        event("record", 259, field="comment", old="Отдел\nпродаж", new="Склад"),
        event("record", 259, field="is_scenario_active", old="false", new="true"),
        event("record", 259, field="type", old="def", new="of a later version"),
        event("employee", 258, field="employee_id", old=None, new="41"),
        event("redirect", 257, field="from_redirect_numbers", old=None, new="78005553535"),
        event("redirect", 257, field="from_redirect_numbers", old="74951234567", new=None),
        event("redirect", 257, field="redirect_number", old="74951234567", new="112"),
        event("state", 256, field="state", old="active", new="inactive", reason="По заявлению"),
        event("state", 256, field="reason", old="По заявлению", new=None),
        event("new", 255, old=None, new="active"),
        event("returned", 254, old="active", new="active", changed_after=at("09:50", "2026-11-20")),
        event(
            "removed",
            253,
            field=None,
            old=None,
            new=None,
            changed_after=at("09:50", YESTERDAY),
            changed_at=at("09:55", YESTERDAY),
        ),
        event("unlocked", 252, old="freeze", new="active"),
        event("frozen", 251, old="debt_lock", new="freeze"),
        event("locked", 250),
    ]
)


def test_every_kind_of_event_in_the_order_of_importance() -> None:
    assert read(EVERY_KIND) == (
        "Головной офис: заблокирован за долг 1 номер, заморожен 1 номер, …, между 09:55 и 10:00\n\n"
        "Заблокирован за долг 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-50\n\n"
        "Заморожен 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-51: было: блокировка за долг\n\n"
        "Снова активен 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-52: было: заморожен\n\n"
        "Удалён 1 номер, не числится с 27.11 09:55, удаление признано в 10:00:\n"
        "• +7 926 123-42-53\n\n"
        "Вернулся 1 номер, снова числится с 10:00, не было с 20.11 09:50:\n"
        "• +7 926 123-42-54: активен\n\n"
        "Появился 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-55: активен\n\n"
        "2 изменения состояния или причины, между 09:55 и 10:00:\n"
        "• +7 926 123-42-56: состояние: активен → неактивен; «По заявлению»\n"
        "• +7 926 123-42-56: причина: «По заявлению» → пусто\n\n"
        "3 изменения переадресации, между 09:55 и 10:00:\n"
        "• +7 926 123-42-57: добавлена переадресация с +7 800 555-35-35\n"
        "• +7 926 123-42-57: снята переадресация с +7 495 123-45-67\n"
        "• +7 926 123-42-57: переадресация на: +7 495 123-45-67 → 112\n\n"
        "1 смена сотрудника, между 09:55 и 10:00:\n"
        "• +7 926 123-42-58: сотрудник: пусто → 41\n\n"
        "3 изменения других полей, между 09:55 и 10:00:\n"
        "• +7 926 123-42-59: комментарий: «Отдел продаж» → «Склад»\n"
        "• +7 926 123-42-59: сценарий включён: нет → да\n"
        "• +7 926 123-42-59: тип: мобильный → of a later version\n\n"
        "Личный кабинет: Головной офис. Правило: locks. Часовой пояс: Europe/Moscow."
    )
    assert read(EVERY_KIND, "en", "last4") == (
        "Головной офис: 1 number locked for debt, 1 number frozen, …, between 09:55 and 10:00\n\n"
        "1 number locked for debt, between 09:55 and 10:00:\n"
        "• …4250\n\n"
        "1 number frozen, between 09:55 and 10:00:\n"
        "• …4251: it was: Locked for debt\n\n"
        "1 number active again, between 09:55 and 10:00:\n"
        "• …4252: it was: Frozen\n\n"
        "1 number removed, not listed since 27 Nov 09:55, removal confirmed at 10:00:\n"
        "• …4253\n\n"
        "1 number returned, listed again since 10:00, missing after 20 Nov 09:50:\n"
        "• …4254: Active\n\n"
        "1 number added, between 09:55 and 10:00:\n"
        "• …4255: Active\n\n"
        "2 changes of state or reason, between 09:55 and 10:00:\n"
        "• …4256: state: Active → Inactive; “По заявлению”\n"
        "• …4256: reason: “По заявлению” → empty\n\n"
        "3 changes of redirects, between 09:55 and 10:00:\n"
        "• …4257: redirect added from …3535\n"
        "• …4257: redirect removed from …4567\n"
        "• …4257: redirected to: …4567 → …112\n\n"
        "1 change of employee, between 09:55 and 10:00:\n"
        "• …4258: employee: empty → 41\n\n"
        "3 changes of other fields, between 09:55 and 10:00:\n"
        "• …4259: comment: “Отдел продаж” → “Склад”\n"
        "• …4259: scenario is active: no → yes\n"
        "• …4259: type: Mobile → of a later version\n\n"
        "Account: Головной офис. Rule: locks. Time zone: Europe/Moscow."
    )


def lines_of(notice: ChangesNotice, language: Language = "ru", numbers: NumberFormat = "full") -> list[str]:
    """Returns the first group of a text, without its last line, which names the account."""
    return read(notice, language, numbers).split("\n\n")[1].split("\n")


NAMED: Final = changes(
    [
        event(reason="Задолженность 540 руб.", employee_id=7, employee="Орлова Анна"),
        event("removed", 253, field=None, old=None, new=None, employee_id=7, employee="Орлова Анна"),
        event("employee", 251, field="employee_id", old="124", new="125", old_name="Белова Анна", new_name="Ким Игорь"),
        event("employee", 252, field="employee_id", old=None, new="126", employee_id=126, new_name="Ли\nВера"),
        event("employee", 254, field="employee_id", old="126", new="7", old_name="Ли Вера", new_name="Ли Вера"),
        event("record", 255, field="group_id", old="9", new="10", new_name="Продажи", employee_id=8, employee=None),
    ]
)


def test_employees_and_groups_have_their_names() -> None:
    assert read(NAMED) == (
        "Головной офис: заблокирован за долг 1 номер, удалён 1 номер, …, между 09:55 и 10:00\n\n"
        "Заблокирован за долг 1 номер, между 09:55 и 10:00:\n"
        "• +7 926 123-42-50, Орлова Анна: «Задолженность 540 руб.»\n\n"
        "Удалён 1 номер, не числится с 10:00:\n"
        "• +7 926 123-42-53, Орлова Анна\n\n"
        "3 смены сотрудника, между 09:55 и 10:00:\n"
        "• +7 926 123-42-51: сотрудник: Белова Анна → Ким Игорь\n"
        "• +7 926 123-42-52: сотрудник: пусто → Ли Вера\n"
        "• +7 926 123-42-54: сотрудник: Ли Вера (126) → Ли Вера (7)\n\n"
        "1 изменение других полей, между 09:55 и 10:00:\n"
        "• +7 926 123-42-55: группа: 9 → Продажи\n\n"
        "Личный кабинет: Головной офис. Правило: locks. Часовой пояс: Europe/Moscow."
    )
    assert read(NAMED, "en", "last4", names=True) == (
        "Головной офис: 1 number locked for debt, 1 number removed, …, between 09:55 and 10:00\n\n"
        "1 number locked for debt, between 09:55 and 10:00:\n"
        "• …4250, Орлова Анна: “Задолженность 540 руб.”\n\n"
        "1 number removed, not listed since 10:00:\n"
        "• …4253, Орлова Анна\n\n"
        "3 changes of employee, between 09:55 and 10:00:\n"
        "• …4251: employee: Белова Анна → Ким Игорь\n"
        "• …4252: employee: empty → Ли Вера\n"
        "• …4254: employee: Ли Вера (126) → Ли Вера (7)\n\n"
        "1 change of other fields, between 09:55 and 10:00:\n"
        "• …4255: group: 9 → Продажи\n\n"
        "Account: Головной офис. Rule: locks. Time zone: Europe/Moscow."
    )


def test_without_names_there_are_the_ids_that_changed() -> None:
    for shown in (read(NAMED, names=False), read(NAMED, numbers="last4"), read(NAMED, "en", "none")):
        assert [name for name in ("Орлова", "Белова", "Ким", "Ли Вера", "Продажи") if name in shown] == []
    assert [line for line in read(NAMED, names=False).split("\n") if "сотрудник: " in line or "группа" in line] == [
        "• +7 926 123-42-51: сотрудник: 124 → 125",
        "• +7 926 123-42-52: сотрудник: пусто → 126",
        "• +7 926 123-42-54: сотрудник: 126 → 7",
        "• +7 926 123-42-55: группа: 9 → 10",
    ]


def test_a_digest_says_who_has_the_numbers_that_are_locked() -> None:
    longest = [blocked(250, at("09:00"), employee_id=7, employee="Орлова Анна"), blocked(251, at("09:30"))]
    notice = changes([], digest=digest(blocked_counts={"debt_lock": 2}, blocked=longest))

    assert [line for line in read(notice).split("\n") if line.startswith("•")] == [
        "• +7 926 123-42-50, Орлова Анна: с 09:00, уже 60 минут",
        "• +7 926 123-42-51: с 09:30, уже 30 минут",
    ]


def test_a_channel_without_phone_numbers_names_a_number_by_its_id() -> None:
    redirected = changes([event("redirect", field="redirect_number", old=None, new="74951234567")])

    assert lines_of(redirected, numbers="none")[1] == "• номер с id 250: переадресация на: пусто → …"
    assert lines_of(redirected, "en", "none")[1] == "• number with id 250: redirected to: empty → …"
    assert lines_of(changes([event(number=None)]))[1] == "• номер с id 250"


def test_a_number_that_appears_or_returns_locked_is_said_to() -> None:
    last_listed = at("09:50", "2026-11-20")
    notice = changes(
        [
            event(number_id=250, old=None, reason="Долг"),
            event(number_id=251, old="debt_lock", changed_after=last_listed),
            event(number_id=252, old="debt_lock", changed_after=None),
            event(number_id=253, old="inactive"),
        ]
    )

    assert lines_of(notice) == [
        "Заблокированы за долг 4 номера:",
        "• +7 926 123-42-50: новый номер; «Долг»; между 09:55 и 10:00",
        "• +7 926 123-42-51: снова числится с 10:00, не было с 20.11 09:50",
        "• +7 926 123-42-52: снова числится с 10:00",
        "• +7 926 123-42-53: было: неактивен; между 09:55 и 10:00",
    ]
    assert lines_of(notice, "en") == [
        "4 numbers locked for debt:",
        "• +7 926 123-42-50: a new number; “Долг”; between 09:55 and 10:00",
        "• +7 926 123-42-51: listed again since 10:00, missing after 20 Nov 09:50",
        "• +7 926 123-42-52: listed again since 10:00",
        "• +7 926 123-42-53: it was: Inactive; between 09:55 and 10:00",
    ]


def test_numbers_removed_or_returned_together_are_said_to_be_in_the_plural() -> None:
    removed = [event("removed", number_id, field=None, old=None, new=None) for number_id in (250, 251)]
    returned = [event("returned", number_id, old="active", new="active") for number_id in range(250, 255)]

    assert lines_of(changes(removed))[0] == "Удалены 2 номера, не числятся с 10:00:"
    assert lines_of(changes(returned))[0] == "Вернулось 5 номеров, снова числятся с 10:00, не было с 09:55:"
    assert lines_of(changes(removed), "en")[0] == "2 numbers removed, not listed since 10:00:"
    assert render(changes(removed), channel()).subject == "Головной офис: удалены 2 номера, не числятся с 10:00"


def test_a_number_that_returns_in_another_state_has_both_states() -> None:
    returned = changes([event("returned", old="active", new="freeze", reason="По заявлению")])

    assert lines_of(returned)[1] == "• +7 926 123-42-50: состояние: активен → заморожен; «По заявлению»"


def test_a_changed_reason_is_said_once() -> None:
    notice = changes([event("state", field="reason", old="Долг", new="По заявлению", reason="По заявлению")])

    assert lines_of(notice)[1] == "• +7 926 123-42-50: причина: «Долг» → «По заявлению»"


def test_events_of_a_kind_of_which_none_is_listed_are_counted() -> None:
    assert lines_of(changes([], {"new": 1000})) == ["Появилось 1 000 номеров."]


# Windows


@pytest.mark.parametrize(
    ("after", "until", "russian", "english"),
    [
        (at("09:55"), at("10:00"), "между 09:55 и 10:00", "between 09:55 and 10:00"),
        (None, at("10:00"), "до 10:00", "before 10:00"),
        (None, at("10:00", YESTERDAY), "до 27.11 10:00", "before 27 Nov 10:00"),
        (
            at("23:55", YESTERDAY),
            at("00:00"),
            "между 27.11 23:55 и 28.11 00:00",
            "between 27 Nov 23:55 and 28 Nov 00:00",
        ),
        (
            at("09:55", YESTERDAY),
            at("10:00", YESTERDAY),
            "27.11 между 09:55 и 10:00",
            "between 09:55 and 10:00 on 27 Nov",
        ),
        (
            at("23:55", "2025-12-31"),
            at("00:05", "2026-01-01"),
            "между 31.12.2025 23:55 и 01.01 00:05",
            "between 31 Dec 2025 23:55 and 1 Jan 00:05",
        ),
        (at("10:00:15"), at("10:00:30"), "между 10:00:15 и 10:00:30", "between 10:00:15 and 10:00:30"),
        (at("10:00:15.2"), at("10:00:15.7"), "в 10:00:15", "at 10:00:15"),
    ],
)
def test_a_window_has_a_date_unless_it_is_that_of_the_notice(
    after: object, until: object, russian: str, english: str
) -> None:
    notice = changes([event(changed_after=after, changed_at=until)], window=(after, until))

    assert lines_of(notice)[0] == f"Заблокирован за долг 1 номер, {russian}:"
    assert render(notice, channel()).subject == f"Головной офис: заблокирован за долг 1 номер, {russian}"
    assert lines_of(notice, "en")[0] == f"1 number locked for debt, {english}:"


def test_a_window_is_in_the_time_zone_of_the_account() -> None:
    notice = changes([event()], time_zone="Asia/Kamchatka")

    assert lines_of(notice)[0] == "Заблокирован за долг 1 номер, между 18:55 и 19:00:"


def test_a_window_in_which_the_clocks_are_changed_has_the_offsets() -> None:
    after, until = at("03:55", "2026-10-25"), at("04:05", "2026-10-25")
    notice = changes(
        [event(changed_after=after, changed_at=until)],
        created_at=until,
        window=(after, until),
        time_zone="Europe/Berlin",
    )

    assert lines_of(notice)[0] == "Заблокирован за долг 1 номер, между 02:55 (UTC+0200) и 02:05 (UTC+0100):"


def test_different_windows_are_in_the_lines() -> None:
    notice = changes([event(), event(number_id=251, changed_after=at("09:50"), changed_at=at("09:55"))])

    assert lines_of(notice) == [
        "Заблокированы за долг 2 номера:",
        "• +7 926 123-42-50: между 09:55 и 10:00",
        "• +7 926 123-42-51: между 09:50 и 09:55",
    ]


def test_the_window_of_events_that_are_not_listed_is_not_assumed() -> None:
    listed = [event(number_id=number_id) for number_id in range(250, 270)]
    in_several_polls = changes(listed, {"locked": 21}, window=(at("09:00"), at("10:00")))

    assert lines_of(in_several_polls)[:2] == [
        "Заблокирован за долг 21 номер:",
        "• +7 926 123-42-50: между 09:55 и 10:00",
    ]
    assert render(in_several_polls, channel()).subject == (
        "Головной офис: заблокирован за долг 21 номер, между 09:00 и 10:00"
    )


# Digests


def test_a_digest_says_what_is_blocked_and_which_polls_failed() -> None:
    since = at("10:00:05")
    notice = changes(
        [event()],
        rule="daily",
        digest=digest(
            blocked_counts={"debt_lock": 12, "freeze": 1},
            blocked=[
                blocked(250, since - timedelta(days=41)),
                blocked(251, since - timedelta(hours=47), "freeze"),
                blocked(252, since - timedelta(minutes=61)),
            ],
            failed_polls={"network": 1, "timeout": 2, "abandoned": 1},
        ),
    )

    assert read(notice).split("\n\n")[2:] == [
        (
            "Сейчас заблокировано за долг 12 номеров, дольше всех 41 день:\n"
            "• +7 926 123-42-50: с 18.10 10:00, уже 41 день\n"
            "• +7 926 123-42-52: с 08:59, уже 61 минуту\n"
            "и ещё 10"
        ),
        "Сейчас заморожен 1 номер:\n• +7 926 123-42-51: с 26.11 11:00, уже 47 часов",
        "Неудачных опросов с 27.11 09:00: 4 (время ожидания истекло: 2, прерваны: 1, нет связи: 1).",
        "Личный кабинет: Головной офис. Правило: daily. Часовой пояс: Europe/Moscow.",
    ]
    assert read(notice, "en").split("\n\n")[2:] == [
        (
            "12 numbers locked for debt now, the longest for 41 days:\n"
            "• +7 926 123-42-50: since 18 Oct 10:00, for 41 days\n"
            "• +7 926 123-42-52: since 08:59, for 61 minutes\n"
            "and 10 more"
        ),
        "1 number frozen now:\n• +7 926 123-42-51: since 26 Nov 11:00, for 47 hours",
        "Failed polls since 27 Nov 09:00: 4 (timeout: 2, abandoned: 1, no connection: 1).",
        "Account: Головной офис. Rule: daily. Time zone: Europe/Moscow.",
    ]


def test_a_digest_of_a_day_without_changes_is_a_sign_of_life() -> None:
    notice = changes([], rule="daily", digest=digest())

    assert read(notice) == (
        "Головной офис: изменений не было\n\n"
        "Изменений не было.\n\n"
        "Заблокированных и замороженных номеров сейчас нет.\n\n"
        "Неудачных опросов с 27.11 09:00 не было.\n\n"
        "Личный кабинет: Головной офис. Правило: daily. Часовой пояс: Europe/Moscow."
    )
    assert read(notice, "en") == (
        "Головной офис: nothing has changed\n\n"
        "Nothing has changed.\n\n"
        "No number is locked for debt or frozen now.\n\n"
        "No poll has failed since 27 Nov 09:00.\n\n"
        "Account: Головной офис. Rule: daily. Time zone: Europe/Moscow."
    )


@pytest.mark.parametrize(
    ("ago", "russian", "english"),
    [
        (timedelta(seconds=59), "меньше минуты", "less than a minute"),
        (timedelta(seconds=60), "1 минуту", "1 minute"),
        (timedelta(minutes=119), "119 минут", "119 minutes"),
        (timedelta(hours=2), "2 часа", "2 hours"),
        (timedelta(hours=21), "21 час", "21 hours"),
        (timedelta(days=2), "2 дня", "2 days"),
    ],
)
def test_a_duration_is_in_the_largest_unit_of_which_there_are_at_least_two(
    ago: timedelta, russian: str, english: str
) -> None:
    notice = changes([], digest=digest(blocked_counts={"debt_lock": 1}, blocked=[blocked(250, at("10:00:05") - ago)]))

    assert read(notice).split("\n\n")[2].endswith(f", уже {russian}")
    assert read(notice, "en").split("\n\n")[2].endswith(f", for {english}")


# Conditions

ZONE_RU: Final = "\n\nПравило: operations. Часовой пояс: Europe/Moscow."
ZONE_EN: Final = "\n\nRule: operations. Time zone: Europe/Moscow."


@pytest.mark.parametrize(
    ("kind", "count", "russian", "english"),
    [
        (
            "stale",
            None,
            "не удаётся опросить с 09:55.\nПричину показывает команда syncer status.",
            "no successful poll since 09:55.\nThe command syncer status shows why.",
        ),
        (
            "refused",
            None,
            (
                "доступ к API отклонён (401 или 403) с 09:55.\n"
                "401: неверный токен; сгенерируйте новый в Личном кабинете (прежний перестанет действовать). 403: "
                "скорее всего, адреса этой машины там нет в списке разрешённых. Что из этого, показывает команда "
                "syncer status."
            ),
            (
                "access refused (401 or 403) since 09:55.\n"
                "401: the token is not valid; generate one in the Личный кабинет, which revokes the old one. 403: most "
                "likely the address of this machine is not on the allow-list there. The command syncer status shows "
                "which it is."
            ),
        ),
        (
            "held",
            120,
            (
                "удержано удаление 120 номеров с 09:55.\n"
                "Сверьте список с Личным кабинетом. Если номеров действительно больше нет, выполните:\n"
                "syncer sync --account 'Головной офис' --accept-removals\n"
                "Или подождите: если номера снова появятся в списке, ничего не удалится; если нет, удаление будет "
                "принято, когда истечёт срок удержания."
            ),
            (
                "removal of 120 numbers held since 09:55.\n"
                "Compare with the Личный кабинет. If the numbers are really gone, run:\n"
                "syncer sync --account 'Головной офис' --accept-removals\n"
                "Otherwise wait: if they are listed again, nothing is removed; if they stay missing, their removal is "
                "applied when the hold ends."
            ),
        ),
        (
            "rejected",
            3,
            (
                "отклонены 3 записи с 09:55.\n"
                "Номера сохраняют последние корректные значения. Что не так с каждой записью, "
                "показывает команда syncer status."
            ),
            (
                "3 records rejected since 09:55.\n"
                "Their numbers keep their last valid values. The command syncer status "
                "shows what is wrong with each record."
            ),
        ),
    ],
)
def test_a_condition_that_began_says_what_to_do(kind: str, count: int | None, russian: str, english: str) -> None:
    notice = conditions(condition(kind, count=count))
    first_ru, first_en = russian.split("\n", maxsplit=1)[0], english.split("\n", maxsplit=1)[0]

    assert read(notice) == f"Головной офис: {first_ru[:-1]}\n\nГоловной офис: {russian}{ZONE_RU}"
    assert read(notice, "en") == f"Головной офис: {first_en[:-1]}\n\nГоловной офис: {english}{ZONE_EN}"


@pytest.mark.parametrize(
    ("kind", "count", "ended", "began_and_ended"),
    [
        ("stale", None, "снова опрашивается, перерыв", "не удавалось опросить"),
        ("refused", None, "доступ к API восстановлен, был отклонён", "доступ к API отклонялся (401 или 403)"),
        ("held", 121, "удержание удалений закончилось, длилось", "удерживалось удаление 121 номера"),
        ("rejected", 1, "отклонённых записей больше нет, были", "отклонялась 1 запись"),
    ],
)
def test_the_end_of_a_condition_in_russian(kind: str, count: int | None, ended: str, began_and_ended: str) -> None:
    for began_before, text in ((True, ended), (False, began_and_ended)):
        notice = conditions(condition(kind, count=count, ended_at=at("10:35"), began_before=began_before))

        assert read(notice) == (
            f"Головной офис: {text} с 09:55 до 10:35\n\nГоловной офис: {text} с 09:55 до 10:35.{ZONE_RU}"
        )


@pytest.mark.parametrize(
    ("kind", "count", "ended", "began_and_ended"),
    [
        ("stale", None, "polled again, no successful poll", "no successful poll"),
        ("refused", None, "access works again, it was refused", "access was refused (401 or 403)"),
        ("held", 1, "no removal is held any more, some were held", "removal of 1 number was held"),
        ("rejected", 2, "no record is rejected any more, some were rejected", "2 records were rejected"),
    ],
)
def test_the_end_of_a_condition_in_english(kind: str, count: int | None, ended: str, began_and_ended: str) -> None:
    for began_before, text in ((True, ended), (False, began_and_ended)):
        notice = conditions(condition(kind, count=count, ended_at=at("10:35"), began_before=began_before))

        assert read(notice, "en") == (
            f"Головной офис: {text} from 09:55 to 10:35\n\nГоловной офис: {text} from 09:55 to 10:35.{ZONE_EN}"
        )


def test_a_condition_of_many_accounts_is_one_message_with_twenty_names() -> None:
    notice = conditions(*(condition(account_id=number, account=f"Филиал {number}") for number in range(1, 313)))
    names = "".join(f"• Филиал {number}\n" for number in range(1, 21))

    assert read(notice) == (
        "312 личных кабинетов: не удаётся опросить с 09:55\n\n"
        f"312 личных кабинетов: не удаётся опросить с 09:55:\n{names}и ещё 292\n"
        f"Причину показывает команда syncer status.{ZONE_RU}"
    )
    assert read(notice, "en") == (
        "312 accounts: no successful poll since 09:55\n\n"
        f"312 accounts: no successful poll since 09:55:\n{names}and 292 more\n"
        f"The command syncer status shows why.{ZONE_EN}"
    )


def test_several_conditions_of_several_accounts() -> None:
    notice = conditions(
        condition(account_id=7, account="Север", ended_at=at("10:35"), began_before=True),
        condition(account_id=8, account="Восток", ended_at=at("10:35"), began_before=True),
        condition("rejected", 6, "Юг", ended_at=at("10:30"), count=3),
        condition("held", 4, "Склад", count=120),
        condition("held", 5, "Архив", count=1),
        condition(account_id=1, account="Запад", began_at=at("09:50")),
        condition(account_id=2, account="Центр", began_at=at("23:50", YESTERDAY)),
    )

    assert read(notice) == (
        "2 личных кабинета: не удаётся опросить; 2 личных кабинета: удержано удаление 121 номера с 09:55; …\n\n"
        "2 личных кабинета: не удаётся опросить:\n"
        "• Запад: с 09:50\n"
        "• Центр: с 27.11 23:50\n"
        "Причину показывает команда syncer status.\n\n"
        "2 личных кабинета: удержано удаление 121 номера с 09:55:\n"
        "• Склад: 120 номеров\n"
        "• Архив: 1 номер\n"
        "Сверьте список с Личным кабинетом. Если номеров действительно больше нет, выполните:\n"
        "syncer sync --account 'ИМЯ' --accept-removals\n"
        "Или подождите: если номера снова появятся в списке, ничего не удалится; если нет, удаление будет принято, "
        "когда истечёт срок удержания.\n\n"
        "Юг: отклонялись 3 записи с 09:55 до 10:30.\n\n"
        "2 личных кабинета: снова опрашиваются, перерыв с 09:55 до 10:35:\n"
        "• Север\n"
        f"• Восток{ZONE_RU}"
    )


def test_several_conditions_of_one_account_name_it_once_in_the_subject() -> None:
    notice = conditions(condition(), condition("held", count=2), condition("rejected", count=5))

    assert render(notice, channel()).subject == (
        "Головной офис: не удаётся опросить с 09:55, удержано удаление 2 номеров с 09:55, …"
    )


def test_the_ends_of_holds_do_not_count_what_was_held() -> None:
    ended = [
        condition("held", number, f"Филиал {number}", ended_at=at("10:35"), began_before=True, count=120)
        for number in (1, 2)
    ]

    assert read(conditions(*ended)).split("\n\n")[1] == (
        "2 личных кабинета: удержание удалений закончилось, длилось с 09:55 до 10:35:\n• Филиал 1\n• Филиал 2"
    )


def test_a_long_subject_is_cut() -> None:
    began_at = at("09:55", "2025-11-27")
    notice = conditions(
        condition("refused", 1, "а" * 100, began_at=began_at), condition("rejected", 2, "б" * 100, began_at=began_at)
    )
    subject = render(notice, channel()).subject

    assert subject == (
        f"{'а' * 59}…: доступ к API отклонён (401 или 403) с 27.11.2025 09:55; {'б' * 59}…: отклонены записи с…"
    )
    assert len(subject) == MAX_SUBJECT - 1  # without the space before the ellipsis


def test_accounts_in_several_time_zones_have_times_of_their_own() -> None:
    notice = conditions(
        condition(account_id=1, account="Запад"),
        condition(account_id=2, account="Урал", time_zone="Asia/Yekaterinburg"),
    )

    assert read(notice) == (
        "2 личных кабинета: не удаётся опросить\n\n"
        "2 личных кабинета: не удаётся опросить:\n"
        "• Запад: с 09:55\n"
        "• Урал: с 11:55\n"
        "Причину показывает команда syncer status.\n\n"
        "Правило: operations. Время указано в часовом поясе каждого личного кабинета."
    )


# Tests


def test_a_test_says_that_it_is_one() -> None:
    notice = TestNotice(message_id=MESSAGE_ID, created_at=at("10:00"))
    first = "Это проверка. Ничего не произошло, и делать ничего не нужно.\n"

    assert read(notice) == (
        f"syncer: проверка канала duty\n\n{first}"
        "Номера телефонов здесь выглядят так, этот — вымышленный: +7 000 000-00-00"
    )
    assert read(notice, numbers="last4").endswith("вымышленный: …0000")
    assert read(notice, numbers="none").endswith(f"{first}Номера телефонов здесь не показываются.")
    assert read(notice, "en") == (
        "syncer: a test of the channel duty\n\n"
        "This is a test. Nothing has happened, and there is nothing to do.\n"
        "Phone numbers look like this here; this one is made up: +7 000 000-00-00"
    )


# The vendor's texts


@pytest.mark.parametrize(
    ("text", "full", "last4", "none"),
    [
        ("a\r\nBcc: x", "a Bcc: x", "a Bcc: x", "a Bcc: x"),
        ("\x1b[31m\u202egnp\u200b", "�[31m�gnp�", "�[31m�gnp�", "�[31m�gnp�"),
        ("\ud800 \U000e0041", "� �", "� �", "� �"),
        ("тел. 8 (926) 123-45-67", "тел. 8 (926) 123-45-67", "тел. …4567", "тел. …"),
        ("7926\u200b1234567", "7926�1234567", "…4567", "…"),
        ("٧٩٢٦١٢٣٤٥٦٧", "٧٩٢٦١٢٣٤٥٦٧", "…٤٥٦٧", "…"),
        ("123456", "123456", "123456", "123456"),
        ("с 28.11.2026 по заявлению", *["с 28.11.2026 по заявлению"] * 3),
        ("с 2026-11-28 10:00", *["с 2026-11-28 10:00"] * 3),
        ("28.11.2026 1234567", "28.11.2026 1234567", "…4567", "…"),
        ("я" * 201, *["я" * 199 + "…"] * 3),
        ("1" * 5000, "1" * 199 + "…", "…", "…"),
        ("тел. " + "1" * 1992 + "79261234567", "тел. " + "1" * 194 + "…", "тел…", "тел…"),
    ],
)
def test_a_text_of_the_vendor_is_cleaned_and_has_no_phone_number_unless_it_may(
    text: str, full: str, last4: str, none: str
) -> None:
    assert [vendor_text(text, numbers) for numbers in FORMATS] == [full, last4, none]


# Characters that command, hide or reverse; the last ones are halves of pairs.
HOSTILE: Final = "\x00\x07\x1b\x7f\x85\r\n\t\u00ad\u061c\u200b\u200e\u202e\u2028\u2066\ufeff\U000e0041\ud83d"
DIRECTING: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
VENDOR_TEXT: Final = st.text(st.sampled_from(HOSTILE) | st.characters(), max_size=400)


def is_clean(text: str) -> bool:
    """Whether text has no control character, half of a pair, or line separator, and nothing that changes direction."""
    categories = {unicodedata.category(one) for one in text}
    directions = {unicodedata.bidirectional(one) for one in text}
    return not categories & {"Cc", "Cs", "Zl", "Zp"} and not directions & DIRECTING


@settings(max_examples=200, deadline=None)  # the machine may be busy
@given(
    text=VENDOR_TEXT,
    kind=st.sampled_from(NUMBER_EVENTS),
    field=st.sampled_from(["state", "comment", "reason", "region", "number", "from_redirect_numbers", "type", "later"]),
    language=st.sampled_from(LANGUAGES),
    numbers=st.sampled_from(FORMATS),
)
def test_no_text_of_the_vendor_adds_a_line_or_a_character_that_cannot_be_seen(
    text: str, kind: str, field: str, language: Language, numbers: NumberFormat
) -> None:
    hostile = event(kind, number=text, field=field, old=text, new=text + ".", reason=text)
    plain = event(kind, number="1", field=field, old="a", new="b", reason="c")
    account = text.encode("utf-8", "ignore").decode()  # names of accounts come from UTF-8
    message = render(changes([hostile], account=account), channel(language, numbers))

    assert is_clean(message.subject)
    assert len(message.subject) <= MAX_SUBJECT
    assert is_clean(message.text.replace("\n", ""))
    assert message.text.count("\n") == render(changes([plain]), channel(language, numbers)).text.count("\n")


# Lengths


@pytest.mark.parametrize("language", LANGUAGES)
def test_ten_thousand_events_of_each_kind_fit_and_each_kind_is_shown(language: Language) -> None:
    events = [
        event(kind, number_id, field="state", old="active", new="freeze")
        for kind in NUMBER_EVENTS
        for number_id in range(250, 260)
    ]
    notice = changes(events, dict.fromkeys(NUMBER_EVENTS, 10_000), window=(at("09:00"), at("10:00")))
    text = render(notice, channel(language)).text
    shown = [group.count("•") for group in text.split("\n\n")[:-1]]

    assert utf16_length(text) <= MAX_LENGTH
    assert sum(shown) == {"ru": 50, "en": 52}[language]
    assert max(shown) - min(shown) <= 1
    assert sorted(shown, reverse=True) == shown
    assert [int(re.sub(r"\D", "", line)) for line in text.split("\n") if re.match("и ещё|and ", line)] == [
        10_000 - count for count in shown
    ]


@pytest.mark.parametrize("kind", NUMBER_EVENTS)
def test_twenty_long_lines_of_a_kind_fit(kind: str) -> None:
    long = "\N{TELEPHONE RECEIVER}\N{SMILING FACE WITH OPEN MOUTH}" * 300
    events = [event(kind, number_id, field="comment", old=long, new=long, reason=long) for number_id in range(20)]
    message = render(changes(events, {kind: 10_000}, account=long, rule=long), channel())

    assert utf16_length(message.text) <= MAX_LENGTH
    assert len(message.subject) <= MAX_SUBJECT


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_conditions_of_ten_thousand_accounts_fit(language: Language) -> None:
    name = "Очень длинное имя личного кабинета " * 3
    notice = conditions(
        *(
            condition(kind, number, f"{number} {name}", ended_at=ended_at, began_before=began_before, count=number)
            for ended_at, began_before in ((None, False), (at("10:35"), False), (at("10:35"), True))
            for kind in CONDITIONS
            for number in range(1, 10_001)
        )
    )
    message = render(notice, channel(language))

    assert utf16_length(message.text) <= MAX_LENGTH
    assert len(message.subject) <= MAX_SUBJECT
    assert len(message.text.split("\n\n")) == 3 * len(CONDITIONS) + 1


def test_a_digest_says_which_conditions_hold_and_which_have_ended() -> None:
    notice = changes(
        [],
        rule="daily",
        digest=digest(
            conditions=[
                condition("held", began_at=at("09:55"), count=120),
                condition("stale", began_at=at("07:00"), ended_at=at("09:30"), began_before=False),
            ]
        ),
    )

    assert render(notice, channel("ru")).text.splitlines()[-6:-1] == [
        "",
        "Удержано удаление 120 номеров с 09:55.",
        "",
        "Не удавалось опросить с 07:00 до 09:30.",
        "",
    ]
