"""Sends notices as JSON to an HTTP endpoint, signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from yarl import URL

from syncer.errors import NoticeError
from syncer.notice import Attempt
from syncer.notices.connections import NoAnswerError, connection_failure, create_tls_context
from syncer.notices.quoting import Quotes, secrets_of_url

if TYPE_CHECKING:
    from syncer.notice import Message
    from syncer.notices.http import Answer, HttpClient
    from syncer.notices.rules import WebhookChannel


class WebhookSender:
    """Sends messages to one webhook."""

    def __init__(self, channel: WebhookChannel, client: HttpClient) -> None:
        self._url = URL(channel.url.get_secret_value())
        secrets = [secret.get_secret_value() for secret in channel.secrets]
        self._keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        self._client = client
        self._quotes = Quotes([*secrets_of_url(self._url), *secrets])
        self._tls_context = create_tls_context(None)

    async def send(self, message: Message) -> Attempt:
        """Sends a message once."""
        message_id, timestamp = f"msg_{message.message_id.hex}", str(int(time.time()))
        signed = f"{message_id}.{timestamp}.".encode() + message.body
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(key, signed) for key in self._keys),
        }
        try:
            answer = await self._client.request(
                "POST", self._url, headers=headers, body=message.body, tls_context=self._tls_context
            )
        except NoAnswerError as error:
            return Attempt(outcome="failed", error=str(error), is_uncertain=error.is_uncertain)
        if answer.is_success:
            return Attempt(outcome="sent", http_status=answer.status)
        return Attempt(
            outcome="refused" if answer.status == HTTPStatus.GONE else "failed",
            http_status=answer.status,
            error=self._describe(answer, message),
            retry_after=answer.retry_after,
            is_uncertain=answer.is_uncertain,
        )

    def _describe(self, answer: Answer, message: Message) -> str:
        found = f"{answer.peer} answered {answer.status}"
        if answer.status == HTTPStatus.GONE:
            return f"{found}, so it accepts no more messages: remove the channel, or give it another address"
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            return f"{found}, a redirect, which is not followed: check the channel's address"
        return found + self._quotes.clause(answer.explanation, message)

    async def check(self) -> str:
        """Connects to the receiver and sends it nothing."""
        peer = self._url.host_port_subcomponent or ""
        context = self._tls_context if self._url.scheme == "https" else None
        try:
            async with asyncio.timeout(self._client.timeout_seconds):
                _, writer = await asyncio.open_connection(self._url.raw_host, self._url.port, ssl=context)
        except (OSError, UnicodeError) as error:
            raise NoticeError(connection_failure(error, peer)) from None
        tls = writer.get_extra_info("ssl_object")
        version = None if tls is None else tls.version()
        writer.transport.abort()
        return f"{peer} accepts connections, {'without TLS' if version is None else f'with {version}'}"


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
