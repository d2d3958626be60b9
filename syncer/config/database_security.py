"""Finds connections to the database whose server is not verified.

An attacker who answers in place of such a server gets the password: the driver sends it in clear if it is asked to,
even without TLS, and has no `require_auth`.
"""

from __future__ import annotations

import os
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
    named = unquote(parts.netloc.rpartition("@")[2]) or parameters.get("host") or os.environ.get("PGHOST") or ""
    hosts = [host for host in map(_without_port, named.split(",")) if host and not _is_local(host)]
    return (", ".join(hosts), mode) if hosts else None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _is_local(host: str) -> bool:
    return host.startswith(("/", "@")) or is_loopback(host)
