"""What is wrong with an answer that comes in time: its status, or the body."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

import msgspec
from aiohttp import web

from syncer.emulator.fault import Fault, NotNegative, Share


class Healthy(Fault, frozen=True, tag="healthy"):
    """Nothing is wrong: a pause between the faults of a queue."""


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

    async def instead(self) -> web.Response:
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

    async def instead(self) -> web.Response:
        """Answer with the new place and nothing else."""
        return web.Response(status=self.status, headers={"Location": self.location})


class Body(Fault, frozen=True, tag="body"):
    """200 with any text; what is not UTF-8 is written as Python's surrogate escapes."""

    body: str = ""
    content_type: str = "application/json"

    async def instead(self) -> web.Response:
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
