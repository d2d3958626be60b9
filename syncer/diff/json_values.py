"""Reads, writes and compares JSON values as PostgreSQL's jsonb stores them: numbers are exact decimals."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_INTEGER_DIGITS: Final = 131_072
_MAX_FRACTION_DIGITS: Final = 16_383
"""The limits of PostgreSQL's numeric, which jsonb stores numbers as: digits before and after the decimal point."""
_MAX_ADDED_DIGITS: Final = 2**20
"""How many digits the exponents in one value may add: PostgreSQL writes `1e131071`, 8 bytes, with 131,072 digits."""
_MAX_BIGINT_DIGITS: Final = 19
_NUMBER_WITH_FRACTION: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

encode_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(decimal_format="number").encode
"""Encodes a value that `read_json` has returned; numbers are written as they are, without rounding."""


class _NumberReader:
    """Reads the numbers of one value that msgspec does not read as `int`."""

    def __init__(self) -> None:
        self._added_digits = 0

    def __call__(self, text: str) -> Decimal | str:
        """Returns a number exactly, or its text if jsonb cannot store it, or only in far more digits than were sent."""
        try:
            number = Decimal(text)
        except InvalidOperation:  # an exponent of 18 digits or more
            return text
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - text only for infinity and NaN, which JSON lacks
        integer_digits, fraction_digits = max(number.adjusted() + 1, 1), max(-exponent, 0)
        if integer_digits > _MAX_INTEGER_DIGITS or fraction_digits > _MAX_FRACTION_DIGITS:
            return text
        self._added_digits += max(integer_digits + fraction_digits - len(text), 0)
        return number if self._added_digits <= _MAX_ADDED_DIGITS else text


def read_json(text: Raw | bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Decodes any JSON value. Numbers are `int` or `Decimal`, and text if jsonb cannot store them.

    Raises:
        msgspec.ValidationError: The value is nested too deep or is not UTF-8.
    """
    number_reader = _NumberReader()
    try:
        return msgspec.json.Decoder(float_hook=number_reader).decode(text)
    except msgspec.ValidationError:
        # An integer has more digits than Python converts, 4,300.
        number_reader = _NumberReader()
        return json.loads(
            bytes(text) if isinstance(text, Raw) else text, parse_float=number_reader, parse_int=number_reader
        )


def read_integer(text: Raw) -> Raw:
    """Returns an integer that is written with a fraction or an exponent, such as 125.0, without it; else the text."""
    number = bytes(text)
    if number.isdigit() or _NUMBER_WITH_FRACTION.fullmatch(number) is None:
        return text
    try:
        value = Decimal(number.decode())
    except InvalidOperation:
        return text
    if value.adjusted() >= _MAX_BIGINT_DIGITS or value != value.to_integral_value():
        return text
    return Raw(b"%d" % int(value))


def equal_as_jsonb(one: object, other: object) -> bool:
    """Returns whether two JSON values are equal as PostgreSQL's jsonb: 1 equals 1.0, but 1 does not equal true."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(equal_as_jsonb(value, other[key]) for key, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(equal_as_jsonb, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case float(), _:
            return equal_as_jsonb(Decimal(repr(one)), other)
        case _, float():
            return equal_as_jsonb(one, Decimal(repr(other)))
        case _:
            return one == other
