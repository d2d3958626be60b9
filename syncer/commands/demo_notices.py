"""The notices of the demo: what its rule would send, or sends if there is a receiver."""

from __future__ import annotations

import base64
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from syncer.config.hosts import is_loopback
from syncer.config.settings import describe_errors
from syncer.errors import ConfigurationError
from syncer.notices.messages import render
from syncer.notices.notify_entries import WebhookEntry
from syncer.notices.preview import read_span
from syncer.notices.rules import DEFAULT_EVENTS, NUMBER_EVENTS, Channel, NotifyFile, Rule, WebhookChannel
from syncer.store.engine import autocommit_connection
from syncer.store.queries.notice_list import read_attempts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.store.engine import Engine
    from syncer.store.queries.notice_list import Attempted

_NAME: Final = "demo"
_SECRET_BYTES: Final = 24
_INTERVAL: Final = timedelta(seconds=10)
RULE: Final = Rule(
    name=_NAME,
    channels=(_NAME,),
    events=DEFAULT_EVENTS.intersection(NUMBER_EVENTS),
    accounts=None,
    types=None,
    every=_INTERVAL,
    cron=None,
    quiet=None,
    max_age=timedelta(hours=24),
    even_if_nothing=False,
)
"""The events of a rule that names none, as far as they are of numbers, and at most one message in ten seconds."""
_WITHOUT_RECEIVER: Final = Channel(name=_NAME, language="en", numbers="full", names=True)


class DemoNotices:
    """Says what the rule would have sent, or what became of its messages.

    Args:
        receiver: Where messages are sent; None if nothing is sent.
        after_run_id: Changes up to this run are not news; 0 if the first poll, which lists all numbers, is yet to come.
    """

    def __init__(self, receiver: WebhookChannel | None, after_run_id: int) -> None:
        self._receiver = receiver
        self._after_run_id = after_run_id
        self._said_at = datetime.now(UTC)
        self._said: set[Attempted] = set()

    async def lines(self, engine: Engine, newest_run_id: int) -> AsyncIterator[str]:
        """Yields a line for each message that is new, or has been sent or failed, since the last call.

        Raises:
            DatabaseError: PostgreSQL refused.
        """
        async with autocommit_connection(engine) as connection, connection.transaction(isolation="repeatable_read"):
            if self._receiver is None:
                if line := await self._would_have_sent(connection, newest_run_id):
                    yield line
                return
            for one in await read_attempts(connection):
                if one in self._said:
                    continue
                self._said.add(one)
                subject = await self._subject(connection, one.account_id, (one.after_run_id, one.through_run_id))
                what = "sent" if one.outcome == "sent" else f"not sent, {one.error}"
                yield f"{what}: {subject}"

    async def _would_have_sent(self, connection: asyncpg.Connection[Any], newest_run_id: int) -> str | None:
        after, now = self._after_run_id, datetime.now(UTC)
        if after in {0, newest_run_id}:
            self._after_run_id = newest_run_id
            return None
        if now - self._said_at < _INTERVAL:
            return None
        self._after_run_id = newest_run_id
        account_id = await connection.fetchval("select account_id from syncer.account")
        subject = await self._subject(connection, account_id, (after, newest_run_id))
        if subject is None:
            return None
        self._said_at = now
        return f"would have sent: {subject}"

    async def _subject(self, connection: asyncpg.Connection[Any], account_id: int, runs: tuple[int, int]) -> str | None:
        notice = await read_span(connection, RULE, account_id, runs, datetime.now(UTC))
        return None if notice is None else render(notice, self._receiver or _WITHOUT_RECEIVER).subject


def create_receiver(url: str) -> WebhookChannel:
    """Returns the channel of `--notify-to`, with a new secret.

    Raises:
        ConfigurationError: The address cannot be one; it is not repeated, since it may contain a token.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ConfigurationError("--notify-to: plain http is for a receiver on this machine only; use https://")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    values = {"name": _NAME, "kind": "webhook", "url": url, "secret": secret}
    try:
        entry = WebhookEntry.model_validate(values, context={"allow_http": True, "channels": None, "accounts": None})
    except ValidationError as error:
        raise ConfigurationError(
            *[f"--notify-to {problem.removeprefix('url ')}" for problem in describe_errors(error)]
        ) from None
    return entry.channel("en")


def notify_file_for(receiver: WebhookChannel | None) -> NotifyFile | None:
    """Returns what the daemon follows: the rule, if there is a receiver."""
    return None if receiver is None else NotifyFile({_NAME: receiver}, {_NAME: RULE})


def describe_receiver(receiver: WebhookChannel) -> str:
    """Says where messages are sent and how to verify them, with the secret."""
    host = urlsplit(receiver.url.get_secret_value()).netloc.rpartition("@")[2]
    (secret,) = receiver.secrets
    return (
        f"Notices are sent to {host}, signed as Standard Webhooks 1.0 says. To verify them, the receiver needs this "
        f"secret, which is of this demo alone: {secret.get_secret_value()}"
    )
