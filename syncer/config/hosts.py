"""Host names, addresses of hosts, and which of them are certain to be this machine."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

MAX_PORT: Final = 65535


class ListenAddress(NamedTuple):
    """The address on which a server listens. An IPv6 `host` has no brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """Parses `HOST:PORT`; raises ValueError with what is allowed."""
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]/@]+)):([0-9]{1,5})", text)
        if match is None or int(match[3]) > MAX_PORT:
            raise ValueError("it must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
        return cls(match[1] or match[2], int(match[3]))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, is certain to be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_ip_address(text: str) -> bool:
    """Whether text is an address without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def canonical_host(host: str) -> str:
    """Returns the one form of a host name or of an address without brackets that is compared."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def require_https_or_loopback(address: str) -> None:
    """Raises ValueError if a token sent to `address` would cross the network unencrypted."""
    parts = urlsplit(address)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("it must begin with https://; plain http to another host needs SYNCER_API_ALLOW_HTTP=true")
