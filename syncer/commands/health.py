"""`syncer health`: checks whether the daemon on this machine is alive; for the health check of a container."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from syncer.config.hosts import ListenAddress

_TIMEOUT_SECONDS: Final = 5.0


def check_liveness(listen: ListenAddress | None) -> tuple[bool, str]:
    """Requests /livez from the daemon.

    Returns:
        Whether the daemon is alive, and a one-line message for the operator.

    Raises:
        ConfigurationError: HTTP is switched off, or the port is 0, which means any free port.
    """
    if listen is None:
        raise ConfigurationError("SYNCER_HTTP_LISTEN is off, so the daemon cannot be checked: set an address")
    if listen.port == 0:
        raise ConfigurationError("SYNCER_HTTP_LISTEN has port 0, which means any free port: set a fixed port")
    # http.client ignores the proxy variables of the environment; the daemon is on this machine.
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
    """Returns the host to connect to for a server that listens on `host`: loopback if it listens on all addresses."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if isinstance(address, IPv4Address) else "::1"
