"""Makes text of others safe to show: the vendor's words, and error messages that repeat what a server sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Control characters of both sets, among them newlines and the escape that begins a terminal's commands; characters that
# reverse the direction of text or cannot be seen; line separators; halves of surrogate pairs, which cannot be encoded.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
# Further characters that show nothing: those that join and separate others, and the tags that can hide a text.
_INVISIBLE: Final = re.compile(
    f"{_UNPRINTABLE.pattern[:-1]}\u034f\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0\U000e0000-\U000e0fff]"
)
_LINE_BREAK_OR_TAB: Final = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Digits of any script; separated by anything that is neither a letter nor a digit.
_PHONE_NUMBER: Final = re.compile(r"\d(?:[\W_]*+\d){6,}+")


def escape_unprintable(text: str) -> str:
    r"""Replaces each character that could command a terminal or forge a line by its code, such as `\u001b`.

    JSON writes these characters in the same way, so that a line of JSON keeps its meaning.
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def contains_phone_number(text: str) -> bool:
    """Whether text contains seven digits with no letter between them, as a phone number does however it is written."""
    return _PHONE_NUMBER.search(text) is not None


def replace_phone_numbers(text: str, replacement: Callable[[str], str]) -> str:
    """Replaces each run of seven digits or more with no letter between them by what `replacement` makes of it."""
    return _PHONE_NUMBER.sub(lambda match: replacement(match[0]), text)


def single_line(text: str, max_length: int) -> str:
    """Returns a text as one line of at most `max_length` characters, for messages to people.

    Line breaks and tabs become spaces, and each other character that commands, hides or cannot be seen becomes U+FFFD.
    """
    line = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", _LINE_BREAK_OR_TAB.sub(" ", text)).strip()
    return line if len(line) <= max_length else line[: max_length - 1].rstrip() + "…"
