"""Phone numbers as people read them."""

from __future__ import annotations

import re
from typing import Final

PHONE_FIELDS: Final = frozenset({"number", "redirect_number", "dgn_number", "from_redirect_numbers"})
"""The fields whose values are phone numbers."""
_RUSSIAN_NUMBER: Final = re.compile(r"(?:7|8|)([0-9]{3})([0-9]{3})([0-9]{2})([0-9]{2})")
_NO_BREAK_SPACE: Final = "\N{NO-BREAK SPACE}"


def format_phone(number: str) -> str:
    """Formats a Russian phone number for reading; returns any other number unchanged."""
    match = _RUSSIAN_NUMBER.fullmatch(number)
    if match is None:
        return number
    area, *rest = match.groups()
    return f"+7{_NO_BREAK_SPACE}{area}{_NO_BREAK_SPACE}{'-'.join(rest)}"
