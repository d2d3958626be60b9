"""The endpoint's client over real sockets: what it sends, which responses it accepts, and how it reports failures."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import ssl
import traceback
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import stamina
import trustme
from pydantic import SecretStr

from syncer import __version__
from syncer.config.accounts import Account
from syncer.config.settings import Settings
from syncer.endpoint.client import Response, Source
from syncer.endpoint.slots import LARGE_BODY_BYTES, MAX_LARGE_BODIES, BodySlot
from syncer.errors import (
    ConfigurationError,
    ForbiddenError,
    HttpStatusError,
    NetworkError,
    NotJsonError,
    PollError,
    RateLimitedError,
    ResponseTimeoutError,
    TlsError,
    TooLargeError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Responder = Callable[[asyncio.StreamWriter], Awaitable[None]]

TOKEN = "t0ken-that-nobody-may-see"
PASSWORD = "passw0rd-of-the-proxy"
FAR = "Mon, 01 Jan 999999999999999999999 00:00:00 GMT"
BODY = b'[{"id": 250, "number": "79208547433", "state": "active"}]'


class Endpoint:
    """A server that handles each request with its next responder, and all later ones with the last."""

    def __init__(self, *responders: Responder) -> None:
        self.responders = list(responders)
        self.requests: list[str] = []
        self.requested = asyncio.Event()
        self.url = ""

    @property
    def host(self) -> str:
        return self.url.split("//")[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                self.requested.set()
                await self.responders[min(len(self.requests), len(self.responders)) - 1](writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def run_endpoint(*responders: Responder, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    served = Endpoint(*responders)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(served.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    served.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def respond(status: str = "200 OK", body: bytes = BODY, **headers: str) -> Responder:
    """Makes a responder that sends a complete response; header names have `_` for `-`."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""]
    return send_bytes("\r\n".join(lines).encode() + body)


def send_bytes(data: bytes, *, then_close: bool = False) -> Responder:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then_close:
            await writer.drain()
            writer.close()
            raise ConnectionAbortedError

    return send


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"[")
        await writer.drain()
        await asyncio.sleep(0.01)


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    raise ConnectionAbortedError


def settings(**values: Any) -> Settings:
    return Settings.model_construct(**{"api_timeout": timedelta(seconds=10), **values})


def account(url: str, *, auth_scheme: str | None = None) -> Account:
    return Account(
        name="default",
        token=SecretStr(TOKEN),
        api_url=url,
        auth_scheme=auth_scheme,
        poll_interval=timedelta(minutes=5),
        poll_cron=None,
        time_zone=ZoneInfo("UTC"),
    )


async def fetch(url: str, *, deadline_seconds: float | None = None, **values: Any) -> Response:
    async with Source(settings(**values)) as source:
        return await source.fetch(account(url), deadline_seconds=deadline_seconds)


async def fetch_error(url: str, *, deadline_seconds: float | None = None, **values: Any) -> PollError:
    """Returns the error of a fetch, after checking that neither it nor any chained error contains a secret."""
    with pytest.raises(PollError) as caught:
        await fetch(url, deadline_seconds=deadline_seconds, **values)
    chain: list[BaseException] = [caught.value]
    for error in chain:
        chain.extend(linked for linked in (error.__cause__, error.__context__) if linked and linked not in chain)
    text = "".join(map(repr, chain)) + "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert TOKEN not in text
    assert PASSWORD not in text
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(autouse=True)
def retry_waits() -> Iterator[list[float]]:
    """Removes the delays between retries; tests that need them also use `real_retry_waits`."""
    seconds: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: seconds.append(details.wait_for)])
    stamina.set_testing(True, attempts=100, cap=True)
    yield seconds
    stamina.set_testing(False)
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.fixture
def real_retry_waits(retry_waits: list[float]) -> list[float]:
    stamina.set_testing(False)
    return retry_waits


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_the_request_has_the_headers_that_the_vendor_requires() -> None:
    async with run_endpoint(respond()) as served:
        assert await fetch(f"{served.url}/base") == Response(body=BODY, http_status=200, attempts=1)
    request, *headers = served.requests[0].strip().split("\r\n")
    assert request == "GET /base/numbers/virtual-number HTTP/1.1"
    assert dict(line.split(": ", 1) for line in headers) == {
        "Host": served.host,
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Authorization": TOKEN,
        "Content-Type": "application/json; charset=UTF-8",
        "User-Agent": f"syncer/{__version__}",
    }


async def test_the_scheme_precedes_the_token() -> None:
    async with run_endpoint(respond()) as served, Source(settings()) as source:
        await source.fetch(account(served.url, auth_scheme="Bearer"))
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in served.requests[0]


async def test_cookies_are_not_sent_back_and_the_connection_is_reused() -> None:
    async with run_endpoint(respond(Set_Cookie="session=1; Path=/")) as served, Source(settings()) as source:
        await source.fetch(account(served.url))
        await source.fetch(account(served.url))
    assert len(served.requests) == 2
    assert "cookie" not in served.requests[1].lower()


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("identity", BODY),
        ("gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY)[2:-4]),
    ],
    ids=["plain", "gzip", "gzip in two members", "deflate", "deflate without a header"],
)
async def test_the_body_is_decoded(encoding: str, encoded: bytes) -> None:
    async with run_endpoint(respond(body=encoded, Content_Encoding=encoding)) as served:
        assert (await fetch(served.url)).body == BODY


async def test_a_chunked_body_is_complete() -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    async with run_endpoint(send_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as served:
        assert (await fetch(served.url)).body == BODY


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>"])
async def test_the_body_is_returned_without_being_parsed(body: bytes) -> None:
    async with run_endpoint(respond(body=body, Content_Type="text/html")) as served:
        assert await fetch(served.url) == Response(body=body, http_status=200, attempts=1)


async def test_a_truncated_gzip_body_is_returned_as_the_truncated_array() -> None:
    async with run_endpoint(respond(body=gzip.compress(BODY, 0)[:-12], Content_Encoding="gzip")) as served:
        body = (await fetch(served.url)).body
    assert len(body) < len(BODY)
    assert BODY.startswith(body)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (
            "401 Unauthorized",
            UnauthorizedError,
            (
                "{} answered 401, so the token of SYNCER_API_TOKEN is not valid (generating a new token revokes the "
                "old one): generate a token in the Личный кабинет and put it in SYNCER_API_TOKEN"
            ),
        ),
        (
            "403 Forbidden",
            ForbiddenError,
            (
                "{} answered 403, most likely because this machine's IP address is not on the allow-list: add it to "
                "the list in the Личный кабинет, or use a proxy whose address is on it (SYNCER_API_PROXY)"
            ),
        ),
        (
            "404 Not Found",
            HttpStatusError,
            ("{} answered 404 instead of 200: check the address (SYNCER_API_URL, or api_url in the accounts file)"),
        ),
        (
            "204 No Content",
            HttpStatusError,
            ("{} answered 204 instead of 200: check the address (SYNCER_API_URL, or api_url in the accounts file)"),
        ),
        (
            "407 Proxy Authentication Required",
            HttpStatusError,
            "the proxy answered 407, so it rejected the user name or password: check SYNCER_API_PROXY",
        ),
    ],
)
async def test_a_client_error_is_explained_and_not_retried(status: str, kind: type[PollError], message: str) -> None:
    async with run_endpoint(respond(status, b"")) as served:
        error = await fetch_error(served.url)
    assert type(error) is kind
    assert message.format(served.host) == str(error)
    assert (error.http_status, error.response_bytes) == (int(status[:3]), None)
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("location", "shown_target"),
    [
        (f"https://user:{PASSWORD}@login.example/?token={TOKEN}", " to login.example"),
        ("/login", " to 127.0.0.1"),
        (f"https://{TOKEN.upper()}.example", ""),
        (f"https://{TOKEN[:3]}%{ord(TOKEN[3]):02x}{TOKEN[4:]}.example", ""),
        (f"https://{''.join(f'%{ord(character):02X}' for character in TOKEN)}.example/", ""),
        (f"https://{''.join(f'%25{ord(character):02X}' for character in TOKEN)}.example/", ""),
        ("https://79161234567.example/", ""),
        ("https://7-916-123-45-67.example/", ""),
        ("https://7.916.1234567.example/", ""),
        ("https://٧٩١٦١٢٣٤٥٦٧.example/", ""),
        ("https://192.168.100.200/login", " to 192.168.100.200"),
        ("http://[", ""),
    ],
)
async def test_a_redirect_is_not_followed_and_only_its_host_is_shown(location: str, shown_target: str) -> None:
    async with run_endpoint(respond("302 Found", Location=location), respond()) as served:
        error = await fetch_error(served.url)
    assert type(error) is HttpStatusError
    assert str(error) == (
        f"{served.host} answered 302, a redirect{shown_target}, which is not followed because it would send the token "
        "along: check the address (SYNCER_API_URL, or api_url in the accounts file)"
    )
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    "first",
    [
        respond("503 Service Unavailable"),
        respond("500 Internal Server Error"),
        respond("429 Too Many Requests"),
        respond("408 Request Timeout"),
        respond("425 Too Early"),
        send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[", then_close=True),
        reset,
        hang,
    ],
    ids=["503", "500", "429", "408", "425", "cut off", "reset", "hang"],
)
async def test_temporary_errors_are_retried(first: Responder) -> None:
    async with run_endpoint(first, respond()) as served:
        response = await fetch(served.url, api_timeout=timedelta(seconds=0.3))
    assert response == Response(body=BODY, http_status=200, attempts=2)


async def test_the_error_of_the_last_attempt_is_raised() -> None:
    async with run_endpoint(
        respond("500 Oops"), respond("502 Bad Gateway"), respond("503 Service Unavailable")
    ) as served:
        error = await fetch_error(served.url, api_attempts=3)
    assert type(error) is HttpStatusError
    assert error.http_status == 503
    assert str(error) == f"{served.host} answered 503, a server error: ask the vendor if this persists"
    assert len(served.requests) == 3


async def test_the_first_retry_is_delayed_by_half_a_second_to_one_and_a_half(
    real_retry_waits: list[float],
) -> None:
    async with run_endpoint(respond("503 Service Unavailable")) as served:
        await fetch_error(served.url, api_attempts=2)
    assert len(real_retry_waits) == 1
    assert 0.5 <= real_retry_waits[0] <= 1.5


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "1"},
        {"Retry_After": "Fri, 02 Jan 2026 10:00:01 GMT", "Date": "Fri, 02 Jan 2026 10:00:00 GMT"},
    ],
    ids=["seconds", "date"],
)
async def test_the_retry_waits_for_retry_after(headers: dict[str, str], real_retry_waits: list[float]) -> None:
    async with run_endpoint(respond("429 Too Many Requests", b"", **headers), respond()) as served:
        assert (await fetch(served.url)).attempts == 2
    assert real_retry_waits == [1.0]


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "-1", "1.5", "0", "nan", "inf", "1e9"),
        "Fri, 99 Jan 2026 10:00:01 GMT",
        "Mon, 01 Jan 999999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "Mon, 999999999999999999999 Jan 2026 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +999999999999999999999",
    ],
)
async def test_an_invalid_retry_after_is_ignored(text: str, retry_waits: list[float]) -> None:
    async with run_endpoint(respond("503 Service Unavailable", b"", Retry_After=text), respond()) as served:
        assert (await fetch(served.url)).attempts == 2
    assert retry_waits == [0.0]


async def test_a_date_to_retry_after_is_ignored_unless_the_endpoint_sends_the_date_of_its_own_clock(
    retry_waits: list[float],
) -> None:
    headers = {"Retry_After": "Fri, 02 Jan 2099 10:00:01 GMT"}
    async with run_endpoint(respond("503 Service Unavailable", b"", **headers), respond()) as served:
        assert (await fetch(served.url)).attempts == 2
    assert retry_waits == [0.0]


@pytest.mark.parametrize("date", ["", "soon", "Mon, 01 Jan 999999999999999999999 00:00:00 GMT"])
async def test_an_invalid_date_header_is_none_from_which_retry_after_could_be_counted(date: str) -> None:
    headers = {"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT", "Date": date}
    async with run_endpoint(respond("429 Too Many Requests", b"", **headers)) as served:
        error = await fetch_error(served.url, deadline_seconds=60)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after is None


@pytest.mark.parametrize("host", ["пример..рф", "a" * 64 + ".ru", "a" * 260, "xn--а.ru"])
async def test_a_host_name_that_cannot_be_encoded_is_an_error_in_plain_words(host: str) -> None:
    error = await fetch_error(f"http://{host}")
    assert type(error) is NetworkError
    assert str(error).startswith("the name of the endpoint's or the proxy's host is not valid (")
    assert str(error).endswith("): check SYNCER_API_URL, api_url in the accounts file and SYNCER_API_PROXY")


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (
            "429 Too Many Requests",
            RateLimitedError,
            ("{} answered 429, too many requests, and asks to wait 61 s: raise SYNCER_POLL_INTERVAL if this persists"),
        ),
        (
            "503 Service Unavailable",
            HttpStatusError,
            "{} answered 503, a server error, and asks to wait 61 s: ask the vendor if this persists",
        ),
    ],
)
async def test_a_retry_after_beyond_the_deadline_fails_immediately_and_is_in_the_message(
    status: str, kind: type[HttpStatusError], message: str
) -> None:
    async with run_endpoint(respond(status, b"", Retry_After="61")) as served:
        error = await fetch_error(served.url, deadline_seconds=60)
    assert type(error) is kind
    assert isinstance(error, HttpStatusError)
    assert message.format(served.host) == str(error)
    assert error.retry_after == 61.0
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("asked", "seconds", "clause"),
    [
        ({"Retry_After": "960"}, 960.0, "asks to wait 16 min"),
        ({"Retry_After": "86400"}, 86400.0, "asks to wait 24 h"),
        ({"Retry_After": "999999999"}, 999999999.0, "asks to wait 11574 days"),
        ({"Retry_After": "1000000000"}, 999999999.0, "asks to wait 11574 days"),
        ({"Retry_After": "9" * 5000}, 999999999.0, "asks to wait 11574 days"),
        (
            {"Retry_After": "Fri, 02 Jan 2026 10:16:00 GMT", "Date": "Fri, 02 Jan 2026 10:00:00 GMT"},
            960.0,
            "asks to wait 16 min",
        ),
        (
            {"Retry_After": "Fri, 02 Jan 2026 10:16:00 GMT"},
            None,
            "asks to wait until 2026-01-02 10:16:00 UTC, but not how long, since it sends no Date",
        ),
    ],
    ids=[
        "minutes",
        "hours",
        "days",
        "ten digits",
        "any number of digits",
        "date",
        "date without the time of the response",
    ],
)
async def test_the_wait_is_said_in_words_and_does_not_depend_on_this_machines_clock(
    asked: dict[str, str], seconds: float | None, clause: str
) -> None:
    async with run_endpoint(respond("503 Service Unavailable", b"", **asked)) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert str(error) == f"{served.host} answered 503, a server error, and {clause}: ask the vendor if this persists"
    assert error.retry_after == seconds


async def test_the_wait_that_a_proxy_asks_for_is_obeyed() -> None:
    busy = respond("503 Service Unavailable", b"", Retry_After="960", Connection="close")
    async with run_endpoint(busy) as proxy:
        error = await fetch_error("https://pbx.invalid", api_proxy=SecretStr(proxy.url), api_attempts=2)
    assert str(error) == (
        "the proxy answered 503 instead of connecting to pbx.invalid, and asks to wait 16 min: check SYNCER_API_PROXY"
    )
    assert error.retry_after == 960.0
    assert len(proxy.requests) == 1


async def test_the_deadline_defaults_to_the_poll_interval() -> None:
    async with run_endpoint(respond("429 Too Many Requests", b"", Retry_After="301")) as served:
        await fetch_error(served.url)
    assert len(served.requests) == 1


async def test_nothing_is_retried_after_the_deadline() -> None:
    async with run_endpoint(reset) as served:
        await fetch_error(served.url, deadline_seconds=0)
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (b"Content-Length: 1000\r\n\r\n[{}", 3),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\n[{}\r\n", 3),
        (b"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n", None),
    ],
    ids=["shorter than its length", "without its last chunk", "before its first byte"],
)
async def test_a_truncated_body_is_a_network_error_with_the_bytes_received(data: bytes, received: int | None) -> None:
    async with run_endpoint(send_bytes(b"HTTP/1.1 200 OK\r\n" + data, then_close=True)) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    counted = f", after {received} bytes" if received else ""
    assert str(error) == f"{served.host} closed the connection before the response was complete{counted}"
    assert (error.http_status, error.response_bytes) == (200, received)


async def test_a_connection_reset_before_the_response_is_a_network_error() -> None:
    async with run_endpoint(reset) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == f"{served.host} closed the connection before the response was complete"
    assert (error.http_status, error.response_bytes) == (None, None)


async def test_a_corrupt_gzip_body_is_a_network_error() -> None:
    body = bytearray(gzip.compress(BODY))
    body[-6] ^= 1  # the checksum
    async with run_endpoint(respond(body=bytes(body), Content_Encoding="gzip")) as served:
        error = await fetch_error(served.url, api_attempts=2)
    assert type(error) is NetworkError
    assert str(error) == f"{served.host} sent a body that does not match its Content-Encoding header"
    assert error.http_status == 200
    assert len(served.requests) == 2


async def test_a_response_that_is_not_http_is_a_network_error() -> None:
    async with run_endpoint(send_bytes(f"220 mail {TOKEN}\r\n\r\n".encode())) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == (
        f"the response of {served.host} is not HTTP, or has more bytes than its Content-Length: check the address "
        "(SYNCER_API_URL, or api_url in the accounts file)"
    )


async def test_a_refused_connection_is_a_network_error() -> None:
    async with run_endpoint(respond()) as served:
        pass
    error = await fetch_error(served.url, api_attempts=2)
    assert type(error) is NetworkError
    assert str(error) == (
        f"cannot connect to {served.host} (Connection refused): check the network, the firewall and SYNCER_API_PROXY"
    )


async def test_a_name_that_cannot_be_resolved_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_found(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", not_found)
    error = await fetch_error("https://pbx.invalid", api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == (
        "the name pbx.invalid cannot be resolved (Name or service not known): check the address (SYNCER_API_URL, or "
        "api_url in the accounts file) and this machine's DNS"
    )


@pytest.mark.parametrize("slow", [hang, drip], ids=["silence", "slow drip"])
async def test_a_request_that_takes_too_long_is_aborted(slow: Responder) -> None:
    async with run_endpoint(slow) as served:
        error = await fetch_error(served.url, api_timeout=timedelta(seconds=0.3), api_attempts=1)
    assert type(error) is ResponseTimeoutError
    received = error.response_bytes or 0
    assert (received > 0) is (slow is drip)
    assert str(error) == (
        f"the response of {served.host} was not complete after 0.3 s, with {received} bytes received: raise "
        "SYNCER_API_TIMEOUT if it is just slow"
    )
    assert error.http_status == (200 if slow is drip else None)


async def test_a_connect_timeout_is_a_network_error() -> None:
    # A listener whose backlog is full accepts no more connections.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        error = await fetch_error(f"http://{host}", api_timeout=timedelta(seconds=0.4), api_attempts=1)
        for client in waiting:
            client.close()
    assert type(error) is NetworkError
    assert str(error) == f"connecting to {host} timed out: check the network, the firewall and SYNCER_API_PROXY"


@pytest.mark.parametrize(
    "reply",
    [
        respond(body=bytes(1001)),
        send_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + bytes(1001) + b"\r\n0\r\n\r\n"),
        respond(body=gzip.compress(bytes(1001)), Content_Encoding="gzip"),
    ],
    ids=["by its length", "chunked", "gzip"],
)
async def test_a_body_above_the_limit_is_rejected_and_not_retried(reply: Responder) -> None:
    async with run_endpoint(reply) as served:
        assert len((await fetch(served.url, api_max_bytes=1001)).body) == 1001
        error = await fetch_error(served.url, api_max_bytes=1000)
    assert type(error) is TooLargeError
    assert str(error) == (
        f"{served.host} sent more than the 1000 bytes that SYNCER_API_MAX_BYTES allows: raise it if the list is "
        "really that long"
    )
    assert error.http_status == 200
    assert len(served.requests) == 2


async def test_a_content_length_above_the_limit_is_rejected_before_the_body_is_read() -> None:
    async with run_endpoint(send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")) as served:
        error = await fetch_error(served.url, api_max_bytes=1000)
    assert type(error) is TooLargeError
    assert (error.http_status, error.response_bytes) == (200, None)


async def test_a_gzip_bomb_uses_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(bytes(256 * 2**20), 9)
    async with run_endpoint(respond(body=bomb, Content_Encoding="gzip")) as served:
        tracemalloc.start()
        error = await fetch_error(served.url, api_max_bytes=4 * 2**20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert type(error) is TooLargeError
    assert peak < 10 * 2**20


LARGE = b"[" + b" " * LARGE_BODY_BYTES + b"]"


async def test_large_bodies_wait_for_a_free_slot_and_small_ones_do_not() -> None:
    async with (
        run_endpoint(respond(body=LARGE)) as large,
        run_endpoint(respond()) as small,
        Source(settings()) as source,
    ):
        body_slots = [BodySlot() for _ in range(MAX_LARGE_BODIES)]
        for body_slot in body_slots:
            await source.fetch(account(large.url), body_slot=body_slot)
        large.requested.clear()
        waiting = asyncio.create_task(source.fetch(account(large.url), body_slot=body_slots[0]))
        await large.requested.wait()
        for _ in range(50):
            assert (await source.fetch(account(small.url), body_slot=body_slots[0])).body == BODY
        assert not waiting.done()

        await body_slots[-1].aclose()
        assert (await waiting).body == LARGE


async def test_a_large_body_that_breaks_off_releases_its_slot_before_the_retry() -> None:
    cut = send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + LARGE, then_close=True)
    async with (
        run_endpoint(respond(body=LARGE)) as others,
        run_endpoint(cut, respond(body=LARGE)) as one,
        Source(settings()) as source,
        BodySlot() as body_slot,
    ):
        for _ in range(MAX_LARGE_BODIES - 1):
            await source.fetch(account(others.url), body_slot=body_slot)
        assert await source.fetch(account(one.url), body_slot=body_slot) == Response(
            body=LARGE, http_status=200, attempts=2
        )


async def held_slots(source: Source, url: str) -> list[BodySlot]:
    """Occupies all slots for large bodies."""
    body_slots = [BodySlot() for _ in range(MAX_LARGE_BODIES)]
    for body_slot in body_slots:
        await source.fetch(account(url), body_slot=body_slot)
    return body_slots


async def test_the_time_spent_waiting_for_a_slot_does_not_count_towards_the_timeout() -> None:
    async with (
        run_endpoint(respond(body=LARGE)) as others,
        run_endpoint(respond(body=LARGE)) as one,
        Source(settings(api_timeout=timedelta(seconds=0.5))) as source,
        BodySlot() as body_slot,
    ):
        held = await held_slots(source, others.url)
        waiting = asyncio.create_task(source.fetch(account(one.url), body_slot=body_slot))
        await one.requested.wait()
        assert await asyncio.wait({waiting}, timeout=1.5) == (set(), {waiting})

        await held[0].aclose()
        assert await waiting == Response(body=LARGE, http_status=200, attempts=1)
        assert len(one.requests) == 1
        assert 1.4 < body_slot.waited_seconds < 3


async def test_the_timeout_goes_on_after_a_slot_was_waited_for() -> None:
    stalled = send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + LARGE)
    async with (
        run_endpoint(respond(body=LARGE)) as others,
        run_endpoint(stalled) as one,
        Source(settings(api_timeout=timedelta(seconds=0.5), api_attempts=1)) as source,
    ):
        held = await held_slots(source, others.url)
        waiting = asyncio.create_task(source.fetch(account(one.url)))
        await one.requested.wait()
        await held[0].aclose()
        with pytest.raises(ResponseTimeoutError) as caught:
            await waiting
    assert caught.value.response_bytes == len(LARGE)


def give_up_when(dropped: asyncio.Event) -> Responder:
    """Makes a responder that sends a part of a large body, and gives up at the event."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + LARGE * 8)
        await dropped.wait()
        writer.transport.abort()
        raise ConnectionAbortedError

    return send


async def test_a_retry_waits_for_its_slot_before_the_request_if_the_server_gave_up_during_the_wait() -> None:
    dropped = asyncio.Event()
    async with (
        run_endpoint(respond(body=LARGE)) as others,
        run_endpoint(give_up_when(dropped), respond(body=LARGE)) as one,
        Source(settings(api_timeout=timedelta(seconds=1))) as source,
        BodySlot() as body_slot,
        BodySlot() as other_slot,
    ):
        held = await held_slots(source, others.url)
        waiting = asyncio.create_task(source.fetch(account(one.url), deadline_seconds=1, body_slot=body_slot))
        await one.requested.wait()
        assert await asyncio.wait({waiting}, timeout=1.5) == (set(), {waiting})
        others.requested.clear()
        other = asyncio.create_task(source.fetch(account(others.url), body_slot=other_slot))
        await others.requested.wait()
        dropped.set()
        await held[0].aclose()
        await other
        assert await asyncio.wait({waiting}, timeout=0.5) == (set(), {waiting})
        assert len(one.requests) == 1

        await other_slot.aclose()
        assert await waiting == Response(body=LARGE, http_status=200, attempts=2)
        assert len(one.requests) == 2


async def test_a_server_that_gives_up_during_the_wait_is_not_blamed() -> None:
    dropped = asyncio.Event()
    async with (
        run_endpoint(respond(body=LARGE)) as others,
        run_endpoint(give_up_when(dropped)) as one,
        Source(settings(api_attempts=1)) as source,
    ):
        held = await held_slots(source, others.url)
        waiting = asyncio.create_task(source.fetch(account(one.url)))
        await one.requested.wait()
        assert await asyncio.wait({waiting}, timeout=1.1) == (set(), {waiting})
        dropped.set()
        await held[0].aclose()
        with pytest.raises(NetworkError) as caught:
            await waiting
    assert str(caught.value) == (
        f"{one.host} closed the connection before the response was complete, after {caught.value.response_bytes} "
        "bytes, which this program kept waiting for 1 s to save memory"
    )


async def test_a_certificate_of_an_unknown_authority_is_rejected(authority: trustme.CA) -> None:
    async with run_endpoint(respond(), tls=server_tls(authority, "127.0.0.1")) as served:
        error = await fetch_error(served.url)
    assert type(error) is TlsError
    assert str(error) == (
        f"the TLS handshake with {served.host} failed (unable to get local issuer certificate): check the address, or "
        "name the certificate authority's file in SYNCER_API_CA_FILE"
    )
    assert served.requests == []


async def test_a_certificate_of_the_ca_file_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with run_endpoint(respond(), tls=server_tls(authority, "127.0.0.1")) as served:
        assert (await fetch(served.url, api_ca_file=tmp_path / "ca.pem")).body == BODY


async def test_a_certificate_for_another_name_is_rejected(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with run_endpoint(respond(), tls=server_tls(authority, "other.example")) as served:
        error = await fetch_error(served.url, api_ca_file=tmp_path / "ca.pem")
    assert type(error) is TlsError
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in str(error)


async def test_a_server_without_tls_is_a_tls_error() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await fetch_error(f"https://{host}")
    assert type(error) is TlsError
    assert str(error).startswith(f"the TLS handshake with {host} failed (")


@pytest.mark.parametrize(
    ("content", "problem"), [(b"no certificate", "contains no PEM certificate"), (None, "cannot be read")]
)
def test_a_ca_file_without_a_certificate_is_a_configuration_error(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Source(settings(api_ca_file=path))
    assert str(caught.value) == (
        f"SYNCER_API_CA_FILE is '{path}', which {problem}: it must be a PEM file of certificate authorities"
    )


async def test_proxies_that_the_environment_names_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with run_endpoint(respond()) as proxy, run_endpoint(respond()) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        assert (await fetch(server.url)).body == BODY
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


async def test_requests_go_to_the_proxy_instead_of_the_endpoint() -> None:
    async with run_endpoint(respond()) as proxy:
        secret = SecretStr(proxy.url.replace("//", f"//user:{PASSWORD}@"))
        assert (await fetch("http://pbx.invalid", api_proxy=secret)).body == BODY
    assert proxy.requests[0].startswith("GET http://pbx.invalid/numbers/virtual-number HTTP/1.1\r\n")
    credentials = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {credentials}\r\n" in proxy.requests[0]


async def test_a_proxy_that_rejects_the_request_is_reported_without_its_password() -> None:
    async with run_endpoint(respond("407 Proxy Authentication Required", b"", Connection="close")) as proxy:
        secret = SecretStr(proxy.url.replace("//", f"//user:{PASSWORD}@"))
        error = await fetch_error("https://pbx.invalid", api_proxy=secret, api_attempts=2)
    assert type(error) is HttpStatusError
    assert str(error) == "the proxy answered 407, so it rejected the user name or password: check SYNCER_API_PROXY"
    assert error.http_status == 407
    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith("CONNECT pbx.invalid:443 HTTP/1.1\r\n")
    assert TOKEN not in proxy.requests[0]


async def test_an_unreachable_proxy_is_reported_without_its_password() -> None:
    async with run_endpoint(respond()) as proxy:
        secret = SecretStr(proxy.url.replace("//", f"//user:{PASSWORD}@"))
    error = await fetch_error("http://pbx.invalid", api_proxy=secret, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == "cannot connect to the proxy (Connection refused): check SYNCER_API_PROXY"


async def test_a_cancelled_request_is_not_retried() -> None:
    async with run_endpoint(hang, respond()) as served, Source(settings()) as source:
        task = asyncio.create_task(source.fetch(account(served.url)))
        await served.requested.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(served.requests) == 1


async def test_the_delay_before_a_retry_can_be_cancelled(real_retry_waits: list[float]) -> None:
    waiting = asyncio.Event()
    stamina.instrumentation.set_on_retry_hooks([lambda _: waiting.set()])
    async with (
        run_endpoint(respond("503 Service Unavailable", b"", Retry_After="60")) as served,
        Source(settings()) as source,
    ):
        task = asyncio.create_task(source.fetch(account(served.url)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(served.requests) == 1
    assert real_retry_waits == []


async def test_the_failure_of_one_account_does_not_affect_another() -> None:
    async with (
        run_endpoint(respond("401 Nobody")) as one,
        run_endpoint(respond()) as other,
        Source(settings()) as source,
    ):
        first, second = await asyncio.gather(
            source.fetch(account(one.url)), source.fetch(account(other.url)), return_exceptions=True
        )
    assert type(first) is UnauthorizedError
    assert second == Response(body=BODY, http_status=200, attempts=1)


BETWEEN = "check the proxies between this machine and the endpoint, or ask the vendor if this persists"
ADDRESS = "check the address (SYNCER_API_URL, or api_url in the accounts file)"


@pytest.mark.parametrize("size", [9_000, 65_000])
async def test_headers_of_up_to_64_kib_are_taken(size: int) -> None:
    async with run_endpoint(respond(X_Policy="a" * size)) as served:
        assert (await fetch(served.url)).body == BODY


async def test_a_header_of_more_than_64_kib_is_said_to_be_too_long() -> None:
    async with run_endpoint(respond(X_Policy=TOKEN * 3000)) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == f"{served.host} sent a header of more than 64 KiB: {BETWEEN}"


@pytest.mark.parametrize("status", [408, 425])
async def test_a_status_that_asks_for_a_retry_is_called_temporary(status: int) -> None:
    async with run_endpoint(respond(f"{status} Later")) as served:
        error = await fetch_error(served.url, api_attempts=2)
    assert type(error) is HttpStatusError
    assert str(error) == f"{served.host} answered {status}, a temporary error: ask the vendor if this persists"
    assert len(served.requests) == 2


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_a_redirect_without_a_location_is_not_said_to_lead_anywhere(headers: dict[str, str]) -> None:
    async with run_endpoint(respond("302 Found", b"", **headers)) as served:
        error = await fetch_error(served.url)
    assert str(error) == f"{served.host} answered 302, a redirect that does not say where to: {ADDRESS}"


async def test_not_modified_is_not_called_a_redirect() -> None:
    async with run_endpoint(respond("304 Not Modified", b"")) as served:
        error = await fetch_error(served.url)
    assert type(error) is HttpStatusError
    assert str(error) == f"{served.host} answered 304, not modified, although the request had no condition: {BETWEEN}"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("br", "Content-Encoding br"),
        ("zstd", "Content-Encoding zstd"),
        ("x-gzip", "Content-Encoding x-gzip"),
        ("gzip, gzip", "Content-Encoding gzip, gzip"),
        (TOKEN, "an unknown Content-Encoding"),
    ],
)
async def test_an_encoding_that_was_not_asked_for_is_named(encoding: str, shown: str) -> None:
    async with run_endpoint(respond(body=gzip.compress(BODY), Content_Encoding=encoding)) as served:
        error = await fetch_error(served.url)
    assert type(error) is NotJsonError
    assert str(error) == (
        f"{served.host} sent a body with {shown}, which was not asked for and cannot be read (gzip and deflate can): "
        f"{BETWEEN}"
    )
    assert (error.http_status, len(served.requests)) == (200, 1)


@pytest.mark.parametrize(
    ("body", "headers", "encoding"),
    [
        (gzip.compress(BODY), {}, "gzip"),
        (gzip.compress(gzip.compress(BODY)), {"Content_Encoding": "gzip"}, "gzip"),
        (zlib.compress(BODY), {}, "deflate"),
        (zlib.compress(BODY, 9), {"Content_Encoding": "identity"}, "deflate"),
        (b"\x28\xb5\x2f\xfd\x04\x00", {}, "zstd"),
    ],
    ids=["gzip", "gzip in gzip", "deflate", "best deflate", "zstd"],
)
async def test_a_compressed_body_without_its_header_is_recognised(
    body: bytes, headers: dict[str, str], encoding: str
) -> None:
    async with run_endpoint(respond(body=body, **headers)) as served:
        error = await fetch_error(served.url)
    assert type(error) is NotJsonError
    assert str(error) == (
        f"{served.host} sent a body compressed with {encoding} without saying so in Content-Encoding: {BETWEEN}"
    )
    assert error.http_status == 200


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[{}\r\n"


async def break_later(writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    await writer.drain()
    await asyncio.sleep(0.1)  # so that it arrives after the header
    writer.write(f"{TOKEN}\r\n".encode())


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        (send_bytes(CHUNKED + f"{TOKEN}\r\n".encode()), "Invalid character in chunk size"),
        (break_later, "Invalid character in chunk size"),
        (send_bytes(CHUNKED.replace(b"[{}\r\n", b"[{}, {}]\r\n")), "Expected LF after chunk data"),
        (respond(Content_Length="many"), "Invalid character in Content-Length"),
        (respond(content_length="1"), "Duplicate Content-Length"),
        (
            respond(Transfer_Encoding="chunked"),
            "Transfer-Encoding can't be present with Content-Length",
        ),
    ],
    ids=["chunk size", "later chunk size", "chunk longer than its size", "length", "two lengths", "length of chunks"],
)
async def test_broken_framing_is_named_at_once(reply: Responder, rule: str) -> None:
    async with run_endpoint(reply) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == f"the response of {served.host} breaks the rules of HTTP ({rule}): {BETWEEN}"


async def test_a_body_longer_than_its_content_length_is_named() -> None:
    async with run_endpoint(respond(Content_Length="2")) as served:
        error = await fetch_error(served.url, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == (
        f"the response of {served.host} is not HTTP, or has more bytes than its Content-Length: {ADDRESS}"
    )


@asynccontextmanager
async def run_peer(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Runs a server that handles each connection with `serve`, and yields its host and port."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handle(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*tasks)


async def close_immediately(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    pass


async def close_after_reading(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(16)


async def stay_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def open_tunnel_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await close_after_reading(reader, writer)


async def answer_no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail\r\n\r\n")


@pytest.mark.parametrize("serve", [close_immediately, close_after_reading])
async def test_an_endpoint_that_closes_during_the_tls_handshake_is_named(serve: Any) -> None:
    async with run_peer(serve) as host:
        error = await fetch_error(f"https://{host}", api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == (
        f"{host} closed the connection during the TLS handshake: check the network, the firewall and SYNCER_API_PROXY"
    )


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
async def test_a_proxy_whose_name_cannot_be_resolved_is_named(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_found(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", not_found)
    secret = SecretStr(f"http://user:{PASSWORD}@proxy.invalid:3128")
    error = await fetch_error(endpoint, api_proxy=secret, api_attempts=1)
    assert type(error) is NetworkError
    assert str(error) == (
        "the proxy's name, proxy.invalid, cannot be resolved (Name or service not known): check SYNCER_API_PROXY and "
        "this machine's DNS"
    )


NETWORK = "check the network, the firewall and SYNCER_API_PROXY"


@pytest.mark.parametrize(
    ("serve", "proxy", "endpoint", "message"),
    [
        (stay_silent, "http", "https", "the proxy did not connect to 127.0.0.1:9 within 0.4 s: check SYNCER_API_PROXY"),
        (stay_silent, "https", "http", f"connecting to the proxy timed out: {NETWORK}"),
        (stay_silent, "https", "https", f"connecting to 127.0.0.1:9 through the proxy timed out: {NETWORK}"),
        (
            close_after_reading,
            "http",
            "https",
            "the proxy closed the connection instead of connecting to 127.0.0.1:9: check SYNCER_API_PROXY",
        ),
        (
            close_immediately,
            "http",
            "https",
            "the proxy closed the connection instead of connecting to 127.0.0.1:9: check SYNCER_API_PROXY",
        ),
        (
            close_after_reading,
            "http",
            "http",
            "127.0.0.1:9 (through the proxy) closed the connection before the response was complete",
        ),
        (
            close_after_reading,
            "https",
            "https",
            "the proxy closed the connection during the TLS handshake: check SYNCER_API_PROXY",
        ),
        (
            open_tunnel_and_close,
            "http",
            "https",
            f"127.0.0.1:9 (through the proxy) closed the connection during the TLS handshake: {NETWORK}",
        ),
        (answer_no_http, "http", "https", "the answer of the proxy is not HTTP: check SYNCER_API_PROXY"),
    ],
)
async def test_a_failing_proxy_is_told_from_the_endpoint(serve: Any, proxy: str, endpoint: str, message: str) -> None:
    async with run_peer(serve) as host:
        error = await fetch_error(
            f"{endpoint}://127.0.0.1:9",
            api_proxy=SecretStr(f"{proxy}://user:{PASSWORD}@{host}"),
            api_timeout=timedelta(seconds=0.4),
            api_attempts=1,
        )
    assert type(error) is NetworkError
    assert str(error) == message


async def test_an_untrusted_certificate_of_the_proxy_is_named(authority: trustme.CA) -> None:
    async with run_endpoint(respond(), tls=server_tls(authority, "127.0.0.1")) as proxy:
        error = await fetch_error("https://127.0.0.1:9", api_proxy=SecretStr(proxy.url))
    assert type(error) is TlsError
    assert str(error) == (
        "the TLS handshake with the proxy failed (unable to get local issuer certificate): check SYNCER_API_PROXY, or "
        "name the certificate authority's file in SYNCER_API_CA_FILE"
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (502, "127.0.0.1:9 (through the proxy) answered 502, a server error: ask the vendor if this persists"),
        (407, "the proxy answered 407, so it rejected the user name or password: check SYNCER_API_PROXY"),
    ],
)
async def test_a_status_that_may_come_from_the_proxy_says_so(status: int, message: str) -> None:
    async with run_endpoint(respond(f"{status} Failed", b"")) as proxy:
        error = await fetch_error("http://127.0.0.1:9", api_proxy=SecretStr(proxy.url), api_attempts=1)
    assert type(error) is HttpStatusError
    assert str(error) == message
