"""What people read instead of the names of fields, the vendor's documented values, and the kinds of errors.

The views of schema `analytics` have the same words; `tests/bi/test_titles.py` compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Text(NamedTuple):
    """A text in English and in Russian."""

    en: str
    ru: str


FIELD_TITLES: Final[Mapping[str, Text]] = {
    "number": Text("number", "номер"),
    "comment": Text("comment", "комментарий"),
    "type": Text("type", "тип"),
    "purpose": Text("purpose", "назначение"),
    "state": Text("state", "состояние"),
    "reason": Text("reason", "причина"),
    "scenario_id": Text("scenario", "сценарий"),
    "group_scenario_id": Text("group's scenario", "сценарий группы"),
    "group_id": Text("group", "группа"),
    "is_scenario_active": Text("scenario is active", "сценарий включён"),
    "is_group_scenario_active": Text("group's scenario is active", "сценарий группы включён"),
    "employee_id": Text("employee", "сотрудник"),
    "dgn_number": Text("paired landline (ДГН)", "ДГН"),
    "redirect_number": Text("redirected to", "переадресация на"),
    "region": Text("region", "регион"),
    "app_id": Text("app_id", "app_id"),
    "nc_type": Text("nc_type", "nc_type"),
    "sip_uri": Text("SIP URI", "SIP URI"),
}
"""The fields of a record, by the names that the views give them."""

VALUE_TITLES: Final[Mapping[str, Mapping[str, Text]]] = {
    "type": {
        "def": Text("Mobile", "мобильный"),
        "abc": Text("Landline", "городской"),
        "toll_free": Text("Toll-free 8-800", "8-800"),
        "sip_registration": Text("SIP registration", "SIP-регистрация"),
        "sip_redirection": Text("SIP redirection", "SIP-переадресация"),
    },
    "purpose": {
        "company": Text("Company", "компания"),
        "employee": Text("Employee", "сотрудник"),
        "not_specified": Text("Not specified", "не указано"),
    },
    "state": {
        "active": Text("Active", "активен"),
        "activation": Text("Being activated", "активация"),
        "debt_lock": Text("Locked for debt", "блокировка за долг"),
        "unconfirmed": Text("Unconfirmed", "не подтверждён"),
        "freeze": Text("Frozen", "заморожен"),
        "inactive": Text("Inactive", "неактивен"),
    },
}
"""The values that the vendor documents, by the field that has them."""


def with_id(value: str, name: str | None) -> str:
    """Returns the id of an employee or a group with its name, if that is known: `Орлова Анна (125)`, or `125`."""
    return f"{name} ({value})" if name else value


ERROR_TITLES: Final[Mapping[str, Text]] = {
    "unauthorized": Text("The token is not valid", "Неверный токен"),
    "forbidden": Text("Access denied", "Доступ запрещён"),
    "rate_limited": Text("Too many requests", "Слишком много запросов"),
    "http_status": Text("Another HTTP status", "Другой код HTTP"),
    "timeout": Text("Timeout", "Время ожидания истекло"),
    "network": Text("No connection", "Нет связи"),
    "tls": Text("Certificate", "Сертификат"),
    "too_large": Text("Response too large", "Слишком большой ответ"),
    "not_json": Text("Response is not JSON", "Ответ не JSON"),
    "not_an_array": Text("Response is not a list of records", "Ответ — не список записей"),
    "wrong_account": Text("Token of another account", "Токен другого Личного кабинета"),
    "database": Text("Database", "База данных"),
    "internal": Text("Fault of the program", "Ошибка программы"),
}
"""Why a poll failed, by the contract's `error_kind`."""
