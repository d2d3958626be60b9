"""The database's certificate: `sslrootcert=system`, and the warning where none is verified."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
import trustme

from tests.service.test_check import problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.service.processes import Program

LOCAL_NAME = "127.1"
"""This machine by a name that is not known to be: the resolver makes 127.0.0.1 of it."""


@asynccontextmanager
async def tls_in_front_of(address: str, certificate: trustme.LeafCert) -> AsyncIterator[int]:
    """Speaks TLS with clients as PostgreSQL does, and passes what they send on to a server; yields its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    target = urlsplit(address)
    tasks = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # SSLRequest
        writer.write(b"S")
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
            tasks.update(
                {asyncio.create_task(copy(reader, server_writer)), asyncio.create_task(copy(server_reader, writer))}
            )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()


def at(address: str, host: str, parameters: str = "") -> str:
    """Returns an address with another host and these parameters."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{host}", query=parameters))


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_sslrootcert_system_trusts_the_machines_authorities_and_verifies_the_name(
    syncer: Program, database: str, authority: trustme.CA, folder: Path
) -> None:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trusting = replace(syncer, variables={"SSL_CERT_FILE": str(folder / "ca.pem")})
    by_environment = replace(
        syncer,
        variables={"SSL_CERT_FILE": str(folder / "ca.pem"), "PGSSLROOTCERT": "system", "PGSSLMODE": "verify-full"},
    )
    async with (
        tls_in_front_of(database, authority.issue_cert("localhost")) as port,
        tls_in_front_of(database, authority.issue_cert("other.example")) as other_port,
    ):
        system = at(database, f"localhost:{port}", "sslrootcert=system")
        trusted, exported, from_environment, untrusted, other = await asyncio.gather(
            trusting.run("check", database_url=system),
            trusting.run("export", "numbers", database_url=system),
            by_environment.run("check", database_url=at(database, f"localhost:{port}")),
            syncer.run("check", database_url=system),
            trusting.run("check", database_url=at(database, f"localhost:{other_port}", "sslrootcert=system")),
        )

    assert (trusted.code, problems(trusted), exported.code, from_environment.code) == (0, {}, 0, 0)
    for refused in (untrusted, other):
        assert list(problems(refused)) == ["database"]
        assert "certificate verify failed" in problems(refused)["database"]
        assert problems(refused)["database"].endswith("; check the host's name and sslrootcert in SYNCER_DATABASE_URL")


async def test_check_and_the_start_warn_of_a_server_beyond_this_machine_that_is_not_verified(
    syncer: Program, database: str
) -> None:
    port = urlsplit(database).port
    address = at(database, f"{LOCAL_NAME}:{port}")

    check, sync = await asyncio.gather(
        syncer.run("check", database_url=address), syncer.run("sync", database_url=address)
    )
    daemon = await syncer.start("run", database_url=address)
    warned = await daemon.wait_for_event("database_not_verified")
    await daemon.stop()

    sentence = (
        f"SYNCER_DATABASE_URL connects to {LOCAL_NAME} with sslmode=prefer, which does not verify the server: whatever "
        "answers in its place can read the password and the data; set sslmode=verify-full, and sslrootcert to a file "
        "or to system"
    )
    assert (check.code, sync.code) == (0, 0)
    assert [line for line in check.out.splitlines() if line.startswith("warn")] == [f"warn   database: {sentence}"]
    assert warned["found"] == sentence
    assert sync.err.count("database_not_verified") == 1
    (password,) = {urlsplit(database).password}
    assert password is not None
    assert password not in check.out + sync.err
