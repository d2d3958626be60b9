"""A TCP proxy that simulates network faults and failovers, and pauses a program at a chosen request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

Action = Literal[
    "hold the request",
    "hold the response",
    "drop the response",
    "drop the response and refuse connections",
    "drop the request and refuse connections",
]


class Requests:
    """The requests of one connection to PostgreSQL, of which only the first with a prepared statement has its text."""

    def __init__(self) -> None:
        self._incomplete = b""
        self._prepared: dict[bytes, bytes] = {}

    def statements(self, data: bytes) -> list[bytes]:
        """Returns the statements that the next bytes of the connection prepare or execute, in order."""
        data, position, found = self._incomplete + data, 0, []
        while position + 5 <= len(data) and data[position] != 0:  # the first message of a connection has no type
            end = position + 1 + int.from_bytes(data[position + 1 : position + 5])
            if end > len(data):
                break
            kind, content = data[position : position + 1], data[position + 5 : end]
            if kind == b"Q":
                found.append(content.rstrip(b"\0"))
            elif kind == b"P":
                name, text, _ = content.split(b"\0", 2)
                self._prepared[name] = text
                found.append(text)
            elif kind == b"B":
                _, name, _ = content.split(b"\0", 2)
                found += [self._prepared[name]] if name else []  # one without a name follows its text
            position = end
        self._incomplete = b"" if data[position : position + 1] == b"\0" else data[position:]
        return found


class Proxy:
    """Forwards traffic to a server until a request matches the patterns given to `intercept`.

    A request contains the text of each statement that it executes, also of one that was prepared before.

    Attributes:
        url: The server's address through the proxy.
        refused: Set when a connection was refused.
        hidden: Set when the server closed a connection of which the client's side was kept open.
        intercepted: Set when a request matched: before it is forwarded, or once the server has responded to it.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._pending_patterns: list[bytes] = []
        self._action: Action = "hold the request"
        self._refusing = False
        self._hiding_closes = False
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self.url = ""
        self.intercepted = asyncio.Event()
        self.refused = asyncio.Event()
        self.hidden = asyncio.Event()

    def intercept(self, *patterns: bytes, then: Action) -> None:
        """Waits for requests that contain the patterns, one after another, and acts on the request with the last one.

        Args:
            patterns: The byte strings to find, in this order.
            then: `hold the request` forwards neither that request nor any later one; `hold the response` forwards the
                request but nothing of the response; `drop the response` closes the connection instead of responding,
                and `drop the response and refuse connections` all others and new ones too, until `accept` is called;
                `drop the request and refuse connections` does not even forward the request.
        """
        self._pending_patterns, self._action = list(patterns), then
        self.intercepted.clear()

    def blackhole(self) -> None:
        """Still accepts connections and data from both sides, but forwards nothing."""
        self._forwarding.clear()

    def resume(self) -> None:
        """Forwards the data held back by `blackhole`, as a repaired network would, and everything that follows."""
        self._forwarding.set()

    def hide_closes(self) -> None:
        """Keeps connections to clients open from now on when the server closes its side."""
        self._hiding_closes = True

    def refuse(self) -> None:
        """Closes each new connection immediately."""
        self._refusing = True

    def accept(self) -> None:
        """Forwards new connections again."""
        self._refusing = False

    async def switch_to(self, url: str) -> None:
        """Forwards new connections to another server, and closes the existing ones."""
        self._target = urlsplit(url)
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Closes all connections."""
        for task in (cancelled := list(self._connections)):
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        user, at, _ = self._target.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._target._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop_connections()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.refused.set()
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        matched = asyncio.Event()
        try:
            upstream_reader, upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
            writers.append(upstream)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward_requests(reader, upstream, matched))
                directions.create_task(self._forward_responses(upstream_reader, writer, matched))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for open_writer in writers:
                open_writer.close()

    async def _forward_requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, matched: asyncio.Event
    ) -> None:
        requests = Requests()
        while data := await reader.read(65536):
            if self._matches(data, requests.statements(data)):
                matched.set()
                if self._action == "drop the request and refuse connections":
                    self._break_off()
                if self._action == "hold the request":
                    self.intercepted.set()
                    await self._wait_for_disconnect(reader)
            await self._forwarding.wait()
            upstream.write(data)
            await upstream.drain()
        raise ConnectionAbortedError

    async def _forward_responses(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, matched: asyncio.Event
    ) -> None:
        while data := await upstream.read(65536):
            if matched.is_set():
                self.intercepted.set()
                if self._action == "drop the response":
                    raise ConnectionAbortedError
                if self._action == "drop the response and refuse connections":
                    self._break_off()
                continue
            await self._forwarding.wait()
            writer.write(data)
            await writer.drain()
        if self._hiding_closes:
            self.hidden.set()
            return
        raise ConnectionAbortedError

    def _break_off(self) -> None:
        """Refuses new connections, and closes this one and all others."""
        self.refuse()
        self.intercepted.set()
        for task in self._connections - {asyncio.current_task()}:
            task.cancel()
        raise ConnectionAbortedError

    @staticmethod
    async def _wait_for_disconnect(reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass
        raise ConnectionAbortedError

    def _matches(self, data: bytes, statements: Sequence[bytes]) -> bool:
        data = b"".join([*(statement for statement in statements if statement not in data), data])
        if not self._pending_patterns or self._pending_patterns[0] not in data:
            return False
        self._pending_patterns = self._remaining_patterns(data, self._pending_patterns)
        return not self._pending_patterns

    @staticmethod
    def _remaining_patterns(data: bytes, patterns: Sequence[bytes]) -> list[bytes]:
        """Returns the patterns that are not in `data` yet; one packet may contain several of them, in order."""
        position = 0
        for index, pattern in enumerate(patterns):
            found = data.find(pattern, position)
            if found < 0:
                return list(patterns[index:])
            position = found + len(pattern)
        return []
