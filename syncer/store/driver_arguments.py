"""Translates the address of a database, as libpq takes it, into what asyncpg takes."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from syncer.store.keepalive import KEEPALIVE_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT: Final = 10.0
"""Seconds to wait for a connection to be established."""

# Parameters of libpq that asyncpg does not know. Ignoring them changes neither what is sent nor which server is
# trusted: `syncer.config.fields` rejects the values that would.
_IGNORED_PARAMETERS: Final = {
    "channel_binding",
    "fallback_application_name",
    "gssencmode",
    "load_balance_hosts",
    "require_auth",
    "requirepeer",
    "sslcompression",
    "sslsni",
}


_SYSTEM: Final = "system"
"""The value of `sslrootcert` with which libpq trusts the machine's own authorities."""


def driver_arguments(address: str) -> tuple[str, dict[str, Any]]:
    """Translates a libpq address into an address that asyncpg understands, and further arguments for it."""
    parts = urlsplit(address)
    arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, "server_settings": {"application_name": "syncer"}}
    passed_on = []
    uses_system_authorities = False
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "connect_timeout":
            arguments["timeout"] = float(value) or None
        elif name == "application_name":
            arguments["server_settings"] = {"application_name": value}
        elif name == "sslrootcert" and value == _SYSTEM:
            uses_system_authorities = True
        elif name not in _IGNORED_PARAMETERS and name not in KEEPALIVE_PARAMETERS:
            passed_on.append((name, value))
    if uses_system_authorities or ("sslrootcert" not in dict(passed_on) and os.environ.get("PGSSLROOTCERT") == _SYSTEM):
        arguments["ssl"] = _system_tls(dict(passed_on))
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(passed_on, quote_via=quote), "")), arguments


def _system_tls(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Returns what `sslrootcert=system` means: the machine's authorities, and verify-full."""
    context = ssl.create_default_context()
    if "sslcert" in parameters:
        context.load_cert_chain(parameters["sslcert"], parameters.get("sslkey"), parameters.get("sslpassword", ""))
    if "sslcrl" in parameters:
        context.load_verify_locations(parameters["sslcrl"])
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context
