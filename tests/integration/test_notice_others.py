"""Notices through Apprise: what a service gets, and what becomes of a message when it misbehaves."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from pydantic import SecretStr

from syncer.errors import NoticeError
from syncer.notice import Attempt, Message
from syncer.notices.rules import AppriseChannel, NotifyFile
from syncer.notices.senders import open_senders
from tests.scripted_receiver import Receiver, drip, flood, respond

if TYPE_CHECKING:
    from syncer.notices.rules import Language
    from tests.scripted_receiver import Responder

TOKEN = "t0ken-that-nobody-may-see"
MESSAGE = Message(
    message_id=UUID("6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001"),
    created_at=datetime(2026, 11, 29, 7, 5, tzinfo=UTC),
    subject="Главный офис: заблокированы 2 номера",
    text="Заблокированы между 09:55 и 10:00:\n*<b>…5433</b>_",
    body=b"{}",
)
FAILED = Attempt(
    outcome="failed",
    error="Apprise could not deliver the message, and does not say why: try its address with the command apprise -vv",
)


def channel(url: str, language: Language = "ru") -> NotifyFile:
    given = AppriseChannel(name="other", language=language, numbers="last4", names=False, url=SecretStr(url))
    return NotifyFile({"other": given}, {})


async def send(url: str, message: Message = MESSAGE, *, timeout_seconds: float = 60) -> Attempt:
    async with open_senders(channel(url), timeout_seconds=timeout_seconds) as senders:
        return await senders["other"].send(message)


async def check(url: str) -> str:
    async with open_senders(channel(url), timeout_seconds=60) as senders:
        return await senders["other"].check()


async def test_a_message_is_sent_as_plain_text() -> None:
    async with Receiver(respond()) as receiver:
        assert await send(f"json://{receiver.host}/{TOKEN}") == Attempt(outcome="sent")
    (request,) = receiver.requests
    assert request.line == f"POST /{TOKEN} HTTP/1.1"
    assert (request.json["title"], request.json["message"]) == (MESSAGE.subject, MESSAGE.text)


async def test_a_possible_repetition_says_so_and_vendor_text_commands_no_terminal() -> None:
    message = replace(MESSAGE, subject="a\r\nb", text="c\x1b[2J\u202ed", may_repeat=True)
    async with Receiver(respond()) as receiver:
        assert await send(f"json://{receiver.host}", message) == Attempt(outcome="sent")
    (request,) = receiver.requests
    assert request.json["title"] == "(возможно, повтор) a b"
    assert request.json["message"] == "c\\u001b[2J\\u202ed"


async def test_a_service_that_refuses_is_a_failure_without_a_reason(capfd: pytest.CaptureFixture[str]) -> None:
    async with Receiver(respond("500 Internal Server Error", TOKEN.encode())) as receiver:
        assert await send(f"json://{receiver.host}/{TOKEN}") == FAILED
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("begin", [drip, flood], ids=["dripping", "endless"])
async def test_an_answer_that_does_not_end_holds_neither_time_nor_memory(begin: object) -> None:
    assert callable(begin)
    responder: Responder = begin(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    async with Receiver(responder) as receiver, asyncio.timeout(30):
        assert (await send(f"json://{receiver.host}", timeout_seconds=5)).outcome == "failed"
    assert len(receiver.requests) == 1


async def test_the_address_is_not_on_the_command_line_and_the_process_ends_with_a_cancellation() -> None:
    async with Receiver(drip(b"HTTP/1.1 200 OK\r\n\r\n")) as receiver:
        attempt = asyncio.create_task(send(f"json://{receiver.host}/{TOKEN}"))
        await receiver.requested.wait()
        commands = _commands_with("syncer.notices.apprise_process")
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    (command,) = commands
    assert command[0] == sys.executable
    assert TOKEN not in str(command)
    assert _commands_with("syncer.notices.apprise_process") == []


def _commands_with(word: str) -> list[list[str]]:
    """Returns the command lines of this process's children that contain a word."""
    pid = Path("/proc/self").resolve().name
    children = Path(f"/proc/self/task/{pid}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0") for child in children]
    return [command for command in commands if word in command]


@pytest.mark.parametrize("url", [f"unknown://{TOKEN}", TOKEN, f"tgram://{TOKEN}"])
async def test_an_address_that_apprise_does_not_understand_is_a_failure(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = "Apprise does not understand the channel's address: compare it with Apprise's documentation"
    assert await send(url) == Attempt(outcome="failed", error=error)
    with pytest.raises(NoticeError) as caught:
        await check(url)
    assert str(caught.value) == error
    assert capfd.readouterr() == ("", "")


async def test_a_check_names_the_service_and_sends_nothing() -> None:
    async with Receiver(respond()) as receiver:
        assert await check(f"json://{receiver.host}") == "Apprise understands the address, of JSON"
    assert receiver.connections == 0


async def test_the_libraries_of_mail_and_of_apprise_are_imported_only_if_they_are_used() -> None:
    program = "import sys, syncer.notices.senders; print({'aiosmtplib', 'apprise'} & set(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output == b"set()\n"


@pytest.mark.parametrize(
    ("module", "attempt"),
    [
        ("raise ImportError", Attempt(outcome="failed", error="Apprise is not installed: pip install apprise")),
        ("import os; os.abort()", Attempt(outcome="failed", error="Apprise crashed", is_uncertain=True)),
    ],
    ids=["missing", "crashing"],
)
async def test_an_apprise_that_is_missing_or_crashes_is_a_failure(
    module: str, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apprise.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert await send("json://127.0.0.1") == attempt
