"""Settings: where they are read from, and the messages for invalid values."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from syncer.config.accounts import Account, find_token_sources, load_accounts
from syncer.config.crontab import crontab_trigger
from syncer.config.exposed_files import describe_exposed_files
from syncer.config.hosts import ListenAddress, is_loopback
from syncer.config.settings import Settings, describe_unknown_variables, load_settings, load_valid_settings
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cr3t-t0ken"
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.fixture(autouse=True)
def clear_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("SYNCER_"):
            monkeypatch.delenv(name)


def configuration_error(load: Callable[[], object] = load_settings) -> str:
    """Returns the message that `load` fails with. It is one line, and neither it nor a chained error has the secret."""
    with pytest.raises(ConfigurationError) as caught:
        load()
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return text


def accounts() -> tuple[Account, ...]:
    return load_accounts(load_settings())


@pytest.fixture
def accounts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "accounts.toml"
    path.parent.mkdir()
    monkeypatch.setenv("SYNCER_ACCOUNTS_FILE", str(path))
    return path


def test_the_defaults_are_those_of_the_contract() -> None:
    assert load_settings().model_dump() == {
        "env_file": None,
        "api_allow_http": False,
        "api_url": "https://simple-api.cp.megafon.ru",
        "api_token": None,
        "api_token_file": None,
        "api_auth_scheme": None,
        "accounts_file": None,
        "account_name": "default",
        "notify_file": None,
        "database_url": None,
        "database_url_file": None,
        "migrate_database_url": None,
        "migrate_database_url_file": None,
        "migrate_on_start": True,
        "embedded": True,
        "data_dir": None,
        "pg_bindir": None,
        "poll_interval": timedelta(minutes=5),
        "poll_cron": None,
        "names": (),
        "names_interval": timedelta(hours=1),
        "timezone": MOSCOW,
        "api_timeout": timedelta(seconds=60),
        "api_attempts": 4,
        "api_max_bytes": 268_435_456,
        "api_proxy": None,
        "api_proxy_file": None,
        "api_ca_file": None,
        "removal_guard_ratio": 0.2,
        "removal_guard_hold": timedelta(hours=24),
        "removal_confirmations": 2,
        "run_retention": timedelta(days=90),
        "http_listen": ("127.0.0.1", 8080),
        "http_page": "auto",
        "http_hosts": None,
        "shutdown_timeout": timedelta(seconds=30),
        "log_level": "info",
        "log_format": "auto",
    }


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("API_URL", "https://pbx.example:8443/base/", "https://pbx.example:8443/base"),
        ("API_URL", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("API_URL", "http://127.9.9.9", "http://127.9.9.9"),
        ("API_URL", "http://[::1]:1", "http://[::1]:1"),
        ("API_URL", "http://localhost", "http://localhost"),
        ("API_TOKEN", f" {SECRET}\n", SecretStr(SECRET)),
        ("API_AUTH_SCHEME", "Bearer", "Bearer"),
        ("ACCOUNT_NAME", "Москва 1", "Москва 1"),
        ("DATABASE_URL", "postgres:///syncer?host=/run", SecretStr("postgres:///syncer?host=/run")),
        ("DATABASE_URL", "postgresql://a:b@x:1,y:2/z", SecretStr("postgresql://a:b@x:1,y:2/z")),
        ("API_PROXY", "http://u:p@proxy:3128", SecretStr("http://u:p@proxy:3128")),
        ("POLL_INTERVAL", "1s", timedelta(seconds=1)),
        ("POLL_INTERVAL", "90d", timedelta(days=90)),
        ("POLL_CRON", "*/10 8-20 * * 1-5", "*/10 8-20 * * 1-5"),
        ("TIMEZONE", "Asia/Vladivostok", ZoneInfo("Asia/Vladivostok")),
        ("API_ATTEMPTS", "1", 1),
        ("API_MAX_BYTES", "1000", 1000),
        ("API_MAX_BYTES", "64KiB", 65_536),
        ("API_MAX_BYTES", "2 GiB", 2_147_483_648),
        ("REMOVAL_GUARD_RATIO", "0", 0.0),
        ("REMOVAL_GUARD_RATIO", "1", 1.0),
        ("REMOVAL_GUARD_HOLD", "0s", timedelta(0)),
        ("HTTP_LISTEN", "pbx.example:80", ("pbx.example", 80)),
        ("HTTP_LISTEN", "[::]:0", ("::", 0)),
        ("HTTP_LISTEN", "off", None),
        ("HTTP_PAGE", "On", "on"),
        ("HTTP_HOSTS", "PBX.example., 192.0.2.7,2001:DB8:0::7", ("pbx.example", "192.0.2.7", "2001:db8::7")),
        ("HTTP_HOSTS", "syncer", ("syncer",)),
        ("NAMES", "off", ()),
        ("NAMES", "Employees", ("employees",)),
        ("NAMES", "scenarios, employees,groups,employees", ("employees", "groups", "scenarios")),
        ("NAMES_INTERVAL", "5m", timedelta(minutes=5)),
        ("MIGRATE_ON_START", "off", False),
        ("EMBEDDED", "FALSE", False),
        ("EMBEDDED", "on", True),
        ("LOG_LEVEL", "DEBUG", "debug"),
        ("LOG_FORMAT", "json", "json"),
        ("DATA_DIR", "data", Path("data")),
    ],
)
def test_a_value_is_parsed_as_the_type_of_its_setting(
    variable: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SYNCER_{variable}", text)
    assert value == getattr(load_settings(), variable.lower())


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("POLL_INTERVAL", "5x", "is '5x': it must be a duration from 1s to 3650d, such as 30s, 5m, 24h or 90d"),
        ("POLL_INTERVAL", "0s", "is '0s': it must be a duration from 1s to 3650d, such as 30s, 5m, 24h or 90d"),
        ("POLL_INTERVAL", "300", "is '300': it must be a duration from 1s to 3650d, such as 30s, 5m, 24h or 90d"),
        ("API_TIMEOUT", "0s", "is '0s': it must be a duration above zero, such as 30s, 5m, 24h or 90d"),
        (
            "RUN_RETENTION",
            "999999999d",
            "is '999999999d': it must be a duration of at most 3650d, such as 30s, 5m, 24h or 90d",
        ),
        ("API_MAX_BYTES", "256MB", "is '256MB': it must be a size of at least 1 byte, such as 64KiB, 256MiB or 1GiB"),
        ("API_MAX_BYTES", "0", "is '0': it must be a size of at least 1 byte, such as 64KiB, 256MiB or 1GiB"),
        ("API_ATTEMPTS", "0", "is '0': it must be a whole number from 1 to 100"),
        ("API_ATTEMPTS", "four", "is 'four': it must be a whole number from 1 to 100"),
        ("REMOVAL_GUARD_RATIO", "20%", "is '20%': it must be a number from 0 to 1, such as 0.2"),
        ("REMOVAL_GUARD_RATIO", "1.5", "is '1.5': it must be a number from 0 to 1, such as 0.2"),
        ("REMOVAL_GUARD_RATIO", "nan", "is 'nan': it must be a number from 0 to 1, such as 0.2"),
        (
            "TIMEZONE",
            "Europe",
            "is 'Europe': it must be an IANA time zone name, such as Europe/Moscow or UTC",
        ),
        ("TIMEZONE", "../x", "is '../x': it must be an IANA time zone name, such as Europe/Moscow or UTC"),
        ("TIMEZONE", "MSK+3", "is 'MSK+3': it must be an IANA time zone name, such as Europe/Moscow or UTC"),
        ("HTTP_LISTEN", "8080", "is '8080': it must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or off"),
        ("HTTP_LISTEN", "::1:80", "is '::1:80': it must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or off"),
        ("HTTP_LISTEN", "a:65536", "is 'a:65536': it must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or off"),
        ("HTTP_PAGE", "maybe", "is 'maybe': it must be 'auto', 'on' or 'off'"),
        *(
            (
                "HTTP_HOSTS",
                hosts,
                f"is '{hosts}': it must be host names or addresses without ports, such as pbx.example,192.0.2.7",
            )
            for hosts in ("pbx.example:8080", "http://pbx.example", "a,,b", "*", "[::1]", "a b", "пбх.рф", "::g")
        ),
        *(
            (
                "NAMES",
                words,
                f"is '{words}': it must be off, or one or more of employees, groups and scenarios, separated by commas",
            )
            for words in ("people", "off,groups", "employees groups", "employees,", "on")
        ),
        ("NAMES_INTERVAL", "4m", "is '4m': it must be a duration from 5m to 3650d, such as 30s, 5m, 24h or 90d"),
        ("EMBEDDED", "maybe", "is 'maybe': it must be on or off (true or false)"),
        ("LOG_LEVEL", "loud", "is 'loud': it must be 'debug', 'info', 'warning' or 'error'"),
        ("ACCOUNT_NAME", " a", "is ' a': it must be 1 to 100 printable characters, with no space before or after them"),
        (
            "ACCOUNT_NAME",
            "a\nb",
            r"is 'a\nb': it must be 1 to 100 printable characters, with no space before or after them",
        ),
        (
            "API_CA_FILE",
            "absent.pem",
            "is 'absent.pem': it must be a file that can be read: No such file or directory",
        ),
        (
            "API_URL",
            "http://pbx.example",
            (
                "is 'http://pbx.example': it must begin with https://; plain http to another host needs "
                "SYNCER_API_ALLOW_HTTP=true"
            ),
        ),
        (
            "API_URL",
            "http://localhost.example",
            (
                "is 'http://localhost.example': it must begin with https://; plain http to another host needs "
                "SYNCER_API_ALLOW_HTTP=true"
            ),
        ),
    ],
)
def test_an_invalid_value_is_rejected_with_its_name_its_value_and_what_is_allowed(
    variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SYNCER_{variable}", text)
    assert f"SYNCER_{variable} {message}" == configuration_error()


@pytest.mark.parametrize(
    "address",
    [
        "simple-api.cp.megafon.ru",
        "ftp://pbx.example",
        "https://",
        "https://pbx.example:0",
        "https://pbx.example:65536",
        "https://pbx.example/a b",
        "https://pbx..example",
        f"https://{'a' * 64}.example",
        f"https://user:{SECRET}@pbx.example",
        f"https://user:{SECRET}/@pbx.example",
        f"https://pbx.example?token={SECRET}",
        f"https://pbx.example#{SECRET}",
    ],
)
def test_an_invalid_base_address_is_rejected_without_showing_secrets_in_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCER_API_URL", address)
    text = configuration_error()
    assert text.startswith("SYNCER_API_URL is '")
    assert text.endswith(
        ": it must be an address such as https://simple-api.cp.megafon.ru, "
        "with no user name, password, query or fragment"
    )


@pytest.mark.parametrize(
    "line",
    [
        "* * * *",
        "@hourly",
        "60 * * * *",
        "0 9 * * 8",
        "0 9 * * foo",
        "0 9 1 * 1",
        "0 0 31 2 *",
        "0 9 * * 1/0",
        "0 9 * * 1,5-2",
        "0 9 * * 1,",
    ],
)
def test_a_crontab_line_that_is_invalid_or_never_fires_is_rejected(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_POLL_CRON", line)
    expected = (
        f"SYNCER_POLL_CRON is '{line}': it must be a crontab line (minute, hour, day of month, month, day of week) "
        "for a time that exists, with a day of the month or of the week but not both, such as '*/10 8-20 * * 1-5'"
    )
    assert expected == configuration_error()


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ("0", "Sun"),
        ("7", "Sun"),
        ("1", "Mon"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("5-7", "Sun Fri Sat"),
        ("sat-sun", "Sun Sat"),
        ("1-5/2", "Mon Wed Fri"),
        ("*/3", "Sun Wed Sat"),
        ("mon,3", "Mon Wed"),
        ("*", "Sun Mon Tue Wed Thu Fri Sat"),
    ],
)
def test_weekdays_of_a_crontab_line_are_numbered_from_sunday(weekdays: str, expected: str) -> None:
    trigger = crontab_trigger(f"0 9 * * {weekdays}", MOSCOW)
    sunday = datetime(2026, 1, 4, tzinfo=MOSCOW)
    fire_times = [trigger.get_next_fire_time(None, sunday + timedelta(days=day)) for day in range(7)]
    assert expected == " ".join(
        dict.fromkeys(time.strftime("%a") for time in sorted(fire_times) if time < sunday + timedelta(7))
    )


def test_a_crontab_line_fires_in_its_time_zone() -> None:
    trigger = crontab_trigger("30 9 * * *", MOSCOW)
    assert datetime(2026, 1, 1, 6, 30, tzinfo=UTC) == trigger.get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC))


def test_plain_http_to_another_host_is_accepted_if_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_URL", "http://pbx.example")
    monkeypatch.setenv("SYNCER_API_ALLOW_HTTP", "true")
    assert load_settings().api_url == "http://pbx.example"


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        (
            "API_TOKEN",
            f"{SECRET}\nX-Header: 1",
            "it must be one line of printable ASCII characters, as the Личный кабинет shows it",
        ),
        (
            "API_TOKEN",
            f"{SECRET}\x7f",
            "it must be one line of printable ASCII characters, as the Личный кабинет shows it",
        ),
        (
            "API_TOKEN",
            f"токен{SECRET}",
            "it must be one line of printable ASCII characters, as the Личный кабинет shows it",
        ),
        (
            "API_AUTH_SCHEME",
            f"Bearer {SECRET}",
            "it must be one word, such as Bearer; the token belongs in SYNCER_API_TOKEN",
        ),
        (
            "DATABASE_URL",
            f"mysql://root:{SECRET}@db",
            "it must begin with postgresql:// or postgres://, as in postgresql://user@host:5432/name",
        ),
        (
            "DATABASE_URL",
            f"postgresql+asyncpg://root:{SECRET}@db",
            "it must begin with postgresql:// or postgres://, as in postgresql://user@host:5432/name",
        ),
        (
            "MIGRATE_DATABASE_URL",
            SECRET,
            "it must begin with postgresql:// or postgres://, as in postgresql://user@host:5432/name",
        ),
        (
            "DATABASE_URL",
            f"postgresql://u:{SECRET}@db/x?connect_timeout=soon",
            "its connect_timeout must be a whole number from 0 to 2147483647",
        ),
        (
            "DATABASE_URL",
            f"postgresql://u:{SECRET}@db/x?keepalives_idle=32768",
            "its keepalives_idle must be a whole number from 0 to 32767",
        ),
        (
            "DATABASE_URL",
            f"postgresql://u:{SECRET}@db/x?tcp_user_timeout=-1",
            "its tcp_user_timeout must be a whole number from 0 to 2147483647",
        ),
        (
            "API_PROXY",
            f"socks5://u:{SECRET}@proxy:1080",
            "it must be http://HOST:PORT or https://HOST:PORT, optionally with user:password@ before HOST",
        ),
    ],
)
def test_an_invalid_secret_is_rejected_without_being_shown(
    variable: str, text: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SYNCER_{variable}", text)
    assert f"SYNCER_{variable} has an invalid value, which is not shown: {allowed}" == configuration_error()


def test_a_long_value_is_truncated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_POLL_INTERVAL", "9" * 1000)
    assert configuration_error().startswith(f"SYNCER_POLL_INTERVAL is '{'9' * 99}…: it must be")


def test_all_errors_are_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_ATTEMPTS", "none")
    monkeypatch.setenv("SYNCER_LOG_LEVEL", "loud")
    monkeypatch.setenv("SYNCER_DATABASE_URL_FILE", "absent")
    monkeypatch.setenv("SYNCER_POLL_CRON", "* * * * *")
    (tmp_path / ".env").write_text("SYNCER_POLL_INTERVAL=1m\n")

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert caught.value.problems == (
        "SYNCER_POLL_INTERVAL and SYNCER_POLL_CRON are both set: keep one of them",
        "SYNCER_DATABASE_URL_FILE names absent, which cannot be read: No such file or directory",
        "SYNCER_API_ATTEMPTS is 'none': it must be a whole number from 1 to 100",
        "SYNCER_LOG_LEVEL is 'loud': it must be 'debug', 'info', 'warning' or 'error'",
    )


def test_what_is_valid_can_be_loaded_without_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_ATTEMPTS", "none")
    monkeypatch.setenv("SYNCER_DATABASE_URL", "postgresql://db/x")
    monkeypatch.setenv("SYNCER_API_TOKEN", SECRET)
    monkeypatch.setenv("SYNCER_API_TOKEN_FILE", "absent")

    settings, problems, wrong_fields = load_valid_settings()

    assert (settings.api_attempts, settings.api_token, settings.api_token_file) == (4, None, None)
    assert settings.database_url == SecretStr("postgresql://db/x")
    assert len(problems) == 2
    assert wrong_fields == {"api_attempts", "api_attempts_file", "api_token", "api_token_file"}


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.setenv(f"SYNCER_{field.upper()}", "")
    assert load_settings() == Settings.model_construct()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_the_env_file_is_read_and_the_environment_takes_precedence(
    mark: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(mark + b"SYNCER_POLL_INTERVAL=1h\nSYNCER_API_ATTEMPTS=7\nOTHER=1\n")
    monkeypatch.setenv("SYNCER_API_ATTEMPTS", "2")
    settings = load_settings()
    assert (settings.poll_interval, settings.api_attempts) == (timedelta(hours=1), 2)


def test_an_env_file_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SYNCER_API_TOKEN=\xff\xfe")
    assert configuration_error() == ".env in the working directory cannot be read: it is not UTF-8"


@pytest.mark.parametrize(
    ("field", "secret"),
    [
        ("api_token", SECRET),
        ("database_url", f"postgresql://u:{SECRET}@db/x"),
        ("migrate_database_url", f"postgresql://u:{SECRET}@db/x"),
        ("api_proxy", f"http://u:{SECRET}@proxy:1"),
    ],
)
def test_every_secret_can_be_read_from_a_file_and_none_is_in_any_repr(
    field: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(f"{secret}\n")
    monkeypatch.setenv(f"SYNCER_{field.upper()}_FILE", "secret")
    settings = load_settings()
    assert getattr(settings, field) == SecretStr(secret)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_setting_both_a_secret_and_its_file_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setenv("SYNCER_API_TOKEN", SECRET)
    monkeypatch.setenv("SYNCER_API_TOKEN_FILE", "secret")
    assert configuration_error() == "SYNCER_API_TOKEN and SYNCER_API_TOKEN_FILE are both set: keep one of them"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "SYNCER_API_TOKEN_FILE names secret, which cannot be read: No such file or directory"),
        (b"\xff", "SYNCER_API_TOKEN_FILE names secret, which cannot be read: it is not UTF-8"),
        (b"\n", "SYNCER_API_TOKEN_FILE names secret, which is empty: it must contain the secret and nothing else"),
    ],
)
def test_a_secret_file_that_is_missing_undecodable_or_empty_is_rejected(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("SYNCER_API_TOKEN_FILE", "secret")
    assert message == configuration_error()


def test_a_database_address_is_required_if_the_embedded_server_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    load_settings().require_database()
    monkeypatch.setenv("SYNCER_EMBEDDED", "off")
    assert configuration_error(load_settings().require_database) == (
        "SYNCER_DATABASE_URL is not set and SYNCER_EMBEDDED is off: set the address, as in "
        "postgresql://user@host:5432/name, or set SYNCER_EMBEDDED=on for the embedded PostgreSQL"
    )
    monkeypatch.setenv("SYNCER_DATABASE_URL", "postgresql://db/x")
    load_settings().require_database()


def test_a_misspelt_variable_is_reported_with_the_one_it_resembles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SYNCER_API_TOKNE=1\nOTHER=1\n")
    monkeypatch.setenv("SYNCER_POLL_INTERVALL", SECRET)
    monkeypatch.setenv("SYNCER_QQQ", "1")
    monkeypatch.setenv("SYNCER_API_TOKEN_FILE", "known")
    monkeypatch.setenv("SYNCER_SERVICE_HOST", "set by Kubernetes")
    monkeypatch.setenv("SYNCER_PORT_8080_TCP_ADDR", "set by Kubernetes")
    assert describe_unknown_variables() == (
        "SYNCER_API_TOKNE is not a setting: did you mean SYNCER_API_TOKEN?",
        "SYNCER_POLL_INTERVALL is not a setting: did you mean SYNCER_POLL_INTERVAL?",
        "SYNCER_QQQ is not a setting",
    )


def test_the_variable_of_an_accounts_token_is_not_reported_as_unknown(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts_file.write_text('[[account]]\nname = "a"\ntoken_env = "SYNCER_TOKEN_OF_A"')
    monkeypatch.setenv("SYNCER_TOKEN_OF_A", SECRET)
    assert describe_unknown_variables({account.token_source for account in accounts()}) == ()


def test_where_tokens_are_is_known_of_accounts_that_are_not_valid_too(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts_file.write_text('[[account]]\nname = "a"\ntoken_env = "SYNCER_TOKEN_OF_A"\ntime_zone = "MSK"\n[[account]]')
    monkeypatch.setenv("SYNCER_TOKEN_OF_A", SECRET)

    assert configuration_error(accounts).startswith(f"{accounts_file}, account 'a': time_zone is 'MSK': it must be")
    assert find_token_sources(load_settings()) == {"SYNCER_TOKEN_OF_A"}


def test_a_single_token_makes_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_API_TOKEN", SECRET)
    monkeypatch.setenv("SYNCER_API_AUTH_SCHEME", "Bearer")
    assert accounts() == (
        Account(
            name="default",
            token=SecretStr(SECRET),
            api_url="https://simple-api.cp.megafon.ru",
            auth_scheme="Bearer",
            poll_interval=timedelta(minutes=5),
            poll_cron=None,
            time_zone=MOSCOW,
            token_source="SYNCER_API_TOKEN",
        ),
    )
    assert SECRET not in repr(accounts())


def test_settings_load_without_a_token_but_accounts_do_not() -> None:
    assert configuration_error(accounts) == (
        "SYNCER_API_TOKEN is not set: generate a token in the Личный кабинет and set it, or name its file in "
        "SYNCER_API_TOKEN_FILE, or name a file of several accounts in SYNCER_ACCOUNTS_FILE"
    )


def test_accounts_in_the_file_override_the_common_settings(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCER_POLL_CRON", "0 * * * *")
    monkeypatch.setenv("TOKEN_OF_C", f"{SECRET}-c")
    (accounts_file.parent / "b.token").write_text(f"{SECRET}-b\n")
    accounts_file.write_text(
        f"""
        [[account]]
        name = "a"
        token = "{SECRET}-a"

        [[account]]
        name = "b"
        token_file = "b.token"
        api_url = "http://127.0.0.1:1/"
        poll_interval = "30s"
        time_zone = "UTC"

        [[account]]
        name = "c"
        token_env = "TOKEN_OF_C"
        poll_cron = "5 * * * *"
        """
    )
    common = {"api_url": "https://simple-api.cp.megafon.ru", "auth_scheme": None, "poll_interval": timedelta(minutes=5)}
    expected = (
        {**common, "name": "a", "poll_cron": "0 * * * *", "time_zone": MOSCOW, "token_source": str(accounts_file)},
        {
            **common,
            "name": "b",
            "api_url": "http://127.0.0.1:1",
            "poll_interval": timedelta(seconds=30),
            "poll_cron": None,
            "time_zone": ZoneInfo("UTC"),
            "token_source": str(accounts_file.parent / "b.token"),
        },
        {**common, "name": "c", "poll_cron": "5 * * * *", "time_zone": MOSCOW, "token_source": "TOKEN_OF_C"},
    )
    assert expected == tuple(
        {field: getattr(account, field) for field in values}
        for account, values in zip(accounts(), expected, strict=True)
    )
    assert [f"{SECRET}-a", f"{SECRET}-b", f"{SECRET}-c"] == [account.token.get_secret_value() for account in accounts()]


def test_an_account_may_have_other_names_than_the_setting_and_messages_say_which_of_them_counts(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCER_NAMES", "groups")
    entry = f"[[account]]\nname = {{}}\ntoken = '{SECRET}'\n"
    accounts_file.write_text(
        entry.format("'a'") + entry.format("'b'") + "names = 'off'\n" + entry.format("'c'") + "names = 'employees'\n"
    )
    own = f"names of this account in {accounts_file}"

    assert [(account.names, account.names_source) for account in accounts()] == [
        (("groups",), "SYNCER_NAMES"),
        ((), own),
        (("employees",), own),
    ]


def test_a_token_in_an_accounts_file_with_a_relative_path_has_an_absolute_source(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(accounts_file.parent)
    monkeypatch.setenv("SYNCER_ACCOUNTS_FILE", accounts_file.name)
    accounts_file.write_text(f'[[account]]\nname = "a"\ntoken = "{SECRET}"')
    accounts_file.chmod(0o604)
    sources = {account.token_source for account in accounts()}

    assert sources == {str(accounts_file)}
    assert describe_exposed_files(load_settings(), sources) == [
        f"every user of this machine can read {accounts_file}, which has a secret: chmod o-r {accounts_file}"
    ]


def test_the_variable_of_an_accounts_token_may_be_in_the_env_file(accounts_file: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TOKEN_OF_A={SECRET}\n")
    accounts_file.write_text('[[account]]\nname = "a"\ntoken_env = "TOKEN_OF_A"')
    assert [SecretStr(SECRET)] == [account.token for account in accounts()]


def test_setting_both_the_accounts_file_and_a_single_token_is_rejected(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts_file.write_text(f'[[account]]\nname = "a"\ntoken = "{SECRET}"')
    monkeypatch.setenv("SYNCER_API_TOKEN", SECRET)
    assert configuration_error(accounts) == (
        "SYNCER_ACCOUNTS_FILE and SYNCER_API_TOKEN are both set: keep the former for several accounts, the latter "
        "for one"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "FILE has no accounts: it must contain an [[account]] table for each account"),
        ("account = 1", "FILE has no accounts: it must contain an [[account]] table for each account"),
        ("accounts = 1", "FILE has 'accounts' outside of any account: it may only contain [[account]] tables"),
        (
            "[[account",
            (
                "SYNCER_ACCOUNTS_FILE names FILE, which is not TOML: "
                "Expected ']]' at the end of an array declaration (at end of document)"
            ),
        ),
        (
            f"x = {'1' * 5000}",
            (
                "SYNCER_ACCOUNTS_FILE names FILE, which is not TOML: Exceeds the limit (4300 digits) for integer "
                "string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit"
            ),
        ),
        ("[[account]]\ntoken = 'SECRET'", "FILE, account 1: name is missing"),
        ("[[account]]\nname = 5\ntoken = 'SECRET'", "FILE, account 5: name is 5: it must be a valid string"),
        (
            "[[account]]\nname = 'a'",
            "FILE, account 'a': has no token: it must have exactly one of token, token_file and token_env",
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\ntoken_env = 'X'",
            "FILE, account 'a': has token and token_env: it must have exactly one of token, token_file and token_env",
        ),
        (
            "[[account]]\nname = 'a'\ntokn = 'SECRET'",
            "FILE, account 'a': 'tokn' is not a valid key: did you mean 'token'?",
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\ncolour = 'red'",
            (
                "FILE, account 'a': 'colour' is not a valid key: the valid keys are name, token, token_file, "
                "token_env, api_url, poll_interval, poll_cron, time_zone, names"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\npoll_interval = '5'",
            (
                "FILE, account 'a': poll_interval is '5': "
                "it must be a duration from 1s to 3650d, such as 30s, 5m, 24h or 90d"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\nnames = 'people'",
            (
                "FILE, account 'a': names is 'people': it must be off, or one or more of employees, groups and "
                "scenarios, separated by commas"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\napi_url = 'http://pbx.example'",
            (
                "FILE, account 'a': api_url is 'http://pbx.example': it must begin with https://; "
                "plain http to another host needs SYNCER_API_ALLOW_HTTP=true"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken = '''SECRET\n2'''",
            (
                "FILE, account 'a': token has an invalid value, which is not shown: it must be one line of "
                "printable ASCII characters, as the Личный кабинет shows it"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken_file = 'absent'",
            "FILE, account 'a': token_file names FOLDER/absent, which cannot be read: No such file or directory",
        ),
        (
            '[[account]]\nname = "a"\ntoken_file = "a\\u0000"',
            "FILE, account 'a': token_file names FOLDER/a\0, which cannot be read: embedded null byte",
        ),
        (
            "[[account]]\nname = 'a'\ntoken_file = 5",
            "FILE, account 'a': token_file is 5: it must be a valid string",
        ),
        (
            "[[account]]\nname = 'a'\ntoken_env = 'ABSENT'",
            "FILE, account 'a': token_env names the variable ABSENT, which is not set",
        ),
        (
            "[[account]]\nname = 'a'\ntoken_env = 'SECRET'",
            (
                "FILE, account 'a': token_env names a variable that is not set; its name is not shown, since it may be "
                "the secret itself, which belongs in token"
            ),
        ),
        (
            "[[account]]\nname = 'a'\ntoken = 'SECRET'\n[[account]]\nname = 'a'\ntoken = 'SECRET'",
            "FILE has two accounts named 'a': each must have its own name",
        ),
    ],
)
def test_an_invalid_accounts_file_is_rejected_with_the_file_the_account_and_the_key(
    content: str, message: str, accounts_file: Path
) -> None:
    accounts_file.write_text(content.replace("SECRET", SECRET))
    expected = message.replace("FILE,", f"{accounts_file},").replace("FILE has", f"{accounts_file} has")
    expected = expected.replace("names FILE", f"names {accounts_file}").replace("FOLDER", str(accounts_file.parent))
    assert expected == configuration_error(accounts)


def test_an_accounts_file_that_cannot_be_read_is_rejected(accounts_file: Path) -> None:
    assert configuration_error(accounts) == (
        f"SYNCER_ACCOUNTS_FILE names {accounts_file}, which cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("LocalHost", True),
        ("192.168.0.1", False),
        ("::", False),
        ("pbx.example", False),
    ],
)
def test_only_hosts_that_are_certain_to_be_this_machine_are_loopback(host: str, expected: bool) -> None:
    assert expected == is_loopback(host)


def test_the_default_listen_address_has_a_host_and_a_port() -> None:
    assert load_settings().http_listen == ListenAddress(host="127.0.0.1", port=8080)
