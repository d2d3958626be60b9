"""Sends notices to chats of Telegram and MAX, as plain text."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
from yarl import URL

from syncer.errors import NoticeError
from syncer.notice import Attempt
from syncer.notices.connections import NoAnswerError, create_tls_context
from syncer.notices.http import MAX_RETRY_AFTER
from syncer.notices.plain_text import clean_lines, cut_to_utf16
from syncer.notices.quoting import Quotes, secrets_of_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from syncer.notice import Message
    from syncer.notices.http import Answer, HttpClient
    from syncer.notices.pace import Pace
    from syncer.notices.rules import Language, MessengerChannel

_RETRY_WHEN_MISCONFIGURED: Final = timedelta(hours=1)
"""How long after an answer that only a person can change: the messenger limits those who try often."""
_TELEGRAM_ADVICE: Final = {
    "chat not found": "check `chat`, and add the bot to the group, or write to it first",
    "upgraded to a supergroup": "the group has another id now: put that one into `chat`",
    "rights to send": "let the bot write in the group",
}
"""What to do about the answers with the status 400 that a person can change."""
_MAY_BE_REPETITION: Final[Mapping[Language, str]] = {
    "ru": "(возможно, повтор) ",
    "en": "(may be a repetition) ",
}


def may_be_repetition(message: Message, language: Language) -> str:
    """Returns what a message begins with if it may have arrived before: messengers do not recognize a repetition."""
    return _MAY_BE_REPETITION[language] if message.may_repeat else ""


def message_text(message: Message, language: Language, max_units: int) -> str:
    """Returns a message as a messenger shows it: the subject, then the text."""
    text = f"{may_be_repetition(message, language)}{message.subject}\n\n{message.text}"
    return cut_to_utf16(clean_lines(text.rstrip()), max_units)


class _MessengerSender:
    """What the senders of both messengers have in common."""

    def __init__(self, channel: MessengerChannel, client: HttpClient, pace: Pace) -> None:
        self._channel = channel
        self._token = channel.token.get_secret_value()
        self._client = client
        self._pace = pace
        self._proxy = None if channel.proxy is None else URL(channel.proxy.get_secret_value())
        proxy_secrets = () if self._proxy is None else secrets_of_url(self._proxy)
        self._quotes = Quotes([self._token, *proxy_secrets])
        self._tls_context: ssl.SSLContext | None = None

    async def _request(
        self, url: URL, *, headers: Mapping[str, str] | None = None, content: Mapping[str, object] | None = None
    ) -> Answer:
        if self._tls_context is None:
            self._tls_context = create_tls_context(self._channel.ca_file)
        return await self._client.request(
            "GET" if content is None else "POST",
            url,
            headers={**(headers or {}), "Content-Type": "application/json"},
            body=None if content is None else msgspec.json.encode(content),
            tls_context=self._tls_context,
            proxy=self._proxy,
        )

    async def send(self, message: Message) -> Attempt:
        """Sends a message once, when the messenger's limits allow it."""
        await self._pace.wait()
        try:
            answer = await self._post(message)
        except NoAnswerError as error:
            return Attempt(outcome="failed", error=str(error), is_uncertain=error.is_uncertain)
        except NoticeError as error:
            return Attempt(outcome="failed", error=str(error))
        if answer.is_success:
            return Attempt(outcome="sent", http_status=answer.status)
        advice = self._advice(answer)
        return Attempt(
            outcome="failed",
            http_status=answer.status,
            error=self._describe(answer, advice, message),
            retry_after=self._retry_after(answer) if advice is None else _RETRY_WHEN_MISCONFIGURED,
            is_uncertain=answer.is_uncertain,
        )

    def _describe(self, answer: Answer, advice: str | None, message: Message | None = None) -> str:
        clause = self._quotes.clause(answer.explanation, message)
        return f"{answer.peer} answered {answer.status}{clause}" + (f": {advice}" if advice else "")

    async def _ask(self, url: URL, *, headers: Mapping[str, str] | None = None) -> Mapping[str, object]:
        answer = await self._request(url, headers=headers)
        if not answer.is_success:
            raise NoticeError(self._describe(answer, self._advice(answer)))
        return answer.json

    def _retry_after(self, answer: Answer) -> timedelta | None:
        return answer.retry_after

    async def _post(self, message: Message) -> Answer:
        raise NotImplementedError

    def _advice(self, answer: Answer) -> str | None:
        """Returns what a person has to do; None if the answer may change by itself."""
        raise NotImplementedError


class TelegramSender(_MessengerSender):
    """Sends messages to one chat of Telegram."""

    LIMITS: Final = ((1, 1.0), (5, 15.0))
    """One a second and 20 a minute; the latter in parts, so that none has to wait for most of a minute."""
    MAX_UNITS: Final = 4096

    def _method(self, name: str) -> URL:
        return URL(f"{self._channel.api_url}/bot{quote(self._token, safe=':')}/{name}", encoded=True)

    async def _post(self, message: Message) -> Answer:
        content = {
            "chat_id": self._channel.chat,
            "text": message_text(message, self._channel.language, self.MAX_UNITS),
            "link_preview_options": {"is_disabled": True},
        }
        return await self._request(self._method("sendMessage"), content=content)

    def _retry_after(self, answer: Answer) -> timedelta | None:
        parameters = answer.json.get("parameters")
        seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
        if answer.status != HTTPStatus.TOO_MANY_REQUESTS or type(seconds) is not int or seconds < 0:
            return answer.retry_after
        return timedelta(seconds=min(seconds, MAX_RETRY_AFTER.total_seconds()))

    def _advice(self, answer: Answer) -> str | None:
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}:
            return "the bot's token is not valid: put the one from @BotFather into the channel"
        if answer.status == HTTPStatus.FORBIDDEN:
            return "the bot may not write to the chat: add it to the group, or write to it first and unblock it"
        if answer.status == HTTPStatus.BAD_REQUEST:
            explanation = answer.explanation.lower()
            return next((advice for problem, advice in _TELEGRAM_ADVICE.items() if problem in explanation), None)
        return None

    async def check(self) -> str:
        """Asks who the bot is and whether it knows the chat."""
        bot = _object(await self._ask(self._method("getMe")), "result").get("username")
        url = self._method("getChat").with_query(chat_id=self._channel.chat)
        chat = _object(await self._ask(url), "result")
        if not isinstance(bot, str) or not chat:
            raise NoticeError(f"{self._channel.api_url} does not answer as Telegram does: check api_url")
        kind = chat.get("type")
        return f"the bot @{bot} knows the chat{f', a {kind}' if isinstance(kind, str) else ''}"


class MaxSender(_MessengerSender):
    """Sends messages to one chat of MAX."""

    LIMITS: Final = ((1, 0.5),)
    MAX_UNITS: Final = 4000
    """MAX says "characters" and not which; no text has more of them than UTF-16 code units."""

    async def _post(self, message: Message) -> Answer:
        url = URL(f"{self._channel.api_url}/messages").with_query(chat_id=self._channel.chat)
        content = {"text": message_text(message, self._channel.language, self.MAX_UNITS)}
        return await self._request(url, headers={"Authorization": self._token}, content=content)

    def _advice(self, answer: Answer) -> str | None:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return "the bot's token is not valid: put the one from business.max.ru into the channel"
        if answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            return "check `chat`, and that the bot is in it and may write"
        return None

    async def check(self) -> str:
        """Asks who the bot is."""
        bot = await self._ask(URL(f"{self._channel.api_url}/me"), headers={"Authorization": self._token})
        name = bot.get("username") or bot.get("first_name") or bot.get("name")
        if not isinstance(name, str):
            raise NoticeError(f"{self._channel.api_url} does not answer as MAX does: check api_url")
        return f"the bot {name} is known; whether it may write to the chat is seen with the first message"


def _object(content: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
