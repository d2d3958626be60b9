"""A TCP proxy before PostgreSQL that can lose what a network loses."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class LossyProxy:
    """Passes everything on, until it is told to lose one answer: then the connection breaks in its place.

    Attributes:
        url: The database's address, through the proxy.
        lose_the_answer_to: Bytes to look for in the requests, one after another; when the last is found, the answer to
            it is lost, once the server has acted on it.
        lost: How many answers were lost.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""
        self.lose_the_answer_to: list[bytes] = []
        self.lost = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        user = self._target.netloc.rpartition("@")[0]
        port = self._server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        upstream_reader, upstream = await asyncio.open_connection(self._target.hostname, self._target.port)
        lose = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, upstream, lose))
                both.create_task(self._answers(upstream_reader, writer, lose))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for end in (writer, upstream):
                end.close()

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, lose: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.lose_the_answer_to and self.lose_the_answer_to[0] in data:
                del self.lose_the_answer_to[0]
                if not self.lose_the_answer_to:
                    lose.set()
            upstream.write(data)
            await upstream.drain()
        raise ConnectionAbortedError

    async def _answers(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, lose: asyncio.Event) -> None:
        while data := await upstream.read(65536):
            if lose.is_set():
                self.lost += 1
                raise ConnectionAbortedError
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError
