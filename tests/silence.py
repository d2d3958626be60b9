"""A server that takes connections and never answers, as one does behind a network that swallows everything."""

from __future__ import annotations

import asyncio
from typing import Self


class SilentServer:
    """It listens within `async with`.

    Attributes:
        url: The address of a database that would be there.
        asked: Set once somebody has connected.
        connections: How often somebody has.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.url = ""
        self.connected = asyncio.Event()
        self.connection_count = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._swallow, "127.0.0.1")
        self.url = f"postgresql://u:passw0rd@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/none"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        self.connected.set()
        await reader.read()
        writer.close()
