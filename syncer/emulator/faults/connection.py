"""What is wrong with a connection: it ends, stalls, drips, or carries more than anybody can hold."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Annotated

import msgspec
from aiohttp import web

from syncer.emulator.fault import JSON, Asked, Fault, Positive, Share, begin


class CutOff(Fault, frozen=True, tag="cut_off"):
    """The right Content-Length, but the connection ends before."""

    share: Share = 0.5

    async def answer(self, asked: Asked) -> web.StreamResponse:
        """Send this share of the bytes, then close."""
        response = await begin(asked._replace(gzip=False), length=len(asked.body))
        await response.write(asked.body[: int(len(asked.body) * self.share)])
        if asked.request.transport is not None:
            asked.request.transport.close()
        return response


class Reset(Fault, frozen=True, tag="reset"):
    """The connection is reset before a byte is answered."""

    async def answer(self, asked: Asked) -> web.StreamResponse:
        """Reset it: without lingering, closing sends RST instead of FIN."""
        if (transport := asked.request.transport) is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return web.Response()


class Hang(Fault, frozen=True, tag="hang"):
    """No answer, ever; it ends when the client goes away."""

    async def instead(self) -> web.Response:
        """Wait for what never comes."""
        await asyncio.Event().wait()
        return web.Response()


class SlowDrip(Fault, frozen=True, tag="slow_drip"):
    """The right answer, so slowly that only a limit on the whole request ends it."""

    chunk: Positive = 1
    interval: Annotated[float, msgspec.Meta(ge=0)] = 1.0

    async def answer(self, asked: Asked) -> web.StreamResponse:
        """Send a few bytes an interval."""
        response = await begin(asked._replace(gzip=False), length=len(asked.body))
        for start in range(0, len(asked.body), self.chunk):
            await response.write(asked.body[start : start + self.chunk])
            await asyncio.sleep(self.interval)
        return response


class GzipBomb(Fault, frozen=True, tag="gzip_bomb"):
    """Few bytes that decode to very many: an empty array with a great deal of white space in it."""

    mebibytes: Positive = 512

    async def answer(self, asked: Asked) -> web.StreamResponse:
        """Compress and send as it goes, so that the emulator's own memory stays small."""
        response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
        await response.prepare(asked.request)
        gzip = zlib.compressobj(wbits=31)
        blank = b" " * 1024 * 1024
        await response.write(gzip.compress(b"["))
        for _ in range(self.mebibytes):
            await response.write(gzip.compress(blank))
            await asyncio.sleep(0)  # a write that needs no wait gives way to nobody
        await response.write(gzip.compress(b"]") + gzip.flush())
        return response
