"""The settings, from environment variables and the file with settings.

Names, defaults and the format of error messages are public. A message is one line with the variable, its value unless
it is a secret, and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
from datetime import timedelta
from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from syncer.config import fields
from syncer.config.env_file import ENV_FILE_ENCODING, check_env_file, find_env_file, lines_of_variables
from syncer.config.hosts import ListenAddress, require_https_or_loopback
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

_PREFIX = "SYNCER_"
SECRETS = ("api_token", "database_url", "migrate_database_url", "api_proxy")
# SYNCER_API_AUTH_SCHEME is among them because a common mistake is to put the whole header, with the token, into it.
NEVER_SHOWN = {*SECRETS, "api_auth_scheme", "token", "url", "secret", "password", "proxy"}
_WHOLE_SENTENCE = "whole_sentence"  # the type of an error whose message is complete
# Kubernetes sets these variables in every pod of a namespace that has a service named "syncer".
_KUBERNETES_VARIABLE = re.compile(r"SYNCER_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP|SCTP)\w*)")


class Settings(BaseModel):
    """The settings. Each field is set by the variable of the same name with the prefix `SYNCER_`.

    `Settings(...)` validates the passed values and the defaults, and `Settings.model_construct(...)` does not. It is
    `load_settings` that reads the variables.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, frozen=True, hide_input_in_errors=True, validate_default=True
    )

    env_file: fields.ExpandedPath | None = None

    api_allow_http: fields.OnOff = False  # declared before api_url, whose validator reads it, as is a secret's file
    api_url: fields.Endpoint = "https://simple-api.cp.megafon.ru"
    api_token_file: Path | None = None
    api_token: fields.Token | None = Field(default=None, validate_default=True)
    api_auth_scheme: fields.AuthScheme | None = None
    accounts_file: fields.ExpandedPath | None = None
    account_name: fields.AccountName = "default"
    notify_file: fields.ExpandedPath | None = None

    database_url_file: Path | None = None
    database_url: fields.DatabaseAddress | None = Field(default=None, validate_default=True)
    migrate_database_url_file: Path | None = None
    migrate_database_url: fields.DatabaseAddress | None = Field(default=None, validate_default=True)
    migrate_on_start: fields.OnOff = True
    embedded: fields.OnOff = True
    data_dir: fields.ExpandedPath | None = None
    pg_bindir: fields.ExpandedPath | None = None

    poll_interval: fields.PollInterval = timedelta(minutes=5)
    poll_cron: fields.Crontab | None = None
    names: fields.NameWords = ()
    names_interval: fields.NamesInterval = timedelta(hours=1)
    timezone: fields.TimeZone = Field(default_factory=lambda: ZoneInfo("Europe/Moscow"))

    api_timeout: fields.Timeout = timedelta(seconds=60)
    api_attempts: fields.Attempts = 4
    api_max_bytes: fields.Size = 256 * 2**20
    api_proxy_file: Path | None = None
    api_proxy: fields.Proxy | None = Field(default=None, validate_default=True)
    api_ca_file: fields.ReadableFile | None = None

    removal_guard_ratio: fields.Ratio = 0.2
    removal_guard_hold: fields.Duration = timedelta(hours=24)
    removal_confirmations: fields.Confirmations = 2
    run_retention: fields.Duration = timedelta(days=90)

    http_listen: fields.OptionalListenAddress = ListenAddress("127.0.0.1", 8080)
    http_page: Annotated[Literal["auto", "on", "off"], fields.CaseInsensitive] = "auto"
    http_hosts: fields.HostNames | None = None
    shutdown_timeout: fields.Duration = timedelta(seconds=30)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], fields.CaseInsensitive] = "info"
    log_format: Annotated[Literal["auto", "console", "json"], fields.CaseInsensitive] = "auto"

    @field_validator(*SECRETS, mode="before")
    @classmethod
    def _read_secret_file(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get(f"{info.field_name}_file")
        if path is None:
            return value
        variable = variable_name(f"{info.field_name}")
        problem = f"{variable} and {variable}_FILE are both set: keep one of them"
        if value is None:
            try:
                return read_secret(path, setting=f"{variable}_FILE")
            except ConfigurationError as error:
                problem = str(error)
        raise whole_sentence(problem)

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not info.data.get("api_allow_http", False):
            require_https_or_loopback(address)
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
        ConfigurationError: Settings are invalid. Each problem is one line.
    """
    settings, problems, _ = load_valid_settings()
    if problems:
        raise ConfigurationError(*problems)
    return settings


def load_valid_settings() -> tuple[Settings, list[str], set[str]]:
    """Loads the settings that are valid; the others have their defaults.

    Returns:
        The settings, one sentence for each problem, and the fields that are not valid.

    Raises:
        ConfigurationError: The file with settings is not valid, or this machine has no time zones.
    """
    check_env_file()
    problem, problems, wrong = None, list[str](), set[str]()
    if {"poll_interval", "poll_cron"} <= read_origins().keys():
        problems.append("SYNCER_POLL_INTERVAL and SYNCER_POLL_CRON are both set: keep one of them")
        wrong |= {"poll_interval", "poll_cron"}
    values = _fields_in(read_env_file()) | _fields_in(os.environ)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems += describe_errors(error, prefix=_PREFIX)
        for one in error.errors():
            field = str(one["loc"][0])
            wrong |= {field, f"{field}_file"}
    except ZoneInfoNotFoundError:
        problem = (
            "SYNCER_TIMEZONE is not set and this machine has no time zone Europe/Moscow: install the package tzdata"
        )
    # Raised outside the except blocks, so that no exception that contains a secret is chained to it.
    if problem is not None:
        raise ConfigurationError(problem)
    if wrong:
        settings = Settings(**{name: value for name, value in values.items() if name not in wrong})
    return settings, problems, wrong


def read_origins() -> Mapping[str, str]:
    """Returns where each field that is set comes from: the environment, or a line of the file with settings."""
    path, lines = find_env_file(), lines_of_variables()
    origins = {name: f"{path}, line {lines[variable_name(name)]}" for name in _fields_in(read_env_file())}
    return origins | dict.fromkeys(_fields_in(os.environ), "environment")


def _fields_in(variables: Mapping[str, str | None]) -> dict[str, Any]:
    """Returns the values of the fields that these variables set, in any case; an empty variable sets nothing."""
    values = {name.upper(): value for name, value in variables.items() if value}
    return {name: values[variable_name(name)] for name in Settings.model_fields if variable_name(name) in values}


def describe_unknown_variables(token_sources: Collection[str] = ()) -> tuple[str, ...]:
    """Finds variables that look like settings but are not, since a misspelt setting would otherwise go unnoticed.

    Args:
        token_sources: Variables that the tokens of accounts are read from; these are not reported.

    Returns:
        One message per variable, without its value, ordered by name.
    """
    known = {variable_name(name) for name in Settings.model_fields}
    known_variables = known | {*token_sources}
    found = {name for name in (*os.environ, *map(str.upper, read_env_file())) if name.startswith(_PREFIX)}
    messages = []
    for name in sorted(found - known_variables):
        if _KUBERNETES_VARIABLE.fullmatch(name) or name.upper() in known_variables:
            continue
        without_prefix = [one.removeprefix(_PREFIX) for one in known]
        similar = difflib.get_close_matches(name.removeprefix(_PREFIX), without_prefix, n=1)
        messages.append(f"{name} is not a setting" + (f": did you mean {_PREFIX}{similar[0]}?" if similar else ""))
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
    except (OSError, ValueError) as error:  # ValueError: it is not UTF-8, or the path has a null byte
        problem = f"{setting} names {path}, which cannot be read: {fields.file_error_reason(error)}"
    else:
        if secret:
            return secret
        problem = f"{setting} names {path}, which is empty: it must contain the secret and nothing else"
    raise ConfigurationError(problem)


def read_env_file() -> Mapping[str, str | None]:
    """Returns the variables in the file with settings that are not empty, with the case of their names preserved."""
    path = find_env_file()
    variables = {} if path is None else dotenv_values(path, encoding=ENV_FILE_ENCODING)
    return {name: value for name, value in variables.items() if value != ""}


def variable_name(field: str) -> str:
    """Returns the name of the variable that sets a field."""
    return _PREFIX + field.upper()


def whole_sentence(problem: str) -> PydanticCustomError:
    """Returns an error for a validator to raise, whose message `describe_errors` shows as it is."""
    return PydanticCustomError(_WHOLE_SENTENCE, "{problem}", {"problem": problem})


def describe_errors(error: ValidationError, *, prefix: str = "") -> list[str]:
    """Returns a message for each error: the name, its value unless secret, and what is allowed."""
    return [_describe(one, prefix) for one in error.errors()]


def _describe(problem: ErrorDetails, prefix: str) -> str:
    field = str(problem["loc"][0])
    name = prefix + field.upper() if prefix else field
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == _WHOLE_SENTENCE:
        return problem["msg"]
    allowed = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    if field in NEVER_SHOWN:
        return f"{name} has an invalid value, which is not shown: {allowed}"
    verb = "is" if len(problem["loc"]) == 1 else "has"  # an element of a list
    return f"{name} {verb} {fields.redacted(problem['input'])}: {allowed}"
