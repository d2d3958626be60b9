"""The cluster: making it, and ending what the owner before us left at work in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.embedded.programs import STOP_SECONDS, wait_until
from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.embedded.os_user import Account

SUPERUSER = "postgres"
_BUILTIN_LOCALE_VERSION = 17  # an order of text that no upgrade of the system changes


def begin_cluster(folder: Path, binaries: Path, major: int, account: Account) -> tuple[Path, list[str | Path]]:
    """An empty folder, and the command that makes a cluster in it, with the password that is in `folder`."""
    password = folder / "password"
    if not password.exists():
        write(password, secrets.token_hex(32))
    fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=folder))
    if account.uid is not None and account.gid is not None:
        for path in (password, fresh):
            os.chown(path, account.uid, account.gid)
    locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    command: list[str | Path] = [binaries / "initdb", "-D", fresh, "-U", SUPERUSER, f"--pwfile={password}"]
    command += ["-A", "scram-sha-256", "-E", "UTF8", f"--locale={locale}", "--data-checksums", "--no-instructions"]
    if major >= _BUILTIN_LOCALE_VERSION:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return fresh, command


def end_leftovers(folder: Path, cluster: Path) -> None:
    """Wait for what the owner before us left running, then remove its pid file and unfinished clusters."""
    unfinished = list(folder.glob("data.new-*"))
    folders = [cluster, *unfinished]
    for request in (signal.SIGINT, signal.SIGQUIT):
        running = _processes_in(folders)
        if request is signal.SIGINT:
            running &= {pid_file(cluster)[0]}  # the server passes it on; to its helpers it means something else
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request)
        if wait_until(lambda: not _processes_in(folders), STOP_SECONDS):
            break
    else:
        pids = ", ".join(map(str, sorted(_processes_in(folders))))
        raise EmbeddedServerError(f"An earlier server in {cluster} does not stop: end the processes {pids}")
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for fresh in unfinished:
        shutil.rmtree(fresh)


def pid_file(cluster: Path) -> tuple[int, bool]:
    """The pid in the server's pid file, 0 for none, and whether the server says there that it is ready."""
    with contextlib.suppress(OSError, ValueError, IndexError):  # absent, or being written
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[-1].strip() == "ready"
    return 0, False


def _processes_in(folders: Sequence[Path]) -> set[int]:
    """The pids of the live PostgreSQL processes at work in one of `folders`."""
    if Path("/proc/self/cwd").exists():
        return {int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(process, folders)}
    listing = subprocess.run(["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, check=True)  # noqa: S607 - macOS has it in /bin
    lines = [line for line in listing.stdout.splitlines() if any(f" -D {folder} " in line for folder in folders)]
    return {int(line.split()[0]) for line in lines}


def _works_in(process: Path, folders: Sequence[Path]) -> bool:
    with contextlib.suppress(OSError):  # it ended, or a folder is gone, or a container forbids to look
        if process.joinpath("comm").read_text().strip() not in {"postgres", "initdb"}:
            return False  # somebody's shell
        words = process.joinpath("cmdline").read_bytes().split(b"\0")
        if any(os.fsencode(folder) in words for folder in folders):
            return True
        return any(process.joinpath("cwd").samefile(folder) for folder in folders if folder.exists())
    return False


def write(path: Path, text: str) -> None:
    """Write a file for our eyes only: after a crash there is the old one or the new one, whole."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(0o600)
    fresh.write_text(text)
    sync(fresh)
    fresh.replace(path)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
