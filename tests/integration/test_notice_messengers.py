"""Notices to chats of Telegram and MAX: what their servers get, and what becomes of a message when they misbehave."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import pytest
import trustme
from pydantic import SecretStr

from syncer.errors import NoticeError
from syncer.notice import Attempt, Message
from syncer.notices.rules import MessengerChannel, NotifyFile
from syncer.notices.senders import open_senders
from tests.scripted_receiver import Receiver, close, drip, flood, hang, respond, respond_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.scripted_receiver import Responder

Kind = Literal["telegram", "max"]

TOKEN = "7201234567:AAE-t0ken_that_nobody_may_see"
PROXY_PASSWORD = "passw0rd-of-the-proxy"
MESSAGE = Message(
    message_id=UUID("6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001"),
    created_at=datetime(2026, 11, 29, 7, 5, tzinfo=UTC),
    subject="Главный офис: заблокированы 2 номера",
    text="Заблокированы между 09:55 и 10:00:\n*<b>…5433</b>_",
    body=b"{}",
)
SENT = Attempt(outcome="sent", http_status=200)
CHAT_NOT_FOUND = {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}
BOTH = pytest.mark.parametrize("kind", ["telegram", "max"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def receiver_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def chat(kind: Kind, url: str, **given: Any) -> MessengerChannel:
    values: dict[str, Any] = {
        "name": "chat",
        "language": "ru",
        "numbers": "last4",
        "names": False,
        "kind": kind,
        "token": SecretStr(TOKEN),
        "chat": "-100123",
        "api_url": url,
        "proxy": None,
        "ca_file": None,
    }
    return MessengerChannel(**values | given)


async def send(
    kind: Kind, url: str, message: Message = MESSAGE, *, timeout_seconds: float = 10, **given: Any
) -> Attempt:
    file = NotifyFile({"chat": chat(kind, url, **given)}, {})
    async with open_senders(file, timeout_seconds=timeout_seconds) as senders:
        attempt = await senders["chat"].send(message)
    assert "t0ken" not in str(attempt)
    assert PROXY_PASSWORD not in str(attempt)
    return attempt


async def check(kind: Kind, url: str, **given: Any) -> str:
    async with open_senders(NotifyFile({"chat": chat(kind, url, **given)}, {}), timeout_seconds=10) as senders:
        return await senders["chat"].check()


async def check_error(kind: Kind, url: str, **given: Any) -> str:
    with pytest.raises(NoticeError) as caught:
        await check(kind, url, **given)
    assert "t0ken" not in str(caught.value)
    return str(caught.value)


async def text_received(kind: Kind, message: Message, **given: Any) -> str:
    async with Receiver(respond()) as receiver:
        assert await send(kind, receiver.url, message, **given) == SENT
    return str(receiver.requests[0].json["text"])


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


async def test_telegram_gets_plain_text_without_previews() -> None:
    async with Receiver(respond_json("200 OK", {"ok": True, "result": {}})) as receiver:
        assert await send("telegram", receiver.url) == SENT
    (request,) = receiver.requests
    assert request.line == f"POST /bot{TOKEN}/sendMessage HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "chat_id": "-100123",
        "text": "Главный офис: заблокированы 2 номера\n\nЗаблокированы между 09:55 и 10:00:\n*<b>…5433</b>_",
        "link_preview_options": {"is_disabled": True},
    }


async def test_max_gets_the_token_in_a_header() -> None:
    async with Receiver(respond_json("200 OK", {"message": {}})) as receiver:
        assert await send("max", receiver.url) == SENT
    (request,) = receiver.requests
    assert request.line == "POST /messages?chat_id=-100123 HTTP/1.1"
    assert (request.headers["authorization"], request.headers["content-type"]) == (TOKEN, "application/json")
    assert request.json == {
        "text": "Главный офис: заблокированы 2 номера\n\nЗаблокированы между 09:55 и 10:00:\n*<b>…5433</b>_",
    }


@BOTH
@pytest.mark.parametrize(
    ("language", "beginning"),
    [("ru", "(возможно, повтор) Главный"), ("en", "(may be a repetition) Главный")],
)
async def test_a_possible_repetition_says_so(kind: Kind, language: str, beginning: str) -> None:
    text = await text_received(kind, replace(MESSAGE, may_repeat=True), language=language)
    assert text.startswith(beginning)


@pytest.mark.parametrize(("kind", "max_units"), [("telegram", 4096), ("max", 4000)])
async def test_a_long_message_is_cut_after_a_line(kind: Kind, max_units: int) -> None:
    lines = [f"79208547{number:03} 🔒" for number in range(1000)]
    text = await text_received(kind, replace(MESSAGE, text="\n".join(lines)))
    subject, empty, *kept, last = text.split("\n")
    assert (subject, empty, last) == (MESSAGE.subject, "", "…")
    assert kept == lines[: len(kept)]
    assert max_units - utf16_units(f"\n{lines[0]}") < utf16_units(text) <= max_units


@pytest.mark.parametrize(("kind", "max_units"), [("telegram", 4096), ("max", 4000)])
@pytest.mark.parametrize("subject", ["", "two", "four", "🔒" * 100_000])
async def test_a_message_of_one_long_line_is_cut_between_characters(kind: Kind, max_units: int, subject: str) -> None:
    text = await text_received(kind, replace(MESSAGE, subject=subject, text="🔒" * 100_000))
    assert set(text.removeprefix(f"{subject}\n\n")) == {"🔒", "…"}
    assert text.endswith("🔒…")
    assert max_units - 3 <= utf16_units(text) <= max_units


@pytest.mark.parametrize(("kind", "max_units"), [("telegram", 4096), ("max", 4000)])
async def test_a_message_that_just_fits_is_whole(kind: Kind, max_units: int) -> None:
    text = "x" * (max_units - utf16_units(MESSAGE.subject) - 2)
    assert await text_received(kind, replace(MESSAGE, text=text)) == f"{MESSAGE.subject}\n\n{text}"


@BOTH
async def test_vendor_text_commands_no_terminal(kind: Kind) -> None:
    text = await text_received(kind, replace(MESSAGE, subject="a\x1b[2J", text="b\r\nc\u202ed\ud800"))
    assert text == "a\\u001b[2J\n\nb\nc\\u202ed\\ud800"


@pytest.mark.parametrize(
    ("kind", "status", "content", "advice"),
    [
        (
            "telegram",
            "401 Unauthorized",
            {"ok": False, "error_code": 401, "description": "Unauthorized"},
            "the bot's token is not valid: put the one from @BotFather into the channel",
        ),
        (
            "telegram",
            "404 Not Found",
            {"ok": False, "error_code": 404, "description": "Not Found"},
            "the bot's token is not valid: put the one from @BotFather into the channel",
        ),
        (
            "telegram",
            "403 Forbidden",
            {"ok": False, "error_code": 403, "description": "Forbidden: bot was kicked from the group chat"},
            "the bot may not write to the chat: add it to the group, or write to it first and unblock it",
        ),
        (
            "telegram",
            "400 Bad Request",
            CHAT_NOT_FOUND,
            "check `chat`, and add the bot to the group, or write to it first",
        ),
        (
            "telegram",
            "400 Bad Request",
            {"description": "Bad Request: group chat was upgraded to a supergroup chat"},
            "the group has another id now: put that one into `chat`",
        ),
        (
            "telegram",
            "400 Bad Request",
            {"description": "Bad Request: have no rights to send a message"},
            "let the bot write in the group",
        ),
        (
            "max",
            "401 Unauthorized",
            {"code": "verify.token", "message": "Invalid access_token"},
            "the bot's token is not valid: put the one from business.max.ru into the channel",
        ),
        (
            "max",
            "403 Forbidden",
            {"code": "chat.denied", "message": "chat.denied"},
            "check `chat`, and that the bot is in it and may write",
        ),
        (
            "max",
            "404 Not Found",
            {"code": "chat.not.found", "message": "Chat not found"},
            "check `chat`, and that the bot is in it and may write",
        ),
    ],
)
async def test_what_only_a_person_can_change_is_tried_again_in_an_hour(
    kind: Kind, status: str, content: dict[str, Any], advice: str
) -> None:
    async with Receiver(respond_json(status, content)) as receiver:
        attempt = await send(kind, receiver.url)
    said = content.get("description", content.get("message"))
    assert attempt == Attempt(
        outcome="failed",
        http_status=int(status[:3]),
        error=f'{receiver.host} answered {status[:3]} and said "{said}": {advice}',
        retry_after=timedelta(hours=1),
    )


@BOTH
async def test_another_refusal_is_tried_again_as_any_failure(kind: Kind) -> None:
    answer = respond_json("400 Bad Request", {"description": "Bad Request: something new"})
    async with Receiver(answer) as receiver:
        assert await send(kind, receiver.url) == Attempt(
            outcome="failed",
            http_status=400,
            error=f'{receiver.host} answered 400 and said "Bad Request: something new"',
        )


@pytest.mark.parametrize(
    ("parameters", "header", "seconds"),
    [
        ({"retry_after": 7}, "", 7),
        ({"retry_after": 7}, "9", 7),
        ({"retry_after": 10**30}, "", 3600),
        ({"retry_after": -1}, "", None),
        ({"retry_after": True}, "", None),
        ({"retry_after": "7"}, "", None),
        ([], "9", 9),
        (None, "", None),
    ],
)
async def test_telegram_can_ask_to_wait_for_an_hour_at_most(parameters: Any, header: str, seconds: int | None) -> None:
    content = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": parameters}
    async with Receiver(respond_json("429 Too Many Requests", content, Retry_After=header)) as receiver:
        attempt = await send("telegram", receiver.url)
    wait = None if seconds is None else timedelta(seconds=seconds)
    assert (attempt.outcome, attempt.retry_after) == ("failed", wait)


async def test_max_can_ask_to_wait_by_a_header() -> None:
    async with Receiver(respond("429 Too Many Requests", Retry_After="7")) as receiver:
        assert (await send("max", receiver.url)).retry_after == timedelta(seconds=7)


@BOTH
@pytest.mark.parametrize(
    "responder",
    [
        respond("200 OK", b"<html>", Content_Type="text/html"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"),
    ],
    ids=["a page", "dripping body", "endless body"],
)
async def test_a_message_is_sent_once_the_status_is_a_success(kind: Kind, responder: Responder) -> None:
    async with Receiver(responder) as receiver:
        assert await send(kind, receiver.url, timeout_seconds=60) == SENT


@BOTH
async def test_a_message_may_have_arrived_without_an_answer(kind: Kind) -> None:
    async with Receiver(close, hang) as receiver:
        closed = await send(kind, receiver.url)
        hanging = await send(kind, receiver.url, timeout_seconds=1)
    assert closed == Attempt(
        outcome="failed", error=f"{receiver.host} closed the connection without an answer", is_uncertain=True
    )
    assert hanging == Attempt(outcome="failed", error=f"{receiver.host} did not answer within 1 s", is_uncertain=True)


@BOTH
async def test_a_redirect_is_not_followed(kind: Kind) -> None:
    async with Receiver(respond()) as target:
        async with Receiver(respond("302 Found", Location=target.url)) as receiver:
            attempt = await send(kind, receiver.url)
        assert target.connections == 0
    assert (attempt.outcome, attempt.http_status) == ("failed", 302)


@BOTH
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error"])
async def test_an_error_does_not_repeat_the_token(kind: Kind, status: str) -> None:
    answer = respond_json(status, {"description": f"no bot {TOKEN} or bot{TOKEN} or {TOKEN[11:]} is known"})
    async with Receiver(answer) as receiver:
        assert (await send(kind, receiver.url)).outcome == "failed"
        assert (await check_error(kind, receiver.url)).startswith(f"{receiver.host} answered {status[:3]}")


async def test_messages_to_one_chat_of_telegram_are_a_second_apart() -> None:
    async with Receiver(respond()) as receiver:
        channels = {name: replace(chat("telegram", receiver.url), name=name) for name in ("one", "two")}
        async with open_senders(NotifyFile(channels, {})) as senders:
            attempts = await asyncio.gather(senders["one"].send(MESSAGE), senders["two"].send(MESSAGE))
    assert list(attempts) == [SENT, SENT]
    first, second = (request.time for request in receiver.requests)
    assert second - first > 0.5


async def test_the_wait_for_the_pace_does_not_count_against_the_timeout() -> None:
    async with Receiver(respond()) as receiver:
        file = NotifyFile({"chat": chat("max", receiver.url)}, {})
        async with open_senders(file, timeout_seconds=1.2) as senders:
            attempts = await asyncio.gather(*(senders["chat"].send(MESSAGE) for _ in range(4)))
    assert attempts == [SENT] * 4
    first, *_, last = (request.time for request in receiver.requests)
    assert last - first > 1.2


@BOTH
async def test_a_proxy_can_be_used(kind: Kind) -> None:
    async with Receiver(respond()) as proxy:
        address = SecretStr(proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@"))
        assert await send(kind, "http://chat.example", proxy=address) == SENT
    (request,) = proxy.requests
    assert request.line.startswith("POST http://chat.example/")
    encoded = base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()
    assert request.headers["proxy-authorization"] == f"Basic {encoded}"


@BOTH
async def test_through_a_proxy_only_the_messenger_sees_the_token(
    kind: Kind, receiver_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with Receiver(respond(), tls=receiver_tls) as receiver:
        seen = bytearray()
        async with tunnel_to(receiver, seen) as proxy:
            assert await send(kind, receiver.url, proxy=SecretStr(proxy), ca_file=ca_file) == SENT
    assert len(receiver.requests) == 1
    assert seen.startswith(f"CONNECT {receiver.host} HTTP/1.1\r\n".encode())
    assert TOKEN.encode() not in seen


@asynccontextmanager
async def tunnel_to(receiver: Receiver, seen: bytearray) -> AsyncIterator[str]:
    """Runs a proxy that connects to a receiver, and keeps what it got from its client."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
        while data := await reader.read(2**16):
            seen += data
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        host, port = receiver.host.split(":")
        target_reader, target = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, target, seen), copy(target_reader, writer, bytearray()))
        done.set()

    done = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await done.wait()


@BOTH
@pytest.mark.parametrize(
    ("responder", "error"),
    [
        (
            respond("407 Proxy Authentication Required"),
            "the proxy answered 407 instead of connecting: check its user name and password",
        ),
        (
            respond("502 Bad Gateway"),
            "the proxy answered 502 instead of connecting: check the channel's proxy",
        ),
        (close, "chat.example (through the proxy) closed the connection without an answer"),
    ],
    ids=["login refused", "no way", "closed"],
)
async def test_a_proxy_that_does_not_connect_is_a_certain_failure(kind: Kind, responder: Responder, error: str) -> None:
    async with Receiver(responder) as proxy:
        address = SecretStr(proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@"))
        attempt = await send(kind, "https://chat.example", proxy=address)
    assert attempt == Attempt(outcome="failed", error=error)


@BOTH
async def test_a_certificate_of_the_ca_file_is_trusted_and_no_other(
    kind: Kind, receiver_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with Receiver(respond(), tls=receiver_tls) as receiver:
        refused = await send(kind, receiver.url)
        assert receiver.requests == []
        assert await send(kind, receiver.url, ca_file=ca_file) == SENT
    assert "(unable to get local issuer certificate)" in str(refused.error)
    assert not refused.is_uncertain


@BOTH
async def test_a_ca_file_that_is_missing_is_named_and_can_come_later(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    async with Receiver(respond()) as receiver:
        channels = NotifyFile({"chat": chat(kind, receiver.url, ca_file=file)}, {})
        async with open_senders(channels) as senders:
            assert await senders["chat"].send(MESSAGE) == Attempt(
                outcome="failed",
                error=f"ca_file is '{file}', which cannot be read: it must be a PEM file of certificate authorities",
            )
            trustme.CA().cert_pem.write_to_path(str(file))
            assert await senders["chat"].send(MESSAGE) == SENT


async def test_a_check_of_telegram_asks_for_the_bot_and_the_chat() -> None:
    bot = respond_json("200 OK", {"ok": True, "result": {"id": 7, "username": "syncer_bot"}})
    group = respond_json("200 OK", {"ok": True, "result": {"id": -100123, "type": "supergroup", "title": "Duty"}})
    async with Receiver(bot, group) as receiver:
        assert await check("telegram", receiver.url) == "the bot @syncer_bot knows the chat, a supergroup"
    assert [request.line for request in receiver.requests] == [
        f"GET /bot{TOKEN}/getMe HTTP/1.1",
        f"GET /bot{TOKEN}/getChat?chat_id=-100123 HTTP/1.1",
    ]


async def test_a_check_of_telegram_says_what_is_wrong() -> None:
    bot = respond_json("200 OK", {"ok": True, "result": {"id": 7, "username": "syncer_bot"}})
    async with Receiver(bot, respond_json("400 Bad Request", CHAT_NOT_FOUND)) as receiver:
        assert await check_error("telegram", receiver.url) == (
            f'{receiver.host} answered 400 and said "Bad Request: chat not found": check `chat`, and add the bot to '
            "the group, or write to it first"
        )


async def test_a_check_of_max_asks_for_the_bot() -> None:
    async with Receiver(respond_json("200 OK", {"user_id": 7, "first_name": "Syncer", "is_bot": True})) as receiver:
        assert await check("max", receiver.url) == (
            "the bot Syncer is known; whether it may write to the chat is seen with the first message"
        )
    (request,) = receiver.requests
    assert (request.line, request.headers["authorization"]) == ("GET /me HTTP/1.1", TOKEN)


@BOTH
@pytest.mark.parametrize(
    "responder",
    [
        respond("200 OK", b"<html>"),
        respond("200 OK", b"[" * 60_000),
        respond("204 No Content"),
        flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{"),
    ],
    ids=["a page", "deep", "nothing", "endless"],
)
async def test_a_check_does_not_accept_another_server(kind: Kind, responder: Responder) -> None:
    async with Receiver(responder) as receiver:
        name = {"telegram": "Telegram", "max": "MAX"}[kind]
        assert await check_error(kind, receiver.url) == f"{receiver.url} does not answer as {name} does: check api_url"
