"""Creates a cluster, and stops the processes that a previous owner left running in it."""

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

    from syncer.embedded.os_user import OsUser

SUPERUSER = "postgres"
_BUILTIN_LOCALE_VERSION = 17  # a collation that does not change when the OS is upgraded


def prepare_cluster(folder: Path, binaries: Path, major: int, user: OsUser) -> tuple[Path, list[str | Path]]:
    """Creates an empty folder; returns it and the initdb command, with the password that is stored in `folder`."""
    password = folder / "password"
    if not password.exists():
        write_durably(password, secrets.token_hex(32))
    new_folder = Path(tempfile.mkdtemp(prefix="data.new-", dir=folder))
    if user.uid is not None and user.gid is not None:
        for path in (password, new_folder):
            os.chown(path, user.uid, user.gid)
    locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    command: list[str | Path] = [binaries / "initdb", "-D", new_folder, "-U", SUPERUSER, f"--pwfile={password}"]
    command += ["-A", "scram-sha-256", "-E", "UTF8", f"--locale={locale}", "--data-checksums", "--no-instructions"]
    if major >= _BUILTIN_LOCALE_VERSION:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return new_folder, command


def stop_leftovers(folder: Path, cluster: Path) -> None:
    """Stops the processes that a previous owner left running; removes its pid file and its unfinished clusters."""
    unfinished = list(folder.glob("data.new-*"))
    folders = [cluster, *unfinished]
    for stop_signal in (signal.SIGINT, signal.SIGQUIT):
        running_pids = _processes_in(folders)
        if stop_signal is signal.SIGINT:
            running_pids &= {
                pid_file(cluster)[0]
            }  # the postmaster passes it on; for its child processes SIGINT means something else
        for pid in running_pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
        if wait_until(lambda: not _processes_in(folders), STOP_SECONDS):
            break
    else:
        pids = ", ".join(map(str, sorted(_processes_in(folders))))
        raise EmbeddedServerError(f"An earlier server in {cluster} does not stop: terminate the processes {pids}")
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for new_folder in unfinished:
        shutil.rmtree(new_folder)


def pid_file(cluster: Path) -> tuple[int, bool]:
    """Reads the server's pid file: the pid, or 0 if there is none, and whether the server is ready."""
    with contextlib.suppress(OSError, ValueError, IndexError):  # it does not exist, or is being written
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[-1].strip() == "ready"
    return 0, False


def _processes_in(folders: Sequence[Path]) -> set[int]:
    """Returns the pids of the running PostgreSQL processes that work in one of `folders`."""
    if Path("/proc/self/cwd").exists():
        return {int(process.name) for process in Path("/proc").glob("[0-9]*") if _is_working_in(process, folders)}
    listing = subprocess.run(["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, check=True)  # noqa: S607 - macOS has it in /bin
    lines = [line for line in listing.stdout.splitlines() if any(f" -D {folder} " in line for folder in folders)]
    return {int(line.split()[0]) for line in lines}


def _is_working_in(process: Path, folders: Sequence[Path]) -> bool:
    with contextlib.suppress(OSError):  # the process ended, the folder was removed, or a container denies access
        if process.joinpath("comm").read_text().strip() not in {"postgres", "initdb"}:
            return False  # for example a shell
        arguments = process.joinpath("cmdline").read_bytes().split(b"\0")
        if any(os.fsencode(folder) in arguments for folder in folders):
            return True
        return any(process.joinpath("cwd").samefile(folder) for folder in folders if folder.exists())
    return False


def write_durably(path: Path, text: str) -> None:
    """Writes a file with mode 0600 atomically: after a crash, either the old or the new content is complete."""
    new_file = path.with_name(f"{path.name}.new")
    new_file.touch(0o600)
    new_file.write_text(text)
    fsync(new_file)
    new_file.replace(path)


def fsync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
