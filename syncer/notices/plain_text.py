"""Prepares text for mail clients and messengers: no control characters, and not too long."""

from __future__ import annotations

from typing import Final

from syncer.printable import escape_unprintable

_CUT: Final = "…"


def clean_lines(text: str) -> str:
    """Returns text of several lines without other control characters."""
    return "\n".join(map(escape_unprintable, text.splitlines()))


def cut_to_utf16(text: str, max_units: int) -> str:
    """Returns the beginning of text that fits into `max_units` UTF-16 code units, as messengers count.

    A text that is longer ends after a line and with "…"; in the middle of a line if that line is most of it.
    """
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * max_units:
        return text
    beginning = encoded[: 2 * (max_units - 2)].decode("utf-16-le", "ignore")  # half of a surrogate pair is left out
    whole_lines, newline, rest = beginning.rpartition("\n")
    return f"{whole_lines}\n{_CUT}" if newline and len(rest) <= len(whole_lines) else beginning + _CUT
