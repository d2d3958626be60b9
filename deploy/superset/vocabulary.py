"""The values that the views contain, their titles, and their colours: a value has the same colour in every chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.superset.language import Text
from syncer.web.translations import field_titles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.web.translations import Text as PageText

NO_REGION: Final = Text("no region", "без региона")
NO_TYPE: Final = Text("no type", "без типа")

KINDS: Final = {
    "created": Text("Added", "Появился"),
    "removed": Text("Removed", "Удалён"),
    "restored": Text("Returned", "Вернулся"),
    "state": Text("State or reason", "Состояние или причина"),
    "changed": Text("Other field", "Другое поле"),
    "redirect_opened": Text("Redirect added", "Переадресация добавлена"),
    "redirect_closed": Text("Redirect removed", "Переадресация снята"),
}


def _as_title(name: str, text: PageText) -> Text:
    """Capitalises the page's name of a field, unless the field is called by its key in both languages."""
    is_key = text.en == text.ru == name
    return Text(*(one if is_key else one[:1].upper() + one[1:] for one in text))


FIELDS: Final = {name: _as_title(name, text) for name, text in field_titles().items()} | {
    "from_redirect_numbers": Text("Redirect from", "Переадресация с")
}

OUTCOMES: Final = {
    "applied": Text("Changes applied", "Изменения записаны"),
    "unchanged": Text("Unchanged", "Без изменений"),
    "failed": Text("Failed", "Сбой"),
    "superseded": Text("Superseded", "Вытеснен более новым"),
    "abandoned": Text("Abandoned", "Прерван"),
    "running": Text("Running", "Выполняется"),
}

_STATE_COLOURS: Final = {
    Text("Active", "активен"): "#3BA272",
    Text("Locked for debt", "блокировка за долг"): "#D9444F",
    Text("Frozen", "заморожен"): "#4A90D9",
    Text("Inactive", "неактивен"): "#8C96A3",
    Text("Being activated", "активация"): "#9BCB6B",
    Text("Unconfirmed", "не подтверждён"): "#F0A830",
}
_VALUE_COLOURS: Final = {
    KINDS["created"]: "#3BA272",
    KINDS["removed"]: "#D9444F",
    KINDS["restored"]: "#4A90D9",
    KINDS["state"]: "#F0A830",
    KINDS["changed"]: "#8C96A3",
    KINDS["redirect_opened"]: "#2FA7A0",
    KINDS["redirect_closed"]: "#A4785A",
    OUTCOMES["applied"]: "#3BA272",
    OUTCOMES["unchanged"]: "#B5D8C6",
    OUTCOMES["failed"]: "#D9444F",
    OUTCOMES["superseded"]: "#F0A830",
    OUTCOMES["abandoned"]: "#8E6BB0",
    OUTCOMES["running"]: "#C9CED6",
}
COLOURS: Final = (
    _STATE_COLOURS
    | {Text(f"→ {state.en}", f"→ {state.ru}"): colour for state, colour in _STATE_COLOURS.items()}
    | _VALUE_COLOURS
    | {Text("longest_gap", "longest_gap"): "#5B6B7F", Text("most_held", "most_held"): "#F0A830"}
)


def _literal(text: str) -> str:
    """Quotes a text as an SQL literal: a title may have an apostrophe."""
    return "'" + text.replace("'", "''") + "'"


def title_expression(column: str, titles: Mapping[str, Text]) -> Text:
    """Returns an SQL expression that replaces a value by its title and keeps values without a title."""
    return Text(
        *(
            " ".join(
                [
                    f"case {column}",
                    *(f"when {_literal(value)} then {_literal(title[index])}" for value, title in titles.items()),
                    f"else {column} end",
                ]
            )
            for index in range(2)
        )
    )
