"""Faults of a response that arrives in time: its status or its body is wrong."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

import msgspec
from aiohttp import web

from syncer.emulator.fault import Fault, Fraction, NonNegative


class Healthy(Fault, frozen=True, tag="healthy"):
    """No fault: a correct response between the faults of a queue."""


class Status(Fault, frozen=True, tag="status"):
    """A status other than 200.

    Attributes:
        status: 401, 403, 429, 500, 502, 503 or any other.
        retry_after: The value of `Retry-After` in seconds; None omits the header.
        retry_after_as_date: Whether to send it as a date, rounded up because HTTP dates have whole seconds.
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    retry_after: NonNegative | None = None
    retry_after_as_date: bool = False

    async def replacement_response(self) -> web.Response:
        """Returns a response with the status; its body says that it is emulated."""
        response = web.Response(status=self.status, text=f"emulated {self.status}")
        if self.retry_after is not None and self.retry_after_as_date:
            moment = math.ceil(datetime.now(UTC).timestamp()) + self.retry_after
            response.headers["Retry-After"] = format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)
        elif self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


class Redirect(Fault, frozen=True, tag="redirect"):
    """A redirect, as from a portal whose session has expired."""

    location: str = "/login"
    status: Annotated[int, msgspec.Meta(ge=301, le=308)] = 302

    async def replacement_response(self) -> web.Response:
        """Returns an empty response with the location."""
        return web.Response(status=self.status, headers={"Location": self.location})


class Body(Fault, frozen=True, tag="body"):
    """Status 200 with any text; bytes that are not UTF-8 are given as Python surrogate escapes.

    Attributes:
        body: The text.
        content_type: Its `Content-Type`.
        headers: Further headers.
    """

    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = msgspec.field(default_factory=dict)

    async def replacement_response(self) -> web.Response:
        """Returns a response with the text."""
        body = self.body.encode(errors="surrogateescape")
        return web.Response(body=body, content_type=self.content_type, charset="UTF-8", headers=self.headers)


class Html(Body, frozen=True, tag="html"):
    """An HTML page instead of JSON."""

    body: str = "<!DOCTYPE html><html><body><h1>Ведутся технические работы</h1></body></html>"
    content_type: str = "text/html"


class NotJson(Body, frozen=True, tag="not_json"):
    """A body that is not JSON, in spite of its content type."""

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
    """A complete HTTP response whose JSON is cut off."""

    share: Fraction = 0.5

    def alter_body(self, body: bytes) -> bytes:
        """Keeps this share of the bytes."""
        return body[: int(len(body) * self.share)]


class Unclosed(Fault, frozen=True, tag="unclosed"):
    """All records, but the array ends with a comma instead of the bracket, as in the vendor's own example."""

    def alter_body(self, body: bytes) -> bytes:
        """Replaces the closing bracket by a comma."""
        return body.rstrip().removesuffix(b"]").rstrip() + b","
