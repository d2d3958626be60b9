"""A TCP proxy that can lose what a network loses, lead elsewhere, and stop a program where a test wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Sequence


class Proxy:
    """Passes everything on, until a request comes that it was told to look for.

    Attributes:
        url: The address, the database's or the endpoint's, through the proxy.
        reached: Set when that request has come: before it is passed on, or once the server has acted on it.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._looked_for: list[bytes] = []
        self._then: Literal["hold the request", "hold the response", "drop the response"] = "hold the request"
        self._open = asyncio.Event()
        self._open.set()
        self.url = ""
        self.intercepted = asyncio.Event()

    def intercept(
        self, *words: bytes, then: Literal["hold the request", "hold the response", "drop the response"]
    ) -> None:
        """Looks for words in requests, one after another; when the last has come, does as it is told.

        Args:
            words: What to look for.
            then: `hold the request` passes nothing on any more; `hold the response` passes the request on, and of the answer
                nothing; `drop the response` breaks the connection in the answer's place.
        """
        self._looked_for, self._then = list(words), then
        self.intercepted.clear()

    def blackhole(self) -> None:
        """Takes connections and what comes from either side, as before, and passes nothing on."""
        self._open.clear()

    def resume(self) -> None:
        """Passes on what was swallowed, as a network that is mended does, and all that comes from now on."""
        self._open.set()

    async def switch_to(self, url: str) -> None:
        """Leads to another server from now on, and breaks the connections that there are."""
        self._target = urlsplit(url)
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Breaks the connections that there are."""
        for task in (broken := list(self._connections)):
            task.cancel()
        await asyncio.gather(*broken, return_exceptions=True)

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
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ends = [writer]
        chosen = asyncio.Event()
        try:
            upstream_reader, upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
            ends.append(upstream)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, upstream, chosen))
                both.create_task(self._answers(upstream_reader, writer, chosen))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for end in ends:
                end.close()

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, chosen: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self._has_come(data):
                chosen.set()
                if self._then == "hold the request":
                    self.intercepted.set()
                    await self._until_gone(reader)
            await self._open.wait()
            upstream.write(data)
            await upstream.drain()
        raise ConnectionAbortedError

    async def _answers(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, chosen: asyncio.Event
    ) -> None:
        while data := await upstream.read(65536):
            if chosen.is_set():
                self.intercepted.set()
                if self._then == "drop the response":
                    raise ConnectionAbortedError
                continue
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError

    @staticmethod
    async def _until_gone(reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass
        raise ConnectionAbortedError

    def _has_come(self, data: bytes) -> bool:
        if not self._looked_for or self._looked_for[0] not in data:
            return False
        self._looked_for = self._rest_after(data, self._looked_for)
        return not self._looked_for

    @staticmethod
    def _rest_after(data: bytes, words: Sequence[bytes]) -> list[bytes]:
        """What is still looked for once `data` has come; one packet may hold several of the words, in their order."""
        position = 0
        for index, word in enumerate(words):
            found = data.find(word, position)
            if found < 0:
                return list(words[index:])
            position = found + len(word)
        return []
