"""Everything the endpoint can do wrong, each a small class.

A fault is requested in a process by an instance (`Truncated(share=0.9, requests=2)`) and over HTTP by the same in JSON
(`{"name": "truncated", "share": 0.9, "requests": 2}`): a class's `tag` is the name, its fields are the parameters. To
add one, write its class here and add it to `AnyFault` at the end.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web

from syncer.emulator.fault import JSON, Asked, Fault, NotNegative, Positive, Record, RecordsFault, Share, begin


class Healthy(Fault, frozen=True, tag="healthy"):
    """Nothing is wrong: a pause between the faults of a queue."""


# Another answer, whatever the body


class Status(Fault, frozen=True, tag="status"):
    """Another status than 200.

    Attributes:
        status: 401, 403, 429, 500, 502, 503 or any other.
        retry_after: What `Retry-After` says, in seconds; None leaves it out.
        retry_after_as_date: Say it as a date, rounded up, as HTTP dates have whole seconds.
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    retry_after: NotNegative | None = None
    retry_after_as_date: bool = False

    async def answer(self, asked: Asked) -> web.StreamResponse:  # noqa: ARG002 - the same for every request
        """Answer with the status, and say that it is emulated."""
        response = web.Response(status=self.status, text=f"emulated {self.status}")
        if self.retry_after is not None and self.retry_after_as_date:
            moment = math.ceil(datetime.now(UTC).timestamp()) + self.retry_after
            response.headers["Retry-After"] = format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)
        elif self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


class Redirect(Fault, frozen=True, tag="redirect"):
    """Sent elsewhere, as a portal does whose session has ended."""

    location: str = "/login"
    status: Annotated[int, msgspec.Meta(ge=301, le=308)] = 302

    async def answer(self, asked: Asked) -> web.StreamResponse:  # noqa: ARG002 - the same for every request
        """Answer with the new place and nothing else."""
        return web.Response(status=self.status, headers={"Location": self.location})


class Body(Fault, frozen=True, tag="body"):
    """200 with any text; what is not UTF-8 is written as Python's surrogate escapes."""

    body: str = ""
    content_type: str = "application/json"

    async def answer(self, asked: Asked) -> web.StreamResponse:  # noqa: ARG002 - the same for every request
        """Answer with the text."""
        body = self.body.encode(errors="surrogateescape")
        return web.Response(body=body, content_type=self.content_type, charset="UTF-8")


class Html(Body, frozen=True, tag="html"):
    """A page for people where JSON is due."""

    body: str = "<!DOCTYPE html><html><body><h1>Ведутся технические работы</h1></body></html>"
    content_type: str = "text/html"


class NotJson(Body, frozen=True, tag="not_json"):
    """JSON is promised, and it is not."""

    body: str = "Сервис временно недоступен"


class Empty(Body, frozen=True, tag="empty"):
    """The empty list."""

    body: str = "[]"


class Null(Body, frozen=True, tag="null"):
    """JSON, but not an array: null."""

    body: str = "null"


class String(Body, frozen=True, tag="string"):
    """JSON, but not an array: a string."""

    body: str = '"string"'


class OneObject(Body, frozen=True, tag="one_object"):
    """JSON, but not an array: an object."""

    body: str = '{"id": 250, "number": "79208547433", "state": "active"}'


# The body cut short


class Truncated(Fault, frozen=True, tag="truncated"):
    """A complete HTTP response whose JSON ends in the middle."""

    share: Share = 0.5

    def spoil(self, body: bytes) -> bytes:
        """Keep this share of the bytes."""
        return body[: int(len(body) * self.share)]


class Unclosed(Fault, frozen=True, tag="unclosed"):
    """All records, but the array ends as in the vendor's own example: a comma where the bracket is due."""

    def spoil(self, body: bytes) -> bytes:
        """Put the comma there."""
        return body.rstrip().removesuffix(b"]").rstrip() + b","


# The connection


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

    async def answer(self, asked: Asked) -> web.StreamResponse:  # noqa: ARG002 - nothing is answered
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


# The records


class WrongAccount(RecordsFault, frozen=True, tag="wrong_account"):
    """The records belong to another Личный кабинет."""

    app_id: int = 7

    def alter(self, records: list[Record]) -> list[Record]:
        """Say another account everywhere."""
        return [record | {"app_id": self.app_id} for record in records]


class PartialList(RecordsFault, frozen=True, tag="partial_list"):
    """A part of the list that looks whole."""

    share: Share = 0.5

    def alter(self, records: list[Record]) -> list[Record]:
        """Keep this share of the records."""
        return records[: round(len(records) * self.share)]


class AbsentKeys(RecordsFault, frozen=True, tag="absent_keys"):
    """A half-deployed version: these keys are in no record."""

    keys: frozenset[str] = frozenset({"comment", "from_redirect_numbers"})

    def alter(self, records: list[Record]) -> list[Record]:
        """Leave the keys out."""
        return [{key: value for key, value in record.items() if key not in self.keys} for record in records]


class UnknownState(RecordsFault, frozen=True, tag="unknown_state"):
    """The first `count` records are in a state that the vendor's page does not have."""

    word: str = "porting"
    count: Positive = 1

    def alter(self, records: list[Record]) -> list[Record]:
        """Put the word there."""
        return [record | {"state": self.word} for record in records[: self.count]] + records[self.count :]


class UnknownFields(RecordsFault, frozen=True, tag="unknown_fields"):
    """A newer version: every record has fields that the vendor's page does not have."""

    def alter(self, records: list[Record]) -> list[Record]:
        """Add a plain one and a nested one."""
        return [record | {"is_vip": False, "tariff": {"name": "Бизнес", "price": 500}} for record in records]


class BrokenRecords(RecordsFault, frozen=True, tag="broken_records"):
    """The first `count` records have a value that cannot be: `number` is null, or `id` is a string."""

    field: str = "number"
    value: Any = None
    count: Positive = 1

    def alter(self, records: list[Record]) -> list[Record]:
        """Put the value there."""
        return [record | {self.field: self.value} for record in records[: self.count]] + records[self.count :]


class RepeatedRecords(RecordsFault, frozen=True, tag="repeated_records"):
    """The first `count` records come twice: the same, or with another comment."""

    count: Positive = 1
    differing: bool = False

    def alter(self, records: list[Record]) -> list[Record]:
        """Repeat them at the end."""
        other = {"comment": "другая запись с тем же id"} if self.differing else {}
        return records + [record | other for record in records[: self.count]]


AnyFault = (
    Healthy
    | Status
    | Redirect
    | Body
    | Html
    | NotJson
    | Empty
    | Null
    | String
    | OneObject
    | Truncated
    | Unclosed
    | CutOff
    | Reset
    | Hang
    | SlowDrip
    | GzipBomb
    | WrongAccount
    | PartialList
    | AbsentKeys
    | UnknownState
    | UnknownFields
    | BrokenRecords
    | RepeatedRecords
)
