"""Sends notices through Apprise, in a process of its own for each message.

Apprise reads whole answers and has no limit of their size or of the whole time. A process can be ended.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Final

from syncer.errors import NoticeError
from syncer.notice import Attempt
from syncer.notices.apprise_process import FAILED, MISSING, NOT_UNDERSTOOD
from syncer.notices.connections import NoAnswerError
from syncer.notices.messengers import may_be_repetition
from syncer.notices.plain_text import clean_lines, cut_to_utf16
from syncer.printable import single_line

if TYPE_CHECKING:
    from syncer.notice import Message
    from syncer.notices.rules import AppriseChannel

_MAX_TEXT_UNITS: Final = 32_000
_MAX_SUBJECT_CHARS: Final = 200
_PROBLEMS: Final = {
    FAILED: "Apprise could not deliver the message, and does not say why: try its address with the command apprise -vv",
    MISSING: "Apprise is not installed: pip install apprise",
    NOT_UNDERSTOOD: "Apprise does not understand the channel's address: compare it with Apprise's documentation",
}


class AppriseSender:
    """Sends messages to one address of Apprise."""

    def __init__(self, channel: AppriseChannel, timeout_seconds: float) -> None:
        self._channel = channel
        self._timeout_seconds = timeout_seconds

    async def send(self, message: Message) -> Attempt:
        """Sends a message once."""
        subject = may_be_repetition(message, self._channel.language) + message.subject
        content = {
            "title": single_line(subject, _MAX_SUBJECT_CHARS),
            "body": cut_to_utf16(clean_lines(message.text), _MAX_TEXT_UNITS),
        }
        try:
            await self._run(content)
        except TimeoutError:
            error = f"Apprise was not done within {self._timeout_seconds:g} s"
            return Attempt(outcome="failed", error=error, is_uncertain=True)
        except NoAnswerError as error:
            return Attempt(outcome="failed", error=str(error), is_uncertain=error.is_uncertain)
        return Attempt(outcome="sent")

    async def check(self) -> str:
        """Asks Apprise whether it understands the address."""
        try:
            return f"Apprise understands the address, of {await self._run({})}"
        except TimeoutError:
            raise NoticeError(f"Apprise did not start within {self._timeout_seconds:g} s") from None

    async def _run(self, content: dict[str, str]) -> str:
        """Runs Apprise, and returns the name of the service that the address is of."""
        seconds = math.ceil(self._timeout_seconds)
        arguments = ["-P", "-m", "syncer.notices.apprise_process", str(seconds + 1)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        request = json.dumps({"url": self._channel.url.get_secret_value(), **content}).encode()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                output, _ = await process.communicate(request)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            is_uncertain = process.returncode not in _PROBLEMS
            raise NoAnswerError(_PROBLEMS.get(process.returncode, "Apprise crashed"), is_uncertain=is_uncertain)
        return output.decode()
