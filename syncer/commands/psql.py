"""`syncer psql`: psql on the database in use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from syncer.errors import SyncerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.database import Database


def run_psql(database: Database, arguments: Sequence[str]) -> int:
    """Runs psql to its end.

    Returns:
        Its exit code.

    Raises:
        SyncerError: There is no psql on this machine.
    """
    address, password = without_password(database.url())
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [_find_psql(database), f"--dbname={address}", *arguments]
    # Ctrl-C is psql's: it cancels a query there, and must not end us, who may be the server's owner.
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


def without_password(address: str) -> tuple[str, str | None]:
    """Splits an address so that the password shows in no process title.

    Returns:
        The address without the password, and the password.

    Raises:
        SyncerError: It holds a secret that psql takes in no other way.
    """
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = unquote(password) or dict(query).get("password", "")
    if "sslpassword" in dict(query):
        raise SyncerError("the database address has an sslpassword, which psql can only be told in its process title")
    query = [(key, value) for key, value in query if key != "password"]
    query_string = urlencode(query, quote_via=quote)
    return urlunsplit(("postgresql", f"{name}{at}{host}", parts.path, query_string, "")), password or None


def _find_psql(database: Database) -> str:
    program = None if database.is_embedded else shutil.which("psql")
    program = program or shutil.which("psql", path=str(database.bin_dir))
    if program is None:
        raise SyncerError("there is no psql on this machine: install PostgreSQL's client programs")
    return program
