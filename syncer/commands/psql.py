"""`syncer psql`: runs psql on the database in use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from syncer.errors import EmbeddedServerError, SyncerError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from syncer.database import Database


def run_psql(database: Database, arguments: Sequence[str], *, hidden_variables: Collection[str]) -> int:
    """Runs psql until it exits.

    Args:
        database: The database.
        arguments: The arguments of psql.
        hidden_variables: Environment variables that psql and what it starts do not get, besides all settings.

    Returns:
        The exit code of psql.

    Raises:
        SyncerError: psql is not installed.
    """
    address, password = without_password(database.url())
    environment = client_environment(password, hidden_variables)
    command = [_find_psql(database), f"--dbname={address}", *arguments]
    # Ctrl-C cancels a query in psql; it must not end this process, which may own the embedded server.
    previous_handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own arguments
            command,
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads yet
        )
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def client_environment(password: str | None, hidden_variables: Collection[str] = ()) -> dict[str, str]:
    """Returns the environment of a PostgreSQL program: no settings, and nothing that leads it to another server."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("SYNCER_") and name not in {*hidden_variables, "PGHOSTADDR", "PGSERVICE"}
    } | ({"PGPASSWORD": password} if password else {})


def without_password(address: str) -> tuple[str, str | None]:
    """Separates the password from an address, so that it does not appear in the process title.

    Returns:
        The address without the password, and the password.

    Raises:
        SyncerError: The address has an sslpassword, which psql accepts only on its command line.
    """
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = unquote(password) or dict(query).get("password", "")
    if "sslpassword" in dict(query):
        raise SyncerError("the database address has an sslpassword, which psql accepts only on its command line")
    query = [(key, value) for key, value in query if key != "password"]
    query_string = urlencode(query, quote_via=quote)
    return urlunsplit(("postgresql", f"{name}{at}{host}", parts.path, query_string, "")), password or None


def _find_psql(database: Database) -> str:
    if not database.is_embedded and (program := shutil.which("psql")):
        return program
    try:
        return str(database.bin_dir / "psql")
    except EmbeddedServerError:
        raise SyncerError("psql is not installed on this machine: install PostgreSQL's client programs") from None
