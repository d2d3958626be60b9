"""Configuration: environment variables, and a `.env` file in the working directory.

Names, defaults and the form of a refusal are public: one line that names the variable, what it holds (never a secret)
and what is allowed.
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
# What stands in the scheme by mistake is often the whole header, token included.
_NEVER_SHOWN = {*_SECRETS, "api_auth_scheme", "token"}
# Kubernetes sets these in every pod beside a service called "syncer".
_KUBERNETES_VARIABLE = re.compile(r"SYNCER_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP|SCTP)\w*)")


class Settings(BaseSettings):
    """What the operator set; each field is the variable of its name with `SYNCER_` before it.

    Calling it reads the environment and `.env`, for what is not passed; `Settings.model_construct(...)` takes what is
    passed and the defaults, reads nothing and checks nothing.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=_ENV_FILE,
        env_file_encoding="utf-8-sig",  # takes UTF-8 with and without a byte order mark
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    api_allow_http: fields.OnOff = False  # before the address, whose check needs it
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
            values[name] = read_secret(Path(path), named_by=f"{_variable_name(name)}_FILE")
        return values

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not info.data.get("api_allow_http", False):
            fields.require_https_or_loopback(address)
        return address

    def require_database(self) -> None:
        """Raise ConfigurationError if there is neither a database address nor leave to run the embedded server."""
        if self.database_url is None and not self.embedded:
            raise ConfigurationError(
                "SYNCER_DATABASE_URL is not set and SYNCER_EMBEDDED is off: set the address, as in "
                "postgresql://user@host:5432/name, or set SYNCER_EMBEDDED=on for the embedded PostgreSQL"
            )


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: The first thing that is wrong, in one line.
    """
    try:
        return Settings()
    except ValidationError as error:
        problem = describe_first_error(error, prefix=_PREFIX)
    except ZoneInfoNotFoundError:
        problem = "SYNCER_TIMEZONE is not set and this machine does not know Europe/Moscow: install the package tzdata"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{_ENV_FILE} in the working directory cannot be read: {fields.file_error_reason(error)}"
    # Raised out here so that nothing that holds a secret hangs on it.
    raise ConfigurationError(problem)


def describe_unknown_variables(token_sources: Collection[str] = ()) -> tuple[str, ...]:
    """Say which variables look like settings and are none: a misspelt one would otherwise go unnoticed.

    Args:
        token_sources: The variables among them that accounts' tokens come from, which are known.

    Returns:
        A sentence each, without the value, in the order of the names.
    """
    known = {_variable_name(name) for name in Settings.model_fields}
    expected = known | {*token_sources}
    present = {name for name in (*os.environ, *map(str.upper, read_env_file())) if name.startswith(_PREFIX)}
    sentences = []
    for name in sorted(present - expected):
        if _KUBERNETES_VARIABLE.fullmatch(name) or name.upper() in expected:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is not a setting" + (f": did you mean {close[0]}?" if close else ""))
    return tuple(sentences)


def read_secret(path: Path, *, named_by: str) -> str:
    """Read a file that holds a secret and nothing else but line ends.

    Args:
        path: The file.
        named_by: The variable or key that names it, for people.

    Raises:
        ConfigurationError: It cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{named_by} names {path}, which cannot be read: {fields.file_error_reason(error)}"
    else:
        if secret:
            return secret
        problem = f"{named_by} names {path}, which is empty: it must hold the secret and nothing else"
    raise ConfigurationError(problem)


def read_env_file() -> Mapping[str, str | None]:
    """The variables that `.env` sets, spelled as there."""
    return DotEnvSettingsSource(Settings, case_sensitive=True).env_vars


def _variable_name(field: str) -> str:
    return _PREFIX + field.upper()


def describe_first_error(error: ValidationError, *, prefix: str = "") -> str:
    """Tell the first thing that is wrong: the name, what it holds, what is allowed."""
    problem = error.errors()[0]
    field = str(problem["loc"][0])
    name = prefix + field.upper() if prefix else field
    if problem["type"] == "missing":
        return f"{name} is missing"
    allowed = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    if field in _NEVER_SHOWN:
        return f"{name} holds something that cannot be used and is not shown: {allowed}"
    return f"{name} is {fields.redacted(problem['input'])}: {allowed}"
