"""TCP keepalive: detects within 30 seconds that a connection to PostgreSQL is dead.

When a firewall drops a connection, or the server loses power, no packet says so. Without these options a dead idle
connection would stay in the pool for hours, and a statement that nobody receives would be retransmitted for a quarter
of an hour.
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
"""libpq's parameters and our defaults: a flag, two times in seconds, a count, and a time in milliseconds."""

# The socket option for each parameter. macOS has another name for the first, and none for the last.
_OPTIONS: Final = (
    ("keepalives_idle", "TCP_KEEPIDLE"),
    ("keepalives_idle", "TCP_KEEPALIVE"),
    ("keepalives_interval", "TCP_KEEPINTVL"),
    ("keepalives_count", "TCP_KEEPCNT"),
    ("tcp_user_timeout", "TCP_USER_TIMEOUT"),
)


def enable_keepalive(tcp_socket: TransportSocket, parameters: Mapping[str, str]) -> None:
    """Turns TCP keepalive on for a connection; does nothing to a Unix-domain socket.

    Args:
        tcp_socket: The connection's socket.
        parameters: Those of the libpq address. They override `KEEPALIVE_PARAMETERS`; 0 means the system's default.
    """
    if tcp_socket.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    values = {name: int(parameters.get(name, default)) for name, default in KEEPALIVE_PARAMETERS.items()}
    tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, values["keepalives"])
    for name, option in _OPTIONS:
        if values[name] and hasattr(socket, option):
            tcp_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), values[name])
