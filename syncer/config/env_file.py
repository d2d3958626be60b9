"""The file with settings: the one that SYNCER_ENV_FILE or `--env-file` names, or else `.env` in the working directory.

Its values count for less than environment variables.
"""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv.parser import parse_stream

from syncer.config.fields import file_error_reason
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotenv.parser import Binding

ENV_FILE_VARIABLE: Final = "SYNCER_ENV_FILE"
"""The variable that names the file; only the environment can set it."""
ENV_FILE_ENCODING: Final = "utf-8-sig"
"""UTF-8 with or without a byte order mark."""
_DEFAULT: Final = Path(".env")


def name_env_file(path: Path) -> None:
    """Makes `path` the file with settings of this process and of its children."""
    os.environ[ENV_FILE_VARIABLE] = str(path)


def find_env_file() -> Path | None:
    """Returns the file with settings; None if none is named and the working directory has no `.env`."""
    named = os.environ.get(ENV_FILE_VARIABLE)
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - unlike Path.expanduser, it keeps `~` of an unknown user
    return _DEFAULT if _DEFAULT.exists() else None


def describe_env_file() -> str:
    """Returns whether there is a file with settings and where it was looked for, as a part of a sentence."""
    path = find_env_file()
    return f"there is no {_DEFAULT} in {Path.cwd()}" if path is None else f"not in {path.absolute()} either"


def check_env_file() -> None:
    """Checks the file with settings.

    Raises:
        ConfigurationError: It is named and does not exist, it cannot be read, or it has lines that are no settings.
    """
    path = find_env_file()
    if path is not None and (problems := _find_problems(path)):
        raise ConfigurationError(*problems)


def lines_of_variables() -> Mapping[str, int]:
    """Returns the line of each variable in the file with settings, by its name in upper case."""
    path = find_env_file()
    if path is None:
        return {}
    bindings = parse_stream(StringIO(path.read_text(encoding=ENV_FILE_ENCODING)))
    return {binding.key.upper(): _line(binding) for binding in bindings if binding.key is not None}


def _find_problems(path: Path) -> list[str]:
    try:
        if path.is_fifo():
            return [f"{path} is a pipe, which can be read only once: name a file, which is read again when needed"]
        text = path.read_text(encoding=ENV_FILE_ENCODING)
    except FileNotFoundError:
        return [f"{ENV_FILE_VARIABLE} or --env-file names {path.absolute()}, which does not exist"]
    except (OSError, UnicodeDecodeError) as error:
        shown = path if os.environ.get(ENV_FILE_VARIABLE) else f"{path} in the working directory"
        return [f"{shown} cannot be read: {file_error_reason(error)}"]
    problems = []
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            problems.append(f"{path}, line {_line(binding)}: it must be NAME=value, such as SYNCER_POLL_INTERVAL=5m")
        elif binding.key is not None and binding.key.upper() == ENV_FILE_VARIABLE:
            problems.append(f"{path}, line {_line(binding)}: {ENV_FILE_VARIABLE} works only as an environment variable")
    return problems


def _line(binding: Binding) -> int:
    """Returns the line of an entry; the parser counts blank lines before it to the entry."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
