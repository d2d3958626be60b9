"""Reads the notify file, which `SYNCER_NOTIFY_FILE` names: channels and rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from syncer.config import fields
from syncer.config.settings import describe_errors
from syncer.config.toml_file import describe_unknown_key, find_similar, read_toml, resolve_secret, secret_keys
from syncer.errors import ConfigurationError
from syncer.notices.notify_entries import CHANNEL_ENTRIES, Entry, RuleEntry, TopLevel
from syncer.notices.rules import NotifyFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.notices.rules import AnyChannel, Language, Rule

_MAX_TABLES: Final = 100
_PURPOSES: Final = {"channel": "way to reach somebody", "rule": "kind of message"}
_AnyEntry = TypeVar("_AnyEntry", bound=Entry)


def load_notify_file(settings: Settings, accounts: Iterable[Account] | None) -> NotifyFile | None:
    """Reads the notify file.

    Args:
        settings: They name the file.
        accounts: The accounts that rules can name; None if they are not known, and any name is accepted.

    Returns:
        What it says; None if no file is named.

    Raises:
        ConfigurationError: It cannot be read, or is not valid. Each problem is one line.
    """
    if settings.notify_file is None:
        return None
    names = None if accounts is None else [account.name for account in accounts]
    reader = _Reader(settings.notify_file, settings.api_allow_http, names)
    notify_file = reader.read()
    if reader.problems:
        raise ConfigurationError(*reader.problems)
    return notify_file


def find_secret_sources(settings: Settings) -> set[str]:
    """Returns the variables and files that hold the secrets of channels, also of a file that is not valid."""
    if settings.notify_file is None:
        return set()
    reader = _Reader(settings.notify_file, settings.api_allow_http, None)
    try:
        reader.read()
    except ConfigurationError:
        return set()
    return reader.secret_sources


@dataclass(slots=True)
class _Reader:
    """Validates the tables of a file, and gathers what is wrong.

    Attributes:
        path: The file.
        allow_http: Whether plain http to another machine is allowed.
        accounts: The names of the accounts; None if they are not known.
        channels: The names of all channels, also of those that are not valid; None if they cannot be read.
        problems: One sentence for each problem.
        secret_sources: The variables and files that secrets were read from.
    """

    path: Path
    allow_http: bool
    accounts: Sequence[str] | None
    channels: Sequence[str] | None = None
    problems: list[str] = field(default_factory=list)
    secret_sources: set[str] = field(default_factory=set)

    def read(self) -> NotifyFile:
        """Reads the file; what is not valid is left out.

        Raises:
            ConfigurationError: It cannot be read, or is not TOML.
        """
        content = read_toml(self.path, setting="SYNCER_NOTIFY_FILE")
        tables = {key: self._tables(content.get(key), key) for key in _PURPOSES}
        language = self._language(content)
        if tables["channel"]:
            self.channels = [table["name"] for table in tables["channel"] if isinstance(table.get("name"), str)]
        channels = [self._channel(*one, language) for one in enumerate(tables["channel"], start=1)]
        rules = [self._rule(*one) for one in enumerate(tables["rule"], start=1)]
        return NotifyFile(
            channels={one.name: one for one in channels if one is not None},
            rules={one.name: one for one in rules if one is not None},
        )

    def _tables(self, value: object, key: str) -> list[dict[str, Any]]:
        """Returns the tables below a key of the file; none if there are none, or too many."""
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            self.problems.append(
                f"{self.path} has no {key}s: it must contain a [[{key}]] table for each {_PURPOSES[key]}"
            )
            return []
        if len(value) > _MAX_TABLES:
            self.problems.append(f"{self.path} has {len(value)} {key}s: it must have at most {_MAX_TABLES}")
            return []
        names = Counter(one["name"] for one in value if isinstance(one.get("name"), str))
        self.problems += [
            f"{self.path} has two {key}s named {fields.redacted(name)}: each must have its own name"
            for name, count in names.items()
            if count > 1
        ]
        return value

    def _language(self, content: Mapping[str, Any]) -> Language:
        """Returns the language of channels that have none, from what is outside of all tables."""
        top_level = self._validate(TopLevel, content, f"{self.path}: ", noun="valid key")
        return (top_level or TopLevel()).language

    def _channel(self, number: int, values: dict[str, Any], language: Language) -> AnyChannel | None:
        """Returns a channel; None if its table is not valid."""
        location = f"{self.path}, channel {fields.redacted(values.get('name', number))}: "
        kind = values.get("kind")
        entry_type = CHANNEL_ENTRIES.get(kind) if isinstance(kind, str) else None
        if entry_type is None:
            self.problems.append(location + _describe_unknown_kind(kind))
            return None
        if kind == "apprise" and find_spec("apprise") is None:
            self.problems.append(f"{location}kind is 'apprise', and Apprise is not installed: pip install apprise")
        entry = self._validate(entry_type, values, location, noun=f"key of a channel of kind {kind!r}")
        return None if entry is None else entry.channel(language)

    def _rule(self, number: int, values: dict[str, Any]) -> Rule | None:
        """Returns a rule; None if its table is not valid."""
        location = f"{self.path}, rule {fields.redacted(values.get('name', number))}: "
        entry = self._validate(RuleEntry, values, location, noun="key of a rule")
        return None if entry is None else entry.rule()

    def _validate(
        self, entry_type: type[_AnyEntry], values: Mapping[str, Any], location: str, *, noun: str
    ) -> _AnyEntry | None:
        keys = entry_type.keys()
        problems = [location + describe_unknown_key(key, values, keys, noun=noun) for key in values if key not in keys]
        values = {key: value for key, value in values.items() if key in keys}
        unread = set()
        for key in keys:
            is_required = key in entry_type.model_fields and entry_type.model_fields[key].is_required()
            if f"{key}_file" in keys and (is_required or any(one in values for one in secret_keys(key))):
                try:
                    values[key], source = resolve_secret(values, key, location=location, file=self.path)
                    self.secret_sources.add(source)
                except ConfigurationError as error:
                    problems += error.problems
                    unread.add(f"{key} is missing")
        if isinstance(values.get("ca_file"), str):
            values["ca_file"] = str(self.path.parent / values["ca_file"])
        context = {"allow_http": self.allow_http, "channels": self.channels, "accounts": self.accounts}
        try:
            entry = entry_type.model_validate(values, context=context)
        except ValidationError as error:
            problems += [location + text for text in describe_errors(error) if text not in unread]
            entry = None
        self.problems += problems
        return None if problems else entry


def _describe_unknown_kind(kind: object) -> str:
    allowed = f"it must be one of {', '.join(CHANNEL_ENTRIES)}"
    if kind is None:
        return f"kind is missing: {allowed}"
    similar = find_similar(kind, CHANNEL_ENTRIES) if isinstance(kind, str) else None
    return f"kind is {fields.redacted(kind)}: " + (f"did you mean {similar!r}?" if similar else allowed)
