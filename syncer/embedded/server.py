"""The supervisor: this process owns the server, or joins it and takes over when the lock comes free."""

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

from syncer.embedded.cluster import SUPERUSER, begin_cluster, end_leftovers, pid_file, sync, write
from syncer.embedded.os_user import os_user_for
from syncer.embedded.programs import (
    STOP_SECONDS,
    environment,
    find_binaries,
    last_complaint,
    spawn,
    usable_binaries,
    wait_until,
)
from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from syncer.embedded.os_user import Account

_HOST = "127.0.0.1"
_IO_METHOD_VERSION = 18  # reads without helper processes, as before it
_START_SECONDS = 120.0  # recovery after a crash takes its time
_SETTINGS = {
    "wal_level": "minimal",  # nobody replicates an embedded server, and bulk loads write less
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",  # two lines every few minutes that nobody reads
    "lc_messages": "C",  # the log is searched for known words
}
_CREATE_DATABASE = """
SELECT pg_advisory_lock(hashtext(:'database')); -- of two processes that find it absent, one makes it
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \\gexec
"""
_PSQL_UNCONNECTED = 2


class EmbeddedServer:
    """A PostgreSQL server: the child of this process if it owns the data folder, else the child of the one that does.

    To be called from the main thread: the kernel stops the server when the thread that started it ends.

    Args:
        data_dir: The folder that all of it lives in; made if absent.
        database: The database that `url` names; created if absent.
        server_settings: Further settings of the server, if this process comes to own it; stronger than the defaults.
        programs: The folder of PostgreSQL's programs, where it is not to be looked for.
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
        """Own a running server, or join the one that another process owns; create the database if absent.

        Raises:
            EmbeddedServerError: Neither is possible.
        """
        with self._or_nothing():
            if not wait_until(self._usable, _START_SECONDS):
                holder = (self._folder / "lock").read_text()
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL in {self._folder} belongs to process {holder} and has not answered "
                    f"for {_START_SECONDS:.0f} s: look into {self._log}, or stop that process"
                )

    def ensure(self) -> None:
        """Start our server again if it died; take over if the process that owned it is gone. Cheap if all is well.

        Raises:
            EmbeddedServerError: It does not start; the next call tries again.
        """
        with self._or_nothing():
            self._take_over()

    def stop(self) -> None:
        """Stop the server if we own it; leave it alone if we joined it."""
        if self._child is not None:
            for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast; immediate; for one that hangs
                self._child.send_signal(request)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(STOP_SECONDS)
                    break
            self._child = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def url(self) -> str:
        """The database's address, password included; read afresh, since the port may change at a restart.

        Raises:
            EmbeddedServerError: No server was ever started here.
        """
        password, port = self._credentials()
        return f"postgresql://{SUPERUSER}:{password}@{_HOST}:{port}/{quote(self._database, safe='')}"

    @property
    def owner(self) -> bool:
        """Whether this process holds the data folder, and the server is its child."""
        return self._lock is not None

    @property
    def bin_dir(self) -> Path:
        """The folder with `psql` and the other programs."""
        return find_binaries(self._programs)

    @contextlib.contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """Have what fails leave no server behind, and no lock, so that another process or the next call can try."""
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

    def _usable(self) -> bool:
        """Whether a server runs, ours or another process's, and has the database now."""
        if not (self._take_over() or pid_file(self._cluster)[1]):
            return False
        result = self._psql(_CREATE_DATABASE)
        if result.returncode not in {0, _PSQL_UNCONNECTED}:  # a server may end while we join it
            reason = last_complaint(result.stderr)
            raise EmbeddedServerError(f"The database {self._database} cannot be created in {self._folder}: {reason}")
        return result.returncode == 0

    def _take_over(self) -> bool:
        """Own a running server; False if another process owns it."""
        if (self._child is None or self._child.poll() is not None) and self._lock_folder():
            self._launch()
        return self.owner

    def _lock_folder(self) -> bool:
        if self._lock is None:
            with contextlib.suppress(FileExistsError):
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's server runs as another user
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())  # for people; what counts is the lock
        return True

    def _launch(self) -> None:
        """Start the server, under the lock; make the cluster first if there is none."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded server must be started from the main thread, or it ends with the thread")
        account = os_user_for(self._folder, self._cluster)
        end_leftovers(self._folder, self._cluster)
        binaries, major = usable_binaries(self.bin_dir, self._folder, account)
        if self._log.exists():
            self._log.replace(self._log.with_name("postgres.log.1"))
        if not self._cluster.exists():
            self._make_cluster(binaries, major, account)
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != str(major):
            raise EmbeddedServerError(
                f"The data in {self._cluster} is of PostgreSQL {found}, and {binaries} holds PostgreSQL {major}: "
                f"name the folder of PostgreSQL {found}'s programs in SYNCER_PG_BINDIR, or another SYNCER_DATA_DIR"
            )
        settings = _SETTINGS | ({"io_method": "sync"} if major >= _IO_METHOD_VERSION else {}) | self._settings
        command: list[str | Path] = [binaries / "postgres", "-D", self._cluster]
        command += [f"--{name}={value}" for name, value in settings.items()]
        if not any(self._listen(command, port, account) for port in self._ports()):
            raise EmbeddedServerError(f"The embedded PostgreSQL found no free port on {_HOST}: look into {self._log}")

    def _make_cluster(self, binaries: Path, major: int, account: Account) -> None:
        fresh, command = begin_cluster(self._folder, binaries, major, account)
        with self._open_log() as log:
            self._child = spawn(command, fresh, account, log)
        if self._child.wait() != 0:
            raise self._failure("cannot be set up")
        fresh.rename(self._cluster)
        sync(self._folder)

    def _listen(self, command: Sequence[str | Path], port: int, account: Account) -> bool:
        """Start the server on `port`; False if another program has the port."""
        write(self._folder / "port", str(port))  # now, because whoever sees the server ready reads it
        network = [f"--listen_addresses={_HOST}", "--unix_socket_directories=", f"--port={port}"]
        with self._open_log() as log:
            self._child = child = spawn([*command, *network], self._cluster, account, log)
        wait_until(lambda: child.poll() is not None or pid_file(self._cluster) == (child.pid, True), _START_SECONDS)
        if pid_file(self._cluster) == (child.pid, True):
            return True
        failure = self._failure("does not start")
        if "could not create any TCP/IP sockets" not in str(failure):
            raise failure
        return False

    def _ports(self) -> Iterator[int]:
        """The port of the last start, then free ones; only the server can tell whether it gets one."""
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
            env=environment() | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )

    def _credentials(self) -> tuple[str, str]:
        """The password and the port."""
        try:
            return (self._folder / "password").read_text(), (self._folder / "port").read_text()
        except OSError as error:
            raise EmbeddedServerError(
                f"There is no embedded PostgreSQL to be reached in {self._folder}: {error.strerror}, {error.filename}"
            ) from error

    def _open_log(self) -> IO[bytes]:
        self._log.touch(0o600)
        return self._log.open("ab")

    def _failure(self, what: str) -> EmbeddedServerError:
        code = self._child.poll() if self._child else None
        killed = f"it was ended by signal {-code}" if code and code < 0 else None
        reason = killed or last_complaint(self._log.read_text(errors="replace"))
        return EmbeddedServerError(f"The embedded PostgreSQL in {self._folder} {what}: {reason} (see {self._log})")
