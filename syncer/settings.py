"""Configuration: environment variables, a `.env` file in the working directory, the accounts file.

Names, defaults and the form of a refusal are public: one line that names the variable, what it holds (never a secret)
and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from syncer import spelling
from syncer.errors import ConfigurationError
from syncer.spelling import ListenAddress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX = "SYNCER_"
_ENV_FILE = ".env"
_SECRETS = ("api_token", "database_url", "migrate_database_url", "api_proxy")
# What stands in the scheme by mistake is often the whole header, token included.
_NOT_SHOWN = {*_SECRETS, "api_auth_scheme", "token"}
# Kubernetes sets these in every pod beside a service called "syncer".
_SERVICE_LINK = re.compile(r"SYNCER_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP|SCTP)\w*)")


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

    api_allow_http: spelling.Switch = False  # before the address, whose check needs it
    api_url: spelling.Endpoint = "https://simple-api.cp.megafon.ru"
    api_token: spelling.Token | None = None
    api_token_file: Path | None = None
    api_auth_scheme: spelling.AuthScheme | None = None
    accounts_file: spelling.SomePath | None = None
    account_name: spelling.AccountName = "default"

    database_url: spelling.DatabaseAddress | None = None
    database_url_file: Path | None = None
    migrate_database_url: spelling.DatabaseAddress | None = None
    migrate_database_url_file: Path | None = None
    migrate_on_start: spelling.Switch = True
    embedded: spelling.Switch = True
    data_dir: spelling.SomePath | None = None
    pg_bindir: spelling.SomePath | None = None

    poll_interval: spelling.PollInterval = timedelta(minutes=5)
    poll_cron: spelling.Crontab | None = None
    timezone: spelling.TimeZone = Field(default_factory=lambda: ZoneInfo("Europe/Moscow"))

    api_timeout: spelling.Timeout = timedelta(seconds=60)
    api_attempts: spelling.Attempts = 4
    api_max_bytes: spelling.Size = 256 * 2**20
    api_proxy: spelling.Proxy | None = None
    api_proxy_file: Path | None = None
    api_ca_file: spelling.ReadableFile | None = None

    removal_guard_ratio: spelling.Ratio = 0.2
    removal_guard_hold: spelling.Duration = timedelta(hours=24)
    run_retention: spelling.Duration = timedelta(days=90)

    http_listen: spelling.Listen = ListenAddress("127.0.0.1", 8080)
    http_page: Annotated[Literal["auto", "on", "off"], spelling.CaseBlind] = "auto"
    shutdown_timeout: spelling.Duration = timedelta(seconds=30)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], spelling.CaseBlind] = "info"
    log_format: Annotated[Literal["auto", "console", "json"], spelling.CaseBlind] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in _SECRETS:
            path = values.get(f"{name}_file")
            if path is None:
                continue
            if values.get(name) is not None:
                raise ConfigurationError(f"{_variable(name)} and {_variable(name)}_FILE are both set: keep one of them")
            values[name] = _read_secret(Path(path), named_by=f"{_variable(name)}_FILE")
        return values

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not info.data.get("api_allow_http", False):
            spelling.refuse_plain_http(address)
        return address

    def require_database(self) -> None:
        """Raise ConfigurationError if there is neither a database address nor leave to run the embedded server."""
        if self.database_url is None and not self.embedded:
            raise ConfigurationError(
                "SYNCER_DATABASE_URL is not set and SYNCER_EMBEDDED is off: set the address, as in "
                "postgresql://user@host:5432/name, or set SYNCER_EMBEDDED=on for the embedded PostgreSQL"
            )


@dataclass(frozen=True, slots=True)
class Account:
    """One Личный кабинет to poll.

    Attributes:
        name: What it is called in the database, in logs and on the command line.
        token: The `Authorization` header, without the scheme; printable ASCII.
        api_url: The base address, without a slash at its end.
        auth_scheme: The word before the token, if any.
        poll_interval: From one poll to the next, unless there is a `poll_cron`.
        poll_cron: When to poll instead; `syncer.crontab.crontab_trigger` reads it.
        time_zone: Of `poll_cron` and of the account's days.
        token_source: The variable or file that the token came from, for people.
    """

    name: str
    token: SecretStr
    api_url: str
    auth_scheme: str | None
    poll_interval: timedelta
    poll_cron: str | None
    time_zone: ZoneInfo
    token_source: str = "SYNCER_API_TOKEN"  # noqa: S105 - the name of a variable


class _AccountEntry(BaseModel):
    """An `[[account]]` of the accounts file; the context's `allow_http` is `SYNCER_API_ALLOW_HTTP`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: spelling.AccountName
    token: spelling.Token
    token_file: str | None = None
    token_env: str | None = None
    api_url: spelling.Endpoint | None = None
    poll_interval: spelling.PollInterval | None = None
    poll_cron: spelling.Crontab | None = None
    time_zone: spelling.TimeZone | None = None

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not (info.context or {}).get("allow_http", False):
            spelling.refuse_plain_http(address)
        return address


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: The first thing that is wrong, in one line.
    """
    try:
        return Settings()
    except ValidationError as error:
        problem = _refusal(error, prefix=_PREFIX)
    except ZoneInfoNotFoundError:
        problem = "SYNCER_TIMEZONE is not set and this machine does not know Europe/Moscow: install the package tzdata"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{_ENV_FILE} in the working directory cannot be read: {spelling.reason(error)}"
    # Raised out here so that nothing that holds a secret hangs on it.
    raise ConfigurationError(problem)


def unknown_variables(accounts: Iterable[Account] = ()) -> tuple[str, ...]:
    """Say which variables look like settings and are none: a misspelt one would otherwise go unnoticed.

    Args:
        accounts: Those in use; the variables that their tokens come from are known.

    Returns:
        A sentence each, without the value, in the order of the names.
    """
    known = {_variable(name) for name in Settings.model_fields}
    expected = known | {account.token_source for account in accounts}
    present = {name for name in (*os.environ, *map(str.upper, _env_file_values())) if name.startswith(_PREFIX)}
    sentences = []
    for name in sorted(present - expected):
        if _SERVICE_LINK.fullmatch(name) or name.upper() in expected:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is not a setting" + (f": did you mean {close[0]}?" if close else ""))
    return tuple(sentences)


def load_accounts(settings: Settings) -> tuple[Account, ...]:
    """Find the accounts to poll: the one of `SYNCER_API_TOKEN`, or those of the accounts file.

    Raises:
        ConfigurationError: There is none, or something about one of them is wrong; one line.
    """
    if settings.accounts_file is None:
        return (_single_account(settings),)
    if settings.api_token is not None:
        raise ConfigurationError(
            "SYNCER_ACCOUNTS_FILE and SYNCER_API_TOKEN are both set: keep the one for several accounts or for one"
        )
    path = settings.accounts_file
    accounts = tuple(
        _read_account(entry, number, path, settings) for number, entry in enumerate(_entries(path), start=1)
    )
    names: set[str] = set()
    for account in accounts:
        if account.name in names:
            raise ConfigurationError(f"{path} has two accounts called {account.name!r}: each needs a name of its own")
        names.add(account.name)
    return accounts


def _single_account(settings: Settings) -> Account:
    if settings.api_token is None:
        raise ConfigurationError(
            "SYNCER_API_TOKEN is not set: generate a token in the Личный кабинет and set it, or name its file in "
            "SYNCER_API_TOKEN_FILE, or name a file of several accounts in SYNCER_ACCOUNTS_FILE"
        )
    return Account(
        name=settings.account_name,
        token=settings.api_token,
        api_url=settings.api_url,
        auth_scheme=settings.api_auth_scheme,
        poll_interval=settings.poll_interval,
        poll_cron=settings.poll_cron,
        time_zone=settings.timezone,
        token_source="SYNCER_API_TOKEN" if settings.api_token_file is None else str(settings.api_token_file),
    )


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        problem = f"SYNCER_ACCOUNTS_FILE names {path}, which is not TOML: {error}"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"SYNCER_ACCOUNTS_FILE names {path}, which cannot be read: {spelling.reason(error)}"
    else:
        entries = content.pop("account", [])
        if content:
            key = next(iter(content))
            raise ConfigurationError(
                f"{path} has {key!r} outside of any account: all it may hold is [[account]] tables"
            )
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigurationError(f"{path} has no account: it must hold an [[account]] table for each of them")
        return entries
    raise ConfigurationError(problem)


def _read_account(values: dict[str, Any], number: int, accounts_file: Path, settings: Settings) -> Account:
    place = f"{accounts_file}, account {spelling.shown(values.get('name', number))}: "
    unknown = next((key for key in values if key not in _AccountEntry.model_fields), None)
    if unknown is not None:
        keys = ", ".join(_AccountEntry.model_fields)
        raise ConfigurationError(f"{place}{unknown!r} is not a key of an account: those are {keys}")
    values, token_source = _with_token(values, place, accounts_file)
    try:
        entry = _AccountEntry.model_validate(values, context={"allow_http": settings.api_allow_http})
    except ValidationError as error:
        problem = place + _refusal(error)
    else:
        # An account's own interval counts for more than the crontab line of all.
        cron = entry.poll_cron or (settings.poll_cron if entry.poll_interval is None else None)
        return Account(
            name=entry.name,
            token=entry.token,
            api_url=entry.api_url or settings.api_url,
            auth_scheme=settings.api_auth_scheme,
            poll_interval=entry.poll_interval or settings.poll_interval,
            poll_cron=cron,
            time_zone=entry.time_zone or settings.timezone,
            token_source=token_source,
        )
    raise ConfigurationError(problem)


def _with_token(values: dict[str, Any], place: str, accounts_file: Path) -> tuple[dict[str, Any], str]:
    """Return an account's keys with its token among them, and the variable or file that it came from."""
    given = [key for key in ("token", "token_file", "token_env") if key in values]
    if len(given) != 1:
        found = " and ".join(given) or "no token"
        raise ConfigurationError(f"{place}has {found}: it must have exactly one of token, token_file and token_env")
    if given == ["token"]:
        return values, str(accounts_file)
    source = str(values[given[0]])
    if given == ["token_file"]:
        source = str(accounts_file.parent / source)
        return values | {"token": _read_secret(Path(source), named_by=f"{place}token_file")}, source
    secret = os.environ.get(source) or _env_file_values().get(source)
    if not secret:
        raise ConfigurationError(f"{place}token_env names the variable {source}, which is not set")
    return values | {"token": secret}, source


def _read_secret(path: Path, *, named_by: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{named_by} names {path}, which cannot be read: {spelling.reason(error)}"
    else:
        if secret:
            return secret
        problem = f"{named_by} names {path}, which is empty: it must hold the secret and nothing else"
    raise ConfigurationError(problem)


def _env_file_values() -> Mapping[str, str | None]:
    return DotEnvSettingsSource(Settings, case_sensitive=True).env_vars


def _variable(field: str) -> str:
    return _PREFIX + field.upper()


def _refusal(error: ValidationError, *, prefix: str = "") -> str:
    """Tell the first thing that is wrong: the name, what it holds, what is allowed."""
    problem = error.errors()[0]
    field = str(problem["loc"][0])
    name = prefix + field.upper() if prefix else field
    if problem["type"] == "missing":
        return f"{name} is missing"
    allowed = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    if field in _NOT_SHOWN:
        return f"{name} holds something that cannot be used and is not shown: {allowed}"
    return f"{name} is {spelling.shown(problem['input'])}: {allowed}"
