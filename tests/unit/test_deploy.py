"""The deployment files are consistent with the program and its documentation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from syncer.config.settings import Settings
from syncer.daemon.scheduler import STUCK_AFTER_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = (ROOT / "docker-compose.yml").read_text()
GRAFANA_SOURCES = yaml.safe_load((DEPLOY / "compose" / "datasource.yml").read_text())
UNIT = (DEPLOY / "systemd" / "syncer.service").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SHUTDOWN_SECONDS = Settings.model_fields["shutdown_timeout"].default.total_seconds()


@pytest.mark.parametrize(
    "file",
    [
        "Dockerfile",
        "docker-compose.yml",
        "deploy/compose/demo.env",
        "deploy/systemd/syncer.service",
        "deploy/systemd/syncer",
        "deploy/systemd/accounts.conf",
        "deploy/systemd/notify.conf",
        "docs/operations.md",
    ],
)
def test_every_variable_that_is_set_is_a_setting(file: str) -> None:
    named = set(re.findall(r"\bSYNCER_[A-Z_]+", (ROOT / file).read_text()))

    assert named
    assert {name for name in named if name.removeprefix("SYNCER_").lower() not in Settings.model_fields} == set()


def test_compose_passes_every_setting_on() -> None:
    set_for_the_container = {"database_url_file", "api_token_file", "migrate_on_start", "shutdown_timeout"}
    of_another_service = {"migrate_database_url_file"}
    secrets = {"api_token", "database_url", "migrate_database_url"}  # files, so that no environment contains them
    # These have to be mounted too: an override, as the page shows.
    files = {"env_file", "accounts_file", "notify_file", "api_proxy_file"}
    of_the_image = {"embedded", "data_dir", "pg_bindir", "http_listen"}
    passed_on = {name.lower() for name in re.findall(r"^      SYNCER_(\w+): \$\{SYNCER_\1:-", COMPOSE, re.MULTILINE)}

    others = set_for_the_container | of_another_service | secrets | files | of_the_image
    assert (passed_on | others, passed_on & others) == (set(Settings.model_fields), set())


def test_the_stop_timeouts_are_longer_than_the_shutdown_timeout() -> None:
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)s$", UNIT, re.MULTILINE)
    (allowed,) = re.findall(r"SYNCER_SHUTDOWN_TIMEOUT: (\d+)s", COMPOSE)
    (grace,) = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)

    assert int(timeout) > SHUTDOWN_SECONDS
    assert int(grace) > int(allowed)


def test_the_watchdog_timeout_is_longer_than_an_iteration_of_the_scheduler_may_take() -> None:
    (minutes,) = re.findall(r"^WatchdogSec=(\d+)min$", UNIT, re.MULTILINE)

    assert int(minutes) * 60 > STUCK_AFTER_SECONDS


def test_every_secret_that_compose_mounts_is_generated_and_exists_for_the_demo() -> None:
    mounted = set(re.findall(r"file: \$\{SECRETS:-\./secrets\}/(\w+)", COMPOSE))

    assert mounted == {file.name for file in (DEPLOY / "compose" / "demo").iterdir()}
    assert mounted == set(re.findall(r"keep (\w+) ", (DEPLOY / "compose" / "make-secrets").read_text()))


def test_grafana_gets_the_password_that_the_analyst_address_contains(tmp_path: Path) -> None:
    script = tmp_path / "deploy" / "compose" / "make-secrets"
    script.parent.mkdir(parents=True)
    shutil.copy(DEPLOY / "compose" / "make-secrets", script)
    subprocess.run([script], input="token\n", text=True, check=True, stderr=subprocess.DEVNULL)

    for folder in (tmp_path / "secrets", DEPLOY / "compose" / "demo"):
        address = urlsplit((folder / "analyst_url").read_text())
        assert (folder / "analyst_password").read_text() == f"{address.password}\n"
    (grafana,) = [entry for entry in GRAFANA_SOURCES["datasources"] if entry["name"] == "PostgreSQL"]
    assert (grafana["user"], grafana["url"]) == (address.username, f"{address.hostname}:{address.port}")
    assert grafana["jsonData"]["database"] == address.path.removeprefix("/")


def test_the_script_for_secrets_closes_its_folder_and_takes_no_empty_token(tmp_path: Path) -> None:
    script = tmp_path / "deploy" / "compose" / "make-secrets"
    script.parent.mkdir(parents=True)
    shutil.copy(DEPLOY / "compose" / "make-secrets", script)
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o755)

    empty, absent = (
        subprocess.run([script], input=text, text=True, check=False, capture_output=True) for text in ("\n", "")
    )

    for refused in (empty, absent):
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1] == "make-secrets: no token was entered: run it again with the token"
    assert not (secrets / "api_token").exists()
    assert oct(secrets.stat().st_mode & 0o777) == "0o700"
    subprocess.run([script], input="token\n", text=True, check=True, stderr=subprocess.DEVNULL)
    assert (secrets / "api_token").read_text() == "token\n"


def test_grafana_loads_every_dashboard() -> None:
    mounted = re.findall(r"- \./deploy/grafana/(\w+\.json):/var/lib/grafana/dashboards/\1:ro", COMPOSE)

    assert sorted(mounted) == sorted(path.name for path in (DEPLOY / "grafana").glob("*.json"))


def test_the_documentation_contains_the_script_that_creates_the_logins() -> None:
    script = (DEPLOY / "postgres" / "logins.sql").read_text()

    assert "\n".join(line for line in script.splitlines() if not line.startswith("--")) in OPERATIONS


def test_a_command_gets_the_settings_and_the_secrets_of_the_service(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    program = tmp_path / "syncer"
    program.write_text("#!/bin/sh\nenv | grep ^SYNCER_ | sort\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    script = (DEPLOY / "systemd" / "syncer").read_text()
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(script.replace("/etc/syncer", str(etc)).replace("/opt/syncer/bin/syncer", str(program)))

    def run(**environment: str) -> list[str]:
        arguments = ["sh", str(wrapper), "status", "two words"]
        environment["PATH"] = os.environ["PATH"]
        finished = subprocess.run(arguments, check=True, text=True, capture_output=True, env=environment)
        return finished.stdout.splitlines()

    one_account = run()
    for name in ("syncer.env", "accounts.toml", "notify.toml", "owner_url"):
        (etc / name).touch()
    several_accounts = run()
    another_owner = run(SYNCER_MIGRATE_DATABASE_URL="postgresql://another")

    always = ["SYNCER_EMBEDDED=off", "SYNCER_MIGRATE_ON_START=false", f"SYNCER_DATABASE_URL_FILE={etc}/database_url"]
    assert one_account == [*sorted([*always, f"SYNCER_API_TOKEN_FILE={etc}/api_token"]), "status", "two words"]
    assert several_accounts[:-2] == sorted(
        [
            *always,
            f"SYNCER_ACCOUNTS_FILE={etc}/accounts.toml",
            f"SYNCER_ENV_FILE={etc}/syncer.env",
            f"SYNCER_MIGRATE_DATABASE_URL_FILE={etc}/owner_url",
            f"SYNCER_NOTIFY_FILE={etc}/notify.toml",
        ]
    )
    of_owner = [line for line in another_owner if line.startswith("SYNCER_MIGRATE_DATABASE_URL")]
    assert of_owner == ["SYNCER_MIGRATE_DATABASE_URL=postgresql://another"]


def test_a_command_in_compose_needs_no_running_daemon_and_gets_the_owners_address_only_if_it_needs_it(
    tmp_path: Path,
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nshift 3\necho $*\n")
    docker.chmod(0o755)
    link = tmp_path / "syncer"
    link.symlink_to(DEPLOY / "compose" / "syncer")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(*arguments: str) -> str:
        finished = subprocess.run([link, *arguments], check=True, text=True, capture_output=True, env=environment)
        return finished.stdout.strip()

    as_daemon = "run --rm --no-deps syncer"
    as_owner = (
        f"run --rm --no-deps --volume {ROOT}/secrets/owner_url:/run/owner_url:ro "
        "--env SYNCER_MIGRATE_DATABASE_URL_FILE=/run/owner_url syncer"
    )
    assert run("check", "--data") == f"{as_daemon} check --data"
    assert run("sync", "--account", "account") == f"{as_daemon} sync --account account"
    assert run("account", "delete", "old", "--yes") == f"{as_owner} account delete old --yes"
    assert run("migrate") == "run --rm migrate migrate"
    assert run("health") == "exec syncer syncer health"
    assert run("-V") == f"{as_daemon} -V"


def test_the_service_writes_no_core_dump_and_receives_its_secrets_as_credentials() -> None:
    assert re.findall(r"^LimitCORE=(.*)$", UNIT, re.MULTILINE) == ["0"]
    credentials = dict(re.findall(r"^Environment=SYNCER_(\w+)_FILE=%d/(\w+)$", UNIT, re.MULTILINE))
    assert credentials == {"API_TOKEN": "api_token", "DATABASE_URL": "database_url"}
    assert dict(re.findall(r"^LoadCredential=(\w+):(\S+)$", UNIT, re.MULTILINE)) == {
        name: f"/etc/syncer/{name}" for name in credentials.values()
    }


def test_the_files_of_several_accounts_and_of_notices_can_be_used_together() -> None:
    """systemd reads them in the order of their names: what one takes away must not be the other's."""
    both = "".join((DEPLOY / "systemd" / f"{name}.conf").read_text() for name in ("accounts", "notify"))
    credentials: dict[str, str] = {}
    for name, path in re.findall(r"^LoadCredential=(?:([\w.]+):(\S+))?$", UNIT + both, re.MULTILINE):
        credentials = credentials | {name: path} if name else {}

    variables = dict(re.findall(r"^Environment=SYNCER_(\w+)_FILE=%d/([\w.]+)$", both, re.MULTILINE))
    assert variables == {"ACCOUNTS": "accounts.toml", "NOTIFY": "notify.toml"}
    assert credentials == {
        name: f"/etc/syncer/{name}"
        for name in ("database_url", "accounts.toml", "ural.token", "notify.toml", "smtp.password")
    }
