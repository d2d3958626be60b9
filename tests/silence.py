"""A server that accepts connections and never responds, as if the network dropped all packets."""

from __future__ import annotations

import asyncio
from typing import Self


class SilentServer:
    """Listens within `async with`, and never responds.

    Attributes:
        url: A database address that points to it.
        connected: Set after the first connection.
        connection_count: Number of connections so far.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.url = ""
        self.connected = asyncio.Event()
        self.connection_count = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._ignore_client, "127.0.0.1")
        self.url = f"postgresql://u:passw0rd@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/none"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _ignore_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        self.connected.set()
        await reader.read()
        writer.close()
