"""`syncer health`: asks the daemon on this machine whether it lives, for the health check of a container."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from syncer.config.fields import ListenAddress

_TIMEOUT_SECONDS: Final = 5.0


def check_liveness(listen: ListenAddress | None) -> tuple[bool, str]:
    """Asks /livez where the daemon listens.

    Returns:
        Whether it lives, and what is to be told of it in one line.

    Raises:
        ConfigurationError: It listens nowhere, or at a port that only it knows.
    """
    if listen is None:
        raise ConfigurationError("SYNCER_HTTP_LISTEN is off, so there is nobody to ask: set an address")
    if listen.port == 0:
        raise ConfigurationError("SYNCER_HTTP_LISTEN names port 0, which is any free one: set one that can be asked")
    # Without the proxies of the environment: it is on this machine.
    connection = HTTPConnection(_connect_host(listen.host), listen.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        response = connection.getresponse()
        text = response.read(1000).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer at {listen.host} port {listen.port}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return response.status == HTTPStatus.OK, text


def _connect_host(host: str) -> str:
    """Where to ask for one that listens at `host`: at any address means at the loopback one too."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if isinstance(address, IPv4Address) else "::1"
