"""The base classes of all faults, and what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
from aiohttp import web

from syncer.emulator import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Record = dict[str, Any]

JSON: Final = "application/json; charset=UTF-8"
CHUNK_BYTES: Final = 256 * 1024
"""Bodies are sent in chunks of this size: aiohttp would copy a large body, and hold the copy for each request."""


class FaultContext(NamedTuple):
    """A request, the correct response body, and whether the response may be compressed."""

    request: web.Request
    body: bytes
    gzip: bool = False


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name"):
    """A way to respond to a request; this base class responds correctly.

    Attributes:
        requests: How many requests it applies to; None means until it is cleared.
        token: The only account it applies to; None means all accounts.
        path: The list of names that it applies to, one of `paths.NAME_LISTS`; None means the list of numbers.
    """

    requests: Positive | None = None
    token: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if self.path is not None and self.path not in paths.NAME_LISTS:
            raise ValueError(
                f"path is {self.path}, but it must be that of a list of names ({', '.join(paths.NAME_LISTS)}), "
                "or be left out for the list of numbers"
            )

    async def respond(self, context: FaultContext) -> web.StreamResponse:
        """Sends the response."""
        if (replacement := await self.replacement_response()) is not None:
            return replacement
        body = self.alter_body(context.body)
        response = await start_response(context, length=len(body), headers=self.extra_headers())
        for start in range(0, len(body), CHUNK_BYTES):
            await response.write(memoryview(body)[start : start + CHUNK_BYTES])
        return response

    async def replacement_response(self) -> web.Response | None:
        """Returns a response to send instead of the list; None sends the list."""
        return None

    def alter_body(self, body: bytes) -> bytes:
        """Returns the body to send instead of the correct one."""
        return body

    def extra_headers(self) -> Mapping[str, str]:
        """Returns the headers to send in addition to the correct ones."""
        return {}


class RecordsFault(Fault, frozen=True):
    """Valid JSON with altered records."""

    def alter_body(self, body: bytes) -> bytes:
        """Decodes the body, alters its records and encodes them again."""
        return msgspec.json.encode(self.alter_records(msgspec.json.decode(body, type=list[Record])))

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Returns the records to send; the given ones may be altered in place."""
        raise NotImplementedError


async def start_response(
    context: FaultContext, *, length: int, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Sends the headers of a correct response with a body of this length; the caller sends the body.

    Args:
        context: The request.
        length: The length of the body.
        headers: Further headers.
    """
    response = web.StreamResponse(headers={"Content-Type": JSON, **(headers or {})})
    if context.gzip:
        response.enable_compression(web.ContentCoding.gzip)
    else:
        response.content_length = length
    await response.prepare(context.request)
    return response
