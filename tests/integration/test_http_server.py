"""The HTTP server and clients that make mistakes, take their time, or mean harm."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, cast

import pytest
from aiohttp import web_protocol
from aiohttp.http_parser import HttpRequestParserPy

from syncer.web import http_server
from syncer.web.http_server import HttpServer, RareLog, Response
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.web import BaseRequest

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
REQUEST = HEAD + b"\r\n"
LARGE = b"x" * 50_000_000
"""More than the kernel's buffers hold."""


async def answer(request: BaseRequest) -> Response:
    return Response(body=LARGE if request.path == "/large" else b"answered")


@asynccontextmanager
async def listening(handle: Callable[[BaseRequest], Awaitable[Response]] = answer) -> AsyncIterator[HttpServer]:
    async with HttpServer(handle, "127.0.0.1", 0) as server:
        yield server


class Peer:
    """A connection to a server, on which anything can be sent; `close_peers` closes it."""

    opened: ClassVar[list[Peer]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.opened.append(self)

    @classmethod
    async def connect(cls, server: HttpServer, sent: bytes = b"") -> Peer:
        peer = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        peer.writer.write(sent)
        return peer

    async def read(self) -> bytes:
        """Waits for a part of a response; empty after the server has closed the connection."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read(65536)
            except ConnectionResetError:
                return b""

    async def read_to_end(self) -> bytes:
        """Returns everything until the server closes the connection."""
        received = b""
        while part := await self.read():
            received += part
        return received


@pytest.fixture(autouse=True)
async def close_peers() -> AsyncIterator[None]:
    yield
    while Peer.opened:
        Peer.opened.pop().writer.close()


# Requests that are not HTTP

MALFORMED = {
    "a NUL byte in a header": HEAD + b"X: a\0b\r\n\r\n",
    "a NUL byte in the path": b"GET /li\0vez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS handshake": bytes.fromhex("16030100c8010000c40303") + b"\1" * 200,
    "a large header": HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "two thousand headers": HEAD + b"X: a\r\n" * 2000 + b"\r\n",
    "a long request line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a chunk without a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n\r\n",
    "a chunk longer than its size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n0\r\n\r\n",
    "an endless trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a length that is no number": HEAD + b"Content-Length: x\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method that is not ASCII": b"G\xffT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a port that does not exist": b"GET http://evil.example:99999/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half an IPv6 address": b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": HEAD + b"Host: evil.example\r\n\r\n",
    "a folded header": HEAD + b"X: a\r\n b\r\n\r\n",
    "a header without a colon": HEAD + b"nocolon\r\n\r\n",
    "lines that end with LF alone": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "an encoding that does not exist": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
}
ODD_BUT_VALID = {
    "a body that is not gzip": HEAD + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "an upgrade": HEAD + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    "an expectation": HEAD + b"Connection: close\r\nExpect: brew\r\n\r\n",
    "forty requests at once": REQUEST * 40 + HEAD + b"Connection: close\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_gets_400_without_a_version_and_leaves_nothing_in_the_log(
    request_: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listening() as server:
        reply = await (await Peer.connect(server, request_)).read_to_end()
        after = await (await Peer.connect(server, REQUEST)).read()
    head, _, body = reply.partition(b"\r\n\r\n")

    assert head.split(b"\r\n")[0].partition(b" ")[2] == b"400 Bad Request"
    assert body == b"This is not a valid HTTP request.\n"
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    for revealed in (b"Server:", b"aiohttp", b"Python"):
        assert revealed not in reply
    assert after.endswith(b"answered")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("request_", ODD_BUT_VALID.values(), ids=ODD_BUT_VALID)
async def test_an_odd_request_is_answered_and_leaves_nothing_in_the_log(
    request_: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listening() as server:
        reply = await (await Peer.connect(server, request_)).read_to_end()

    assert reply.count(b"HTTP/1.1 200 OK") == request_.count(b"GET /")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


async def test_a_fault_of_the_program_is_logged_and_answered_with_500(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(_: BaseRequest) -> Response:
        raise ZeroDivisionError

    async with listening(fail) as server:
        reply = await (await Peer.connect(server, REQUEST)).read()
    logged = capsys.readouterr().out

    assert reply.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert reply.endswith(b"\r\n\r\nInternal error: see the log.\n")
    assert ("http_request_crashed" in logged, "ZeroDivisionError" in logged) == (True, True)


async def test_a_fault_of_the_program_while_it_sends_a_response_is_logged_and_answered_with_500(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def forget(_: BaseRequest) -> Response:
        return cast("Response", None)

    async with listening(forget) as server:
        reply = await (await Peer.connect(server, REQUEST)).read()
    logged = capsys.readouterr().out

    assert reply.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert ("http_connection_crashed" in logged, "AttributeError" in logged) == (True, True)
    assert caplog.records == []  # aiohttp has logged nothing itself


async def test_a_body_that_breaks_the_rules_after_its_response_leaves_nothing_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # The parser of platforms for which aiohttp has none in C; the one in C ignores such a body.
    monkeypatch.setattr(web_protocol, "HttpRequestParser", HttpRequestParserPy)
    async with listening() as server:
        peer = await Peer.connect(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        reply = await peer.read()
        peer.writer.write(b"ZZZ\r\n\r\n")
        rest = await peer.read_to_end()

    assert (reply.startswith(b"HTTP/1.1 200 OK\r\n"), rest) == (True, b"")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# Clients that take their time


async def test_a_client_that_sends_its_request_too_slowly_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_TIMEOUT_SECONDS", 0.3)
    async with listening() as server:
        silent, half, dripping = [await Peer.connect(server, sent) for sent in (b"", HEAD, HEAD)]
        second = await Peer.connect(server, REQUEST)
        assert (await second.read()).endswith(b"answered")
        second.writer.write(HEAD)  # the second request on a connection counts too

        async def drip() -> None:
            while True:
                dripping.writer.write(b"X: a\r\n")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        replies = await asyncio.gather(*(peer.read_to_end() for peer in (silent, half, dripping, second)))
        task.cancel()

        assert replies == [b""] * 4
        assert server.connections_open == set()


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "IDLE_TIMEOUT_SECONDS", 0.2)
    async with listening() as server:
        peer = await Peer.connect(server, REQUEST)

        assert (await peer.read()).endswith(b"answered")
        assert await peer.read() == b""
        assert server.connections_open == set()


async def test_a_connection_that_is_used_stays_open_longer_than_each_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_TIMEOUT_SECONDS", "IDLE_TIMEOUT_SECONDS", "RESPONSE_TIMEOUT_SECONDS"):
        monkeypatch.setattr(http_server, name, 0.5)
    async with listening() as server:
        peer = await Peer.connect(server)
        for _ in range(4):
            await asyncio.sleep(0.25)
            peer.writer.write(REQUEST)
            assert (await peer.read()).endswith(b"answered")


async def test_a_client_that_does_not_read_its_response_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "RESPONSE_TIMEOUT_SECONDS", 0.3)
    async with listening() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as deaf:
            deaf.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await wait_until(lambda: server.requests_open == 1)
            await wait_until(lambda: server.connections_open == set())


async def test_a_client_that_never_sends_its_body_is_answered_and_does_not_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "IDLE_TIMEOUT_SECONDS", 0.2)
    async with listening() as server:
        peer = await Peer.connect(server, HEAD + b"Content-Length: 1000000000\r\n\r\n")

        assert (await peer.read()).endswith(b"answered")
        assert await peer.read() == b""


async def test_clients_that_do_not_read_do_not_delay_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    server = HttpServer(answer, "127.0.0.1", 0)
    await server.__aenter__()
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until(lambda: server.requests_open == 1)
        async with asyncio.timeout(5):
            await server.__aexit__()
        await wait_until(lambda: server.connections_open == set())

    assert caplog.records == []


# Too many connections


async def test_beyond_the_limit_the_connection_that_waited_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 3)
    async with listening() as server:
        peers = []
        for count in range(1, 6):
            peers.append(await Peer.connect(server, HEAD))
            await wait_until(lambda: len(server.connections_open) == min(count, 3))  # noqa: B023
        closed = [await peer.read() for peer in peers[:2]]
        for peer in peers[2:]:
            peer.writer.write(b"\r\n")
        replies = [await peer.read() for peer in peers[2:]]
    logged = capsys.readouterr().out

    assert closed == [b"", b""]
    assert all(reply.endswith(b"answered") for reply in replies)
    assert logged.count("http_connections_full") == 1


async def test_connections_whose_requests_are_being_answered_are_not_closed_for_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 2)
    may_answer = asyncio.Event()

    async def wait(_: BaseRequest) -> Response:
        await may_answer.wait()
        return Response(text="answered")

    async with listening(wait) as server:
        first, second = [await Peer.connect(server, REQUEST) for _ in range(2)]
        await wait_until(lambda: server.requests_open == 2)
        third = await Peer.connect(server, REQUEST)
        refused = await third.read()
        may_answer.set()
        replies = [await peer.read() for peer in (first, second)]

    assert refused == b""
    assert all(reply.endswith(b"answered") for reply in replies)


async def test_the_handler_of_a_client_that_leaves_is_cancelled() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: BaseRequest) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with listening(wait) as server:
        peer = await Peer.connect(server, REQUEST)
        await begun.wait()
        peer.writer.close()
        await asyncio.wait_for(cancelled.wait(), 5)
        await wait_until(lambda: server.connections_open == set())


async def test_an_event_that_recurs_is_logged_once_in_a_while_with_its_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http_server, "REPORT_SECONDS", 0.3)
    rare_log = RareLog()
    for _ in range(1000):
        rare_log.warning("http_accept_failed", error="Too many open files")
    await asyncio.sleep(0.3)
    rare_log.warning("http_accept_failed", error="Too many open files")
    lines = capsys.readouterr().out.splitlines()

    assert [line.partition("]")[2].split() for line in lines] == [
        ["http_accept_failed", "error='Too", "many", "open", "files'", "times=1"],
        ["http_accept_failed", "error='Too", "many", "open", "files'", "times=1000"],
    ]
