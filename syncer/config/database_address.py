"""Says which database an address names, and whether its server is verified.

An attacker who answers in place of a server that is not verified gets the password: the driver sends it in clear if it
is asked to, even without TLS, and has no `require_auth`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from syncer.config.fields import is_loopback

if TYPE_CHECKING:
    from syncer.config.settings import Settings

_VERIFYING: Final = {"verify-ca", "verify-full"}


def describe_unverified_connections(settings: Settings) -> list[str]:
    """Returns a sentence for each configured database address whose server is not verified."""
    sentences = []
    for name in ("database_url", "migrate_database_url"):
        address = getattr(settings, name)
        if address is not None and (found := _unverified(address.get_secret_value())) is not None:
            hosts, mode = found
            sentences.append(
                f"SYNCER_{name.upper()} connects to {hosts} with sslmode={mode}, which does not verify the server: "
                "whatever answers in its place can read the password and the data; set sslmode=verify-full, and "
                "sslrootcert to a file or to system"
            )
    return sentences


def _unverified(address: str) -> tuple[str, str] | None:
    """Returns the hosts beyond this machine and the `sslmode`, unless that verifies them."""
    parts = urlsplit(address)
    parameters = dict(parse_qsl(parts.query))
    mode = parameters.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer"
    authority = parameters.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if mode in _VERIFYING or authority == "system" or (mode == "require" and authority):  # as libpq has it
        return None
    named = _hosts(address)
    hosts = [host for host in map(_without_port, named.split(",")) if host and not _is_local(host)]
    return (", ".join(hosts), mode) if hosts else None


def describe_location(address: str) -> str:
    """Returns the host, port and name of the database at an address, without user, password or parameters."""
    parts = urlsplit(address)
    parameters = dict(parse_qsl(parts.query))
    port = parameters.get("port") or os.environ.get("PGPORT") or "5432"
    hosts = (_hosts(address) or "localhost").split(",")
    with_ports = [host if re.search(r"[^:\]]:[0-9]+$|\]:[0-9]+$", host) else f"{host}:{port}" for host in hosts]
    user = (
        unquote(parts.netloc.rpartition("@")[0].partition(":")[0]) or parameters.get("user") or os.environ.get("PGUSER")
    )
    name = unquote(parts.path[1:]) or parameters.get("dbname") or os.environ.get("PGDATABASE") or user or "default"
    return f"{','.join(with_ports)}/{name}"


def _hosts(address: str) -> str:
    """Returns the hosts of an address with their ports, as libpq finds them; empty if it has none."""
    parts = urlsplit(address)
    named = unquote(parts.netloc.rpartition("@")[2])
    return named or dict(parse_qsl(parts.query)).get("host") or os.environ.get("PGHOST") or ""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _is_local(host: str) -> bool:
    return host.startswith(("/", "@")) or is_loopback(host)
