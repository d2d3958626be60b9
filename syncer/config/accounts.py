"""Loads the accounts to poll: one from `SYNCER_API_TOKEN`, or several from the accounts file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, ValidationInfo, field_validator

from syncer.config import fields
from syncer.config.hosts import require_https_or_loopback
from syncer.config.settings import describe_errors
from syncer.config.toml_file import describe_unknown_key, read_toml, resolve_secret
from syncer.errors import ConfigurationError, in_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from syncer.config.settings import Settings
    from syncer.name_list import NameWord


@dataclass(frozen=True, slots=True)
class Account:
    """One Личный кабинет to poll.

    Attributes:
        name: Its name in the database, in logs and on the command line.
        token: The value of the `Authorization` header, without the scheme; printable ASCII.
        api_url: The base address, without a trailing slash.
        auth_scheme: The authentication scheme before the token, if any.
        poll_interval: Time between polls, unless there is a `poll_cron`.
        poll_cron: A crontab line that says when to poll, parsed by `syncer.config.crontab.crontab_trigger`.
        time_zone: The time zone of `poll_cron`, and the one in which the account's days begin.
        token_source: The variable or file that the token was read from, for messages.
        names: Which of the vendor's lists of names are read.
        names_source: The variable or key that says so, for messages.
    """

    name: str
    token: SecretStr
    api_url: str
    auth_scheme: str | None
    poll_interval: timedelta
    poll_cron: str | None
    time_zone: ZoneInfo
    token_source: str = "SYNCER_API_TOKEN"  # noqa: S105 - the name of a variable
    names: tuple[NameWord, ...] = ()
    names_source: str = "SYNCER_NAMES"


class _AccountEntry(BaseModel):
    """An `[[account]]` table of the accounts file. The validation context holds `allow_http`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: fields.AccountName
    token: fields.Token
    token_file: str | None = None
    token_env: str | None = None
    api_url: fields.Endpoint | None = None
    poll_interval: fields.PollInterval | None = None
    poll_cron: fields.Crontab | None = None
    time_zone: fields.TimeZone | None = None
    names: fields.NameWords | None = None

    @field_validator("api_url")
    @classmethod
    def _require_https(cls, address: str, info: ValidationInfo) -> str:
        if not (info.context or {}).get("allow_http", False):
            require_https_or_loopback(address)
        return address


def load_accounts(settings: Settings) -> tuple[Account, ...]:
    """Loads the accounts to poll: one from `SYNCER_API_TOKEN`, or several from the accounts file.

    Raises:
        ConfigurationError: There are no accounts, or some of them are invalid. Each problem is one line.
    """
    if settings.accounts_file is None:
        return (_account_from_settings(settings),)
    if settings.api_token is not None:
        variable = "SYNCER_API_TOKEN" if settings.api_token_file is None else "SYNCER_API_TOKEN_FILE"
        raise ConfigurationError(
            f"SYNCER_ACCOUNTS_FILE and {variable} are both set: keep the former for several accounts, the latter for "
            "one"
        )
    path = settings.accounts_file
    accounts, problems, names = list[Account](), list[str](), set[str]()
    for number, entry in enumerate(_read_entries(path), start=1):
        try:
            account = _read_account(entry, number, path, settings)
        except ConfigurationError as error:
            problems += error.problems
            continue
        if account.name in names:
            problems.append(f"{path} has two accounts named {account.name!r}: each must have its own name")
        names.add(account.name)
        accounts.append(account)
    if problems:
        raise ConfigurationError(*problems)
    return tuple(accounts)


def find_token_sources(settings: Settings) -> set[str]:
    """Returns the variables and files that hold the accounts' tokens, also of accounts that are not valid."""
    path, sources = settings.accounts_file, set[str]()
    try:
        if path is None:
            return {_account_from_settings(settings).token_source}
        entries = _read_entries(path)
    except ConfigurationError:
        return sources
    for entry in entries:
        with suppress(ConfigurationError):  # an account without a token that can be read
            sources.add(resolve_secret(entry, "token", location="", file=path)[1])
    return sources


def describe_shared_tokens(accounts: Iterable[Account]) -> list[str]:
    """Returns a sentence for each token that several accounts use."""
    names: dict[str, list[str]] = {}
    for account in accounts:
        names.setdefault(account.token.get_secret_value(), []).append(account.name)
    return [
        f"the accounts {in_sentence(sorted(sharing))} use one token: they are one Личный кабинет whose numbers are "
        "counted more than once; give each its own token, or remove all but one of them"
        for sharing in names.values()
        if len(sharing) > 1
    ]


def _account_from_settings(settings: Settings) -> Account:
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
        names=settings.names,
    )


def _read_entries(path: Path) -> list[dict[str, Any]]:
    content = read_toml(path, setting="SYNCER_ACCOUNTS_FILE")
    entries = content.pop("account", [])
    if content:
        key = next(iter(content))
        raise ConfigurationError(f"{path} has {key!r} outside of any account: it may only contain [[account]] tables")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{path} has no accounts: it must contain an [[account]] table for each account")
    return entries


def _read_account(values: dict[str, Any], number: int, accounts_file: Path, settings: Settings) -> Account:
    location = f"{accounts_file}, account {fields.redacted(values.get('name', number))}: "
    problems = [
        location + describe_unknown_key(key, values, _AccountEntry.model_fields)
        for key in values
        if key not in _AccountEntry.model_fields
    ]
    if {"poll_interval", "poll_cron"} <= values.keys():
        problems.append(f"{location}has poll_interval and poll_cron: keep one of them")
    if problems:
        raise ConfigurationError(*problems)
    token, token_source = resolve_secret(values, "token", location=location, file=accounts_file)
    try:
        entry = _AccountEntry.model_validate(values | {"token": token}, context={"allow_http": settings.api_allow_http})
    except ValidationError as error:
        problems = [location + text for text in describe_errors(error)]
    else:
        # An account's own interval takes precedence over the crontab line in the settings.
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
            names=settings.names if entry.names is None else entry.names,
            names_source="SYNCER_NAMES" if entry.names is None else f"names of this account in {accounts_file}",
        )
    raise ConfigurationError(*problems)
