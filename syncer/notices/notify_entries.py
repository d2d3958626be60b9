"""The tables of the notify file: which keys each has, what these may be, and what is made of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from syncer.config import fields
from syncer.config.hosts import ListenAddress, is_loopback, require_https_or_loopback
from syncer.config.settings import whole_sentence
from syncer.config.toml_file import find_similar
from syncer.notices import notify_fields as own
from syncer.notices.rules import (
    DEFAULT_EVENTS,
    AppriseChannel,
    EmailChannel,
    Language,
    MessengerChannel,
    NumberFormat,
    Rule,
    WebhookChannel,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT_MAX_AGE: Final = timedelta(hours=24)
_DEFAULT_MAX_AGE_OF_DIGESTS: Final = timedelta(hours=72)
_CLOCK_CHANGE: Final = timedelta(hours=1)


def _require_https(address: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
    if not _context(info)["allow_http"]:
        require_https_or_loopback(address.get_secret_value() if isinstance(address, SecretStr) else address)
    return address


def _check_channel(name: str, info: ValidationInfo) -> str:
    return _check_known(name, _context(info)["channels"], "no channel of this file has this name")


def _check_account(name: str, info: ValidationInfo) -> str:
    return _check_known(name, _context(info)["accounts"], "no account has this name")


def _check_known(name: str, names: Sequence[str] | None, problem: str) -> str:
    if names is None or name in names:
        return name
    similar = find_similar(name, names)
    raise ValueError(problem if similar is None else f"{problem}; did you mean {similar!r}?")


def _context(info: ValidationInfo) -> Mapping[str, Any]:
    return info.context or {}


def _base_address(example: str) -> AfterValidator:
    return AfterValidator(lambda address: fields.check_base_address(address, example=example))


_HttpsOrLoopback = AfterValidator(_require_https)


class Entry(BaseModel):
    """A table of the notify file.

    The validation context has `allow_http`, and the names of all `channels` and all `accounts`, each None if they are
    not known.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def keys(cls) -> list[str]:
        """Returns the keys that the table can have."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class TopLevel(Entry):
    """The keys of the file itself; the tables are validated one by one."""

    language: Language = "ru"
    channel: Any = None
    rule: Any = None


class ChannelEntry(Entry):
    """A `[[channel]]` table."""

    name: own.Name
    kind: str
    language: Language | None = None
    numbers: NumberFormat = "last4"
    names: fields.OnOff | None = None

    @property
    def shows_names(self) -> bool:
        """Whether the messages name employees and groups: unless the file says it, if phone numbers are in full."""
        return self.numbers == "full" if self.names is None else self.names


class WebhookEntry(ChannelEntry):
    """One of the kind `webhook`."""

    numbers: NumberFormat = "full"
    url: Annotated[own.WebhookUrl, _HttpsOrLoopback]
    url_file: str | None = None
    url_env: str | None = None
    secret: own.WebhookSecret
    secret_file: str | None = None
    secret_env: str | None = None

    def channel(self, language: Language) -> WebhookChannel:
        """Returns the channel; `language` is that of the file."""
        return WebhookChannel(
            name=self.name,
            language=self.language or language,
            numbers=self.numbers,
            names=self.shows_names,
            url=self.url,
            secrets=own.split_secrets(self.secret),
        )


class EmailEntry(ChannelEntry):
    """One of the kind `email`."""

    numbers: NumberFormat = "full"
    server: own.MailServer
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: own.EmailAddress = Field(alias="from")
    recipients: Annotated[tuple[own.EmailAddress, ...], own.List] = Field(alias="to")
    password: own.Password | None = None
    password_file: str | None = None
    password_env: str | None = None
    username: str | None = Field(default=None, validate_default=True)
    ca_file: fields.ReadableFile | None = None

    @field_validator("security")
    @classmethod
    def _require_encryption(cls, security: str, info: ValidationInfo) -> str:
        server = info.data.get("server")
        if security == "none" and server is not None and not is_loopback(ListenAddress.parse(server).host):
            raise ValueError("it must be starttls or tls, since the server is another machine")
        return security

    @field_validator("username")
    @classmethod
    def _require_pair(cls, username: str | None, info: ValidationInfo) -> str | None:
        passwords = [info.data.get(key, "not valid") for key in ("password", "password_file", "password_env")]
        has_password = any(one is not None for one in passwords)
        if username is None and has_password:
            raise whole_sentence("has a password and no username: add the username, or remove the password")
        if username is not None and not has_password:
            raise whole_sentence(
                "has a username and no password: it must have exactly one of password, password_file and password_env"
            )
        if username is not None and info.data.get("security") == "none":
            raise whole_sentence(
                "has a username, and security is 'none': security must be starttls or tls, so that the password is "
                "sent encrypted"
            )
        if username is not None and not username.isprintable():
            raise ValueError("it must be one line without control characters")
        return username

    def channel(self, language: Language) -> EmailChannel:
        """Returns the channel; `language` is that of the file."""
        host, port = ListenAddress.parse(self.server)
        return EmailChannel(
            name=self.name,
            language=self.language or language,
            numbers=self.numbers,
            names=self.shows_names,
            host=host,
            port=port,
            security=self.security,
            sender=self.sender,
            recipients=tuple(dict.fromkeys(self.recipients)),
            username=self.username,
            password=self.password,
            ca_file=self.ca_file,
        )


class MessengerEntry(ChannelEntry):
    """One of a messenger: `telegram` or `max`. The subclasses say what its token, its chat and its server may be."""

    kind: Literal["telegram", "max"]
    token: SecretStr
    token_file: str | None = None
    token_env: str | None = None
    chat: str
    proxy: fields.Proxy | None = None
    proxy_file: str | None = None
    proxy_env: str | None = None
    api_url: str
    ca_file: fields.ReadableFile | None = None

    def channel(self, language: Language) -> MessengerChannel:
        """Returns the channel; `language` is that of the file."""
        return MessengerChannel(
            name=self.name,
            language=self.language or language,
            numbers=self.numbers,
            names=self.shows_names,
            kind=self.kind,
            token=self.token,
            chat=self.chat,
            api_url=self.api_url,
            proxy=self.proxy,
            ca_file=self.ca_file,
        )


class TelegramEntry(MessengerEntry):
    """One of the kind `telegram`."""

    token: own.TelegramToken
    chat: own.TelegramChat
    api_url: Annotated[str, _base_address("https://api.telegram.org"), _HttpsOrLoopback] = "https://api.telegram.org"


class MaxEntry(MessengerEntry):
    """One of the kind `max`."""

    token: fields.Token
    chat: own.MaxChat
    api_url: Annotated[str, _base_address("https://platform-api2.max.ru"), _HttpsOrLoopback] = (
        "https://platform-api2.max.ru"
    )


class AppriseEntry(ChannelEntry):
    """One of the kind `apprise`."""

    url: own.AppriseUrl
    url_file: str | None = None
    url_env: str | None = None

    def channel(self, language: Language) -> AppriseChannel:
        """Returns the channel; `language` is that of the file."""
        return AppriseChannel(
            name=self.name,
            language=self.language or language,
            numbers=self.numbers,
            names=self.shows_names,
            url=self.url,
        )


CHANNEL_ENTRIES: Final[Mapping[str, type[WebhookEntry | EmailEntry | MessengerEntry | AppriseEntry]]] = {
    "webhook": WebhookEntry,
    "email": EmailEntry,
    "telegram": TelegramEntry,
    "max": MaxEntry,
    "apprise": AppriseEntry,
}
"""The tables of channels by their `kind`."""


class RuleEntry(Entry):
    """A `[[rule]]` table."""

    name: own.Name
    channels: Annotated[tuple[Annotated[str, AfterValidator(_check_channel)], ...], own.List]
    events: Annotated[tuple[own.Event, ...], own.List] | None = None
    accounts: Annotated[tuple[Annotated[str, AfterValidator(_check_account)], ...], own.List] | None = None
    types: Annotated[tuple[str, ...], own.List] | None = None
    when: own.When = "now"
    quiet: own.Quiet | None = None
    max_age: own.MaxAge | None = Field(default=None, validate_default=True)
    even_if_nothing: fields.OnOff = False

    @field_validator("max_age")
    @classmethod
    def _check_max_age(cls, max_age: timedelta | None, info: ValidationInfo) -> timedelta:
        every, cron = own.parse_when(info.data.get("when", "now"))
        if cron is not None:
            return max_age or _DEFAULT_MAX_AGE_OF_DIGESTS
        max_age = max_age or _DEFAULT_MAX_AGE
        quiet = info.data.get("quiet")
        delay = (every or timedelta()) + (own.quiet_length(own.parse_quiet(quiet)) if quiet else timedelta())
        if max_age < delay + _CLOCK_CHANGE:
            raise whole_sentence(
                f"max_age is {fields.describe_duration(max_age)}: it must be at least "
                f"{fields.describe_duration(delay + _CLOCK_CHANGE)}, an hour more than `when` and `quiet` together can "
                "delay a message, or some changes would never be sent"
            )
        return max_age

    @field_validator("even_if_nothing")
    @classmethod
    def _require_crontab(cls, value: bool, info: ValidationInfo) -> bool:
        if value and "when" in info.data and own.parse_when(info.data["when"])[1] is None:
            raise whole_sentence("even_if_nothing is only for a rule whose `when` is a crontab line")
        return value

    def rule(self) -> Rule:
        """Returns the rule."""
        every, cron = own.parse_when(self.when)
        assert self.max_age is not None  # noqa: S101 - the validator puts the default in
        return Rule(
            name=self.name,
            channels=tuple(dict.fromkeys(self.channels)),
            events=DEFAULT_EVENTS if self.events is None else frozenset(self.events),
            accounts=None if self.accounts is None else frozenset(self.accounts),
            types=None if self.types is None else frozenset(self.types),
            every=every,
            cron=cron,
            quiet=None if self.quiet is None else own.parse_quiet(self.quiet),
            max_age=self.max_age,
            even_if_nothing=self.even_if_nothing,
        )
