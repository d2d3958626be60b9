"""Notices to a webhook: what a receiver gets, and what becomes of a message when the receiver misbehaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import trustme
from pydantic import SecretStr
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from syncer import __version__
from syncer.errors import NoticeError
from syncer.notice import Attempt, Message
from syncer.notices.rules import NotifyFile, WebhookChannel
from syncer.notices.senders import open_senders
from tests.scripted_receiver import Receiver, close, drip, flood, hang, respond, respond_json, send_bytes

if TYPE_CHECKING:
    from tests.scripted_receiver import Responder

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT_SECRET = "whsec_bm90IHRoZSBzYW1lIHNlY3JldCBhcyBiZWZvcmU="
MESSAGE = Message(
    message_id=UUID("6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001"),
    created_at=datetime(2026, 11, 29, 7, 5, tzinfo=UTC),
    subject="Главный офис: заблокированы 2 номера",
    text="Заблокированы между 09:55 и 10:00:\n79208547433",
    body='{"data":{"account":"Главный офис","events":[{"number":"79208547433"}]},"type":"numbers.changed"}'.encode(),
)


def webhook(url: str, *secrets: str) -> WebhookChannel:
    given = tuple(SecretStr(secret) for secret in secrets or (SECRET,))
    return WebhookChannel(name="duty", language="ru", numbers="full", names=True, url=SecretStr(url), secrets=given)


async def send(url: str, *secrets: str, message: Message = MESSAGE, timeout_seconds: float = 10) -> Attempt:
    file = NotifyFile({"duty": webhook(url, *secrets)}, {})
    async with open_senders(file, timeout_seconds=timeout_seconds) as senders:
        return await senders["duty"].send(message)


async def check(url: str, *, timeout_seconds: float = 10) -> str:
    async with open_senders(NotifyFile({"duty": webhook(url)}, {}), timeout_seconds=timeout_seconds) as senders:
        return await senders["duty"].check()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Makes this process trust the tests' authority, as a machine does that has it in its store."""
    file = f"{tmp_path}/authority.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", file)


async def test_the_request_contains_the_body_as_it_is_and_the_headers_of_standard_webhooks() -> None:
    begin = int(time.time())
    async with Receiver(respond("204 No Content")) as receiver:
        assert await send(f"{receiver.url}/hooks/7") == Attempt(outcome="sent", http_status=204)
    (request,) = receiver.requests
    assert (request.line, request.body) == ("POST /hooks/7 HTTP/1.1", MESSAGE.body)
    assert begin <= int(request.headers.pop("webhook-timestamp")) <= time.time()
    assert request.headers.pop("webhook-signature").startswith("v1,")
    assert request.headers == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": str(len(MESSAGE.body)),
        "content-type": "application/json",
        "host": receiver.host,
        "user-agent": f"syncer/{__version__}",
        "webhook-id": "msg_6f1d2a608a524c5e9d1c0c3bb0f2a001",
    }


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
async def test_the_signatures_are_valid_for_each_of_two_secrets(secret: str) -> None:
    async with Receiver(respond()) as receiver:
        await send(receiver.url, SECRET, NEXT_SECRET)
    (request,) = receiver.requests
    assert Webhook(secret).verify(request.body, request.headers)["type"] == "numbers.changed"
    other = Webhook("whsec_YW5vdGhlciBzZWNyZXQgdGhhdCB3YXMgbm90IHVzZWQ=")
    with pytest.raises(WebhookVerificationError, match="No matching signature found"):
        other.verify(request.body, request.headers)


async def test_a_repetition_has_the_same_id_and_body() -> None:
    async with Receiver(respond("500 Internal Server Error"), respond()) as receiver:
        outcomes = [(await send(receiver.url)).outcome for _ in range(2)]
    assert outcomes == ["failed", "sent"]
    assert len({(request.headers["webhook-id"], request.body) for request in receiver.requests}) == 1


@pytest.mark.parametrize(
    "responder",
    [
        respond("200 OK", b"<html>It works!</html>", Content_Type="text/html"),
        respond("202 Accepted"),
        send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbroken"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"),
    ],
    ids=["a page", "accepted", "incomplete body", "dripping body", "endless body"],
)
async def test_a_message_is_sent_once_the_status_is_a_success_whatever_the_body_is(responder: Responder) -> None:
    async with Receiver(responder) as receiver, asyncio.timeout(3):
        attempt = await send(receiver.url)
    assert (attempt.outcome, attempt.error) == ("sent", None)


async def test_a_receiver_that_is_gone_refuses_for_good() -> None:
    async with Receiver(respond("410 Gone", b"no longer here")) as receiver:
        assert await send(receiver.url) == Attempt(
            outcome="refused",
            http_status=410,
            error=f"{receiver.host} answered 410, so it accepts no more messages: remove the channel, or give it "
            "another address",
        )


@pytest.mark.parametrize(
    ("responder", "seconds"),
    [
        (respond("429 Too Many Requests", Retry_After="7"), 7),
        (respond("503 Service Unavailable", Retry_After="7"), 7),
        (
            respond(
                "503 Service Unavailable",
                Date="Sun, 29 Nov 2026 07:00:00 GMT",
                Retry_After="Sun, 29 Nov 2026 07:02:00 GMT",
            ),
            120,
        ),
        (respond("429 Too Many Requests", Retry_After="86400"), 3600),
        (respond("429 Too Many Requests", Retry_After="9" * 1000), 3600),
        (respond("429 Too Many Requests", Retry_After="soon"), None),
        (respond("429 Too Many Requests"), None),
        (respond("500 Internal Server Error", Retry_After="7"), None),
    ],
    ids=["429", "503", "a date", "a day", "a thousand digits", "words", "nothing", "500"],
)
async def test_the_receiver_can_ask_to_wait_for_an_hour_at_most(responder: Responder, seconds: int | None) -> None:
    async with Receiver(responder) as receiver:
        attempt = await send(receiver.url)
    wait = None if seconds is None else timedelta(seconds=seconds)
    assert (attempt.outcome, attempt.retry_after) == ("failed", wait)


@pytest.mark.parametrize(("status", "is_uncertain"), [(500, False), (502, True), (503, False), (504, True)])
async def test_an_error_of_the_receiver_is_no_uncertainty_but_that_of_a_gateway_is(
    status: int, is_uncertain: bool
) -> None:
    async with Receiver(respond(f"{status} Error", b"try later")) as receiver:
        assert await send(receiver.url) == Attempt(
            outcome="failed",
            http_status=status,
            error=f'{receiver.host} answered {status} and said "try later"',
            is_uncertain=is_uncertain,
        )


async def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    async with Receiver(respond()) as target:
        async with Receiver(respond("307 Temporary Redirect", Location=f"{target.url}/elsewhere")) as receiver:
            attempt = await send(receiver.url)
        assert target.connections == 0
    assert attempt == Attempt(
        outcome="failed",
        http_status=307,
        error=f"{receiver.host} answered 307, a redirect, which is not followed: check the channel's address",
    )


@pytest.mark.parametrize(
    "responder", [hang, drip(b"HTTP/1.1 200 OK\r\nX-Header: ")], ids=["nothing at all", "dripping headers"]
)
async def test_a_receiver_that_does_not_answer_in_time_may_have_the_message(responder: Responder) -> None:
    async with Receiver(responder) as receiver:
        assert await send(receiver.url, timeout_seconds=1) == Attempt(
            outcome="failed", error=f"{receiver.host} did not answer within 1 s", is_uncertain=True
        )


async def test_a_receiver_that_closes_the_connection_may_have_the_message() -> None:
    async with Receiver(close) as receiver:
        assert await send(receiver.url) == Attempt(
            outcome="failed", error=f"{receiver.host} closed the connection without an answer", is_uncertain=True
        )


@pytest.mark.parametrize(
    "responder",
    [
        send_bytes(b"220 mail.example.org ESMTP\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nX-Header: "),
        send_bytes(b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000 + b"\r\n"),
        # aiohttp reports nothing of an answer whose body breaks the rules in the packet that its header is in.
        send_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n"),
    ],
    ids=["another protocol", "endless header", "too many headers", "broken chunks"],
)
async def test_an_answer_that_is_not_http_leaves_it_uncertain(responder: Responder) -> None:
    async with Receiver(responder) as receiver:
        assert await send(receiver.url) == Attempt(
            outcome="failed",
            error=f"what {receiver.host} answered is not HTTP: check the address and the port",
            is_uncertain=True,
        )


@pytest.mark.parametrize("begin", [drip, flood], ids=["dripping", "endless"])
async def test_an_error_is_quoted_from_a_body_that_does_not_end(begin: object) -> None:
    assert callable(begin)
    async with Receiver(begin(b"HTTP/1.1 410 Gone\r\nContent-Length: 1000000000000\r\n\r\n")) as receiver:
        tracemalloc.start()
        attempt = await send(receiver.url, timeout_seconds=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (attempt.outcome, attempt.http_status, attempt.is_uncertain) == ("refused", 410, False)
    assert peak < 4 * 2**20


async def test_a_connection_that_cannot_be_made_is_a_certain_failure() -> None:
    port = free_port()
    assert await send(f"http://127.0.0.1:{port}") == Attempt(
        outcome="failed",
        error=f"cannot connect to 127.0.0.1:{port} (Connection refused): check the address, the network and the "
        "firewall",
    )


async def test_a_name_that_cannot_be_resolved_is_a_certain_failure() -> None:
    attempt = await send("https://nowhere.invalid/hook")
    assert (attempt.outcome, attempt.is_uncertain) == ("failed", False)
    assert attempt.error is not None
    assert attempt.error.startswith("the name of nowhere.invalid cannot be resolved (")


async def test_a_host_that_is_not_a_valid_name_is_a_failure_of_this_channel_only() -> None:
    async with Receiver(respond()) as receiver:
        channels = {"wrong": webhook(f"https://{'a' * 70}.example/hook"), "duty": webhook(receiver.url)}
        async with open_senders(NotifyFile(channels, {})) as senders:
            wrong, right = await senders["wrong"].send(MESSAGE), await senders["duty"].send(MESSAGE)
    assert (wrong.outcome, right.outcome) == ("failed", "sent")


@pytest.mark.usefixtures("trusted")
async def test_a_message_is_sent_through_tls(authority: trustme.CA) -> None:
    async with Receiver(respond(), tls=server_tls(authority, "127.0.0.1")) as receiver:
        assert await send(receiver.url) == Attempt(outcome="sent", http_status=200)
        assert await check(receiver.url) == f"{receiver.host} accepts connections, with TLSv1.3"
        assert len(receiver.requests) == 1


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name_is_not_accepted(authority: trustme.CA) -> None:
    async with Receiver(respond(), tls=server_tls(authority, "other.example")) as receiver:
        attempt = await send(receiver.url)
        assert receiver.requests == []
    assert attempt == Attempt(
        outcome="failed",
        error=f"the TLS handshake with {receiver.host} failed (IP address mismatch, certificate is not valid for "
        "'127.0.0.1'): check the address, and that this machine, or ca_file where a channel has one, trusts the "
        "authority of its certificate",
    )


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(authority: trustme.CA) -> None:
    async with Receiver(respond(), tls=server_tls(authority, "127.0.0.1")) as receiver:
        attempt = await send(receiver.url)
        with pytest.raises(NoticeError, match="unable to get local issuer certificate"):
            await check(receiver.url)
        assert receiver.requests == []
    assert (attempt.outcome, attempt.is_uncertain) == ("failed", False)
    assert "(unable to get local issuer certificate)" in str(attempt.error)


@pytest.mark.parametrize(
    "answer",
    [
        "POST {path} by {user}:{password} is not allowed",
        "{request}",
        "token {token} is not known",
        "TOKEN {token_upper} IS NOT KNOWN",
        "cut in the middle, {token_start}",
        "no access for Basic {basic}",
        "number 7920 854-74-33 is wrong",
        'cannot store {{"account": "\\u0413\\u043b\\u0430\\u0432\\u043d\\u044b\\u0439 \\u043e\\u0444\\u0438\\u0441"}}',
    ],
)
async def test_an_error_repeats_neither_secrets_nor_the_message(answer: str) -> None:
    secrets = {"path": "/hooks/p4th-t0ken", "user": "duty-user", "password": "passw0rd-of-duty", "token": "q-t0ken-42"}
    text = answer.format(
        **secrets,
        request=MESSAGE.body.decode(),
        token_upper=secrets["token"].upper(),
        token_start=secrets["token"][:9],
        basic="ZHV0eS11c2VyOnBhc3N3MHJkLW9mLWR1dHk=",
    )
    async with Receiver(respond("400 Bad Request", text.encode())) as receiver:
        url = "http://{user}:{password}@{host}{path}?key={token}".format(**secrets, host=receiver.host)
        error = str((await send(url)).error)
    assert error.startswith(f"{receiver.host} answered 400")
    hidden = [*secrets.values(), "T0KEN-42", "q-t0ken", "ZHV0eS11", "Главный", "7920", "\\u0413"]
    assert [part for part in hidden if part in error] == []


async def test_the_text_of_an_error_is_one_short_line_that_commands_no_terminal() -> None:
    explanation = "wrong\r\n\x1b[2J\u202efield " + "x" * 1000
    async with Receiver(respond_json("422 Unprocessable", {"message": explanation})) as receiver:
        error = str((await send(receiver.url)).error)
    assert error == f'{receiver.host} answered 422 and said "wrong \ufffd[2J\ufffdfield {"x" * 82}…"'


async def test_a_check_connects_and_sends_nothing() -> None:
    async with Receiver(respond()) as receiver:
        assert await check(receiver.url) == f"{receiver.host} accepts connections, without TLS"
        assert (receiver.connections, receiver.requests) == (1, [])


async def test_a_check_says_why_the_receiver_cannot_be_reached() -> None:
    port = free_port()
    with pytest.raises(NoticeError) as caught:
        await check(f"http://127.0.0.1:{port}/secret-path")
    assert str(caught.value) == (
        f"cannot connect to 127.0.0.1:{port} (Connection refused): check the address, the network and the firewall"
    )


async def test_a_cancellation_ends_an_attempt() -> None:
    async with Receiver(hang) as receiver:
        attempt = asyncio.create_task(send(receiver.url))
        await receiver.requested.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
