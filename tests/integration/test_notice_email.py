"""Notices by e-mail: what a mail server gets, and what becomes of a message when the server misbehaves."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path  # noqa: TC003 - a fixture's type
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import trustme
from pydantic import SecretStr

from syncer.errors import NoticeError
from syncer.notice import Attempt, Message
from syncer.notices.rules import EmailChannel, NotifyFile
from syncer.notices.senders import open_senders
from tests.smtp_server import CLOSE, HANG, SmtpServer

if TYPE_CHECKING:
    from email.message import EmailMessage

PASSWORD = "passw0rd-of-the-mailbox"
LOGIN = base64.b64encode(f"\0syncer\0{PASSWORD}".encode()).decode()
MESSAGE = Message(
    message_id=UUID("6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001"),
    created_at=datetime(2026, 11, 29, 7, 5, tzinfo=UTC),
    subject="Главный офис: заблокированы 2 номера",
    text="Заблокированы между 09:55 и 10:00:\n79208547433",
    body=b"{}",
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def email(port: int, **given: Any) -> EmailChannel:
    values: dict[str, Any] = {
        "name": "mail",
        "language": "ru",
        "numbers": "full",
        "names": True,
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "syncer@example.org",
        "recipients": ("duty@example.org",),
        "username": None,
        "password": None,
        "ca_file": None,
    }
    return EmailChannel(**values | given)


def with_login(security: str, ca_file: Path | None) -> dict[str, Any]:
    return {"security": security, "username": "syncer", "password": SecretStr(PASSWORD), "ca_file": ca_file}


async def send(port: int, message: Message = MESSAGE, *, timeout_seconds: float = 10, **given: Any) -> Attempt:
    file = NotifyFile({"mail": email(port, **given)}, {})
    async with open_senders(file, timeout_seconds=timeout_seconds) as senders:
        attempt = await senders["mail"].send(message)
    assert PASSWORD not in str(attempt)
    return attempt


async def check(port: int, *, timeout_seconds: float = 10, **given: Any) -> str:
    file = NotifyFile({"mail": email(port, **given)}, {})
    async with open_senders(file, timeout_seconds=timeout_seconds) as senders:
        return await senders["mail"].check()


async def received(message: Message, **given: Any) -> EmailMessage:
    """Returns what a mail program understands of a message that was sent."""
    async with SmtpServer() as server:
        assert await send(server.port, message, **given) == Attempt(outcome="sent")
    (data,) = server.messages
    return message_from_bytes(data, policy=default_policy)


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


async def test_a_message_arrives_as_plain_text_with_its_headers() -> None:
    mail = await received(MESSAGE, recipients=("duty@example.org", "boss@example.org"))
    assert dict(mail.items()) == {
        "From": "syncer@example.org",
        "To": "duty@example.org, boss@example.org",
        "Subject": "Главный офис: заблокированы 2 номера",
        "Date": "Sun, 29 Nov 2026 07:05:00 +0000",
        "Message-ID": "<6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001@example.org>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "base64",
        "MIME-Version": "1.0",
    }
    assert text_of(mail) == "Заблокированы между 09:55 и 10:00:\n79208547433\n"


async def test_all_recipients_get_one_message() -> None:
    async with SmtpServer() as server:
        await send(server.port, recipients=("duty@example.org", "boss@example.org"))
    assert len(server.messages) == 1
    assert server.commands[1:] == [
        "MAIL FROM:<syncer@example.org>",
        "RCPT TO:<duty@example.org>",
        "RCPT TO:<boss@example.org>",
        "DATA",
        "QUIT",
    ]


async def test_a_repetition_has_the_same_bytes() -> None:
    async with SmtpServer(answers={".": [CLOSE]}) as server:
        outcomes = [(await send(server.port)).outcome for _ in range(2)]
    assert outcomes == ["failed", "sent"]
    assert len(server.messages) == 2
    assert len(set(server.messages)) == 1


async def test_all_bytes_are_ascii_and_all_lines_are_short() -> None:
    text = "Очень длинная строка. " * 1000 + "\n" + "x" * 5000
    async with SmtpServer() as server:
        await send(
            server.port, Message(**dict(_fields(MESSAGE), text=text)), sender=f"syncer@{'long.' * 40}example.org"
        )
    (data,) = server.messages
    assert data.isascii()
    assert max(map(len, data.splitlines())) < 998
    mail = message_from_bytes(data, policy=default_policy)
    assert mail["Message-ID"] == f"<6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001@{'long.' * 40}example.org>"
    assert text_of(mail) == text + "\n"


def _fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Message.__dataclass_fields__}


async def test_vendor_text_adds_no_header_and_commands_no_terminal() -> None:
    harmful = "a\r\nBcc: x@example.org\x1b[2J\u202eabc"
    mail = await received(Message(**dict(_fields(MESSAGE), subject=harmful, text=f"{harmful}\nend")))
    assert mail["Subject"] == "a Bcc: x@example.org\ufffd[2J\ufffdabc"
    assert text_of(mail) == "a\nBcc: x@example.org\\u001b[2J\\u202eabc\nend\n"
    assert "Bcc" not in mail


async def test_a_text_of_100_000_characters_arrives_whole_with_a_short_subject() -> None:
    mail = await received(Message(**dict(_fields(MESSAGE), subject="ж" * 100_000, text="ж" * 100_000)))
    assert mail["Subject"] == "ж" * 199 + "…"
    assert text_of(mail) == "ж" * 100_000 + "\n"


async def test_lines_that_begin_with_a_dot_arrive_as_they_are() -> None:
    text = ".\n..\n.hidden\n.\nQUIT"
    mail = await received(Message(**dict(_fields(MESSAGE), text=text)))
    assert mail["Content-Transfer-Encoding"] == "7bit"
    assert text_of(mail) == text + "\n"


@pytest.mark.parametrize(("security", "is_tls_implicit"), [("starttls", False), ("tls", True)])
async def test_a_message_is_sent_with_tls_and_a_login(
    security: str, is_tls_implicit: bool, tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with SmtpServer(tls, is_tls_implicit=is_tls_implicit) as server:
        assert await send(server.port, **with_login(security, ca_file)) == Attempt(outcome="sent")
        assert f"AUTH PLAIN {LOGIN}" in server.commands
        assert server.clear == (
            b"" if is_tls_implicit else server.clear.partition(b"STARTTLS\r\n")[0] + b"STARTTLS\r\n"
        )
        assert len(server.messages) == 1


async def test_no_password_is_sent_to_a_server_that_offers_no_starttls() -> None:
    async with SmtpServer() as server:
        attempt = await send(server.port, **with_login("starttls", None))
    assert attempt == Attempt(
        outcome="failed",
        error=f"127.0.0.1:{server.port} does not offer STARTTLS, so nothing was sent to it: take the port that offers "
        'it, usually 587, or security = "tls" with port 465',
    )
    assert [command.split()[0] for command in server.commands] == ["EHLO"]
    assert LOGIN.encode() not in server.clear


async def test_no_password_is_sent_without_tls_even_if_the_channel_says_so() -> None:
    async with SmtpServer() as server:
        attempt = await send(server.port, **with_login("none", None))
    assert attempt == Attempt(
        outcome="failed", error="a password is never sent without TLS: set security to starttls or tls"
    )
    assert server.commands == ["QUIT"]


@pytest.mark.parametrize("answer", ["454 not now", "501 what", "220 go ahead\r\n235 welcome\r\n250 injected"])
async def test_a_starttls_that_fails_ends_the_attempt_before_the_login(answer: str, ca_file: Path) -> None:
    starttls = "250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN"
    async with SmtpServer(answers={"EHLO": [starttls], "STARTTLS": [answer]}) as server:
        attempt = await send(server.port, timeout_seconds=2, **with_login("starttls", ca_file))
    assert (attempt.outcome, attempt.is_uncertain) == ("failed", False)
    assert LOGIN.encode() not in server.clear
    assert b"MAIL" not in server.clear


@pytest.mark.parametrize(("security", "is_tls_implicit"), [("starttls", False), ("tls", True)])
async def test_a_certificate_of_an_unknown_authority_gets_nothing(
    security: str, is_tls_implicit: bool, tls: ssl.SSLContext
) -> None:
    async with SmtpServer(tls, is_tls_implicit=is_tls_implicit) as server:
        attempt = await send(server.port, **with_login(security, None))
    assert attempt == Attempt(
        outcome="failed",
        error=f"the TLS handshake with 127.0.0.1:{server.port} failed (unable to get local issuer certificate): check "
        "the address, and that this machine, or ca_file where a channel has one, trusts the authority of its "
        "certificate",
    )
    assert server.messages == []
    assert not any("AUTH" in command for command in server.commands)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), ("not a certificate", "contains no PEM certificate")],
)
async def test_a_ca_file_that_cannot_be_used_is_named(content: str | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    attempt = await send(1, security="tls", ca_file=file)
    assert attempt == Attempt(
        outcome="failed",
        error=f"ca_file is '{file}', which {problem}: it must be a PEM file of certificate authorities",
    )


async def test_a_greylisted_message_is_sent_later() -> None:
    async with SmtpServer(answers={"RCPT": ["451 4.7.1 Greylisted, try again"]}) as server:
        assert await send(server.port) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} refused 1 of 1 recipient: duty@example.org (451 and said "
            '"4.7.1 Greylisted, try again")',
        )
        assert await send(server.port) == Attempt(outcome="sent")
        assert len(server.messages) == 1


async def test_a_message_is_sent_if_one_of_two_recipients_is_refused() -> None:
    recipients = ("gone@example.org", "duty@example.org")
    async with SmtpServer(answers={"RCPT": ["550 5.1.1 No such user"]}) as server:
        assert await send(server.port, recipients=recipients) == Attempt(
            outcome="sent",
            error=f"127.0.0.1:{server.port} refused 1 of 2 recipients: gone@example.org (550 and said "
            '"5.1.1 No such user")',
        )
    assert len(server.messages) == 1


async def test_a_message_fails_if_all_recipients_are_refused() -> None:
    recipients = ("gone@example.org", "left@example.org")
    async with SmtpServer(answers={"RCPT": ["550 unknown", "553-unknown\r\n553 as well"]}) as server:
        assert await send(server.port, recipients=recipients) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} refused 2 of 2 recipients: gone@example.org (550 and said "
            '"unknown"), left@example.org (553 and said "unknown as well")',
        )
    assert "DATA" not in server.commands


async def test_an_error_about_many_recipients_is_cut() -> None:
    recipients = tuple(f"gone-{letter}@example.org" for letter in "abcdefghijklmnopqrst")
    async with SmtpServer(answers={"RCPT": ["550 No such user"] * 20}) as server:
        error = str((await send(server.port, recipients=recipients)).error)
    assert error.startswith(f"127.0.0.1:{server.port} refused 20 of 20 recipients: gone-a@example.org (550 and said")
    assert (len(error), error[-1]) == (300, "…")


async def test_a_refused_sender_is_named() -> None:
    async with SmtpServer(answers={"MAIL": ["553 not your address"]}) as server:
        assert await send(server.port) == Attempt(
            outcome="failed",
            error=f'127.0.0.1:{server.port} answered 553 to the sender\'s address and said "not your address"',
        )


@pytest.mark.parametrize("answer", ["452 disk full", "554 looks like spam"])
async def test_a_message_that_is_refused_after_the_final_dot_did_not_arrive(answer: str) -> None:
    async with SmtpServer(answers={".": [answer]}) as server:
        code, _, text = answer.partition(" ")
        assert await send(server.port) == Attempt(
            outcome="failed", error=f'127.0.0.1:{server.port} answered {code} to the message and said "{text}"'
        )


async def test_a_message_may_have_arrived_if_the_connection_is_closed_after_the_final_dot() -> None:
    async with SmtpServer(answers={".": [CLOSE]}) as server:
        assert await send(server.port) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} closed the connection instead of answering to the message",
            is_uncertain=True,
        )


@pytest.mark.parametrize("answer", ["nonsense", "251 forwarded"])
async def test_a_message_may_have_arrived_if_the_answer_to_the_final_dot_is_no_refusal(answer: str) -> None:
    async with SmtpServer(answers={".": [answer]}) as server:
        attempt = await send(server.port)
    assert (attempt.outcome, attempt.is_uncertain, len(server.messages)) == ("failed", True, 1)


async def test_a_message_may_have_arrived_if_nothing_follows_the_final_dot() -> None:
    async with SmtpServer(answers={".": [HANG]}) as server:
        assert await send(server.port, timeout_seconds=1) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} did not answer to the message within 1 s",
            is_uncertain=True,
        )


@pytest.mark.parametrize("command", ["greeting", "EHLO", "MAIL", "RCPT"])
@pytest.mark.parametrize("answer", [CLOSE, HANG, "x" * 100_000, "421 too busy", "nonsense", "250-\r\n" * 10_000])
async def test_a_message_has_certainly_not_arrived_if_the_server_fails_before(command: str, answer: str) -> None:
    async with SmtpServer(answers={command: [answer]}) as server:
        attempt = await send(server.port, timeout_seconds=1)
    assert (attempt.outcome, attempt.is_uncertain, server.messages) == ("failed", False, [])
    assert f"127.0.0.1:{server.port}" in str(attempt.error)


@pytest.mark.parametrize("answer", [CLOSE, HANG, "500 what", "nonsense"])
async def test_a_message_is_sent_however_the_server_says_goodbye(answer: str) -> None:
    async with SmtpServer(answers={"QUIT": [answer]}) as server:
        assert await send(server.port, timeout_seconds=60) == Attempt(outcome="sent")


async def test_a_cancellation_ends_an_attempt_at_once() -> None:
    async with SmtpServer(answers={".": [HANG], "QUIT": [HANG]}) as server:
        attempt = asyncio.create_task(send(server.port))
        await server.hanging.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(1.5):
                await attempt
    assert "QUIT" not in server.commands


async def test_an_address_that_is_a_phone_number_is_not_in_an_error() -> None:
    async with SmtpServer(answers={"RCPT": ["550 <79208547433@sms.example.org> unknown"]}) as server:
        attempt = await send(server.port, recipients=("79208547433@sms.example.org",))
    assert attempt.error == (f"127.0.0.1:{server.port} refused 1 of 1 recipient: …@sms.example.org (550)")


async def test_a_refused_login_says_what_to_check(tls: ssl.SSLContext, ca_file: Path) -> None:
    refusals = [f"535 5.7.8 Bad credentials in AUTH PLAIN {LOGIN} of {PASSWORD}"] * 2
    async with SmtpServer(tls, answers={"AUTH": refusals}) as server:
        assert await send(server.port, **with_login("starttls", ca_file)) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} answered 535 to the login and said "
            '"5.7.8 Bad credentials in AUTH PLAIN … of …": check username and password; some providers want one made '
            "for programs",
        )
    assert server.messages == []


async def test_a_server_that_hangs_up_after_a_refused_login_says_what_to_check(
    tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with SmtpServer(tls, answers={"AUTH": ["535 no", CLOSE]}) as server:
        assert await send(server.port, **with_login("starttls", ca_file)) == Attempt(
            outcome="failed",
            error=f"127.0.0.1:{server.port} closed the connection instead of answering to the login: check username "
            "and password",
        )


async def test_a_server_without_a_known_way_to_log_in_is_named(tls: ssl.SSLContext, ca_file: Path) -> None:
    greetings = ["250-test\r\n250 STARTTLS", "250-test\r\n250 AUTH GSSAPI"]
    async with SmtpServer(tls, answers={"EHLO": greetings}) as server:
        attempt = await send(server.port, **with_login("starttls", ca_file))
    assert attempt == Attempt(
        outcome="failed",
        error=f"127.0.0.1:{server.port} offers no way to log in that syncer knows: check `server` and `security`, or "
        "the server",
    )


async def test_a_refusal_repeats_neither_the_message_nor_phone_numbers() -> None:
    answer = "554 spam: Заблокированы между 09:55 и 10:00"
    async with SmtpServer(answers={".": [answer, "554 call 8 800 550-05-00"]}) as server:
        assert (await send(server.port)).error == f"127.0.0.1:{server.port} answered 554 to the message"
        assert (await send(server.port)).error == (
            f'127.0.0.1:{server.port} answered 554 to the message and said "call …"'
        )


async def test_a_connection_that_cannot_be_made_is_a_certain_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert await send(port) == Attempt(
        outcome="failed",
        error=f"cannot connect to 127.0.0.1:{port} (Connection refused): check the address, the network and the "
        "firewall",
    )


async def test_a_name_that_cannot_be_resolved_is_a_certain_failure() -> None:
    attempt = await send(25, host="nowhere.invalid")
    assert (attempt.outcome, attempt.is_uncertain) == ("failed", False)
    assert str(attempt.error).startswith("the name of nowhere.invalid:25 cannot be resolved (")


async def test_a_host_that_is_not_a_valid_name_is_a_certain_failure() -> None:
    host = "a" * 70 + ".example"
    assert await send(25, host=host) == Attempt(
        outcome="failed",
        error=f"the name of {host}:25 cannot be resolved (not a valid name): check the address and this machine's DNS",
    )


async def test_a_check_logs_in_and_sends_nothing(tls: ssl.SSLContext, ca_file: Path) -> None:
    async with SmtpServer(tls) as server:
        found = await check(server.port, **with_login("starttls", ca_file))
    assert found == f"127.0.0.1:{server.port} accepts connections with TLSv1.3, and the login"
    assert [command.split()[0] for command in server.commands] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "NOOP", "QUIT"]


async def test_a_check_without_tls_and_login_says_so() -> None:
    async with SmtpServer() as server:
        found = await check(server.port)
    assert found == f"127.0.0.1:{server.port} accepts connections without TLS, without a login"


async def test_a_check_says_what_is_wrong(tls: ssl.SSLContext, ca_file: Path) -> None:
    async with SmtpServer(tls, answers={"AUTH": ["535 no", "535 no"]}) as server:
        with pytest.raises(NoticeError) as caught:
            await check(server.port, **with_login("starttls", ca_file))
    assert str(caught.value) == (
        f'127.0.0.1:{server.port} answered 535 to the login and said "no": check username and password; some '
        "providers want one made for programs"
    )
