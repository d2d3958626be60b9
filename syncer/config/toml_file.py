"""Reads a TOML file whose tables name secrets, or files and variables with them, and proposes names that were meant."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

from syncer.config import fields
from syncer.config.settings import read_env_file, read_secret
from syncer.errors import ConfigurationError, in_sentence

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path


def read_toml(path: Path, *, setting: str) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
        path: The file.
        setting: The variable that names it, for messages.

    Raises:
        ConfigurationError: It cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {fields.file_error_reason(error)}"
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: a number can be too long, a list too deep
        problem = f"is not TOML: {error}"
    raise ConfigurationError(f"{setting} names {path}, which {problem}")


def secret_keys(key: str) -> tuple[str, str, str]:
    """Returns the keys that can give a secret: as it is, by the name of its file, and by that of its variable."""
    return key, f"{key}_file", f"{key}_env"


def resolve_secret(values: Mapping[str, Any], key: str, *, location: str, file: Path) -> tuple[str, str]:
    """Returns the secret that a table gives by one of three keys, and the variable or file that it was read from.

    Args:
        values: The table.
        key: The key for the secret itself; with `_file` and `_env` at its end, it names a file and a variable.
        location: Where the table is, for messages, with a colon and a space.
        file: The file with the table; paths are relative to its folder.

    Raises:
        ConfigurationError: There is no secret, or there are several, or it cannot be read.
    """
    keys = secret_keys(key)
    present = [one for one in keys if one in values]
    if len(present) != 1:
        listed = in_sentence(present or [f"no {key}"])
        raise ConfigurationError(f"{location}has {listed}: it must have exactly one of {in_sentence(keys)}")
    (name,) = present
    value = values[name]
    if name == key:
        return value, str(file.absolute())
    if not isinstance(value, str):
        raise ConfigurationError(f"{location}{name} is {fields.redacted(value)}: it must be a valid string")
    if name == f"{key}_file":
        path = file.parent / value
        return read_secret(path, setting=f"{location}{name}"), str(path.absolute())
    secret = os.environ.get(value) or read_env_file().get(value)
    if secret:
        return secret, value
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ConfigurationError(f"{location}{name} names the variable {value}, which is not set")
    raise ConfigurationError(
        f"{location}{name} names a variable that is not set; its name is not shown, since it may be the secret itself, "
        f"which belongs in {key}"
    )


def find_similar(name: str, names: Iterable[str]) -> str | None:
    """Returns the name that resembles a wrong one most, or None if none does."""
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def describe_unknown_key(
    key: str, values: Container[str], valid_keys: Iterable[str], *, noun: str = "valid key"
) -> str:
    """Returns a sentence about a key that a table has and must not have.

    Args:
        key: The key.
        values: All keys of the table: none of them is proposed.
        valid_keys: Those that it can have.
        noun: What the key is not.
    """
    valid_keys = tuple(valid_keys)
    similar = find_similar(key, valid_keys)
    if similar is None or similar in values:
        return f"{key!r} is not a {noun}: the valid keys are {', '.join(valid_keys)}"
    return f"{key!r} is not a {noun}: did you mean {similar!r}?"
