"""Names this process where it holds a lease."""

from __future__ import annotations

import os
import secrets
import socket


def name_lease_holder() -> str:
    """Returns a name that no other process has: the machine, the process, and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
