"""Puts the parts of a notice together, within the length that messengers show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.printable import single_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.notices.texts import Words

MAX_SUBJECT: Final = 200
MAX_NAME: Final = 60
"""Longer names of accounts, rules and channels are cut."""
MAX_LENGTH: Final = 3750
"""The length of a text in UTF-16 code units, as messengers count: with its subject it is below the 4,000 of MAX."""
MAX_LINES: Final = 20
"""So many numbers or accounts are listed in a group."""
_SUBJECT_PHRASES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A part of a text: a heading, a line for each number or account, and what to do.

    Attributes:
        heading: The heading, without punctuation at its end.
        lines: A line for each of them, or for the first ones.
        count: How many there are.
        hint: What to do about them.
    """

    heading: str
    lines: Sequence[str] = ()
    count: int = 0
    hint: str = ""


def clean_name(name: str) -> str:
    """Returns the name of an account, a rule or a channel as one short line."""
    return single_line(name, MAX_NAME)


def capitalise(text: str) -> str:
    """Begins a text with a capital letter."""
    return text[:1].upper() + text[1:]


def join_phrases(phrases: Sequence[str], separator: str = ", ") -> str:
    """Joins the first two phrases, and shows if there are more."""
    more = ["…"] * (len(phrases) > _SUBJECT_PHRASES)
    return separator.join([*phrases[:_SUBJECT_PHRASES], *more])


def subject_line(text: str) -> str:
    """Returns a subject: one line that is not too long."""
    return single_line(text, MAX_SUBJECT)


def lay_out(groups: Sequence[Group], footer: str, words: Words) -> str:
    """Returns the text of a notice. If it is too long, the longest groups lose lines from their end."""
    shown = [min(len(group.lines), MAX_LINES) for group in groups]
    while True:
        parts = [_write(group, lines, words) for group, lines in zip(groups, shown, strict=True)]
        text = "\n\n".join(part for part in (*parts, footer) if part)
        most = max(shown, default=0)
        if not most or len(text.encode("utf-16-le")) // 2 <= MAX_LENGTH:
            return text
        longest = len(shown) - 1 - shown[::-1].index(most)  # the last of them is the least important
        shown[longest] -= 1


def _write(group: Group, shown: int, words: Words) -> str:
    left = group.count - shown
    more: Iterable[str] = [words.text("more", count=words.count(left))] if shown and left > 0 else []
    heading = group.heading + (":" if shown else ".")
    return "\n".join([heading, *(f"• {line}" for line in group.lines[:shown]), *more, *[group.hint] * bool(group.hint)])
