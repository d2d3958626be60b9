"""Texts in the two languages of the dashboards."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

Language = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru")


class Text(NamedTuple):
    """One text, in English and in Russian."""

    en: str
    ru: str


def in_language(value: Any, language: Language) -> Any:  # noqa: ANN401 - all that YAML can say
    """A structure in which every `Text`, as a value or as a key, is the text of one language."""
    match value:
        case Text():
            return getattr(value, language)
        case dict():
            return {in_language(key, language): in_language(item, language) for key, item in value.items()}
        case list():
            return [in_language(item, language) for item in value]
        case _:
            return value
