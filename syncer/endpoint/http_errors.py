"""Maps responses that cannot be used to errors: statuses other than 200, and bodies that are compressed wrongly.

The messages name hosts and settings, but never a token, a password, or any other part of an address or a header.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from yarl import URL

from syncer.config.hosts import is_ip_address
from syncer.endpoint.retry_after import parse_retry_after
from syncer.errors import (
    ForbiddenError,
    HttpStatusError,
    NotJsonError,
    PollError,
    RateLimitedError,
    UnauthorizedError,
)
from syncer.printable import contains_phone_number

if TYPE_CHECKING:
    import aiohttp

    from syncer.config.accounts import Account
    from syncer.name_list import NameList

CHECK_ADDRESS: Final = "check the address (SYNCER_API_URL, or api_url in the accounts file)"
CHECK_BETWEEN: Final = "check the proxies between this machine and the endpoint, or ask the vendor if this persists"
PROXY_REFUSED: Final = "the proxy answered 407, so it rejected the user name or password: check SYNCER_API_PROXY"

_DECODED_ENCODINGS: Final = {"", "identity", "gzip", "deflate"}
# Others are not repeated in a message: a header may contain anything, the token included.
_NAMED_ENCODINGS: Final = {"br", "compress", "dcb", "dcz", "deflate", "gzip", "x-compress", "x-gzip", "zstd"}
# No JSON text begins with any of these.
_COMPRESSED_STARTS: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "deflate",
    b"\x78\x5e": "deflate",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
}


def error_for_status(response: aiohttp.ClientResponse, account: Account, peer: str) -> PollError:
    """Returns the error for a status other than 200.

    Args:
        response: The response. Its body is not read, since it may repeat the token.
        account: The account whose token was sent.
        peer: Who answered, as the message names it.
    """
    wait, asked_wait = parse_retry_after(response.headers)
    error = _status_error(response, account, peer, asked_wait)
    error.http_status, error.retry_after = response.status, wait
    return error


def _status_error(response: aiohttp.ClientResponse, account: Account, peer: str, asked_wait: str) -> PollError:
    status = response.status
    if status == HTTPStatus.UNAUTHORIZED:
        if scheme := re.match(r"(Bearer|Token|Basic)\s", account.token.get_secret_value(), re.IGNORECASE):
            return UnauthorizedError(
                f"{peer} answered 401, and the token of {account.token_source} begins with the word {scheme[1]}: keep "
                "only the token there; if the endpoint wants the word, set SYNCER_API_AUTH_SCHEME to it"
            )
        return UnauthorizedError(
            f"{peer} answered 401, so the token of {account.token_source} is not valid (generating a new token revokes "
            f"the old one): generate a token in the Личный кабинет and put it in {account.token_source}"
        )
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError(
            f"{peer} answered 403, most likely because this machine's IP address is not on the allow-list: add it to "
            "the list in the Личный кабинет, or use a proxy whose address is on it (SYNCER_API_PROXY)"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(
            f"{peer} answered 429, too many requests{asked_wait}: raise SYNCER_POLL_INTERVAL if this persists"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"{peer} answered {status}, a server error{asked_wait}: ask the vendor if this persists"
    elif status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY}:
        message = f"{peer} answered {status}, a temporary error{asked_wait}: ask the vendor if this persists"
    elif status == HTTPStatus.NOT_MODIFIED:
        message = f"{peer} answered 304, not modified, although the request had no condition: {CHECK_BETWEEN}"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message = f"{peer} answered {status}, a redirect{_redirect_target(response, account)}: {CHECK_ADDRESS}"
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        message = PROXY_REFUSED
    else:
        message = f"{peer} answered {status} instead of 200{asked_wait}: {CHECK_ADDRESS}"
    return HttpStatusError(message, http_status=status)


def error_for_names_status(
    name_list: NameList, response: aiohttp.ClientResponse, account: Account, peer: str
) -> PollError:
    """Returns the error for a status other than 200 of a list of names; arguments as in `error_for_status`."""
    status = response.status
    wait, asked_wait = parse_retry_after(response.headers)
    leave_out = f"take {name_list.word} out of {account.names_source}"
    error: PollError
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        kind = UnauthorizedError if status == HTTPStatus.UNAUTHORIZED else ForbiddenError
        error = kind(
            f"{peer} answered {status}, so the token may not read {name_list.path}: give it the right in the Личный "
            f"кабинет, or {leave_out}"
        )
    elif status == HTTPStatus.NOT_FOUND:
        error = HttpStatusError(
            f"{peer} answered 404, so it has no such list: check SYNCER_API_URL, or {leave_out}", http_status=status
        )
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        error = RateLimitedError(
            f"{peer} answered 429, too many requests{asked_wait}: raise SYNCER_NAMES_INTERVAL if this persists"
        )
    else:
        return error_for_status(response, account, peer)
    error.http_status, error.retry_after = status, wait
    return error


def _redirect_target(response: aiohttp.ClientResponse, account: Account) -> str:
    """Returns the host of a redirect, unless it may contain the token or a phone number; the rest is never shown."""
    location = response.headers.get("Location")
    if not location:
        return " that does not say where to"
    try:
        host = response.url.join(URL(location)).host
    except ValueError:
        host = None
    # A "%" could hide anything.
    is_shown = host and "%" not in host and (is_ip_address(host) or not contains_phone_number(host))
    target = f" to {host}" if is_shown and account.token.get_secret_value().lower() not in str(host).lower() else ""
    return f"{target}, which is not followed because it would send the token along"


def check_encoding(response: aiohttp.ClientResponse, peer: str) -> str:
    """Checks that the body can be decoded, before any of it is read.

    Returns:
        `gzip` or `deflate`, or the empty string for a body that is not compressed.

    Raises:
        NotJsonError: It is encoded in a way that was not asked for.
    """
    encoding = ", ".join(response.headers.getall("Content-Encoding", ())).lower()
    if encoding not in _DECODED_ENCODINGS:
        raise _undecodable(peer, encoding if _NAMED_ENCODINGS.issuperset(encoding.split(", ")) else "")
    return "" if encoding == "identity" else encoding


def _undecodable(peer: str, encoding: str) -> NotJsonError:
    """Returns the error for a `Content-Encoding` that cannot be decoded; the empty string is an unknown one."""
    return NotJsonError(
        f"{peer} sent a body with {f'Content-Encoding {encoding}' if encoding else 'an unknown Content-Encoding'}, "
        f"which was not asked for and cannot be read (gzip and deflate can): {CHECK_BETWEEN}",
        http_status=HTTPStatus.OK,
    )


def check_is_decoded(body: bytes, peer: str) -> None:
    """Checks that the body is not compressed any more, as it is if its header does not say all of its encodings.

    Raises:
        NotJsonError: It begins like compressed data.
    """
    for start, encoding in _COMPRESSED_STARTS.items():
        if body.startswith(start):
            raise NotJsonError(
                f"{peer} sent a body compressed with {encoding} without saying so in Content-Encoding: {CHECK_BETWEEN}",
                http_status=HTTPStatus.OK,
                response_bytes=len(body),
            )
