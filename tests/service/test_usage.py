"""The command line itself: what it says of itself, and how it refuses what it cannot use."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import syncer
from tests.service.processes import TOKEN, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service.processes import Program

COMMANDS = ["run", "sync", "migrate", "check", "status", "export", "health", "demo", "emulate", "psql"]
PASSWORD = "passw0rd"
GOOD: dict[str, str | None] = {
    "api_url": "http://127.0.0.1:1",
    "api_token": TOKEN,
    "database_url": f"postgresql://user:{PASSWORD}@127.0.0.1:1/none",
}


class Wrong(NamedTuple):
    """Settings that a command must refuse, and what its one line must name."""

    named: str
    settings: dict[str, str | None]
    says: str = ""
    command: str = "psql"  # starts soonest, and reads the settings as every command does


WRONG = [
    Wrong("SYNCER_API_URL", {"api_url": "ftp://pbx.example"}, "'ftp://pbx.example'"),
    Wrong("SYNCER_API_URL", {"api_url": "http://pbx.example"}, "https://"),
    Wrong("SYNCER_API_URL", {"api_url": f"https://user:{PASSWORD}@pbx.example"}, "***"),
    Wrong("SYNCER_API_URL", {"api_url": f"https://pbx.example/?token={TOKEN}"}, "***"),
    Wrong("SYNCER_API_TOKEN", {"api_token": None}, "is not set", "run"),
    Wrong("SYNCER_API_TOKEN", {"api_token": f"{TOKEN}\nsecond line"}, "one line of printable ASCII"),
    Wrong("SYNCER_API_TOKEN_FILE", {"api_token": None, "api_token_file": "/absent"}, "/absent, which cannot be read"),
    Wrong("SYNCER_API_TOKEN_FILE", {"api_token_file": "/absent"}, "are both set"),
    Wrong("SYNCER_API_AUTH_SCHEME", {"api_auth_scheme": f"Bearer {TOKEN}"}, "one word, such as Bearer"),
    Wrong("SYNCER_ACCOUNTS_FILE", {"api_token": None, "accounts_file": "/absent"}, "cannot be read", "run"),
    Wrong("SYNCER_ACCOUNT_NAME", {"account_name": " a"}, "' a'"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"mysql://user:{PASSWORD}@db/x"}, "postgresql://"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@db:port/x"}, "", "run"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@db:99999/x"}, "", "run"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@[::1/x"}, "", "run"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}/more@db/x"}, "", "run"),
    Wrong("SYNCER_DATABASE_URL", {"database_url": f"{GOOD['database_url']}?sslmode=maybe"}, "sslmode", "run"),
    Wrong(
        "SYNCER_DATABASE_URL",
        {"database_url": f"{GOOD['database_url']}?channel_binding=require"},
        "channel_binding",
        "run",
    ),
    Wrong("SYNCER_DATABASE_URL", {"database_url": None, "embedded": "off"}, "SYNCER_EMBEDDED is off", "run"),
    Wrong("SYNCER_DATABASE_URL_FILE", {"database_url": None, "database_url_file": "/absent"}, "cannot be read"),
    Wrong("SYNCER_MIGRATE_DATABASE_URL", {"migrate_database_url": f"{PASSWORD}@db"}, "postgresql://", "migrate"),
    Wrong("SYNCER_POLL_INTERVAL", {"poll_interval": "5x"}, "'5x': it must be a duration", "run"),
    Wrong("SYNCER_POLL_CRON", {"poll_cron": "* * *"}, "'* * *': it must be a crontab line", "run"),
    Wrong("SYNCER_TIMEZONE", {"timezone": "MSK+3"}, "'MSK+3'"),
    Wrong("SYNCER_API_TIMEOUT", {"api_timeout": "0s"}, "'0s'"),
    Wrong("SYNCER_API_ATTEMPTS", {"api_attempts": "0"}, "'0': it must be a whole number from 1 to 100"),
    Wrong("SYNCER_API_MAX_BYTES", {"api_max_bytes": "256MB"}, "'256MB': it must be a size"),
    Wrong("SYNCER_API_PROXY", {"api_proxy": f"socks5://user:{PASSWORD}@proxy:1"}, "http://HOST:PORT"),
    Wrong("SYNCER_API_CA_FILE", {"api_ca_file": "/absent.pem"}, "'/absent.pem'"),
    Wrong("SYNCER_API_CA_FILE", {"api_ca_file": "/dev/null"}, "PEM", "run"),
    Wrong("SYNCER_REMOVAL_GUARD_RATIO", {"removal_guard_ratio": "20%"}, "'20%': it must be a number from 0 to 1"),
    Wrong("SYNCER_REMOVAL_GUARD_HOLD", {"removal_guard_hold": "1 day"}, "'1 day': it must be a duration"),
    Wrong("SYNCER_HTTP_LISTEN", {"http_listen": "8080"}, "'8080': it must be HOST:PORT"),
    Wrong("SYNCER_HTTP_PAGE", {"http_page": "maybe"}, "'maybe'"),
    Wrong("SYNCER_MIGRATE_ON_START", {"migrate_on_start": "maybe"}, "'maybe': it must be on or off"),
    Wrong("SYNCER_SHUTDOWN_TIMEOUT", {"shutdown_timeout": "soon"}, "'soon': it must be a duration"),
    Wrong("SYNCER_RUN_RETENTION", {"run_retention": "-1d"}, "'-1d': it must be a duration"),
    Wrong("SYNCER_LOG_LEVEL", {"log_level": "loud"}, "'loud': it must be 'debug', 'info', 'warning' or 'error'"),
    Wrong("SYNCER_LOG_FORMAT", {"log_format": "xml"}, "'xml': it must be 'auto', 'console' or 'json'"),
]


def command(*arguments: str, folder: Path, settings: dict[str, str | None]) -> subprocess.CompletedProcess[str]:
    """Runs a command; one that takes its settings and goes on is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", *arguments],
        cwd=folder,
        env=environment(folder, settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture(scope="module")
def refusals() -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """What came of each of `WRONG`: they need nothing of each other, so as many run as there are processors."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        yield list(
            pool.map(lambda wrong: command(wrong.command, folder=Path(folder), settings=GOOD | wrong.settings), WRONG)
        )


@pytest.mark.parametrize(
    "place", range(len(WRONG)), ids=[f"{wrong.named}-{number}" for number, wrong in enumerate(WRONG)]
)
def test_a_wrong_setting_stops_the_program_with_2_and_one_line_that_names_it_and_no_secret(
    place: int, refusals: list[subprocess.CompletedProcess[str]]
) -> None:
    wrong, error_for_status = WRONG[place], refusals[place]

    assert PASSWORD not in error_for_status.stderr
    assert TOKEN not in error_for_status.stderr
    assert (error_for_status.returncode, error_for_status.stdout, len(error_for_status.stderr.splitlines())) == (
        2,
        "",
        1,
    ), error_for_status.stderr[:2000]
    assert error_for_status.stderr.startswith("syncer: ")
    assert wrong.named in error_for_status.stderr
    assert wrong.says in error_for_status.stderr


def test_the_version_and_every_command_are_told(tmp_path: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        asked = [("--version",), ("--help",), (), *((name, "--help") for name in COMMANDS if name != "psql")]
        version, general, nothing, *special = pool.map(
            lambda arguments: command(*arguments, folder=tmp_path, settings={}), asked
        )

    assert (version.returncode, version.stdout) == (0, f"syncer {syncer.__version__}\n")
    listed = general.stdout.partition("Commands:")[2].split("\n\n")[0]
    assert [line.split()[0] for line in listed.strip().splitlines()] == COMMANDS
    assert (general.returncode, nothing.returncode) == (0, 2)
    assert general.stdout.split("Options:")[1] in nothing.stdout + nothing.stderr
    assert [one.returncode for one in special] == [0] * len(special)


def test_wrong_usage_exits_with_2_and_says_what_is_wrong(tmp_path: Path) -> None:
    asked = [("nonsense",), ("sync", "--nonsense"), ("sync", "--account"), ("emulate", "--numbers", "-1"), ("run", "x")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        refused = list(pool.map(lambda arguments: command(*arguments, folder=tmp_path, settings=GOOD), asked))

    assert [one.returncode for one in refused] == [2] * len(asked)
    assert ["Error: " in one.stderr for one in refused] == [True] * len(asked)
    assert ["Traceback" in one.stderr for one in refused] == [False] * len(asked)


async def test_settings_are_read_from_a_file_in_the_working_directory_and_secrets_from_files(
    syncer: Program, database: str
) -> None:
    url = syncer.settings["api_url"]
    syncer.write("token", f"{TOKEN}\n")
    syncer.write("address", database)
    syncer.write(".env", f"SYNCER_API_URL={url}\nSYNCER_API_TOKEN_FILE=token\nSYNCER_ACCOUNT_NAME=Контора\n")

    finished = await syncer.run("sync", api_url=None, api_token=None, database_url=None, database_url_file="address")

    assert finished.code == 0
    assert finished.out.startswith("Контора: applied: 200 received, 200 created")
