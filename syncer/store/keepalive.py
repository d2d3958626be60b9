"""How soon a connection to PostgreSQL is noticed to lead nowhere: what the system is told to watch for.

A firewall that forgets a connection, or a server that loses its power, says nothing. Without these options an idle
connection would stay in the pool for hours, and a statement that nobody receives would be sent again for a quarter of
an hour.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import Mapping

KEEPALIVE_PARAMETERS: Final = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's parameters and our defaults, in seconds, a count and milliseconds: what is dead is noticed in 30 s."""

# What the system calls them, where it has them: macOS has another name for the first, and none for the last.
_OPTIONS: Final = (
    ("keepalives_idle", "TCP_KEEPIDLE"),
    ("keepalives_idle", "TCP_KEEPALIVE"),
    ("keepalives_interval", "TCP_KEEPINTVL"),
    ("keepalives_count", "TCP_KEEPCNT"),
    ("tcp_user_timeout", "TCP_USER_TIMEOUT"),
)


def enable_keepalive(connected: TransportSocket, parameters: Mapping[str, str]) -> None:
    """Has the system look whether the other end of a connection is still there; a socket of this machine needs none.

    Args:
        connected: To be watched.
        parameters: Those of libpq's address, stronger than `KEEPALIVE_PARAMETERS`; what is 0 is left to the system.
    """
    if connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    values = {name: int(parameters.get(name, default)) for name, default in KEEPALIVE_PARAMETERS.items()}
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, values["keepalives"])
    for name, option in _OPTIONS:
        if values[name] and hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), values[name])
