"""Says which database an address names, and whether its server is verified.

An attacker who answers in place of a server that is not verified gets the password: the driver sends it in clear if it
is asked to, even without TLS, and has no `require_auth`.
"""

from __future__ import annotations

import os
import re
from getpass import getuser
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from syncer.config.hosts import MAX_PORT, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from pydantic import SecretStr

    from syncer.config.settings import Settings

# Parameters of libpq with a fixed set of values.
_DATABASE_PARAMETERS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
# Parameters that demand what asyncpg lacks, each with the values that demand nothing: to ignore others would be unsafe.
_DATABASE_DEMANDS = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "require_auth": ("",),
    "requirepeer": ("",),
}
_DEMANDING_VARIABLES = {
    "PGCHANNELBINDING": "channel_binding",
    "PGGSSENCMODE": "gssencmode",
    "PGREQUIREAUTH": "require_auth",
    "PGREQUIREPEER": "requirepeer",
}
"""The variables of libpq that stand for these parameters."""
# Numeric parameters of libpq, each with the largest value that the operating system accepts.
_DATABASE_NUMBERS = {
    "connect_timeout": 2**31 - 1,
    "keepalives": 1,
    "keepalives_idle": 2**15 - 1,
    "keepalives_interval": 2**15 - 1,
    "keepalives_count": 127,
    "tcp_user_timeout": 2**31 - 1,
}
_PORTS: Final = range(1, MAX_PORT + 1)

_VERIFYING: Final = {"verify-ca", "verify-full"}


def check_database_address(secret: SecretStr) -> SecretStr:
    """Returns the address of a database; raises ValueError with what is allowed."""
    address = secret.get_secret_value()
    if not address.startswith(("postgresql://", "postgres://")) or not address.isprintable() or " " in address:
        raise ValueError("it must begin with postgresql:// or postgres://, as in postgresql://user@host:5432/name")
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = None
    hosts = [] if parts is None else parts.netloc.rpartition("@")[2].split(",")
    ports = [re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?", host) for host in hosts]
    if parts is None or "@" in parts.path or not all(port and int(port[1] or 1) in _PORTS for port in ports):
        raise ValueError(
            "its host and port must be valid, as in postgresql://user:password@host:5432/name; "
            "in a password, / is written %2F, @ %40, : %3A, ? %3F, # %23 and % %25"
        )
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    _check_database_is_named_once(parts, parameters)
    _check_database_parameters(parameters)
    return secret


def _check_database_is_named_once(parts: SplitResult, parameters: Mapping[str, str]) -> None:
    """Refuses what the driver and libpq's programs read differently: they would use two databases."""
    login, _, hosts = parts.netloc.rpartition("@")
    named = {
        "host": bool(hosts),
        "port": bool(hosts),
        "dbname": parts.path not in ("", "/"),
        "user": bool(login),
        "password": ":" in login,
    }
    for name, is_named in named.items():
        if is_named and name in parameters:
            raise ValueError(
                f"its {name} must be before the question mark only, as in postgresql://user:password@host:5432/name"
            )
    if "service" in parameters:
        raise ValueError("it must name the host and the database themselves, and no service")


def _check_database_parameters(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        allowed = _DATABASE_PARAMETERS.get(name)
        if allowed is not None and value not in allowed:
            raise ValueError(f"its {name} must be one of {', '.join(allowed)}")
        if name in _DATABASE_DEMANDS and value not in _DATABASE_DEMANDS[name]:
            raise ValueError(
                f"this program cannot honour its {name}: remove that, and set sslmode=verify-full, so that only the "
                "right server is given the password"
            )
        largest = _DATABASE_NUMBERS.get(name)
        if largest is not None and not (re.fullmatch("[0-9]{1,10}", value) and int(value) <= largest):
            raise ValueError(f"its {name} must be a whole number from 0 to {largest}")
        names_file = name in {"sslcert", "sslkey", "sslcrl"} or (name == "sslrootcert" and value != "system")
        if names_file and not os.access(value, os.R_OK):
            raise ValueError(f"its {name} must name a file that can be read")
    if parameters.get("sslrootcert") == "system" and parameters.get("sslmode", "verify-full") != "verify-full":
        raise ValueError("its sslmode must be verify-full with sslrootcert=system, or be left out")
    for variable, name in _DEMANDING_VARIABLES.items():
        if os.environ.get(variable, "") not in ("", *_DATABASE_DEMANDS[name]):
            raise ValueError(f"this program cannot honour {variable}: unset it, and set sslmode=verify-full")


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
    ports = (parameters.get("port") or os.environ.get("PGPORT") or "5432").split(",")
    hosts = (_hosts(address) or "localhost").split(",")
    with_ports = [
        host if re.search(r"[^:\]]:[0-9]+$|\]:[0-9]+$", host) else f"{host}:{ports[index % len(ports)]}"
        for index, host in enumerate(hosts)
    ]
    user = (
        unquote(parts.netloc.rpartition("@")[0].partition(":")[0]) or parameters.get("user") or os.environ.get("PGUSER")
    )
    name = unquote(parts.path[1:]) or parameters.get("dbname") or os.environ.get("PGDATABASE") or user or getuser()
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
