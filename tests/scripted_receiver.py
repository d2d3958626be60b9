"""An HTTP server that receives notices, answers as a test says, and keeps what it received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import msgspec

if TYPE_CHECKING:
    import ssl

Responder = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What was received: `time` is of the event loop's clock."""

    line: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """Listens within `async with`; answers each request with its next responder, and all later ones with the last."""

    def __init__(self, *responders: Responder, tls: ssl.SSLContext | None = None) -> None:
        self._responders, self._tls = responders, tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.requests: list[Request] = []
        self.requested = asyncio.Event()
        self.url = ""

    @property
    def host(self) -> str:
        return self.url.partition("//")[2]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(line, headers, body, asyncio.get_running_loop().time()))
                self.requested.set()
                await self._responders[min(len(self.requests), len(self._responders)) - 1](writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()


def respond(status: str = "200 OK", body: bytes = b"", **headers: str) -> Responder:
    """Makes a responder that sends a complete response; header names have `_` for `-`."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""]
    return send_bytes("\r\n".join(lines).encode() + body)


def respond_json(status: str, content: object, **headers: str) -> Responder:
    return respond(status, msgspec.json.encode(content), Content_Type="application/json", **headers)


def send_bytes(data: bytes) -> Responder:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return send


def drip(data: bytes) -> Responder:
    """Makes a responder that sends some bytes and then one byte after another."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    return send


def flood(data: bytes) -> Responder:
    """Makes a responder that sends some bytes and then others as fast as they are taken."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while True:
            writer.write(b"x" * 2**16)
            await writer.drain()

    return send


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    raise ConnectionAbortedError
