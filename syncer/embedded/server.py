"""The supervisor: this process owns the server, or joins it and takes over when the lock is released."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import quote

from syncer.embedded.cluster import SUPERUSER, fsync, pid_file, prepare_cluster, stop_leftovers, write_durably
from syncer.embedded.os_user import os_user_for
from syncer.embedded.programs import (
    STOP_SECONDS,
    accessible_binaries,
    find_binaries,
    last_error,
    program_environment,
    spawn,
    wait_until,
)
from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from syncer.embedded.os_user import OsUser

_HOST = "127.0.0.1"
_IO_METHOD_VERSION = 18  # synchronous reads without worker processes, as in older versions
_START_SECONDS = 120.0  # crash recovery can take long
_SETTINGS = {
    "wal_level": "minimal",  # there is no replication, and bulk loads write less WAL
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",  # it would write two lines every few minutes
    "lc_messages": "C",  # the log is searched for English messages
}
_CREATE_DATABASE = """
SELECT pg_advisory_lock(hashtext(:'database')); -- only one of several processes creates the database
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \\gexec
"""
_PSQL_CONNECTION_FAILED = 2


class EmbeddedServer:
    """A PostgreSQL server: a child of this process if it owns the data folder, else a child of the process that does.

    Call it from the main thread: the kernel stops the server when the thread that started it ends.

    Args:
        data_dir: The data folder; created if it does not exist.
        database: The database that `url` names; created if it does not exist.
        server_settings: Further settings of the server if this process owns it; they override the defaults.
        programs: The folder of PostgreSQL's programs; None searches for it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database: str = "syncer",
        server_settings: Mapping[str, str] | None = None,
        programs: Path | None = None,
    ) -> None:
        self._folder = data_dir.expanduser().resolve()
        self._cluster = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._database = database
        self._settings = dict(server_settings or {})
        self._programs = programs
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None  # initdb for a moment, then the server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts a server, or joins the one that another process owns; creates the database if it does not exist.

        Raises:
            EmbeddedServerError: Neither is possible.
        """
        with self._stop_on_failure():
            if not wait_until(self._is_database_ready, _START_SECONDS):
                owner_pid = (self._folder / "lock").read_text()
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL in {self._folder} belongs to process {owner_pid} and has not answered "
                    f"for {_START_SECONDS:.0f} s: see {self._log}, or stop that process"
                )

    def ensure(self) -> None:
        """Restarts the server if it died, and takes over if its owner is gone; cheap if the server is running.

        Raises:
            EmbeddedServerError: The server does not start; the next call tries again.
        """
        with self._stop_on_failure():
            self._take_over()

    def stop(self) -> None:
        """Stops the server if this process owns it."""
        if self._child is not None:
            for stop_signal in (
                signal.SIGINT,
                signal.SIGQUIT,
                signal.SIGKILL,
            ):  # fast shutdown; immediate shutdown; if it hangs
                self._child.send_signal(stop_signal)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(STOP_SECONDS)
                    break
            self._child = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def url(self) -> str:
        """The address of the database with its password; it is read each time, because a restart may change the port.

        Raises:
            EmbeddedServerError: No server was ever started in the data folder.
        """
        password, port = self._credentials()
        return f"postgresql://{SUPERUSER}:{password}@{_HOST}:{port}/{quote(self._database, safe='')}"

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._folder

    def exists(self) -> bool:
        """Returns whether the data folder has a cluster, as far as this user can know."""
        try:
            return self._cluster.exists()
        except OSError:
            return True

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the data folder, so that the server is its child."""
        return self._lock is not None

    @property
    def bin_dir(self) -> Path:
        """The folder with `psql` and the other programs, as installed."""
        return find_binaries(self._programs)

    @contextlib.contextmanager
    def _stop_on_failure(self) -> Iterator[None]:
        """On an exception, stops the server and releases the lock, so that another process or the next call can try."""
        try:
            yield
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL cannot use {error.filename or self._folder}: {error.strerror}; "
                    "choose another SYNCER_DATA_DIR, or set SYNCER_DATABASE_URL"
                ) from error
            raise

    def _is_database_ready(self) -> bool:
        """Returns whether a server is running, ours or another process's; creates the database in it if needed."""
        if not (self._take_over() or pid_file(self._cluster)[1]):
            return False
        result = self._psql(_CREATE_DATABASE)
        if result.returncode not in {0, _PSQL_CONNECTION_FAILED}:  # a server may stop while we join it
            reason = last_error(result.stderr)
            raise EmbeddedServerError(f"The database {self._database} cannot be created in {self._folder}: {reason}")
        return result.returncode == 0

    def _take_over(self) -> bool:
        """Starts the server if no process owns it; returns False if another process does."""
        if (self._child is None or self._child.poll() is not None) and self._lock_folder():
            self._launch()
        return self.is_owner

    def _lock_folder(self) -> bool:
        if self._lock is None:
            with contextlib.suppress(FileExistsError):
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # for root, the server runs as another user
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())  # for information only: the lock decides
        return True

    def _launch(self) -> None:
        """Starts the server, under the lock, and creates the cluster first if there is none."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded server must be started from the main thread: it stops with the thread")
        user = os_user_for(self._folder, self._cluster)
        stop_leftovers(self._folder, self._cluster)
        binaries, major = accessible_binaries(self.bin_dir, self._folder, user)
        if self._log.exists():
            self._log.replace(self._log.with_name("postgres.log.1"))
        if not self._cluster.exists():
            self._make_cluster(binaries, major, user)
        cluster_version = (self._cluster / "PG_VERSION").read_text().strip()
        if cluster_version != str(major):
            raise EmbeddedServerError(
                f"The cluster in {self._cluster} is of PostgreSQL {cluster_version}, but {binaries} has "
                f"PostgreSQL {major}: set SYNCER_PG_BINDIR to programs of PostgreSQL {cluster_version}, or use another "
                "SYNCER_DATA_DIR"
            )
        settings = _SETTINGS | ({"io_method": "sync"} if major >= _IO_METHOD_VERSION else {}) | self._settings
        command: list[str | Path] = [binaries / "postgres", "-D", self._cluster]
        command += [f"--{name}={value}" for name, value in settings.items()]
        if not any(self._start_on_port(command, port, user) for port in self._candidate_ports()):
            raise EmbeddedServerError(f"The embedded PostgreSQL found no free port on {_HOST}: see {self._log}")

    def _make_cluster(self, binaries: Path, major: int, user: OsUser) -> None:
        new_folder, command = prepare_cluster(self._folder, binaries, major, user)
        with self._open_log() as log:
            self._child = spawn(command, new_folder, user, log)
        if self._child.wait() != 0:
            raise self._startup_error("cannot be set up")
        new_folder.rename(self._cluster)
        fsync(self._folder)

    def _start_on_port(self, command: Sequence[str | Path], port: int, user: OsUser) -> bool:
        """Starts the server on `port`; returns False if another program uses the port."""
        write_durably(
            self._folder / "port", str(port)
        )  # before the start, because other processes read it when the server is ready
        network = [f"--listen_addresses={_HOST}", "--unix_socket_directories=", f"--port={port}"]
        with self._open_log() as log:
            self._child = child = spawn([*command, *network], self._cluster, user, log)
        wait_until(lambda: child.poll() is not None or pid_file(self._cluster) == (child.pid, True), _START_SECONDS)
        if pid_file(self._cluster) == (child.pid, True):
            return True
        error = self._startup_error("does not start")
        if "could not create any TCP/IP sockets" not in str(error):
            raise error
        return False

    def _candidate_ports(self) -> Iterator[int]:
        """Yields the port of the last start, then free ones; another program may take them before the server does."""
        with contextlib.suppress(OSError, ValueError):
            yield int((self._folder / "port").read_text())
        for _ in range(5):
            with socket.create_server((_HOST, 0)) as probe:
                port: int = probe.getsockname()[1]
            yield port

    def _psql(self, script: str) -> subprocess.CompletedProcess[str]:
        password, port = self._credentials()
        options = ["-X", "-q", "-w", "-h", _HOST, "-p", port, "-U", SUPERUSER, "-d", "postgres"]
        return subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [self.bin_dir / "psql", *options, "-v", "ON_ERROR_STOP=1", "-v", f"database={self._database}"],
            env=program_environment() | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )

    def _credentials(self) -> tuple[str, str]:
        """Returns the password and the port."""
        try:
            return (self._folder / "password").read_text(), (self._folder / "port").read_text()
        except OSError as error:
            raise EmbeddedServerError(
                f"There is no embedded PostgreSQL in {self._folder}: {error.strerror}, {error.filename}"
            ) from error

    def _open_log(self) -> IO[bytes]:
        self._log.touch(0o600)
        return self._log.open("ab")

    def _startup_error(self, problem: str) -> EmbeddedServerError:
        code = self._child.poll() if self._child else None
        killed = f"it was killed by signal {-code}" if code and code < 0 else None
        reason = killed or last_error(self._log.read_text(errors="replace"))
        return EmbeddedServerError(f"The embedded PostgreSQL in {self._folder} {problem}: {reason} (see {self._log})")
