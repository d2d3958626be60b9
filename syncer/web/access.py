"""Decides which requests are answered, so that no web site can use a visitor's browser to reach this server.

A page of another site can send requests to this machine's addresses and, if its own name resolves to one of them (DNS
rebinding), read the responses. It cannot choose what the browser writes into `Host` and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion10, hdrs

from syncer.config.hosts import canonical_host, is_loopback
from syncer.web.http_server import Response

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import web

_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE)
_WRONG_HOST: Final = (
    "This host name is not answered, so that no web site can read this through your browser: use 127.0.0.1 or "
    "the address that the daemon listens on, or add the name to SYNCER_HTTP_HOSTS.\n"
)
_CROSS_SITE: Final = "Requests from other web sites are refused: open the address in a browser window of its own.\n"
_SAME_SITE: Final = ("same-origin", "none")
"""Values of `Sec-Fetch-Site`: from a page of this server; from the address bar or a bookmark."""


class Access:
    """The host names that are answered.

    Args:
        listen_host: The name or address that the server listens on.
        hosts: The names of SYNCER_HTTP_HOSTS.
    """

    def __init__(self, listen_host: str, hosts: Collection[str]) -> None:
        self._names = {canonical_host(listen_host), *hosts}

    def refusal(self, request: web.BaseRequest) -> Response | None:
        """Returns the response to a request that must not be answered; None if it may be."""
        if not self._is_host_allowed(request):
            return Response(status=421, text=_WRONG_HOST)
        if not _is_from_this_site(request):
            return Response(status=403, text=_CROSS_SITE)
        return None

    def _is_host_allowed(self, request: web.BaseRequest) -> bool:
        hosts = request.headers.getall(hdrs.HOST, [])
        if not hosts:  # browsers send one; some probes do not
            return request.version <= HttpVersion10
        # `request.host` is that of the request line if it names one, as in a request to a proxy.
        return all(self._is_name_allowed(host, request) for host in (request.host, *hosts))

    def _is_name_allowed(self, host: str, request: web.BaseRequest) -> bool:
        match = _AUTHORITY.fullmatch(host)
        if match is None:
            return False
        name = canonical_host(match[1] or match[2])
        return is_loopback(name) or name in self._names or _is_own_address(name, request)


def _is_own_address(name: str, request: web.BaseRequest) -> bool:
    """Whether a name is the address that the connection came in on, as probes and Prometheus use it.

    DNS rebinding needs a name: the pages of an address come from that address itself.
    """
    sockname = request.get_extra_info("sockname")
    return sockname is not None and (address := _address(name)) is not None and address == _address(sockname[0])


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_from_this_site(request: web.BaseRequest) -> bool:
    """Whether no page of another site made a request, except a link that a person followed.

    Old browsers do not send `Sec-Fetch-Site`, and no browser sends it to plain HTTP beyond loopback. They send `Origin`
    instead, but only with requests whose responses a script asks to read.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is None:
        origin = headers.get(hdrs.ORIGIN)
        return origin is None or origin.partition("://")[2].lower() == headers.get(hdrs.HOST, "").lower()
    is_followed_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return site in _SAME_SITE or (is_followed_link and request.method == hdrs.METH_GET)
