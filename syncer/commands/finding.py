"""What a check of `syncer check` found."""

from __future__ import annotations

from dataclasses import dataclass

from syncer.printable import escape_unprintable


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `text` says what was found and, if it is wrong or a risk, how to fix it.

    A warning is ok, and changes no exit code.
    """

    subject: str
    text: str
    is_ok: bool = True
    is_warning: bool = False

    def __str__(self) -> str:
        word = "warn" if self.is_warning else "ok" if self.is_ok else "WRONG"
        return escape_unprintable(f"{word:5}  {self.subject}: {self.text.removeprefix(f'{self.subject}: ')}")
