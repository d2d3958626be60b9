"""What every fault is: what it is asked, what it may say, and what most of them have in common."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgspec
from aiohttp import web

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Record = dict[str, Any]

JSON: Final = "application/json; charset=UTF-8"
PIECE: Final = 256 * 1024
"""A large body handed over at once is copied by the server, and held once a request."""


class Asked(NamedTuple):
    """A request, the body that would answer it well, and whether that may be compressed."""

    request: web.Request
    body: bytes
    gzip: bool = False


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name"):
    """What the endpoint does; this one, and whatever does not override it, answers well.

    Attributes:
        requests: How many requests it meets; None is until it is cleared.
        token: The one account it meets; None is every account.
    """

    requests: Positive | None = None
    token: str | None = None

    async def answer(self, asked: Asked) -> web.StreamResponse:
        """Answer the request."""
        if (other := await self.instead()) is not None:
            return other
        body = self.spoil(asked.body)
        response = await begin(asked, length=len(body))
        for start in range(0, len(body), PIECE):
            await response.write(memoryview(body)[start : start + PIECE])
        return response

    async def instead(self) -> web.Response | None:
        """Return what every request is answered with, whatever it asks; None answers it with the list."""
        return None

    def spoil(self, body: bytes) -> bytes:
        """Return the body to answer with instead of this one."""
        return body


class RecordsFault(Fault, frozen=True):
    """Valid JSON, but not the records that are due."""

    def spoil(self, body: bytes) -> bytes:
        """Alter the records."""
        return msgspec.json.encode(self.alter(msgspec.json.decode(body, type=list[Record])))

    def alter(self, records: list[Record]) -> list[Record]:
        """Return the records to answer with; these may be altered in place."""
        raise NotImplementedError


async def begin(asked: Asked, *, length: int) -> web.StreamResponse:
    """Send the head of a healthy answer whose body has this length; the body is to follow."""
    response = web.StreamResponse(headers={"Content-Type": JSON})
    if asked.gzip:
        response.enable_compression(web.ContentCoding.gzip)
    else:
        response.content_length = length
    await response.prepare(asked.request)
    return response
