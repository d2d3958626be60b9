"""A receiver of webhooks that answers as a test says, and remembers what it has received."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """A request of a webhook: its id, its headers, its bytes and its path."""

    id: str
    headers: dict[str, str]
    body: bytes
    path: str = "/"

    @property
    def data(self) -> dict[str, Any]:
        """The data of its JSON."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each kind it is about."""
        counts: dict[str, int] = self.data["counts"]
        return counts


class Receiver:
    """A receiver on a port of its own.

    Attributes:
        requests: What it has received, in order.
        answers: What it answers next, then `answer`. A number is a status; None hangs until `release`.
        answer: What it answers otherwise.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answers: list[web.Response | int | None] = []
        self.answer: int | None = 200
        self._runner: web.AppRunner | None = None
        self._released = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def accepted(self) -> list[Received]:
        """What it has received, each id once."""
        return list({request.id: request for request in self.requests}.values())

    def release(self) -> None:
        """Accepts what hangs, and what would."""
        self._released.set()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = dict(request.headers)
        self.requests.append(Received(request.headers.get("webhook-id", ""), headers, body, request.path))
        answer = self.answers.pop(0) if self.answers else self.answer
        if answer is None:
            await self._released.wait()
        return answer if isinstance(answer, web.Response) else web.Response(status=answer or 200)
