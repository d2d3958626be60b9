"""`syncer settings`: shows the settings in effect, and where each comes from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import typer
from pydantic import SecretStr

from syncer.config.accounts import find_token_sources
from syncer.config.database_address import describe_location
from syncer.config.fields import describe_duration, describe_size, redacted
from syncer.config.hosts import ListenAddress
from syncer.config.settings import (
    NEVER_SHOWN,
    Settings,
    describe_unknown_variables,
    load_valid_settings,
    read_origins,
    variable_name,
)
from syncer.errors import ConfigurationError
from syncer.notices.notify_file import find_secret_sources
from syncer.printable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def print_settings() -> None:
    """Prints a line for each setting, with its value unless it is a secret, and where it comes from.

    Raises:
        ConfigurationError: Settings are not valid; those that are have been printed.
    """
    settings, problems, wrong_fields = load_valid_settings()
    rows = [tuple(map(escape_unprintable, row)) for row in _rows(settings, wrong_fields)]
    name_width, value_width, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, value, origin in rows:
        typer.echo(f"{name:{name_width}}  {value:{value_width}}  {origin}")
    for sentence in describe_unknown_variables(find_token_sources(settings) | find_secret_sources(settings)):
        typer.echo(escape_unprintable(sentence))
    if problems:
        raise ConfigurationError(*problems)


def _rows(settings: Settings, wrong_fields: set[str]) -> Iterator[tuple[str, str, str]]:
    origins = read_origins()
    for field in Settings.model_fields:
        file = f"{field}_file"
        origin = origins.get(field) or (f"the file of {variable_name(file)}" if file in origins else "default")
        is_wrong = field in wrong_fields and origin != "default"
        yield variable_name(field), "not valid" if is_wrong else _format(field, getattr(settings, field)), origin


def _format(field: str, value: object) -> str:
    if value is None or value == ():
        return "off" if field in {"http_listen", "names"} else "not set"
    if isinstance(value, SecretStr) and field.endswith("database_url"):
        return describe_location(value.get_secret_value())
    if isinstance(value, SecretStr) and field == "api_proxy":
        return redacted(value.get_secret_value()).strip("'")
    if field in NEVER_SHOWN:
        return "set, not shown"
    if field == "api_max_bytes" and isinstance(value, int):
        return describe_size(value)
    return _FORMATS.get(type(value), str)(value)


_FORMATS: Final[Mapping[type, Callable[[Any], str]]] = {
    bool: lambda value: "on" if value else "off",
    timedelta: describe_duration,
    ListenAddress: lambda value: f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}",
    tuple: ",".join,
}
