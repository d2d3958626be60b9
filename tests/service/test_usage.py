"""The command line: its help, and how it rejects invalid settings and arguments."""

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

COMMANDS = [
    *(
        "run",
        "sync",
        "migrate",
        "check",
        "status",
        "notify",
        "history",
        "export",
        "erase",
        "erasures",
        "login",
        "dump",
        "restore",
    ),
    *("psql", "settings", "health", "demo", "emulate", "account"),
]
PASSWORD = "passw0rd"
VALID_SETTINGS: dict[str, str | None] = {
    "api_url": "http://127.0.0.1:1",
    "api_token": TOKEN,
    "database_url": f"postgresql://user:{PASSWORD}@127.0.0.1:1/none",
}


class InvalidSettings(NamedTuple):
    """Settings that a command must reject, and what its one-line message must contain."""

    setting: str
    settings: dict[str, str | None]
    message: str = ""
    command: str = "psql"  # starts fastest, and reads the settings as all commands do


INVALID_SETTINGS = [
    InvalidSettings("SYNCER_API_URL", {"api_url": "ftp://pbx.example"}, "'ftp://pbx.example'"),
    InvalidSettings("SYNCER_API_URL", {"api_url": "http://pbx.example"}, "https://"),
    InvalidSettings("SYNCER_API_URL", {"api_url": f"https://user:{PASSWORD}@pbx.example"}, "***"),
    InvalidSettings("SYNCER_API_URL", {"api_url": f"https://pbx.example/?token={TOKEN}"}, "***"),
    InvalidSettings("SYNCER_API_TOKEN", {"api_token": None}, "is not set", "run"),
    InvalidSettings("SYNCER_API_TOKEN", {"api_token": f"{TOKEN}\nsecond line"}, "one line of printable ASCII"),
    InvalidSettings(
        "SYNCER_API_TOKEN_FILE", {"api_token": None, "api_token_file": "/absent"}, "/absent, which cannot be read"
    ),
    InvalidSettings("SYNCER_API_TOKEN_FILE", {"api_token_file": "/absent"}, "are both set"),
    InvalidSettings("SYNCER_API_AUTH_SCHEME", {"api_auth_scheme": f"Bearer {TOKEN}"}, "one word, such as Bearer"),
    InvalidSettings("SYNCER_ACCOUNTS_FILE", {"api_token": None, "accounts_file": "/absent"}, "cannot be read", "run"),
    InvalidSettings("SYNCER_ACCOUNT_NAME", {"account_name": " a"}, "' a'"),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": f"mysql://user:{PASSWORD}@db/x"}, "postgresql://"),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@db:port/x"}, "", "run"),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@db:99999/x"}, "", "run"),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}@[::1/x"}, "", "run"),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": f"postgresql://user:{PASSWORD}/more@db/x"}, "", "run"),
    InvalidSettings(
        "SYNCER_DATABASE_URL", {"database_url": f"{VALID_SETTINGS['database_url']}?sslmode=maybe"}, "sslmode", "run"
    ),
    InvalidSettings(
        "SYNCER_DATABASE_URL",
        {"database_url": f"{VALID_SETTINGS['database_url']}?channel_binding=require"},
        "this program cannot honour its channel_binding: remove that, and set sslmode=verify-full",
        "run",
    ),
    InvalidSettings(
        "SYNCER_DATABASE_URL",
        {"database_url": f"{VALID_SETTINGS['database_url']}?require_auth=scram-sha-256"},
        "this program cannot honour its require_auth: remove that, and set sslmode=verify-full",
        "run",
    ),
    InvalidSettings("SYNCER_DATABASE_URL", {"database_url": None, "embedded": "off"}, "SYNCER_EMBEDDED is off", "run"),
    InvalidSettings(
        "SYNCER_DATABASE_URL_FILE", {"database_url": None, "database_url_file": "/absent"}, "cannot be read"
    ),
    InvalidSettings(
        "SYNCER_MIGRATE_DATABASE_URL", {"migrate_database_url": f"{PASSWORD}@db"}, "postgresql://", "migrate"
    ),
    InvalidSettings("SYNCER_POLL_INTERVAL", {"poll_interval": "5x"}, "'5x': it must be a duration", "run"),
    InvalidSettings("SYNCER_POLL_CRON", {"poll_cron": "* * *"}, "'* * *': it must be a crontab line", "run"),
    InvalidSettings("SYNCER_TIMEZONE", {"timezone": "MSK+3"}, "'MSK+3'"),
    InvalidSettings("SYNCER_API_TIMEOUT", {"api_timeout": "0s"}, "'0s'"),
    InvalidSettings("SYNCER_API_ATTEMPTS", {"api_attempts": "0"}, "'0': it must be a whole number from 1 to 100"),
    InvalidSettings("SYNCER_API_MAX_BYTES", {"api_max_bytes": "256MB"}, "'256MB': it must be a size"),
    InvalidSettings("SYNCER_API_PROXY", {"api_proxy": f"socks5://user:{PASSWORD}@proxy:1"}, "http://HOST:PORT"),
    InvalidSettings("SYNCER_API_CA_FILE", {"api_ca_file": "/absent.pem"}, "'/absent.pem'"),
    InvalidSettings("SYNCER_API_CA_FILE", {"api_ca_file": "/dev/null"}, "PEM", "run"),
    InvalidSettings(
        "SYNCER_REMOVAL_GUARD_RATIO", {"removal_guard_ratio": "20%"}, "'20%': it must be a number from 0 to 1"
    ),
    InvalidSettings("SYNCER_REMOVAL_GUARD_HOLD", {"removal_guard_hold": "1 day"}, "'1 day': it must be a duration"),
    InvalidSettings("SYNCER_HTTP_LISTEN", {"http_listen": "8080"}, "'8080': it must be HOST:PORT"),
    InvalidSettings("SYNCER_HTTP_PAGE", {"http_page": "maybe"}, "'maybe'"),
    InvalidSettings("SYNCER_MIGRATE_ON_START", {"migrate_on_start": "maybe"}, "'maybe': it must be on or off"),
    InvalidSettings("SYNCER_SHUTDOWN_TIMEOUT", {"shutdown_timeout": "soon"}, "'soon': it must be a duration"),
    InvalidSettings("SYNCER_RUN_RETENTION", {"run_retention": "-1d"}, "'-1d': it must be a duration"),
    InvalidSettings(
        "SYNCER_LOG_LEVEL", {"log_level": "loud"}, "'loud': it must be 'debug', 'info', 'warning' or 'error'"
    ),
    InvalidSettings("SYNCER_LOG_FORMAT", {"log_format": "xml"}, "'xml': it must be 'auto', 'console' or 'json'"),
]


def command(*arguments: str, folder: Path, settings: dict[str, str | None]) -> subprocess.CompletedProcess[str]:
    """Runs a command, and kills it if it accepts its settings and keeps running."""
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
def results() -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Runs a command for each of `INVALID_SETTINGS`, as many in parallel as there are processors."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        yield list(
            pool.map(
                lambda invalid: command(
                    invalid.command, folder=Path(folder), settings=VALID_SETTINGS | invalid.settings
                ),
                INVALID_SETTINGS,
            )
        )


@pytest.mark.parametrize(
    "index",
    range(len(INVALID_SETTINGS)),
    ids=[f"{invalid.setting}-{number}" for number, invalid in enumerate(INVALID_SETTINGS)],
)
def test_an_invalid_setting_exits_with_2_and_one_line_that_names_it_and_shows_no_secret(
    index: int, results: list[subprocess.CompletedProcess[str]]
) -> None:
    invalid, result = INVALID_SETTINGS[index], results[index]

    assert PASSWORD not in result.stderr
    assert TOKEN not in result.stderr
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (
        2,
        "",
        1,
    ), result.stderr[:2000]
    assert result.stderr.startswith("syncer: ")
    assert invalid.setting in result.stderr
    assert invalid.message in result.stderr


def test_help_lists_the_version_and_every_command(tmp_path: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        invocations = [("--version",), ("--help",), (), *((name, "--help") for name in COMMANDS if name != "psql")]
        version, program_help, no_arguments, *command_help = pool.map(
            lambda arguments: command(*arguments, folder=tmp_path, settings={}), invocations
        )

    assert (version.returncode, version.stdout) == (0, f"syncer {syncer.__version__}\n")
    listed = program_help.stdout.partition("Commands:")[2].split("\n\n")[0]
    assert [line.split()[0] for line in listed.strip().splitlines()] == COMMANDS
    assert (program_help.returncode, no_arguments.returncode) == (0, 2)
    assert program_help.stdout.split("Options:")[1] in no_arguments.stdout + no_arguments.stderr
    assert [result.returncode for result in command_help] == [0] * len(command_help)


def test_invalid_arguments_exit_with_2_and_an_error_message(tmp_path: Path) -> None:
    invocations = [
        ("nonsense",),
        ("sync", "--nonsense"),
        ("sync", "--account"),
        ("emulate", "--numbers", "-1"),
        ("run", "x"),
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(
            pool.map(lambda arguments: command(*arguments, folder=tmp_path, settings=VALID_SETTINGS), invocations)
        )

    assert [result.returncode for result in results] == [2] * len(invocations)
    assert ["Error: " in result.stderr for result in results] == [True] * len(invocations)
    assert ["Traceback" in result.stderr for result in results] == [False] * len(invocations)


async def test_settings_are_read_from_the_env_file_and_secrets_from_their_files(syncer: Program, database: str) -> None:
    url = syncer.settings["api_url"]
    syncer.write("token", f"{TOKEN}\n")
    syncer.write("address", database)
    syncer.write(".env", f"SYNCER_API_URL={url}\nSYNCER_API_TOKEN_FILE=token\nSYNCER_ACCOUNT_NAME=Контора\n")

    finished = await syncer.run("sync", api_url=None, api_token=None, database_url=None, database_url_file="address")

    assert finished.code == 0
    assert finished.out.startswith("Контора: applied: 200 received, 200 created")
