"""Makes the senders of the notify file's channels."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from syncer.errors import NoticeError
from syncer.notice import Attempt
from syncer.notices.http import HttpClient
from syncer.notices.messengers import MaxSender, TelegramSender
from syncer.notices.pace import Pace
from syncer.notices.quoting import error_line
from syncer.notices.rules import EmailChannel, MessengerChannel, WebhookChannel
from syncer.notices.webhook import WebhookSender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from syncer.notice import Message, Sender
    from syncer.notices.rules import AnyChannel, NotifyFile

SEND_TIMEOUT_SECONDS: Final = 30.0
"""How long an attempt may take, without the time in which it waits for its turn."""


@asynccontextmanager
async def open_senders(
    file: NotifyFile, *, timeout_seconds: float = SEND_TIMEOUT_SECONDS
) -> AsyncIterator[Mapping[str, Sender]]:
    """Makes a sender for each channel of the notify file, by the channel's name, and owns their connections."""
    async with HttpClient(timeout_seconds) as client:
        factory = _Factory(client)
        yield {name: _SafeSender(channel, factory) for name, channel in file.channels.items()}


class _Factory:
    """Makes senders; channels of the same chat share its pace."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._paces: dict[tuple[str, str], Pace] = {}

    def create(self, channel: AnyChannel) -> Sender:
        if isinstance(channel, WebhookChannel):
            return WebhookSender(channel, self._client)
        if isinstance(channel, MessengerChannel):
            kind = TelegramSender if channel.kind == "telegram" else MaxSender
            pace = self._paces.setdefault((channel.kind, channel.chat), Pace(*kind.LIMITS))
            return kind(channel, self._client, pace)
        # The libraries of these are imported only if they are used.
        if isinstance(channel, EmailChannel):
            from syncer.notices.email import EmailSender  # noqa: PLC0415 - imported only if it is used

            return EmailSender(channel, self._client.timeout_seconds)
        from syncer.notices.others import AppriseSender  # noqa: PLC0415 - imported only if it is used

        return AppriseSender(channel, self._client.timeout_seconds)


class _SafeSender:
    """A sender whose faults stay in its channel."""

    def __init__(self, channel: AnyChannel, factory: _Factory) -> None:
        self._channel = channel
        self._factory = factory
        self._sender: Sender | None = None

    async def send(self, message: Message) -> Attempt:
        """Sends a message once. Raises nothing but a cancellation."""
        try:
            attempt = await self._made().send(message)
        except NoticeError as error:
            attempt = Attempt(outcome="failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - a fault with one channel must not stop the others
            attempt = Attempt(outcome="failed", error=_fault(error), is_uncertain=True)
        return attempt if attempt.error is None else replace(attempt, error=error_line(attempt.error))

    async def check(self) -> str:
        """Verifies the channel as far as that is possible without a message."""
        try:
            return error_line(await self._made().check())
        except NoticeError as error:
            raise NoticeError(error_line(str(error))) from None
        except Exception as error:  # noqa: BLE001 - likewise
            raise NoticeError(_fault(error)) from None

    def _made(self) -> Sender:
        if self._sender is None:
            self._sender = self._factory.create(self._channel)
        return self._sender


def _fault(error: Exception) -> str:
    """Returns the message for an exception that nothing else describes; its own text may contain a secret."""
    return f"a fault of the program ({type(error).__name__}): please report it, with the kind of the channel"
