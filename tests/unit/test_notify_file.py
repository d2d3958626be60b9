"""The notify file: what its channels and rules become, and the messages for what is not valid in it."""

from __future__ import annotations

import os
import re
import sys
import traceback
from base64 import b64encode
from datetime import time, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from syncer.config.accounts import load_accounts
from syncer.config.exposed_files import describe_exposed_files
from syncer.config.settings import load_settings
from syncer.errors import ConfigurationError
from syncer.notices.notify_file import find_secret_sources, load_notify_file
from syncer.notices.rules import (
    DEFAULT_EVENTS,
    AppriseChannel,
    EmailChannel,
    MessengerChannel,
    NotifyFile,
    QuietHours,
    Rule,
    WebhookChannel,
)

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t"
WEBHOOK_SECRET = f"whsec_{b64encode(b'k' * 32).decode()}"
CHANNEL = f"""
[[channel]]
name = "duty"
kind = "webhook"
url = "https://example.org/hook"
secret = "{WEBHOOK_SECRET}"
"""
RULE = """
[[rule]]
name = "locks"
channels = ["duty"]
"""
WHEN_ALLOWED = (
    "it must be now, or every and a duration of at least 1m, such as 'every 15m', or a crontab line (minute, hour, day "
    "of month, month, day of week) for a time that exists, with a day of the month or of the week but not both, such "
    "as '0 9 * * 1-5'"
)
SECRET_ALLOWED = (
    "secret has an invalid value, which is not shown: it must be whsec_ followed by 24 to 64 bytes in base64, as `echo "
    "whsec_$(openssl rand -base64 32)` prints it, or two of these with a space between, while one is replaced"
)
EMAIL_ALLOWED = "it must be an address such as duty@example.org, in ASCII and without a name"
LIST_ALLOWED = 'it must be a list of one or more texts, such as ["a", "b"]'


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notify file, which the one setting besides the token names."""
    monkeypatch.chdir(tmp_path)
    for variable in [one for one in os.environ if one.upper().startswith("SYNCER_")]:
        monkeypatch.delenv(variable)
    file = tmp_path / "etc" / "notify.toml"
    file.parent.mkdir()
    monkeypatch.setenv("SYNCER_NOTIFY_FILE", str(file))
    monkeypatch.setenv("SYNCER_API_TOKEN", SECRET)
    return file


def load() -> NotifyFile:
    settings = load_settings()
    found = load_notify_file(settings, load_accounts(settings))
    assert found is not None
    return found


def problems() -> list[str]:
    """Returns what is wrong. Each is one line, and neither it nor a chained error has a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert "\n" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert WEBHOOK_SECRET not in shown
    assert caught.value.__context__ is None
    return list(caught.value.problems)


def webhook(without: str = "", **keys: str) -> str:
    """A valid file, except for these keys of its channel; each value is TOML."""
    lines = [line for line in CHANNEL.splitlines() if not without or not line.startswith(f"{without} ")]
    lines = [line for line in lines if line.partition(" ")[0] not in keys]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items()), RULE])


def channel(kind: str, **keys: str) -> str:
    """A file with a channel of this kind; each value is TOML."""
    lines = [f"{key.removesuffix('_')} = {value}" for key, value in keys.items()]
    return "\n".join(["[[channel]]", 'name = "duty"', f'kind = "{kind}"', *lines, RULE])


def email(**keys: str) -> str:
    defaults = {"server": '"mail.example.org:587"', "from_": '"syncer@example.org"', "to": '["duty@example.org"]'}
    return channel("email", **defaults | keys)


def rule(**keys: str) -> str:
    """A valid file, except for these keys of its rule; each value is TOML."""
    return "\n".join([CHANNEL + RULE, *(f"{key} = {value}" for key, value in keys.items())])


# What is read


def test_without_a_notify_file_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_NOTIFY_FILE", "")

    assert load_notify_file(load_settings(), ()) is None
    assert find_secret_sources(load_settings()) == set()


def test_a_channel_and_a_rule_have_defaults(path: Path) -> None:
    path.write_text(CHANNEL + RULE)

    assert load() == NotifyFile(
        channels={
            "duty": WebhookChannel(
                name="duty",
                language="ru",
                numbers="full",
                names=True,
                url=SecretStr("https://example.org/hook"),
                secrets=(SecretStr(WEBHOOK_SECRET),),
            )
        },
        rules={
            "locks": Rule(
                name="locks",
                channels=("duty",),
                events=DEFAULT_EVENTS,
                accounts=None,
                types=None,
                every=None,
                cron=None,
                quiet=None,
                max_age=timedelta(hours=24),
                even_if_nothing=False,
            )
        },
    )
    assert find_secret_sources(load_settings()) == {str(path)}


@pytest.mark.parametrize(
    ("numbers", "names", "shows_names"),
    [
        ("full", None, True),
        ("last4", None, False),
        ("none", None, False),
        ("full", "false", False),
        ("last4", "true", True),
        ("none", "true", True),
    ],
)
def test_names_are_shown_where_phone_numbers_are_in_full_unless_the_file_says_it(
    path: Path, numbers: str, names: str | None, *, shows_names: bool
) -> None:
    given = {"numbers": f'"{numbers}"'} | ({} if names is None else {"names": names})
    path.write_text(webhook(**given))

    assert load().channels["duty"].names is shows_names


def test_channels_of_each_kind_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "hook.secret": f"{WEBHOOK_SECRET}\n{WEBHOOK_SECRET[:-2]}A=\n",
        "smtp.password": "pass word\n",
        "bot.token": "123:abc-DEF_1\n",
        "ca.pem": "",
    }
    for name, content in files.items():
        (path.parent / name).write_text(content)
    monkeypatch.setenv("HOOK_URL", "http://127.0.0.1:8000/hook?token=1")
    monkeypatch.setenv("PROXY", "http://user:password@proxy.example:3128")
    path.write_text("""
        language = "en"
        [[channel]]
        name = "hook"
        kind = "webhook"
        url_env = "HOOK_URL"
        secret_file = "hook.secret"
        numbers = "none"
        [[channel]]
        name = "mail"
        kind = "email"
        language = "ru"
        server = "mail.example.org:465"
        security = "tls"
        from = "syncer@example.org"
        to = ["duty@example.org", "boss@example.org", "duty@example.org"]
        username = "syncer"
        password_file = "smtp.password"
        ca_file = "ca.pem"
        [[channel]]
        name = "chat"
        kind = "telegram"
        token_file = "bot.token"
        chat = -100123
        proxy_env = "PROXY"
        [[channel]]
        name = "max"
        kind = "max"
        token = "s3cr3t"
        chat = "-71234567890123"
        api_url = "https://max.example/base/"
        [[channel]]
        name = "other"
        kind = "apprise"
        url = "ntfys://ntfy.example.org/duty"
        numbers = "full"
        [[rule]]
        name = "all"
        channels = ["hook", "mail", "chat", "max", "other"]
    """)
    found = load()

    assert list(found.channels.values()) == [
        WebhookChannel(
            name="hook",
            language="en",
            numbers="none",
            names=False,
            url=SecretStr("http://127.0.0.1:8000/hook?token=1"),
            secrets=(SecretStr(WEBHOOK_SECRET), SecretStr(f"{WEBHOOK_SECRET[:-2]}A=")),
        ),
        EmailChannel(
            name="mail",
            language="ru",
            numbers="full",
            names=True,
            host="mail.example.org",
            port=465,
            security="tls",
            sender="syncer@example.org",
            recipients=("duty@example.org", "boss@example.org"),
            username="syncer",
            password=SecretStr("pass word"),
            ca_file=path.parent / "ca.pem",
        ),
        MessengerChannel(
            name="chat",
            language="en",
            numbers="last4",
            names=False,
            kind="telegram",
            token=SecretStr("123:abc-DEF_1"),
            chat="-100123",
            api_url="https://api.telegram.org",
            proxy=SecretStr("http://user:password@proxy.example:3128"),
            ca_file=None,
        ),
        MessengerChannel(
            name="max",
            language="en",
            numbers="last4",
            names=False,
            kind="max",
            token=SecretStr(SECRET),
            chat="-71234567890123",
            api_url="https://max.example/base",
            proxy=None,
            ca_file=None,
        ),
        AppriseChannel(
            name="other", language="en", numbers="full", names=True, url=SecretStr("ntfys://ntfy.example.org/duty")
        ),
    ]
    assert find_secret_sources(load_settings()) == {
        "HOOK_URL",
        "PROXY",
        str(path),
        *(str(path.parent / name) for name in ("hook.secret", "smtp.password", "bot.token")),
    }
    assert SECRET not in repr(found)


def test_a_mail_server_on_this_machine_needs_neither_encryption_nor_a_login(path: Path) -> None:
    path.write_text(email(server='"[::1]:25"', security='"none"'))
    found = load().channels["duty"]

    assert isinstance(found, EmailChannel)
    assert (found.host, found.port, found.security, found.username, found.password) == ("::1", 25, "none", None, None)


def test_plain_http_to_another_machine_needs_the_setting_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(webhook(url='"http://example.org/hook"'))
    monkeypatch.setenv("SYNCER_API_ALLOW_HTTP", "true")
    found = load().channels["duty"]

    assert isinstance(found, WebhookChannel)
    assert found.url == SecretStr("http://example.org/hook")


@pytest.mark.parametrize("length", [24, 64])
def test_the_secret_of_a_webhook_has_24_to_64_bytes(length: int, path: Path) -> None:
    secret = f"whsec_{b64encode(b'k' * length).decode()}"
    path.write_text(webhook(secret=f'"{secret}"'))
    found = load().channels["duty"]

    assert isinstance(found, WebhookChannel)
    assert found.secrets == (SecretStr(secret),)


@pytest.mark.parametrize(
    ("when", "every", "cron", "max_age"),
    [
        ("now", None, None, timedelta(hours=24)),
        ("every 1m", timedelta(minutes=1), None, timedelta(hours=24)),
        ("every 23h", timedelta(hours=23), None, timedelta(hours=24)),
        ("0 9 * * 1", None, "0 9 * * 1", timedelta(hours=72)),
    ],
)
def test_a_rule_says_when_messages_are_sent(
    when: str, every: timedelta | None, cron: str | None, max_age: timedelta, path: Path
) -> None:
    path.write_text(rule(when=f'"{when}"'))
    found = load().rules["locks"]

    assert (found.every, found.cron, found.max_age) == (every, cron, max_age)


def test_every_key_of_a_rule_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_ACCOUNT_NAME", "head office")
    keys = {
        "events": '["locked", "stale"]',
        "accounts": '["head office"]',
        "types": '["abc", "toll_free"]',
        "when": '"0 9 * * 1-5"',
        "quiet": '"22:00-08:30"',
        "max_age": '"2d"',
        "even_if_nothing": "true",
    }
    path.write_text(rule(**keys).replace('["duty"]', '["duty", "duty"]'))

    assert load().rules == {
        "locks": Rule(
            name="locks",
            channels=("duty",),
            events=frozenset({"locked", "stale"}),
            accounts=frozenset({"head office"}),
            types=frozenset({"abc", "toll_free"}),
            every=None,
            cron="0 9 * * 1-5",
            quiet=QuietHours(time(22), time(8, 30)),
            max_age=timedelta(days=2),
            even_if_nothing=True,
        )
    }


# What is not valid


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "",
            [
                "FILE has no channels: it must contain a [[channel]] table for each way to reach somebody",
                "FILE has no rules: it must contain a [[rule]] table for each kind of message",
            ],
        ),
        (
            '[channel]\nname = "duty"' + RULE,
            ["FILE has no channels: it must contain a [[channel]] table for each way to reach somebody"],
        ),
        (
            "[[channel",
            [
                (
                    "SYNCER_NOTIFY_FILE names FILE, which is not TOML: Expected ']]' at the end of an array "
                    "declaration (at end of document)"
                )
            ],
        ),
        ('language = "de"' + CHANNEL + RULE, ["FILE: language is 'de': it must be 'ru' or 'en'"]),
        ("languages = 'ru'" + CHANNEL + RULE, ["FILE: 'languages' is not a valid key: did you mean 'language'?"]),
        (CHANNEL + RULE + "[other]", ["FILE: 'other' is not a valid key: the valid keys are language, channel, rule"]),
        (CHANNEL * 2 + RULE, ["FILE has two channels named 'duty': each must have its own name"]),
        (CHANNEL + RULE * 2, ["FILE has two rules named 'locks': each must have its own name"]),
        (
            "".join(CHANNEL.replace("duty", f"duty {number}") for number in range(101))
            + RULE.replace("duty", "duty 1"),
            ["FILE has 101 channels: it must have at most 100"],
        ),
        (
            CHANNEL + "".join(RULE.replace("locks", f"locks {number}") for number in range(101)),
            ["FILE has 101 rules: it must have at most 100"],
        ),
    ],
)
def test_an_invalid_file_is_rejected(content: str, expected: list[str], path: Path) -> None:
    path.write_text(content)

    assert problems() == [re.sub(r"\bFILE", str(path), one) for one in expected]


def test_a_hundred_channels_and_rules_are_allowed(path: Path) -> None:
    channels = (CHANNEL.replace("duty", f"duty {number}") for number in range(100))
    rules = (RULE.replace("locks", f"locks {number}").replace("duty", f"duty {number}") for number in range(100))
    path.write_text("".join([*channels, *rules]))
    found = load()

    assert (len(found.channels), len(found.rules)) == (100, 100)


def test_a_file_that_cannot_be_read_is_rejected(path: Path) -> None:
    assert problems() == [f"SYNCER_NOTIFY_FILE names {path}, which cannot be read: No such file or directory"]
    assert find_secret_sources(load_settings()) == set()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            webhook("kind"),
            ["kind is missing: it must be one of webhook, email, telegram, max, apprise"],
        ),
        (channel("sms"), ["kind is 'sms': it must be one of webhook, email, telegram, max, apprise"]),
        (channel("telegrams"), ["kind is 'telegrams': did you mean 'telegram'?"]),
        (webhook(kind="1"), ["kind is 1: it must be one of webhook, email, telegram, max, apprise"]),
        (webhook(language='"de"'), ["language is 'de': it must be 'ru' or 'en'"]),
        (webhook(numbers='"last 4"'), ["numbers is 'last 4': it must be 'full', 'last4' or 'none'"]),
        (webhook(names='"maybe"'), ["names is 'maybe': it must be on or off (true or false)"]),
        (
            webhook("secret", secrets='"s3cr3t"'),
            [
                "'secrets' is not a key of a channel of kind 'webhook': did you mean 'secret'?",
                "has no secret: it must have exactly one of secret, secret_file and secret_env",
            ],
        ),
        (
            webhook(chat="1"),
            [
                (
                    "'chat' is not a key of a channel of kind 'webhook': the valid keys are name, kind, language, "
                    "numbers, names, url, url_file, url_env, secret, secret_file, secret_env"
                )
            ],
        ),
        (webhook("url"), ["has no url: it must have exactly one of url, url_file and url_env"]),
        (
            webhook(url_env='"HOOK_URL"', url='"https://s3cr3t.example"'),
            ["has url and url_env: it must have exactly one of url, url_file and url_env"],
        ),
        (webhook("url", url_env='"HOOK_URL"'), ["url_env names the variable HOOK_URL, which is not set"]),
        (
            webhook("url", url_file='"absent"'),
            ["url_file names FOLDER/absent, which cannot be read: No such file or directory"],
        ),
        *(
            (
                webhook(url=f'"{url}"'),
                [
                    (
                        "url has an invalid value, which is not shown: it must be an address such as "
                        "https://example.org/hook, with no fragment"
                    )
                ],
            )
            for url in (
                "s3cr3t",
                "ftp://s3cr3t.example",
                "https://example.org/s3cr3t#x",
                "https://example.org:0/s3cr3t",
            )
        ),
        (
            webhook(url='"http://example.org/s3cr3t"'),
            [
                (
                    "url has an invalid value, which is not shown: it must begin with https://; plain http to another "
                    "host needs SYNCER_API_ALLOW_HTTP=true"
                )
            ],
        ),
        *(
            (webhook(secret=f'"{secret}"'), [SECRET_ALLOWED])
            for secret in (
                "",
                "s3cr3t",
                b64encode(b"k" * 32).decode(),
                f"whsec_{b64encode(b'k' * 23).decode()}",
                f"whsec_{b64encode(b'k' * 65).decode()}",
                WEBHOOK_SECRET.removesuffix("="),
                WEBHOOK_SECRET.replace("_", "_-"),
                f"{WEBHOOK_SECRET}я",
                f"{WEBHOOK_SECRET} s3cr3t",
                " ".join([WEBHOOK_SECRET] * 3),
            )
        ),
        *(
            (email(server=f'"{server}"'), [f"server is {server!r}: it must be HOST:PORT, such as smtp.example.org:587"])
            for server in ("mail.example.org", "mail.example.org:0", "mail..example.org:25", "почта.example:25", ":25")
        ),
        (email(security='"ssl"'), ["security is 'ssl': it must be 'starttls', 'tls' or 'none'"]),
        (
            email(security='"none"'),
            ["security is 'none': it must be starttls or tls, since the server is another machine"],
        ),
        (
            email(server='"127.0.0.1:25"', security='"none"', username='"me"', password='"s3cr3t"'),
            [
                (
                    "has a username, and security is 'none': security must be starttls or tls, so that the password is "
                    "sent encrypted"
                )
            ],
        ),
        (
            email(username='"me"'),
            ["has a username and no password: it must have exactly one of password, password_file and password_env"],
        ),
        (
            email(password='"s3cr3t"'),
            ["has a password and no username: add the username, or remove the password"],
        ),
        (
            email(username='"me"', password_file='"absent"'),
            ["password_file names FOLDER/absent, which cannot be read: No such file or directory"],
        ),
        (
            email(username='"me"', password='"s3cr3t\\n"'),
            ["password has an invalid value, which is not shown: it must be one line without control characters"],
        ),
        (
            email(username='"me\\n"', password='"s3cr3t"'),
            ["username is 'me\\n': it must be one line without control characters"],
        ),
        (email(from_='"duty"'), [f"from is 'duty': {EMAIL_ALLOWED}"]),
        (email(from_='"Duty <duty@example.org>"'), [f"from is 'Duty <duty@example.org>': {EMAIL_ALLOWED}"]),
        (
            email(to='["дежурный@example.org", "a@example.org\\nBcc: b@example.org"]'),
            [
                f"to has 'дежурный@example.org': {EMAIL_ALLOWED}",
                f"to has 'a@example.org\\nBcc: b@example.org': {EMAIL_ALLOWED}",
            ],
        ),
        (email(to='"duty@example.org"'), [f"to is 'duty@example.org': {LIST_ALLOWED}"]),
        (email(to="[]"), [f"to is []: {LIST_ALLOWED}"]),
        (channel("email"), ["server is missing", "from is missing", "to is missing"]),
        (
            email(ca_file='"absent.pem"'),
            ["ca_file is 'FOLDER/absent.pem': it must be a file that can be read: No such file or directory"],
        ),
        (
            channel("telegram", token='"s3cr3t"', chat='"duty"'),
            [
                (
                    "token has an invalid value, which is not shown: it must be the token of a bot, such as "
                    "123456:ABC-DEF, as @BotFather shows it"
                ),
                (
                    "chat is 'duty': it must be the number of a chat, such as -1001234567890, or the name of a "
                    "channel, as @name"
                ),
            ],
        ),
        (
            channel("telegram", token='"1:s"', chat="true", proxy='"s3cr3t"', api_url='"http://bots.example"'),
            [
                "chat is true: it must be a valid string",
                (
                    "proxy has an invalid value, which is not shown: it must be http://HOST:PORT or https://HOST:PORT, "
                    "optionally with user:password@ before HOST"
                ),
                (
                    "api_url is 'http://bots.example': it must begin with https://; plain http to another host needs "
                    "SYNCER_API_ALLOW_HTTP=true"
                ),
            ],
        ),
        (
            channel("max", token='"s3cr3t\\n1"', chat='"@duty"', api_url='"max.example"'),
            [
                (
                    "token has an invalid value, which is not shown: it must be one line of printable ASCII "
                    "characters, as the Личный кабинет shows it"
                ),
                "chat is '@duty': it must be the number of a chat, such as -71234567890123",
                (
                    "api_url is 'max.example': it must be an address such as https://platform-api2.max.ru, with no "
                    "user name, password, query or fragment"
                ),
            ],
        ),
        (
            channel("apprise", url='"s3cr3t"'),
            [
                (
                    "url has an invalid value, which is not shown: it must be an address of Apprise, such as "
                    "ntfys://ntfy.example.org/duty"
                )
            ],
        ),
    ],
)
def test_an_invalid_channel_is_rejected_with_the_file_and_its_name(
    content: str, expected: list[str], path: Path
) -> None:
    path.write_text(content)

    assert problems() == [f"{path}, channel 'duty': {one}".replace("FOLDER", str(path.parent)) for one in expected]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"event": "[]"}, ["'event' is not a key of a rule: did you mean 'events'?"]),
        (
            {"channel": "[]"},
            [
                (
                    "'channel' is not a key of a rule: the valid keys are name, channels, events, accounts, types, "
                    "when, quiet, max_age, even_if_nothing"
                )
            ],
        ),
        (
            {"events": '["lockd", "all"]'},
            [
                "events has 'lockd': no event has this name; did you mean 'locked'?",
                (
                    "events has 'all': no event has this name; the events are locked, frozen, unlocked, removed, "
                    "returned, new, state, redirect, employee, record, stale, refused, held, rejected"
                ),
            ],
        ),
        ({"events": '"locked"'}, [f"events is 'locked': {LIST_ALLOWED}"]),
        (
            {"accounts": '["defaults", "office"]'},
            [
                "accounts has 'defaults': no account has this name; did you mean 'default'?",
                "accounts has 'office': no account has this name",
            ],
        ),
        ({"types": "[1]"}, [f"types is [1]: {LIST_ALLOWED}"]),
        ({"when": '"daily"'}, [f"when is 'daily': {WHEN_ALLOWED}"]),
        ({"when": '"every 59s"'}, [f"when is 'every 59s': {WHEN_ALLOWED}"]),
        ({"when": '"0 9 31 2 *"'}, [f"when is '0 9 31 2 *': {WHEN_ALLOWED}"]),
        ({"quiet": '"22:00"'}, ["quiet is '22:00': it must be two different times of the day, such as 22:00-08:00"]),
        (
            {"quiet": '"08:00-08:00"'},
            ["quiet is '08:00-08:00': it must be two different times of the day, such as 22:00-08:00"],
        ),
        (
            {"quiet": '"22:00-24:00"'},
            ["quiet is '22:00-24:00': it must be two different times of the day, such as 22:00-08:00"],
        ),
        ({"max_age": '"59m"'}, ["max_age is '59m': it must be a duration of at least 1h, such as 12h or 3d"]),
        (
            {"quiet": '"22:00-08:00"', "max_age": '"10h"'},
            [
                (
                    "max_age is 10h: it must be at least 11h, an hour more than `when` and `quiet` together can delay "
                    "a message, or some changes would never be sent"
                )
            ],
        ),
        (
            {"quiet": '"22:00-08:00"', "when": '"every 14h"'},
            [
                (
                    "max_age is 24h: it must be at least 25h, an hour more than `when` and `quiet` together can delay "
                    "a message, or some changes would never be sent"
                )
            ],
        ),
        ({"even_if_nothing": "true"}, ["even_if_nothing is only for a rule whose `when` is a crontab line"]),
        ({"even_if_nothing": '"yes"'}, ["even_if_nothing is 'yes': it must be on or off (true or false)"]),
    ],
)
def test_an_invalid_rule_is_rejected_with_the_file_and_its_name(
    keys: dict[str, str], expected: list[str], path: Path
) -> None:
    path.write_text(rule(**keys))

    assert problems() == [f"{path}, rule 'locks': {one}" for one in expected]


@pytest.mark.parametrize("name", ["", " duty", "a\\nb", "\\u001b[1m", "n" * 61])
def test_names_of_channels_and_rules_are_short_and_printable(name: str, path: Path) -> None:
    path.write_text(CHANNEL.replace("duty", name) + RULE.replace("locks", name).replace("duty", name))
    allowed = "it must be 1 to 60 printable characters, with no space before or after them"

    assert [one.partition(f"{path}, ")[2].partition(" ")[0] for one in problems()] == ["channel", "rule"]
    assert all(one.endswith(f": {allowed}") for one in problems())


def test_a_rule_that_names_no_channel_is_told_the_one_it_resembles(path: Path) -> None:
    path.write_text(CHANNEL + RULE.replace('"duty"', '"dutty", "mail"'))

    assert problems() == [
        f"{path}, rule 'locks': channels has 'dutty': no channel of this file has this name; did you mean 'duty'?",
        f"{path}, rule 'locks': channels has 'mail': no channel of this file has this name",
    ]


def test_all_problems_are_found_at_once_and_an_invalid_channel_is_not_a_missing_one(path: Path) -> None:
    path.write_text(webhook(numbers='"all"') + 'quiet = "night"\n[[rule]]\nchannels = ["duty"]')

    assert problems() == [
        f"{path}, channel 'duty': numbers is 'all': it must be 'full', 'last4' or 'none'",
        f"{path}, rule 'locks': quiet is 'night': it must be two different times of the day, such as 22:00-08:00",
        f"{path}, rule 2: name is missing",
    ]


def test_a_channel_of_kind_apprise_needs_the_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(channel("apprise", url='"ntfys://ntfy.example.org/duty"'))
    monkeypatch.setitem(sys.modules, "apprise", None)  # as if it were not installed

    place = f"{path}, channel 'duty': "
    assert problems() == [f"{place}kind is 'apprise', and Apprise is not installed: pip install apprise"]


def test_any_name_of_an_account_is_accepted_while_the_accounts_are_not_known(path: Path) -> None:
    path.write_text(rule(accounts='["office"]'))
    found = load_notify_file(load_settings(), None)

    assert found is not None
    assert found.rules["locks"].accounts == frozenset({"office"})


# Files with secrets


def test_where_secrets_are_is_known_of_a_file_that_is_not_valid_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_URL", "https://example.org/s3cr3t")
    path.write_text(webhook("url", url_env='"HOOK_URL"', numbers='"all"').replace("duty", "mail", 1))

    assert len(problems()) == 2
    assert find_secret_sources(load_settings()) == {"HOOK_URL", str(path)}


def test_files_with_secrets_of_channels_that_everybody_can_read_are_found(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("SYNCER_NOTIFY_FILE", path.name)
    for name, secret in (("hook.secret", WEBHOOK_SECRET), ("hook.url", "https://example.org/s3cr3t")):
        (path.parent / name).write_text(secret)
    path.write_text(
        webhook("url", url_file='"hook.url"').replace(f'secret = "{WEBHOOK_SECRET}"', 'secret_file = "hook.secret"')
    )
    for file in path.parent.iterdir():
        file.chmod(0o604)

    def exposed() -> list[str]:
        settings = load_settings()
        return describe_exposed_files(settings, find_secret_sources(settings))

    assert exposed() == [
        f"every user of this machine can read {path.parent / name}, which has a secret: chmod o-r {path.parent / name}"
        for name in ("hook.secret", "hook.url")
    ]
    path.write_text(CHANNEL + RULE)
    assert exposed() == [f"every user of this machine can read {path}, which has a secret: chmod o-r {path}"]
    path.chmod(0o600)
    assert exposed() == []
