"""The page on notifications is true: its files load, the program sends its messages, its code verifies them."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec.structs import replace
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from syncer.config.accounts import load_accounts
from syncer.config.settings import load_settings
from syncer.notice import ChangesNotice, ConditionsNotice, TestNotice
from syncer.notices.messages import render
from syncer.notices.notify_file import load_notify_file
from syncer.notices.payload import encode_notice
from syncer.notices.rules import Language, NotifyFile, WebhookChannel
from syncer.notices.senders import open_senders
from tests.notices import MESSAGE_ID, at, blocked, changes, channel, condition, conditions, digest, event
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final[dict[Language, str]] = {
    "en": (DOCS / "notifications.md").read_text("utf-8"),
    "ru": (DOCS / "notifications.ru.md").read_text("utf-8"),
}
SECRET: Final = "whsec_" + "c2VjcmV0" * 4
DEBT: Final = "Задолженность 540 руб."
LOCKED: Final = event(reason=DEBT)
EXAMPLES: Final[list[ChangesNotice | ConditionsNotice]] = [
    changes([LOCKED]),
    changes([event(number_id=250 + index, reason=DEBT) for index in range(20)], {"locked": 500}),
    changes(
        [LOCKED, event("unlocked", 252, old="freeze", new="active")],
        rule="morning",
        created_at=at("12:00"),
        digest=digest(
            blocked_counts={"debt_lock": 2},
            blocked=[blocked(247, at("10:00", "2026-10-18")), blocked(250, at("10:00"))],
            failed_polls={"timeout": 2, "network": 1},
        ),
    ),
    conditions(condition()),
    conditions(condition("held", count=120)),
    changes(
        [
            event(reason=DEBT, employee_id=7, employee="Орлова Анна"),
            event(
                "employee", 251, field="employee_id", old="124", new="125", old_name="Белова Анна", new_name="Ким Игорь"
            ),
        ]
    ),
]
# What the files of secrets contain, by the end of the key that names them.
CONTENTS: Final = {
    "url_file": "https://example.org/hook",
    "secret_file": SECRET,
    "password_file": "password",
    "token_file": "123456:ABC-DEF",
    "proxy_file": "http://proxy.example.org:3128",
    "ca_file": "",
}


def blocks(language: Language, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGES[language], re.DOTALL | re.MULTILINE)


def shown(notice: ChangesNotice | ConditionsNotice, language: Language) -> str:
    """Returns a message as the page shows it: indented, with usual spaces, and without most of many lines."""
    if language == "en":
        if isinstance(notice, ChangesNotice):
            notice = replace(notice, account="Head office")
        else:
            notice = replace(notice, conditions=[replace(one, account="Head office") for one in notice.conditions])
    message = render(notice, channel(language))
    lines = message.text.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    numbers = [index for index, line in enumerate(lines) if line.startswith("• ")]
    if len(numbers) > 10:
        lines[numbers[2] : numbers[-1] + 1] = ["…"]
    return textwrap.indent("\n".join([message.subject, "", *lines]), "    ")


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("notice", EXAMPLES, ids=["lock", "locks", "digest", "stale", "held", "names"])
def test_the_messages_are_those_that_the_program_writes(
    notice: ChangesNotice | ConditionsNotice, language: Language
) -> None:
    assert f"\n\n{shown(notice, language)}\n\n" in PAGES[language]


@pytest.mark.parametrize("language", PAGES)
def test_the_body_of_a_webhook_is_the_one_that_the_program_encodes(language: Language) -> None:
    (body,) = blocks(language, "json")

    assert json.loads(body) == json.loads(
        encode_notice(replace(EXAMPLES[0], account="Head office"), "full", names=True)
    )


@pytest.mark.parametrize("language", PAGES)
def test_the_table_has_the_keys_of_the_body_and_no_others(language: Language) -> None:
    (table,) = re.findall(r"^\| (?:key|ключ) \|.*?\n\|---.*?\n((?:\|.*\n)+)", PAGES[language], re.MULTILINE)
    named = [key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                found.add(key)
                if key not in {"counts", "failed_polls", "blocked_counts"}:
                    collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    for notice in [*EXAMPLES, TestNotice(message_id=MESSAGE_ID, created_at=at("10:00"))]:
        collect(json.loads(encode_notice(notice, "full", names=True)))

    assert len(named) == len(set(named))
    assert set(named) == found


@pytest.mark.parametrize("language", PAGES)
def test_every_file_that_is_shown_loads(language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels, rules, accounts = [], [], []
    for block in blocks(language, "toml"):
        content = tomllib.loads(block)
        write_named_files(content, tmp_path)
        path = tmp_path / "shown.toml"
        path.write_text(completed(block, content))
        if "account" in content:
            monkeypatch.setenv("SYNCER_ACCOUNTS_FILE", str(path))
            accounts += [account.name for account in load_accounts(load_settings())]
        else:
            monkeypatch.setenv("SYNCER_NOTIFY_FILE", str(path))
            file = load_notify_file(load_settings(), None)
            assert file is not None
            channels += [one["name"] for one in content.get("channel", []) if one["name"] in file.channels]
            rules += [one["name"] for one in content.get("rule", []) if one["name"] in file.rules]

    assert channels == ["mail", "duty", "mail", "chat", "max", "ntfy"]
    assert rules == ["locks", "hotlines", "everything else", "morning"]
    assert accounts == ["head office"]


def completed(block: str, content: dict[str, Any]) -> str:
    """Returns a file with a rule for channels that are shown alone, and the channels of rules that are."""
    if "account" in content:
        return block
    names = {one["name"] for one in content.get("channel", [])}
    used = {name for one in content.get("rule", []) for name in one["channels"]}
    added = [
        f'[[channel]]\nname = "{name}"\nkind = "webhook"\nurl = "https://example.org"\nsecret = "{SECRET}"\n'
        for name in sorted(used - names)
    ]
    if not used:
        added.append(f'[[rule]]\nname = "all"\nchannels = {json.dumps(sorted(names))}\n')
    return "".join([block, *added])


def write_named_files(content: dict[str, Any], folder: Path) -> None:
    """Writes the files that channels and accounts name."""
    for table in [*content.get("channel", []), *content.get("account", [])]:
        for key in table.keys() & CONTENTS.keys():
            text = "ntfys://example.org/duty" if (table.get("kind"), key) == ("apprise", "url_file") else CONTENTS[key]
            (folder / table[key]).write_text(text)


@pytest.mark.parametrize("language", PAGES)
async def test_the_code_accepts_a_message_and_no_other(language: Language) -> None:
    own, library = [define(source) for source in blocks(language, "python")]
    async with Receiver() as receiver:
        duty = WebhookChannel(
            name="duty",
            language="en",
            numbers="full",
            names=True,
            url=SecretStr(receiver.url),
            secrets=(SecretStr(SECRET),),
        )
        async with open_senders(NotifyFile({"duty": duty}, {})) as senders:
            await senders["duty"].send(render(EXAMPLES[0], duty))
    (received,) = receiver.requests
    headers = {name.lower(): value for name, value in received.headers.items()}
    old = headers | {"webhook-timestamp": "1700000000"}
    old["webhook-signature"] = "v1,c2lnbmF0dXJl " + resign(received.body, old)

    assert own(SECRET, headers, received.body) is True
    assert own(SECRET, headers | {"webhook-signature": "v1,c2lnbmF0dXJl"}, received.body) is False
    assert own(SECRET, headers, received.body + b" ") is False
    assert own(SECRET, headers | {"webhook-id": "msg_1"}, received.body) is False
    assert own(SECRET, old, received.body) is False
    assert library(SECRET, headers, received.body)["type"] == "numbers.changed"
    with pytest.raises(WebhookVerificationError):
        library(SECRET, headers, received.body + b" ")


def define(source: str) -> Callable[..., Any]:
    """Returns the function that a block of code defines."""
    (name,) = re.findall(r"^def (\w+)", source, re.MULTILINE)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the code of our page
    function: Callable[..., Any] = names[name]
    return function


def resign(body: bytes, headers: dict[str, str]) -> str:
    """Returns a right signature for the time in the headers."""
    sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return Webhook(SECRET).sign(headers["webhook-id"], sent_at, body.decode())
