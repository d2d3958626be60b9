"""The HTTP server of the emulated endpoint: the vendor's paths, and paths that control the emulation."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import hdrs, web
from yarl import URL

from syncer.emulator import paths
from syncer.emulator.fault import Fault, FaultContext
from syncer.emulator.faults import AnyFault, Healthy
from syncer.emulator.fleet import Fleet
from syncer.emulator.rates import REALISTIC, Rates
from syncer.errors import ConfigurationError, os_error_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class _Steps(msgspec.Struct, forbid_unknown_fields=True):
    steps: Annotated[int, msgspec.Meta(ge=0)] = 1


class Emulator:
    """An endpoint that responds as the vendor's does, with generated numbers; it listens within `async with`.

    Each value of the `Authorization` header is an account of its own, created at its first request. The whole value is
    the token, including a scheme such as Bearer.

    Attributes:
        requests: How often each token requested its numbers.
        requests_by_path: How often each of the vendor's paths was requested.
        steps: How many steps of the emulation have passed.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own, named at the call
        self,
        *,
        numbers: int = 200,
        seed: int = 1,
        token: str | None = None,
        file: Path | None = None,
        rates: Rates = REALISTIC,
        gzip: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Sets up the emulator; it does not listen yet.

        Args:
            numbers: How many numbers each account has at first.
            seed: The same seed gives the same accounts and the same changes.
            token: The only token that is accepted; None accepts any that is not empty.
            file: A file to send as the list of numbers instead, read again for each request. Lists of names are then
                not served.
            rates: How often the numbers change in a step.
            gzip: Whether to compress for a client that accepts it.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
        """
        self.requests: Counter[str] = Counter()
        self.requests_by_path: Counter[str] = Counter()
        self.steps = 0
        self._numbers = numbers
        self._seed = seed
        self._token = token
        self._file = file
        self._rates = rates
        self._gzip = gzip
        self._host = host
        self._port = port
        self._fleets: dict[str, Fleet] = {}
        self._faults: list[Fault] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if self._file is not None:
            await asyncio.to_thread(_check_readable, self._file)
        if self._token is not None and self._file is None:
            self.fleet(self._token)  # now, so that the first request does not have to wait for it
        # When a client disconnects, its hanging or slow response is cancelled; shutdown does not wait for one.
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.01
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise ConfigurationError(
                f"The emulated endpoint cannot listen on {self._host}:{self._port} ({os_error_text(error)}): "
                "choose another address or port."
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("The emulator listens only within `async with`.")
        port: int = self._runner.addresses[0][1]
        return str(URL.build(scheme="http", host=self._host, port=port))

    @property
    def fault(self) -> Fault | None:
        """The fault of the next request, if any; setting it replaces the whole queue."""
        return self._faults[0] if self._faults else None

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._faults = [] if fault is None else [fault]

    def queue(self, *faults: Fault) -> None:
        """Queues these faults one after another, each for its number of requests."""
        self._faults = list(faults)

    def fleet(self, token: str) -> Fleet:
        """Returns the account of this token after all steps so far."""
        fleet = self._fleets.get(token)
        if fleet is None:
            seed = f"{self._seed}:{token}"
            digest = hashlib.sha256(seed.encode()).digest()
            app_id = 1 + int.from_bytes(digest[:8], "big") % 2_000_000_000
            fleet = Fleet(numbers=self._numbers, seed=seed, app_id=app_id, rates=self._rates)
            self._fleets[token] = fleet
        while fleet.steps < self.steps:
            fleet.step()
        return fleet

    def step(self, steps: int = 1) -> None:
        """Advances every account by some steps, lazily: each account catches up when it is next requested."""
        self.steps += steps

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get(paths.NUMBERS, self._list_numbers)
        if self._file is None:
            for path in paths.NAME_LISTS:
                application.router.add_get(path, self._list_names)
        application.router.add_put("/emulator/fault", self._put_fault)
        application.router.add_delete("/emulator/fault", self._delete_fault)
        application.router.add_post("/emulator/step", self._post_step)
        application.router.add_get("/emulator/stats", self._get_stats)
        return application

    async def _list_numbers(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get(hdrs.AUTHORIZATION, "")
        self.requests[token] += 1
        self.requests_by_path[paths.NUMBERS] += 1
        if not self._is_accepted(token):
            return _refuse_token()
        try:
            body = self.fleet(token).body() if self._file is None else await asyncio.to_thread(self._file.read_bytes)
        except OSError as error:
            return web.Response(status=500, text=f"{self._file} cannot be read ({os_error_text(error)}).")
        return await self._respond(request, self._next_fault(token, None), body)

    async def _list_names(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get(hdrs.AUTHORIZATION, "")
        self.requests_by_path[request.path] += 1
        if not self._is_accepted(token):
            return _refuse_token()
        body = self.fleet(token).name_lists().body(request.path)
        return await self._respond(request, self._next_fault(token, request.path), body)

    def _is_accepted(self, token: str) -> bool:
        return bool(token) and self._token in (None, token)

    async def _respond(self, request: web.Request, fault: Fault, body: bytes) -> web.StreamResponse:
        gzip = self._gzip and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        try:
            return await fault.respond(FaultContext(request, body, gzip))
        except ConnectionError:
            return web.Response()  # the client disconnected, as it may

    def _next_fault(self, token: str, path: str | None) -> Fault:
        """Returns the fault of this request and counts the request."""
        for index, fault in enumerate(self._faults):
            if fault.token in (None, token) and fault.path == path:
                if fault.requests == 1:
                    del self._faults[index]
                elif fault.requests is not None:
                    self._faults[index] = msgspec.structs.replace(fault, requests=fault.requests - 1)
                return fault
        return Healthy()

    async def _put_fault(self, request: web.Request) -> web.Response:
        try:
            decoded = msgspec.json.decode(await request.read(), type=AnyFault | list[AnyFault])
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        self.queue(*(decoded if isinstance(decoded, list) else [decoded]))
        return web.Response(status=204)

    async def _delete_fault(self, _: web.Request) -> web.Response:
        self.fault = None
        return web.Response(status=204)

    async def _post_step(self, request: web.Request) -> web.Response:
        try:
            command = msgspec.json.decode(await request.read() or b"{}", type=_Steps)
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        self.step(command.steps)
        return await self._get_stats(request)

    async def _get_stats(self, _: web.Request) -> web.Response:
        stats = {
            "steps": self.steps,
            "accounts": len(self._fleets),
            "requests": self.requests,
            "requests_by_path": self.requests_by_path,
            "faults": self._faults,
        }
        return web.Response(body=msgspec.json.encode(stats), content_type="application/json", charset="UTF-8")


async def serve(
    emulator: Emulator, *, step_interval: float | None = None, on_started: Callable[[str], object] | None = None
) -> None:
    """Serves an emulated endpoint until cancelled.

    Args:
        emulator: The emulator, not listening yet.
        step_interval: The number of seconds between two automatic steps; None means none.
        on_started: Called with the URL once it listens.

    Raises:
        ConfigurationError: The emulator cannot listen on the address, or the file cannot be read.
    """
    async with emulator:
        if on_started is not None:
            on_started(emulator.url)
        while step_interval is not None:
            await asyncio.sleep(step_interval)
            emulator.step()
        await asyncio.Event().wait()


def _refuse_token() -> web.Response:
    return web.Response(status=401, text="The Authorization header has no valid token.")


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"The response to serve cannot be read from {file} ({os_error_text(error)})."
        ) from error
