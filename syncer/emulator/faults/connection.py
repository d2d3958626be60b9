"""Faults of the connection: it breaks, stalls, is very slow, or delivers more than fits into memory."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Annotated, Final

import msgspec
from aiohttp import web

from syncer.emulator.fault import JSON, Fault, FaultContext, Fraction, Positive, start_response


class CutOff(Fault, frozen=True, tag="cut_off"):
    """A correct Content-Length, but the connection closes before the body is complete."""

    share: Fraction = 0.5

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Sends this share of the bytes, then closes the connection."""
        response = await start_response(context._replace(gzip=False), length=len(context.body))
        await response.write(context.body[: int(len(context.body) * self.share)])
        if context.request.transport is not None:
            context.request.transport.close()
        return response


class Reset(Fault, frozen=True, tag="reset"):
    """The connection is reset before the first byte of the response."""

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Resets the connection: with SO_LINGER 0, closing it sends RST instead of FIN."""
        if (transport := context.request.transport) is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return web.Response()


class Hang(Fault, frozen=True, tag="hang"):
    """No response; the request ends when the client disconnects."""

    async def replacement_response(self) -> web.Response:
        """Waits until the request is cancelled."""
        await asyncio.Event().wait()
        return web.Response()


class SlowDrip(Fault, frozen=True, tag="slow_drip"):
    """A correct response, so slow that only a timeout on the whole request ends it."""

    chunk: Positive = 1
    interval: Annotated[float, msgspec.Meta(ge=0)] = 1.0

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Sends a few bytes per interval."""
        response = await start_response(context._replace(gzip=False), length=len(context.body))
        for start in range(0, len(context.body), self.chunk):
            await response.write(context.body[start : start + self.chunk])
            await asyncio.sleep(self.interval)
        return response


_MEBIBYTES_OF_A_PIECE: Final = 16


def _gzip_member(content: bytes) -> bytes:
    """Returns one of the members that a gzip body may consist of."""
    gzip = zlib.compressobj(wbits=31)
    return gzip.compress(content) + gzip.flush()


class GzipBomb(Fault, frozen=True, tag="gzip_bomb"):
    """A small compressed body that decodes to a very large one: an empty array full of white space.

    Attributes:
        mebibytes: The size that the repeated text is decoded to.
        before: The text before the repeated one.
        repeated: The repeated text.
        after: The text after the repeated one.
    """

    mebibytes: Positive = 512
    before: str = "["
    repeated: str = " "
    after: str = "]"

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Sends the same compressed piece again and again, so that it takes little time and memory."""
        response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
        await response.prepare(context.request)
        repeated = self.repeated.encode()
        # As many bytes as a mebibyte, but for less than one repetition.
        mebibyte = repeated * (2**20 // len(repeated))
        piece = _gzip_member(mebibyte * _MEBIBYTES_OF_A_PIECE)
        await response.write(_gzip_member(self.before.encode()))
        for _ in range(self.mebibytes // _MEBIBYTES_OF_A_PIECE):
            await response.write(piece)
            await asyncio.sleep(0)  # a write that does not block never yields to the event loop
        await response.write(_gzip_member(mebibyte * (self.mebibytes % _MEBIBYTES_OF_A_PIECE) + self.after.encode()))
        return response
