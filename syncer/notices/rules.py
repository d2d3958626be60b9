"""What the notify file says: channels, which are ways to reach somebody, and rules, which say what is sent there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import time, timedelta
    from pathlib import Path

    from pydantic import SecretStr

Language = Literal["ru", "en"]
NumberFormat = Literal["full", "last4", "none"]
"""How phone numbers appear in the messages of a channel: as they are, by their last four digits, or not at all."""

NUMBER_EVENTS: Final = (
    "locked",
    "frozen",
    "unlocked",
    "removed",
    "returned",
    "new",
    "state",
    "redirect",
    "employee",
    "record",
)
"""The events of numbers, the most important first; each is a part of what `analytics.changes` has."""
CONDITIONS: Final = ("stale", "refused", "held", "rejected")
"""The conditions of accounts; their end is an event, too."""
DEFAULT_EVENTS: Final = frozenset(
    {"locked", "frozen", "unlocked", "new", "removed", "returned", "redirect", "stale", "refused", "held"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to reach somebody.

    Attributes:
        name: Its name in rules, logs and the database.
        language: The language of its messages.
        numbers: How phone numbers appear in them.
        names: Whether the names of employees and groups appear in them.
    """

    name: str
    language: Language
    numbers: NumberFormat
    names: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel(Channel):
    """An HTTP endpoint that receives JSON, signed as Standard Webhooks 1.0 says.

    Attributes:
        url: Its address, which can contain a token.
        secrets: The keys of the signatures, one for each; while a key is replaced, there are two.
    """

    url: SecretStr
    secrets: tuple[SecretStr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel(Channel):
    """Addresses, and the SMTP server that accepts mail for them.

    Attributes:
        security: STARTTLS, TLS from the first byte, or none, which only a loopback address may have.
        ca_file: Further certificate authorities to trust.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    recipients: tuple[str, ...]
    username: str | None
    password: SecretStr | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerChannel(Channel):
    """A chat of Telegram or MAX, to which a bot writes.

    Attributes:
        api_url: The messenger's server, without a trailing slash.
        ca_file: Further certificate authorities to trust.
    """

    kind: Literal["telegram", "max"]
    token: SecretStr
    chat: str
    api_url: str
    proxy: SecretStr | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseChannel(Channel):
    """A service that the library Apprise knows, by Apprise's address of it."""

    url: SecretStr


AnyChannel: TypeAlias = WebhookChannel | EmailChannel | MessengerChannel | AppriseChannel


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of each day in the account's time zone in which nothing is sent; it may contain midnight."""

    begin: time
    end: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is sent, and where.

    Attributes:
        name: Its name in logs and the database.
        channels: The names of the channels.
        events: Those of `NUMBER_EVENTS` and `CONDITIONS` that it is about.
        accounts: The names of the accounts; None for all.
        types: The types of the numbers, as the vendor has them; None for all.
        every: How long after a message the next one is sent at the earliest; None for no such limit.
        cron: A crontab line in the account's time zone that says when messages are sent, which are digests then; None
            for at once.
        quiet: When nothing is sent; what happens then is in one message at the end.
        max_age: Changes recorded longer ago are not sent, unless the rule has a `cron`; nor is a message tried longer.
        even_if_nothing: Whether a digest is sent when nothing has happened.
    """

    name: str
    channels: tuple[str, ...]
    events: frozenset[str]
    accounts: frozenset[str] | None
    types: frozenset[str] | None
    every: timedelta | None
    cron: str | None
    quiet: QuietHours | None
    max_age: timedelta
    even_if_nothing: bool

    @property
    def is_digest(self) -> bool:
        """Whether its messages are sent at set times, and sum up what happened since the last one."""
        return self.cron is not None

    @property
    def number_events(self) -> list[str]:
        """The events of numbers that it is about, the most important first."""
        return [event for event in NUMBER_EVENTS if event in self.events]

    @property
    def conditions(self) -> list[str]:
        """The conditions of accounts that it is about."""
        return [condition for condition in CONDITIONS if condition in self.events]


@dataclass(frozen=True, slots=True)
class NotifyFile:
    """The content of the notify file."""

    channels: Mapping[str, AnyChannel]
    rules: Mapping[str, Rule]
