"""Maps exceptions of the connection to errors that name the right party: the endpoint, the proxy, or this program.

The messages name hosts and settings, but never a token, a password, or any other part of an address or a header.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import (
    BadStatusLine,
    HttpProcessingError,
    LineTooLong,
)

from syncer.endpoint.http_errors import CHECK_ADDRESS, CHECK_BETWEEN, PROXY_REFUSED
from syncer.endpoint.retry_after import in_words, parse_retry_after
from syncer.errors import HttpStatusError, NetworkError, PollError, ResponseTimeoutError, TlsError

if TYPE_CHECKING:
    from yarl import URL

MAX_HEADER_BYTES: Final = 2**16

_CHECK_NETWORK = "check the network, the firewall and SYNCER_API_PROXY"
_CHECK_PROXY = "check SYNCER_API_PROXY"
_DNS = "this machine's DNS"
_NOTABLE_WAIT_SECONDS = 1.0


@dataclass(slots=True)
class Exchange:
    """A request, and how far it got.

    Attributes:
        url: The address of the request.
        proxy: The proxy's address; None if the endpoint is connected to directly.
        timeout_seconds: The timeout of the whole request.
        is_connected: Whether there was a connection, to a proxy or through it included, that the request was sent on.
        received: How many bytes of the body had been received.
        waited_seconds: How long the response waited for a slot of this program.
    """

    url: URL
    proxy: URL | None
    timeout_seconds: float
    is_connected: bool = False
    received: int = 0
    waited_seconds: float = 0.0

    @property
    def host(self) -> str:
        """The endpoint's host, and its port if it is not the default one."""
        return self.url.host_port_subcomponent or ""

    @property
    def uses_tunnel(self) -> bool:
        """Whether the proxy only connects to the endpoint, which then answers itself."""
        return self.proxy is not None and self.url.scheme == "https"

    @property
    def answering_peer(self) -> str:
        """Who sent a response: without a tunnel it may be the proxy."""
        return self.host if self.proxy is None or self.uses_tunnel else f"{self.host} (through the proxy)"

    @property
    def connected_peer(self) -> str:
        """Who is at the other end of a connection."""
        return self.host if self.proxy is None else f"{self.host} (through the proxy)"


def error_for_exception(error: aiohttp.ClientError | OSError | UnicodeError, exchange: Exchange) -> PollError:
    """Returns the error for an exception of the connection; the exception may contain the request's headers."""
    failure = invalid_host(error) if isinstance(error, UnicodeError) else _error_for_exception(error, exchange)
    failure.response_bytes = exchange.received or None
    return failure


def corrupt_body(exchange: Exchange, received: int) -> NetworkError:
    """Returns the error for a body that cannot be inflated, of so many bytes."""
    failure = NetworkError(f"{exchange.connected_peer} sent a body that does not match its Content-Encoding header")
    failure.response_bytes = received or None
    return failure


def invalid_host(error: UnicodeError) -> NetworkError:
    """Returns the error for a host name that cannot be encoded for DNS: that of the endpoint or of the proxy."""
    failure = NetworkError(
        f"the name of the endpoint's or the proxy's host is not valid ({error}): check SYNCER_API_URL, api_url in the "
        "accounts file and SYNCER_API_PROXY"
    )
    failure.retryable = False
    return failure


def _error_for_exception(error: aiohttp.ClientError | OSError, exchange: Exchange) -> PollError:
    if isinstance(error, TimeoutError):
        return _timeout_error(error, exchange)
    if (problem := tls_problem(error)) is not None:
        return _tls_error(problem, is_about_proxy=_is_about_proxy(error, exchange), host=exchange.host)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_answer_error(error, exchange)
    if isinstance(error, aiohttp.ClientResponseError) or _broke_rules(error):
        return _malformed_response_error(error, exchange)
    if isinstance(error, aiohttp.ClientConnectorError):
        return NetworkError(_connect_message(error, exchange))
    return NetworkError(_closed_message(exchange))


def _broke_rules(error: BaseException) -> bool:
    """Whether a body that was being read broke HTTP's rules. aiohttp has errors of its own for one that broke off."""
    return type(error.__cause__) is HttpProcessingError


def _timeout_error(error: TimeoutError, exchange: Exchange) -> PollError:
    host, limit = exchange.host, in_words(exchange.timeout_seconds)
    if exchange.is_connected:
        return ResponseTimeoutError(
            f"the response of {exchange.connected_peer} was not complete after {limit}, with {exchange.received} bytes "
            "received: raise SYNCER_API_TIMEOUT if it is just slow"
        )
    is_connect_timeout = isinstance(error, aiohttp.ConnectionTimeoutError)
    if exchange.uses_tunnel:
        if is_connect_timeout:
            return NetworkError(f"connecting to {host} through the proxy timed out: {_CHECK_NETWORK}")
        return NetworkError(f"the proxy did not connect to {host} within {limit}: {_CHECK_PROXY}")
    peer = host if exchange.proxy is None else "the proxy"
    if is_connect_timeout:
        return NetworkError(f"connecting to {peer} timed out: {_CHECK_NETWORK}")
    # Neither one address nor all of them: most likely the name's resolution takes so long.
    return NetworkError(f"no connection to {peer} was made within {limit}: {_CHECK_NETWORK}, and {_DNS}")


def _proxy_answer_error(error: aiohttp.ClientHttpProxyError, exchange: Exchange) -> PollError:
    wait, asked_wait = parse_retry_after(error.headers or {})
    failure: PollError
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        failure = HttpStatusError(PROXY_REFUSED, http_status=error.status)
    else:
        failure = NetworkError(
            f"the proxy answered {error.status} instead of connecting to {exchange.host}{asked_wait}: {_CHECK_PROXY}"
        )
    failure.retry_after = wait
    return failure


def _tls_error(problem: str, *, is_about_proxy: bool, host: str) -> TlsError:
    if is_about_proxy:
        return TlsError(
            f"the TLS handshake with the proxy failed ({problem}): check SYNCER_API_PROXY, or name the certificate "
            "authority's file in SYNCER_API_CA_FILE"
        )
    return TlsError(
        f"the TLS handshake with {host} failed ({problem}): check the address, or name the certificate authority's "
        "file in SYNCER_API_CA_FILE"
    )


def _connect_message(error: aiohttp.ClientConnectorError, exchange: Exchange) -> str:
    is_about_proxy = _is_about_proxy(error, exchange)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        reason = connect_error_reason(error.os_error)
        if is_about_proxy:
            return f"the proxy's name, {error.host}, cannot be resolved ({reason}): {_CHECK_PROXY} and {_DNS}"
        return f"the name {exchange.host} cannot be resolved ({reason}): {CHECK_ADDRESS} and {_DNS}"
    # A connection that cannot be made is refused, never reset: it was made, and TLS was being negotiated.
    if isinstance(error.os_error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        if is_about_proxy:
            return f"the proxy closed the connection during the TLS handshake: {_CHECK_PROXY}"
        return f"{exchange.connected_peer} closed the connection during the TLS handshake: {_CHECK_NETWORK}"
    if is_about_proxy:
        return f"cannot connect to the proxy ({connect_error_reason(error.os_error)}): {_CHECK_PROXY}"
    return f"cannot connect to {exchange.host} ({connect_error_reason(error.os_error)}): {_CHECK_NETWORK}"


def _malformed_response_error(error: BaseException, exchange: Exchange) -> PollError:
    """Returns the error for a response that breaks the rules of HTTP; the parser's messages may quote it."""
    if isinstance(error, aiohttp.ClientResponseError) and error.request_info.method == "CONNECT":
        return NetworkError(f"the answer of the proxy is not HTTP: {_CHECK_PROXY}")
    peer = exchange.connected_peer
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return NetworkError(_broken_rule_message(cause, peer))


def _broken_rule_message(cause: BaseException, peer: str) -> str:
    if isinstance(cause, BadStatusLine):
        return f"the response of {peer} is not HTTP, or has more bytes than its Content-Length: {CHECK_ADDRESS}"
    if isinstance(cause, LineTooLong):
        return f"{peer} sent a header of more than {MAX_HEADER_BYTES // 1024} KiB: {CHECK_BETWEEN}"
    # What follows the colon may quote the response. Other messages that do have characters that are not allowed here.
    reason = cause.message.partition(":\n")[0] if isinstance(cause, HttpProcessingError) else ""
    rule = f" ({reason})" if re.fullmatch(r"[A-Za-z'/ -]{1,80}", reason) else ""
    return f"the response of {peer} breaks the rules of HTTP{rule}: {CHECK_BETWEEN}"


def _closed_message(exchange: Exchange) -> str:
    if exchange.uses_tunnel and not exchange.is_connected:
        return f"the proxy closed the connection instead of connecting to {exchange.host}: {_CHECK_PROXY}"
    after = f", after {exchange.received} bytes" if exchange.received else ""
    message = f"{exchange.connected_peer} closed the connection before the response was complete{after}"
    if exchange.waited_seconds < _NOTABLE_WAIT_SECONDS:
        return message
    return f"{message}, which this program kept waiting for {in_words(round(exchange.waited_seconds))} to save memory"


def _is_about_proxy(error: aiohttp.ClientError | OSError, exchange: Exchange) -> bool:
    """Whether a connection to the proxy failed, rather than one to the endpoint, directly or through the proxy."""
    return (
        isinstance(error, aiohttp.ClientConnectorError)
        and exchange.proxy is not None
        and (error.host, error.port) == (exchange.proxy.raw_host, exchange.proxy.port)
    )


def connect_error_reason(error: OSError) -> str:
    """Returns why a connection could not be made."""
    # asyncio adds addresses to strerror; a negative number is a resolver error, for which os.strerror has no text.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def tls_problem(error: BaseException | None) -> str | None:
    """Returns the reason if TLS failed, in the handshake or later (the server may reject our certificate only then)."""
    while isinstance(error, aiohttp.ClientError):  # some are also SSLErrors, but without its attributes
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    return None
