"""`syncer dump` and `syncer restore`: a backup of the database in use, with PostgreSQL's own programs."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import typer

from syncer.commands.migrate import migrate_to_latest
from syncer.commands.progress import show_progress
from syncer.commands.psql import client_environment, without_password
from syncer.daemon.signals import exit_on_sigterm
from syncer.errors import ConfigurationError, DatabaseError, StoredDataError, SyncerError
from syncer.printable import escape_unprintable
from syncer.store.engine import autocommit_connection
from syncer.store.invariants import find_violations
from syncer.store.schema import migrations_folder, schema_state
from syncer.store.server import missing_roles, server_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.config.settings import Settings
    from syncer.database import Database

_SCHEMAS: Final = ("--schema=syncer", "--schema=analytics")
_OWNERLESS: Final = ("--no-owner", "--no-privileges")
_MAX_SHOWN: Final = 20
_DEBIAN_FOLDERS: Final = Path("/usr/lib/postgresql")
# pg_restore of PostgreSQL 17 and newer begins with a setting that older servers do not know.
_NEW_SETTING: Final = b"SET transaction_timeout = 0;\n"
_NEW_SETTING_SINCE: Final = 17
_CHUNK_BYTES: Final = 1 << 16


async def dump(database: Database, path: Path) -> None:
    """Writes the schemas of this program to a file in pg_dump's custom format; it appears only when it is complete.

    Raises:
        DatabaseError: The database cannot be reached, or the login may not read everything.
        SchemaError: The database has no schema of ours.
        SyncerError: The file cannot be written, or no pg_dump fits the server.
    """
    with exit_on_sigterm():
        await _dump(database, path)


async def _dump(database: Database, path: Path) -> None:
    target = _find_target(path)
    (await schema_state(database.owner_engine)).require_found()
    program = _find_program(database, "pg_dump", await server_version(database.owner_engine))
    await database.dispose()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.touch(0o600, exist_ok=False)  # it has every phone number
        with show_progress("dumping"):
            await _run(program, ["--format=custom", *_SCHEMAS, f"--file={temporary}"], database.owner_url())
        temporary.replace(target)
    except OSError as error:
        raise SyncerError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _find_target(path: Path) -> Path:
    """Returns the file that is written, which a link may name.

    Raises:
        SyncerError: There is something else, such as a device, which the dump would replace.
    """
    if path.exists() and not path.is_file():
        raise SyncerError(f"{path} is not a file: name a file, which is replaced if it exists")
    return path.resolve()


def require_readable(path: Path) -> None:
    """Raises ConfigurationError if a dump cannot be read; no database needs to be opened, or created, for that."""
    if not (os.access(path, os.R_OK) and path.is_file()):
        raise ConfigurationError(f"{path} cannot be read: name a file that `syncer dump` has written")


async def restore(database: Database, settings: Settings, path: Path) -> bool:
    """Restores a dump into a database without our schemas, migrates it to the newest schema, and verifies the data.

    Privileges are those of the newest schema; others that the dump has are left out, with their roles.

    Returns:
        Whether every invariant holds; those that do not are printed.

    Raises:
        StoredDataError: The database has our schemas already, or the file is a dump of something else.
        DatabaseError: The database cannot be reached, or the login may not create what the dump has.
        SchemaError: The dump is of a newer version of this program.
        SyncerError: No pg_restore fits the server, or it failed; the database is as it was.
    """
    engine = database.owner_engine
    state = await schema_state(engine)
    state.require_utf8()
    if state.found is not None:
        raise StoredDataError(
            "the database has data of syncer already: create an empty database, and set SYNCER_DATABASE_URL to it"
        )
    server = await server_version(engine)
    program = _find_program(database, "pg_restore", server)
    _require_our_schema(program, path)
    with exit_on_sigterm(), show_progress("restoring"):
        if server < _NEW_SETTING_SINCE <= _major_version(program):
            await _restore_by_psql(program, _find_program(database, "psql", server), path, database.owner_url())
        else:
            options = ["--exit-on-error", "--single-transaction", *_OWNERLESS]
            await _run(program, [*options, str(path)], database.owner_url())
    revision, distributed = await migrate_to_latest(database, settings)
    await _grant(database)
    violations = 0
    with show_progress("verifying"):
        async for violation in find_violations(engine):
            violations += 1
            if violations <= _MAX_SHOWN:
                typer.echo(escape_unprintable(f"WRONG  data: {violation}"))
    await database.dispose()
    verdict = "every invariant holds" if not violations else f"{violations} rows are wrong"
    if distributed is not None:
        typer.echo(distributed)
    typer.echo(escape_unprintable(f"restored {path}: the schema is {revision}; {verdict}"))
    return not violations


def _require_our_schema(program: Path, path: Path) -> None:
    """Raises StoredDataError if a dump is of a newer PostgreSQL, or of something else, without our schema."""
    listing = _ask(program, "--list", str(path))
    if "unsupported version" in listing.stderr:
        raise StoredDataError(
            f"{path} is of a newer PostgreSQL than the server: restore it into a server of that version or a newer one"
        )
    if listing.returncode == 0 and " SCHEMA - syncer " not in listing.stdout:
        raise StoredDataError(f"{path} is a dump of something else: name a file that `syncer dump` has written")


async def _grant(database: Database) -> None:
    """Grants the roles their privileges; creates them if the login may."""
    script = (migrations_folder() / "sql" / "roles.sql").read_text(encoding="utf-8")
    try:
        async with autocommit_connection(database.owner_engine) as connection, connection.transaction():
            await connection.execute(script)
    except DatabaseError:
        missing = ", ".join(await missing_roles(database.owner_engine))
        typer.echo(f"the roles {missing} could not be created: `syncer check` says what to run", err=True)


def _find_program(database: Database, name: str, server: int) -> Path:
    """Returns the program of the oldest version that is not older than the server.

    Raises:
        SyncerError: There is none.
    """
    candidates = [*sorted(_DEBIAN_FOLDERS.glob(f"*/bin/{name}"))]
    with suppress(SyncerError):
        candidates.append(database.bin_dir / name)
    if on_path := shutil.which(name):
        candidates.append(Path(on_path))
    fitting = {
        version: program
        for program in reversed(candidates)
        if os.access(program, os.X_OK) and (version := _major_version(program)) >= server
    }
    if not fitting:
        raise SyncerError(
            f"no {name} of PostgreSQL {server} or newer is installed on this machine: install PostgreSQL's client "
            "programs of this version, or set SYNCER_PG_BINDIR to their folder; with Docker Compose, run "
            f"{name} in the container of the database"
        )
    return fitting[min(fitting)]


def _major_version(program: Path) -> int:
    found = re.search(r"\) (\d+)", _ask(program, "--version").stdout)
    return int(found[1]) if found else 0


def _ask(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that needs no database, with English messages."""
    return subprocess.run(  # noqa: S603 - one of PostgreSQL's programs, as `_find_program` found it
        [program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=client_environment(None) | {"LC_ALL": "C"},
    )


async def _run(program: Path, arguments: Sequence[str], address: str) -> None:
    """Runs a program with the address; the password is in its environment.

    Raises:
        DatabaseError: It failed; the message is the first line of its errors.
    """
    location, password = without_password(address)
    process = await asyncio.create_subprocess_exec(
        program,
        f"--dbname={location}",
        *arguments,
        env=client_environment(password),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise _failure(program, errors, process.returncode)


def _failure(program: Path, errors: bytes, code: int | None) -> DatabaseError:
    found = [re.search(r"(?:error|ERROR): +(.*)", line) for line in errors.decode(errors="replace").splitlines()]
    reasons = [one[1] for one in found if one]
    return DatabaseError(f"{program.name} failed: {reasons[0] if reasons else f'it ended with {code}'}")


async def _restore_by_psql(program: Path, psql: Path, path: Path, address: str) -> None:
    """Restores a dump through psql, in one transaction, without the setting that the server does not know.

    Raises:
        DatabaseError: One of the programs failed; the database is as it was.
    """
    location, password = without_password(address)
    pipe, environment = asyncio.subprocess.PIPE, client_environment(password)
    source = await asyncio.create_subprocess_exec(
        *(program, *_OWNERLESS, "--file=-", str(path)), env=client_environment(None), stdout=pipe, stderr=pipe
    )
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", f"--dbname={location}")
    target = await asyncio.create_subprocess_exec(
        *(psql, *options), env=environment, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
    )
    try:
        is_read = await _copy_script(source, target)
        if is_read and await source.wait():
            raise _failure(program, await cast("asyncio.StreamReader", source.stderr).read(), source.returncode)
        _, errors = await target.communicate(b"")  # ends the input, after which psql commits
        if target.returncode or not is_read:
            raise _failure(psql, errors, target.returncode)
    finally:
        for process in (source, target):
            if process.returncode is None:
                process.kill()
                await process.communicate()  # a process whose output nobody reads would not be seen to end


async def _copy_script(source: asyncio.subprocess.Process, target: asyncio.subprocess.Process) -> bool:
    """Copies what one program writes to the other; returns whether that has read everything."""
    script, given = cast("asyncio.StreamReader", source.stdout), cast("asyncio.StreamWriter", target.stdin)
    try:
        while (line := await script.readline()) not in (b"", _NEW_SETTING):
            given.write(line)
        while chunk := await script.read(_CHUNK_BYTES):
            given.write(chunk)
            await given.drain()
    except ConnectionError:
        return False
    return True
