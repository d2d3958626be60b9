"""Fetches an account's numbers and lists of names from the endpoint as bytes, with size limits, timeouts and retries.

The body is not parsed here, and not even inflated if the same bytes were received before. A truncated gzip body
inflates to a truncated JSON array, which the parser rejects. A corrupt gzip body is a `network` error and is retried.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Final, Self

import aiohttp
import stamina
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from syncer import __version__
from syncer.config.fields import NUMBERS_PATH
from syncer.diff.declared_length import NOTHING_DECLARED, DeclaredLength
from syncer.endpoint.connection_errors import (
    MAX_HEADER_BYTES,
    Exchange,
    corrupt_body,
    error_for_exception,
    invalid_host,
)
from syncer.endpoint.http_errors import check_encoding, check_is_decoded, error_for_names_status, error_for_status
from syncer.endpoint.inflate import InflateError, Inflater
from syncer.endpoint.length_headers import read_length_headers
from syncer.endpoint.slots import LARGE_BODY_BYTES, MAX_LARGE_BODIES, MAX_LARGE_NAME_LISTS, BodySlot, stopped
from syncer.errors import ConfigurationError, PollError, TooLargeError
from syncer.threads import run_in_thread_if_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import SimpleNamespace, TracebackType

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.endpoint.last_response import LastResponse
    from syncer.name_list import NameList

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json; charset=UTF-8",  # the vendor requires it on every request, GET included
    "User-Agent": f"syncer/{__version__}",
}
_CONNECT_SECONDS = 10.0
_LONG_WAIT_SECONDS = 1.0
"""A server that is kept waiting for longer than this may give up."""
_INFLATED_BYTES: Final = 2**22
"""Bytes of a large body that are inflated at a time, in a thread."""
_VALIDATORS: Final = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
_MAX_VALIDATOR_LENGTH: Final = 256
MAX_NAME_LIST_BYTES: Final = 32 * 2**20
"""The maximum size of a list of names: some fifty thousand employees."""


@dataclass(frozen=True, slots=True)
class Response:
    """A successful response of the endpoint.

    Attributes:
        body: The decoded body, which may not be JSON; empty if it is that of the last response.
        http_status: 200, or 304 for a body that is that of the last response.
        attempts: Number of requests until this response.
        declared_length: What its headers say about the length of the whole list.
        last: The last response, if the same bytes were received, or the endpoint says so: the body was not decoded.
        received_digest: The digest of the body as it was received, compressed or not; empty if nothing will be
            recognized by it: neither this response nor the next one.
        validators: The headers of a request for what has changed since this response; empty if it had none.
    """

    body: bytes
    http_status: int
    attempts: int
    declared_length: DeclaredLength = NOTHING_DECLARED
    last: LastResponse | None = None
    received_digest: bytes = b""
    validators: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of the decoded body."""
        return len(self.body) if self.last is None else self.last.size


@dataclass(frozen=True, slots=True)
class _Resource:
    """What is asked for.

    Attributes:
        path: Its path below the base address.
        max_bytes: How many decoded bytes the response may have.
        limit: What allows so many, and what to do if the response has more.
        slots: The slots for large responses.
        error_for_status: Returns the error for a status other than 200.
    """

    path: str
    max_bytes: int
    limit: str
    slots: asyncio.Semaphore
    error_for_status: Callable[[aiohttp.ClientResponse, Account, str], PollError]


class Source:
    """The HTTP client of the endpoint; an async context manager that owns the connections.

    One instance can poll any number of accounts concurrently. Its errors, and the exceptions chained to them, never
    contain a token or the proxy's password.
    """

    def __init__(self, settings: Settings) -> None:
        self._attempts = settings.api_attempts
        self._timeout_seconds = settings.api_timeout.total_seconds()
        self._proxy = None if settings.api_proxy is None else URL(settings.api_proxy.get_secret_value())
        self._ssl_context = _create_ssl_context(settings.api_ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._names_session: aiohttp.ClientSession | None = None
        self._numbers = _Resource(
            NUMBERS_PATH,
            settings.api_max_bytes,
            f"the {settings.api_max_bytes} bytes that SYNCER_API_MAX_BYTES allows: raise it if the list is really that "
            "long",
            asyncio.Semaphore(MAX_LARGE_BODIES),
            error_for_status,
        )
        self._name_list_slots = asyncio.Semaphore(MAX_LARGE_NAME_LISTS)

    async def __aenter__(self) -> Self:
        self._session = self._open_session()
        # Polls reuse connections, and so they could be given one on which a list of names still keeps the server busy.
        self._names_session = self._open_session(force_close=True)
        return self

    def _open_session(self, *, force_close: bool = False) -> aiohttp.ClientSession:
        # The endpoint may use the whole timeout before it sends the first byte. Connecting may use only half of it, so
        # that a connect timeout can be distinguished from a slow response. The whole is timed in `_request`, since
        # aiohttp would count the time in which a response waits for a slot.
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=min(_CONNECT_SECONDS, self._timeout_seconds / 2),
            sock_read=self._timeout_seconds,
        )
        return aiohttp.ClientSession(
            # The daemon limits concurrent polls.
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl_context, force_close=force_close),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            max_field_size=MAX_HEADER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            middlewares=[_disable_aiohttp_retry],
            proxy=self._proxy,
            timeout=timeout,
            trace_configs=[_trace_connections()],
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in (self._session, self._names_session):
            if session is not None:
                await session.close()

    async def fetch(
        self,
        account: Account,
        *,
        last: LastResponse | None = None,
        deadline_seconds: float | None = None,
        body_slot: BodySlot | None = None,
    ) -> Response:
        """Fetches the account's numbers, and retries after errors that may be temporary.

        Args:
            account: The account.
            last: What is known of the account's last response; None decodes every body.
            deadline_seconds: No retry starts later than this from now, not counting the time spent waiting for a slot,
                and a `Retry-After` that would end later fails immediately. A request in progress may exceed it. None:
                the poll interval.
            body_slot: Receives the slot that a large body occupies, and the time spent waiting for it; the caller
                closes it when it no longer needs the body. None: the slot is released on return, for callers that
                fetch one body at a time.

        Returns:
            The first response that has the status 200 and is complete.

        Raises:
            PollError: The error of the last request.
        """
        seconds = account.poll_interval.total_seconds() if deadline_seconds is None else deadline_seconds
        all_waits = BodySlot() if body_slot is None else body_slot
        attempts = stamina.retry_context(
            on=_retry_hook(asyncio.get_running_loop().time() + seconds, all_waits),
            attempts=self._attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=10.0,
            wait_jitter=1.0,
        )
        waits_first = False
        async for attempt in attempts:
            with attempt:
                async with BodySlot() as slot:
                    try:
                        if waits_first:
                            await slot.acquire(self._numbers.slots)
                        response = await self._request(account, self._numbers, attempt.num, slot, last)
                    finally:
                        all_waits.waited_seconds += slot.waited_seconds
                        # The server may have given up while its response waited: then wait before the next request.
                        waits_first = slot.waited_seconds > _LONG_WAIT_SECONDS
                    if body_slot is not None:
                        body_slot.push_async_exit(slot.pop_all())
                    return response
        raise AssertionError("stamina returns or raises")

    async def fetch_names(self, account: Account, name_list: NameList, slot: BodySlot) -> bytes:
        """Fetches a list of names, once.

        Args:
            account: The account.
            name_list: The list.
            slot: Receives the slot that a large list occupies, which is none of the polls'.

        Raises:
            PollError: The request failed; the message names the list's path.
        """
        resource = _Resource(
            name_list.path,
            MAX_NAME_LIST_BYTES,
            f"the {MAX_NAME_LIST_BYTES} bytes that are read of a list of names: ask the vendor why it is so long",
            self._name_list_slots,
            partial(error_for_names_status, name_list),
        )
        try:
            return (await self._request(account, resource, 1, slot)).body
        except PollError as error:
            if name_list.path not in str(error):
                error.args = (f"{name_list.path}: {error}",)
            raise

    async def _request(
        self, account: Account, resource: _Resource, attempt: int, slot: BodySlot, last: LastResponse | None = None
    ) -> Response:
        session = self._session if resource is self._numbers else self._names_session
        assert session is not None, "Source is an async context manager"  # noqa: S101 - a slip of the caller
        try:
            exchange = Exchange(URL(account.api_url + resource.path), self._proxy, self._timeout_seconds)
        except UnicodeError as error:
            raise invalid_host(error) from None
        token = account.token.get_secret_value()
        authorization = f"{account.auth_scheme} {token}" if account.auth_scheme else token
        status: int | None = None
        received = BytesIO()
        waited_before = slot.waited_seconds
        try:
            async with (
                asyncio.timeout(self._timeout_seconds) as clock,
                session.get(
                    exchange.url,
                    headers={"Authorization": authorization, **(last.validators if last else {})},
                    allow_redirects=False,
                    trace_request_ctx=exchange,
                ) as response,
            ):
                status = response.status
                if status == HTTPStatus.NOT_MODIFIED and last is not None and last.validators:
                    return _repeated(response, attempt, last)
                if status != HTTPStatus.OK:
                    raise resource.error_for_status(response, account, exchange.answering_peer)
                encoding, validators = check_encoding(response, exchange.answering_peer), _validators(response)
                await _receive(response, resource, received, slot, clock)
                # This makes no copy: BytesIO returns its own buffer.
                body = received.getvalue()
                received_digest = b""
                if last is not None and (encoding or validators or last.received_digest):
                    received_digest = await run_in_thread_if_large(len(body), last.content_hash, body)
                    if received_digest == last.received_digest:
                        return _repeated(response, attempt, last)
                if encoding:
                    body = await _inflate(response, resource, Inflater(body, encoding), slot, clock)
                check_is_decoded(body, exchange.answering_peer)
                return Response(
                    body,
                    status,
                    attempt,
                    read_length_headers(response.headers),
                    received_digest=received_digest,
                    validators=validators,
                )
        except InflateError:
            failure: PollError = corrupt_body(exchange, received.tell())
            failure.http_status = status
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            exchange.received, exchange.waited_seconds = received.tell(), slot.waited_seconds - waited_before
            failure = error_for_exception(error, exchange)
            failure.http_status = failure.http_status or status
        # Raised outside the except block: an aiohttp error may contain the request's headers, and with them the token,
        # so it must not be chained to this one.
        raise failure


def _repeated(response: aiohttp.ClientResponse, attempt: int, last: LastResponse) -> Response:
    """Returns a response whose body is that of the last one."""
    return Response(
        b"",
        response.status,
        attempt,
        read_length_headers(response.headers),
        last=last,
        received_digest=last.received_digest or b"",
        validators=_validators(response),
    )


async def _receive(
    response: aiohttp.ClientResponse, resource: _Resource, received: BytesIO, slot: BodySlot, clock: asyncio.Timeout
) -> None:
    """Appends the body as it is sent. While it waits for a slot, aiohttp buffers a few hundred kilobytes at most."""
    if (response.content_length or 0) > resource.max_bytes:  # rejected before any of it is read
        raise _too_large(response, resource, received)
    _report_broken_framing(response)
    async for chunk in response.content.iter_any():
        await _append(chunk, received, response, resource, slot, clock)


async def _inflate(
    response: aiohttp.ClientResponse, resource: _Resource, inflater: Inflater, slot: BodySlot, clock: asyncio.Timeout
) -> bytes:
    """Returns the decoded body. Its beginning needs no thread, and all of a small one is that."""
    body, size = BytesIO(), LARGE_BODY_BYTES
    piece = inflater.read(size)
    while piece:
        await _append(piece, body, response, resource, slot, clock)
        if len(piece) < size:
            break
        size = min(_INFLATED_BYTES if slot.is_held else LARGE_BODY_BYTES, resource.max_bytes + 1 - body.tell())
        piece = await asyncio.to_thread(inflater.read, size)
    return body.getvalue()


async def _append(
    piece: bytes,
    body: BytesIO,
    response: aiohttp.ClientResponse,
    resource: _Resource,
    slot: BodySlot,
    clock: asyncio.Timeout,
) -> None:
    """Appends a piece of a body, once there is a slot if it is large."""
    if body.tell() + len(piece) > resource.max_bytes:
        raise _too_large(response, resource, body)
    if not slot.is_held and body.tell() + len(piece) > LARGE_BODY_BYTES:
        with stopped(clock):
            await slot.acquire(resource.slots)
    body.write(piece)


def _validators(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Returns the headers that ask whether a response has changed, from those that it has."""
    found = {asks: response.headers.get(name, "") for name, asks in _VALIDATORS.items()}
    return {asks: value for asks, value in found.items() if 0 < len(value) <= _MAX_VALIDATOR_LENGTH}


def _too_large(response: aiohttp.ClientResponse, resource: _Resource, body: BytesIO) -> TooLargeError:
    return TooLargeError(
        f"{response.url.host_port_subcomponent} sent more than {resource.limit}",
        http_status=response.status,
        response_bytes=body.tell() or None,
    )


def _trace_connections() -> aiohttp.TraceConfig:
    """Notes in each request's `Exchange` that it has a connection, new or reused."""

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.is_connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _report_broken_framing(response: aiohttp.ClientResponse) -> None:
    """Makes reading the body fail if its framing is broken.

    aiohttp closes the connection then but, unless the header came in the same packet, says nothing to whoever reads the
    body, who would wait for the timeout.
    """
    protocol = None if response.connection is None else response.connection.protocol
    if protocol is None or protocol.closed is None:  # the body is complete, or its connection is closed already
        return

    def report(_: object) -> None:
        error = protocol.exception()
        if isinstance(error, HttpProcessingError) and not response.content.is_eof():
            response.content.set_exception(aiohttp.ClientPayloadError(), error)

    protocol.closed.add_done_callback(report)


async def _disable_aiohttp_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Disables aiohttp's own retry on broken connections, since `Source` counts and delays the attempts."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError from error


def _retry_hook(deadline: float, slot: BodySlot) -> Callable[[Exception], bool | float]:
    """Makes the hook that tells stamina whether to retry: not at all, after its default delay, or after some seconds.

    Args:
        deadline: The time, on the event loop's clock, after which no retry starts.
        slot: The time spent waiting for slots, by which the deadline moves.
    """

    def decide(error: Exception) -> bool | float:
        if not isinstance(error, PollError) or not error.retryable:
            return False
        remaining = deadline + slot.waited_seconds - asyncio.get_running_loop().time()
        wait = error.retry_after
        if not wait:  # also for "Retry-After: 0", where the default delay does no harm
            return remaining > 0
        return wait if wait <= remaining else False

    return decide


def _create_ssl_context(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Returns what aiohttp takes as `ssl`: True for the system's certificate authorities, or a context with more."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # SSLError, a subclass, if there is no certificate in it
        problem = "contains no PEM certificate" if isinstance(error, ssl.SSLError) else "cannot be read"
        raise ConfigurationError(
            f"SYNCER_API_CA_FILE is '{ca_file}', which {problem}: it must be a PEM file of certificate authorities"
        ) from None
    return context
