"""Texts in English and Russian, the languages of the dashboards."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

Language = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru")


class Text(NamedTuple):
    """A text in English and in Russian."""

    en: str
    ru: str


def in_language(value: Any, language: Language) -> Any:  # noqa: ANN401 - anything that YAML can contain
    """Returns the structure with every `Text`, value or key, replaced by its text in one language."""
    match value:
        case Text():
            return getattr(value, language)
        case dict():
            return {in_language(key, language): in_language(item, language) for key, item in value.items()}
        case list():
            return [in_language(item, language) for item in value]
        case _:
            return value
