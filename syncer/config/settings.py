"""The settings, from environment variables and a `.env` file in the working directory.

Names, defaults and the format of error messages are public. A message is one line with the variable, its value unless
it is a secret, and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from syncer.config import fields
from syncer.config.fields import ListenAddress
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PREFIX = "SYNCER_"
_ENV_FILE = ".env"
_SECRETS = ("api_token", "database_url", "migrate_database_url", "api_proxy")
# SYNCER_API_AUTH_SCHEME is among them because a common mistake is to put the whole header, with the token, into it.
_NEVER_SHOWN = {*_SECRETS, "api_auth_scheme", "token"}
# Kubernetes sets these variables in every pod of a namespace that has a service named "syncer".
_KUBERNETES_VARIABLE = re.compile(r"SYNCER_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP|SCTP)\w*)")


class Settings(BaseSettings):
    """The settings. Each field is set by the variable of the same name with the prefix `SYNCER_`.

    `Settings(...)` reads fields that are not passed from the environment and `.env`, and validates them.
    `Settings.model_construct(...)` uses only the passed values and the defaults, without validation.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=_ENV_FILE,
        env_file_encoding="utf-8-sig",  # UTF-8 with or without a byte order mark
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    api_allow_http: fields.OnOff = False  # declared before api_url, whose validator reads it
    api_url: fields.Endpoint = "https://simple-api.cp.megafon.ru"
    api_token: fields.Token | None = None
    api_token_file: Path | None = None
    api_auth_scheme: fields.AuthScheme | None = None
    accounts_file: fields.ExpandedPath | None = None
    account_name: fields.AccountName = "default"

    database_url: fields.DatabaseAddress | None = None
    database_url_file: Path | None = None
    migrate_database_url: fields.DatabaseAddress | None = None
    migrate_database_url_file: Path | None = None
    migrate_on_start: fields.OnOff = True
    embedded: fields.OnOff = True
    data_dir: fields.ExpandedPath | None = None
    pg_bindir: fields.ExpandedPath | None = None

    poll_interval: fields.PollInterval = timedelta(minutes=5)
    poll_cron: fields.Crontab | None = None
    timezone: fields.TimeZone = Field(default_factory=lambda: ZoneInfo("Europe/Moscow"))

    api_timeout: fields.Timeout = timedelta(seconds=60)
    api_attempts: fields.Attempts = 4
    api_max_bytes: fields.Size = 256 * 2**20
    api_proxy: fields.Proxy | None = None
    api_proxy_file: Path | None = None
    api_ca_file: fields.ReadableFile | None = None

    removal_guard_ratio: fields.Ratio = 0.2
    removal_guard_hold: fields.Duration = timedelta(hours=24)
    removal_confirmations: fields.Confirmations = 2
    run_retention: fields.Duration = timedelta(days=90)

    http_listen: fields.OptionalListenAddress = ListenAddress("127.0.0.1", 8080)
    http_page: Annotated[Literal["auto", "on", "off"], fields.CaseInsensitive] = "auto"
    shutdown_timeout: fields.Duration = timedelta(seconds=30)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], fields.CaseInsensitive] = "info"
    log_format: Annotated[Literal["auto", "console", "json"], fields.CaseInsensitive] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in _SECRETS:
            path = values.get(f"{name}_file")
            if path is None:
                continue
            if values.get(name) is not None:
                raise ConfigurationError(
                    f"{_variable_name(name)} and {_variable_name(name)}_FILE are both set: keep one of them"
                )
            values[name] = read_secret(Path(path), setting=f"{_variable_name(name)}_FILE")
        return values

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not info.data.get("api_allow_http", False):
            fields.require_https_or_loopback(address)
        return address

    def require_database(self) -> None:
        """Raises ConfigurationError if there is no database address and the embedded server is switched off."""
        if self.database_url is None and not self.embedded:
            raise ConfigurationError(
                "SYNCER_DATABASE_URL is not set and SYNCER_EMBEDDED is off: set the address, as in "
                "postgresql://user@host:5432/name, or set SYNCER_EMBEDDED=on for the embedded PostgreSQL"
            )


def load_settings() -> Settings:
    """Loads the settings.

    Raises:
        ConfigurationError: A setting is invalid. The message names the first problem, in one line.
    """
    try:
        return Settings()
    except ValidationError as error:
        problem = describe_first_error(error, prefix=_PREFIX)
    except ZoneInfoNotFoundError:
        problem = (
            "SYNCER_TIMEZONE is not set and this machine has no time zone Europe/Moscow: install the package tzdata"
        )
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{_ENV_FILE} in the working directory cannot be read: {fields.file_error_reason(error)}"
    # Raised outside the except blocks, so that no exception that contains a secret is chained to it.
    raise ConfigurationError(problem)


def describe_unknown_variables(token_sources: Collection[str] = ()) -> tuple[str, ...]:
    """Finds variables that look like settings but are not, since a misspelt setting would otherwise go unnoticed.

    Args:
        token_sources: Variables that the tokens of accounts are read from; these are not reported.

    Returns:
        One message per variable, without its value, ordered by name.
    """
    known = {_variable_name(name) for name in Settings.model_fields}
    known_variables = known | {*token_sources}
    found = {name for name in (*os.environ, *map(str.upper, read_env_file())) if name.startswith(_PREFIX)}
    messages = []
    for name in sorted(found - known_variables):
        if _KUBERNETES_VARIABLE.fullmatch(name) or name.upper() in known_variables:
            continue
        similar = difflib.get_close_matches(name, known, n=1)
        messages.append(f"{name} is not a setting" + (f": did you mean {similar[0]}?" if similar else ""))
    return tuple(messages)


def read_secret(path: Path, *, setting: str) -> str:
    """Reads a file that contains a secret, and strips trailing newlines.

    Args:
        path: The file.
        setting: The variable or key that names the file, for messages.

    Raises:
        ConfigurationError: The file cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{setting} names {path}, which cannot be read: {fields.file_error_reason(error)}"
    else:
        if secret:
            return secret
        problem = f"{setting} names {path}, which is empty: it must contain the secret and nothing else"
    raise ConfigurationError(problem)


def read_env_file() -> Mapping[str, str | None]:
    """Returns the variables in `.env`, with the case of their names preserved."""
    return DotEnvSettingsSource(Settings, case_sensitive=True).env_vars


def _variable_name(field: str) -> str:
    return _PREFIX + field.upper()


def describe_first_error(error: ValidationError, *, prefix: str = "") -> str:
    """Returns a message for the first error: the name, its value unless secret, and what is allowed."""
    problem = error.errors()[0]
    field = str(problem["loc"][0])
    name = prefix + field.upper() if prefix else field
    if problem["type"] == "missing":
        return f"{name} is missing"
    allowed = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    if field in _NEVER_SHOWN:
        return f"{name} has an invalid value, which is not shown: {allowed}"
    return f"{name} is {fields.redacted(problem['input'])}: {allowed}"
