"""Pydantic types for the values of the notify file.

As in `syncer.config.fields`, an invalid value raises a `ValueError`; its message says what is allowed and never repeats
the value, which may be a secret.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Final, cast
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr

from syncer.config import fields
from syncer.config.crontab import crontab_trigger
from syncer.config.hosts import ListenAddress
from syncer.config.toml_file import find_similar
from syncer.notices.rules import CONDITIONS, NUMBER_EVENTS, QuietHours

MAX_NAME_CHARS: Final = 60
_SECRET_BYTES: Final = range(24, 65)
_MAX_SECRETS: Final = 2
_EVENTS: Final = (*NUMBER_EVENTS, *CONDITIONS)

_WHEN_ALLOWED = (
    "it must be now, or every and a duration of at least 1m, such as 'every 15m', or a crontab line (minute, hour, day "
    "of month, month, day of week) for a time that exists, with a day of the month or of the week but not both, such "
    "as '0 9 * * 1-5'"
)
_parse_every = fields.duration_parser(timedelta(minutes=1), "of at least 1m")


def parse_when(text: str) -> tuple[timedelta | None, str | None]:
    """Returns the interval of `every 15m` or the crontab line; both are None for `now`.

    Raises:
        ValueError: It is none of them; says what is allowed.
    """
    try:
        if text == "now":
            return None, None
        if text.startswith("every "):
            return _parse_every(text.removeprefix("every ").strip()), None
        crontab_trigger(text, ZoneInfo("UTC"))
    except ValueError:
        raise ValueError(_WHEN_ALLOWED) from None
    return None, text


def parse_quiet(text: str) -> QuietHours:
    """Returns the ends of `22:00-08:00`; raises ValueError with what is allowed."""
    match = re.fullmatch(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])", text)
    if match is None or match[1] == match[2]:
        raise ValueError("it must be two different times of the day, such as 22:00-08:00")
    return QuietHours(time.fromisoformat(match[1]), time.fromisoformat(match[2]))


def quiet_length(quiet: QuietHours) -> timedelta:
    """Returns how long quiet hours last on a day without a clock change."""
    begin, end = (datetime.combine(datetime(2000, 1, 1, tzinfo=UTC), one) for one in (quiet.begin, quiet.end))
    return (end - begin) % timedelta(days=1)


def split_secrets(secret: SecretStr) -> tuple[SecretStr, ...]:
    """Returns the secrets of a webhook, of which there can be two."""
    return tuple(map(SecretStr, secret.get_secret_value().split()))


def _check_when(text: str) -> str:
    parse_when(text)
    return text


def _check_quiet(text: str) -> str:
    parse_quiet(text)
    return text


def _check_name(text: str) -> str:
    return fields.check_name(text, max_chars=MAX_NAME_CHARS)


def _check_event(text: str) -> str:
    if text not in _EVENTS:
        similar = find_similar(text, _EVENTS)
        proposal = f"did you mean {similar!r}?" if similar else f"the events are {', '.join(_EVENTS)}"
        raise ValueError(f"no event has this name; {proposal}")
    return text


def _check_list(value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError('it must be a list of one or more texts, such as ["a", "b"]')
    return cast("list[str]", value)


def _check_webhook_url(secret: SecretStr) -> SecretStr:
    if not fields.is_http_url(secret.get_secret_value()) or "#" in secret.get_secret_value():
        raise ValueError("it must be an address such as https://example.org/hook, with no fragment")
    return secret


def _check_webhook_secret(secret: SecretStr) -> SecretStr:
    secrets = split_secrets(secret)
    if not 1 <= len(secrets) <= _MAX_SECRETS or not all(_is_webhook_secret(one.get_secret_value()) for one in secrets):
        raise ValueError(
            "it must be whsec_ followed by 24 to 64 bytes in base64, as `echo whsec_$(openssl rand -base64 32)` prints "
            "it, or two of these with a space between, while one is replaced"
        )
    return secret


def _is_webhook_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and len(key) in _SECRET_BYTES


def _check_email_address(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}", text) is None:
        raise ValueError("it must be an address such as duty@example.org, in ASCII and without a name")
    return text


def _check_mail_server(text: str) -> str:
    try:
        ListenAddress.parse(text)
        is_valid = fields.is_http_url(f"http://{text}")  # the host can be resolved, and the port is not 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("it must be HOST:PORT, such as smtp.example.org:587")
    return text


def _check_printable(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().isprintable():
        raise ValueError("it must be one line without control characters")
    return secret


def _check_telegram_token(secret: SecretStr) -> SecretStr:
    if re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", secret.get_secret_value()) is None:
        raise ValueError("it must be the token of a bot, such as 123456:ABC-DEF, as @BotFather shows it")
    return secret


def _chat_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_telegram_chat(text: str) -> str:
    if re.fullmatch(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}", text) is None:
        raise ValueError("it must be the number of a chat, such as -1001234567890, or the name of a channel, as @name")
    return text


def _check_max_chat(text: str) -> str:
    if re.fullmatch(r"-?[0-9]{1,20}", text) is None:
        raise ValueError("it must be the number of a chat, such as -71234567890123")
    return text


def _check_apprise_url(secret: SecretStr) -> SecretStr:
    if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+", secret.get_secret_value()) is None:
        raise ValueError("it must be an address of Apprise, such as ntfys://ntfy.example.org/duty")
    return secret


AppriseUrl = Annotated[SecretStr, AfterValidator(_check_apprise_url)]
EmailAddress = Annotated[str, AfterValidator(_check_email_address)]
Event = Annotated[str, AfterValidator(_check_event)]
List = BeforeValidator(_check_list)
MailServer = Annotated[str, AfterValidator(_check_mail_server)]
MaxAge = Annotated[
    timedelta, BeforeValidator(fields.duration_parser(timedelta(hours=1), "of at least 1h", "12h or 3d"))
]
MaxChat = Annotated[str, AfterValidator(_check_max_chat), BeforeValidator(_chat_as_text)]
Name = Annotated[str, AfterValidator(_check_name)]
Password = Annotated[SecretStr, AfterValidator(_check_printable)]
Quiet = Annotated[str, AfterValidator(_check_quiet)]
TelegramChat = Annotated[str, AfterValidator(_check_telegram_chat), BeforeValidator(_chat_as_text)]
TelegramToken = Annotated[SecretStr, AfterValidator(_check_telegram_token)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_check_webhook_secret)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_check_webhook_url)]
When = Annotated[str, AfterValidator(_check_when)]
