"""Makes text of others safe to show: the vendor's words, and error messages that repeat what a server sent."""

from __future__ import annotations

import re
from typing import Final

# Control characters of both sets, among them newlines and the escape that begins a terminal's commands; characters that
# reverse the direction of text or cannot be seen; line separators; halves of surrogate pairs, which cannot be encoded.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
# Digits of any script; separated by anything that is neither a letter nor a digit.
_PHONE_NUMBER: Final = re.compile(r"(?:\d[\W_]*){7}")


def escape_unprintable(text: str) -> str:
    r"""Replaces each character that could command a terminal or forge a line by its code, such as `\u001b`.

    JSON writes these characters in the same way, so that a line of JSON keeps its meaning.
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def contains_phone_number(text: str) -> bool:
    """Whether text contains seven digits with no letter between them, as a phone number does however it is written."""
    return _PHONE_NUMBER.search(text) is not None
