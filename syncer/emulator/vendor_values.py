"""The values of the emulated numbers: regions with their codes, states, reasons, comments.

The area codes are real, and so are the operator's mobile codes in each part of the country, so that a number fits its
region.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Region(NamedTuple):
    """A region with the codes of its landline and mobile numbers.

    Attributes:
        name: `region_name`; the two capitals are spelled differently from the rest.
        area_codes: What follows the 7 in a landline number of the region: 3 to 5 digits.
        mobile_codes: The same for a mobile number: 3 digits.
        weight: Its share of the numbers, relative to the others.
    """

    name: str
    area_codes: tuple[str, ...]
    mobile_codes: tuple[str, ...]
    weight: int


_CENTRE: Final = ("920", "930")
_NORTH_WEST: Final = ("921", "931")
_URAL: Final = ("922", "932")
_SIBERIA: Final = ("923", "933")
_FAR_EAST: Final = ("924",)
_VOLGA: Final = ("927", "937")
_SOUTH: Final = ("928", "938")

REGIONS: Final = (
    Region("регион Москва", ("495", "499"), ("925", "926"), 30),
    Region("регион Санкт-Петербург", ("812",), _NORTH_WEST, 12),
    Region("Брянская область", ("4832",), _CENTRE, 2),
    Region("Белгородская область", ("4722",), _CENTRE, 1),
    Region("Владимирская область", ("4922",), _CENTRE, 1),
    Region("Воронежская область", ("473",), _CENTRE, 2),
    Region("Калужская область", ("4842",), _CENTRE, 1),
    Region("Нижегородская область", ("831",), _CENTRE, 4),
    Region("Рязанская область", ("4912",), _CENTRE, 1),
    Region("Тульская область", ("4872",), _CENTRE, 1),
    Region("Ярославская область", ("4852",), _CENTRE, 1),
    Region("Архангельская область", ("8182",), _NORTH_WEST, 1),
    Region("Калининградская область", ("4012",), _NORTH_WEST, 1),
    Region("Мурманская область", ("8152",), _NORTH_WEST, 1),
    Region("Пермский край", ("342",), _URAL, 2),
    Region("Свердловская область", ("343",), _URAL, 5),
    Region("Тюменская область", ("3452",), _URAL, 2),
    Region("Челябинская область", ("351",), _URAL, 3),
    Region("Красноярский край", ("391",), _SIBERIA, 2),
    Region("Новосибирская область", ("383",), _SIBERIA, 4),
    Region("Томская область", ("3822",), _SIBERIA, 1),
    Region("Приморский край", ("423",), _FAR_EAST, 2),
    Region("Хабаровский край", ("4212",), _FAR_EAST, 1),
    Region("Республика Башкортостан", ("347",), _VOLGA, 2),
    Region("Республика Татарстан", ("843",), _VOLGA, 4),
    Region("Самарская область", ("846",), _VOLGA, 3),
    Region("Саратовская область", ("8452",), _VOLGA, 1),
    Region("Краснодарский край", ("861",), _SOUTH, 4),
    Region("Ростовская область", ("863",), _SOUTH, 3),
    Region("Ставропольский край", ("8652",), _SOUTH, 1),
)

TYPES: Final = {"def": 55, "abc": 30, "toll_free": 3, "sip_registration": 8, "sip_redirection": 4}
"""The vendor's types, with the relative frequency of each."""

STATES: Final = {"active": 93, "debt_lock": 3, "freeze": 1.5, "activation": 1, "unconfirmed": 0.8, "inactive": 0.7}
"""The vendor's states, with the relative frequency of each among new numbers."""

TRANSITIONS: Final = {
    "active": (("debt_lock", 6), ("freeze", 3), ("inactive", 1)),
    "debt_lock": (("active", 9), ("inactive", 1)),
    "freeze": (("active", 1),),
    "activation": (("active", 9), ("unconfirmed", 1)),
    "unconfirmed": (("activation", 3), ("active", 1)),
    "inactive": (("activation", 1),),
}
"""The possible next states of each state, with their relative frequencies."""

REASONS: Final = {
    "debt_lock": ("Недостаточно средств на лицевом счёте", "Задолженность более 30 дней", None),
    "freeze": ("Добровольная блокировка", "По заявлению клиента", None),
    "inactive": ("Отключён администратором", None),
    "unconfirmed": ("Ожидает подтверждения по SMS", None),
}
"""The reasons of a state, equally likely; None is no reason. A state that is not listed has none."""

LATIN_COMPANY: Final = "company"
CYRILLIC_COMPANY: Final = "\u0441ompany"
"""The vendor's table of fields spells this value with a Cyrillic first letter, its examples with a Latin one."""

OFFICES: Final = (
    "Офис продаж", "Горячая линия", "Склад", "Ресепшен", "Бухгалтерия", "Отдел кадров", "Служба доставки",
    "Техподдержка", "Диспетчерская", "Филиал «Северный»", "Интернет-магазин", "Приёмная директора", "Реклама: Яндекс",
)  # fmt: skip
PLACES: Final = ("на Ленина", "в центре", "у вокзала", "2-й этаж", "ТЦ «Рассвет»", "ночная смена", "резерв", "новый")
