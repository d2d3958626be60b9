"""What the vendor sent, as a channel may show it: cleaned, and without the phone numbers that it must not show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from syncer.phone_numbers import PHONE_FIELDS, format_phone
from syncer.printable import replace_phone_numbers, single_line
from syncer.titles import FIELD_TITLES, VALUE_TITLES

if TYPE_CHECKING:
    from syncer.notices.rules import NumberFormat
    from syncer.notices.texts import Words

MAX_TEXT: Final = 200
"""Longer texts of the vendor are cut."""
_MAX_CLEANED: Final = 10 * MAX_TEXT
"""Of longer texts only the beginning is cleaned, since it takes time."""
_TO_LAST_LETTER: Final = re.compile(r"(?:.*[^\W\d_])?", re.DOTALL)
_ID_FIELDS: Final = {"employee_id", "scenario_id", "group_scenario_id", "group_id", "app_id"}
_QUOTED_FIELDS: Final = {"comment", "reason"}
_REDIRECTS: Final = "from_redirect_numbers"
_HIDDEN: Final = "…"
_DATE: Final = re.compile(
    r"(?:(?:0[1-9]|[12][0-9]|3[01])\.(?:0[1-9]|1[0-2])\.20[0-9]{2}|20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))"
    r"(?: [012][0-9]:[0-5][0-9](?::[0-5][0-9])?)?"
)
"""What has many digits and is no phone number: 28.11.2026, 2026-11-28 10:00."""


def vendor_text(text: str, numbers: NumberFormat) -> str:
    """Returns a text of the vendor as one line of plain text, without the phone numbers that must not be shown."""
    if len(text) > _MAX_CLEANED:
        text = text[:_MAX_CLEANED]
        if numbers != "full" and (found := _TO_LAST_LETTER.match(text)):  # a phone number may have been cut
            text = found[0]
        text += _HIDDEN
    if numbers != "full":
        text = replace_phone_numbers(text, lambda found: found if _DATE.fullmatch(found) else _hidden(found, numbers))
    return single_line(text, MAX_TEXT)


def visible_number(number: str | None, numbers: NumberFormat) -> str | None:
    """Returns a phone number as stored, its last four digits, or None."""
    if number is None or numbers == "none":
        return None
    return vendor_text(number, "full") if numbers == "full" else _last_digits(number)


def visible_value(field: str | None, value: str | None, numbers: NumberFormat) -> str | None:
    """Returns the value of a field as a webhook may show it."""
    if value is None:
        return None
    if field in PHONE_FIELDS:
        return visible_number(value, numbers)
    is_id = field in _ID_FIELDS and re.fullmatch("[0-9]+", value)
    return vendor_text(value, "full" if is_id else numbers)


def visible_name(name: str | None, numbers: NumberFormat, *, names: bool) -> str | None:
    """Returns the name of an employee or a group if names are shown, without the phone numbers that must not be."""
    return vendor_text(name, numbers) if name is not None and names else None


def _last_digits(number: str) -> str:
    return "".join(re.findall(r"\d", number)[-4:])


def _hidden(number: str, numbers: NumberFormat) -> str:
    return _HIDDEN + (_last_digits(number) if numbers == "last4" else "")


class Values:
    """Formats phone numbers and the values of fields for people.

    Args:
        words: The words of the language.
        numbers: How phone numbers appear.
        names: Whether the names of employees and groups appear.
    """

    def __init__(self, words: Words, numbers: NumberFormat, *, names: bool) -> None:
        self._words = words
        self._numbers = numbers
        self._names = names

    def number(self, number: str | None, virtual_number_id: int) -> str:
        """Names a number: by its phone number as far as that is shown, else by the vendor's id."""
        if number is None or self._numbers == "none":
            return self._words.text("number_with_id", id=virtual_number_id)
        return self.phone(number)

    def number_of(self, number: str | None, virtual_number_id: int, employee: str | None) -> str:
        """Names a number and the employee who has it, if names are shown and this one is known."""
        name = visible_name(employee, self._numbers, names=self._names)
        return ", ".join([self.number(number, virtual_number_id), *([name] if name else [])])

    def phone(self, number: str) -> str:
        """Formats a phone number as far as it is shown."""
        if self._numbers == "full":
            return format_phone(vendor_text(number, "full"))
        return _hidden(number, self._numbers)

    def quote(self, text: str) -> str:
        """Quotes a text of the vendor."""
        return self._words.text("quoted", text=vendor_text(text, self._numbers))

    def value(self, field: str, value: str | None) -> str:
        """Formats the value of a field."""
        if value is None:
            return self._words.text("empty")
        if field in PHONE_FIELDS:
            return self.phone(value)
        if title := VALUE_TITLES.get(field, {}).get(value):
            return self._words.of(title)
        if field.startswith("is_") and value in {"true", "false"}:
            return self._words.text(value)
        if field in _QUOTED_FIELDS:
            return self.quote(value)
        return str(visible_value(field, value, self._numbers))

    def change(
        self, field: str, old: str | None, new: str | None, names: tuple[str | None, str | None] = (None, None)
    ) -> str:
        """Formats a change of a field: its title, and the values before and after, or what these are called."""
        if field == _REDIRECTS and old is None and new is not None:
            return self._words.text("redirect_opened", number=self.phone(new))
        if field == _REDIRECTS and new is None and old is not None:
            return self._words.text("redirect_closed", number=self.phone(old))
        title = self._words.of(FIELD_TITLES[field]) if field in FIELD_TITLES else vendor_text(field, self._numbers)
        shown = [visible_name(name, self._numbers, names=self._names) for name in names]
        values = [self.value(field, value) for value in (old, new)]
        if shown[0] == shown[1]:  # two people of one name
            shown = [name and f"{name} ({value})" for name, value in zip(shown, values, strict=True)]
        before, after = (name or value for name, value in zip(shown, values, strict=True))
        return self._words.text("changed", field=title, old=before, new=after)
