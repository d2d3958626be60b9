"""Sends notices by e-mail: one message to all recipients of a channel, as plain text."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final, Literal, Self

import aiosmtplib
from aiosmtplib import SMTPException, SMTPRecipientRefused, SMTPResponseException

from syncer.errors import NoticeError, counted
from syncer.notice import Attempt
from syncer.notices.connections import connection_failure, create_tls_context
from syncer.notices.plain_text import clean_lines
from syncer.notices.quoting import Quotes, without_phone_numbers
from syncer.printable import single_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from syncer.notice import Message
    from syncer.notices.rules import EmailChannel

_MAX_SUBJECT_CHARS: Final = 200
_QUIT_SECONDS: Final = 2.0
_MIN_TEMPORARY_CODE: Final = 400
_MIN_PERMANENT_CODE: Final = 500
# Servers that do not offer 8BITMIME accept this, too.
_POLICY: Final = SMTP_POLICY.clone(cte_type="7bit")


def compose(message: Message, sender: str, recipients: Sequence[str]) -> bytes:
    """Returns a message in the format of e-mail; the same bytes each time."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = single_line(message.subject, _MAX_SUBJECT_CHARS)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(clean_lines(message.text) + "\n", charset="utf-8")
    return mail.as_bytes()


class EmailSender:
    """Sends messages through one SMTP server."""

    def __init__(self, channel: EmailChannel, timeout_seconds: float) -> None:
        self._channel = channel
        self._timeout_seconds = timeout_seconds
        self._password = "" if channel.password is None else channel.password.get_secret_value()
        # The commands of AUTH carry these in base64.
        self._quotes = Quotes(
            [self._password, f"\0{channel.username}\0{self._password}"] if channel.password is not None else []
        )
        self._peer = f"{channel.host}:{channel.port}"

    async def send(self, message: Message) -> Attempt:
        """Sends a message once."""
        session = _Session(self._channel)
        try:
            async with session, asyncio.timeout(self._timeout_seconds):
                await session.open(self._password)
                refused = await self._deliver(session, message)
        except NoticeError as error:
            return Attempt(outcome="failed", error=str(error))
        except (SMTPException, OSError, UnicodeError) as error:
            # A refusal says what became of the message.
            is_refusal = isinstance(error, SMTPResponseException) and error.code >= _MIN_TEMPORARY_CODE
            is_uncertain = session.is_data_sent and not is_refusal
            return Attempt(outcome="failed", error=self._describe(error, session, message), is_uncertain=is_uncertain)
        if not refused:
            return Attempt(outcome="sent")
        outcome: Literal["sent", "failed"] = "sent" if session.is_data_sent else "failed"
        return Attempt(outcome=outcome, error=self._describe_refusals(refused, message))

    async def _deliver(self, session: _Session, message: Message) -> Sequence[SMTPRecipientRefused]:
        """Sends a message to the recipients that the server accepts, and returns the refusals of the others."""
        session.step = "the sender's address"
        await session.client.mail(self._channel.sender)
        refused = []
        session.step = "a recipient's address"
        for recipient in self._channel.recipients:
            try:
                await session.client.rcpt(recipient)
            except SMTPRecipientRefused as error:
                refused.append(error)
        if len(refused) < len(self._channel.recipients):
            session.step, session.is_data_sent = "the message", True
            await session.client.data(compose(message, self._channel.sender, self._channel.recipients))
        return refused

    def _describe_refusals(self, refused: Sequence[SMTPRecipientRefused], message: Message) -> str:
        whom = [
            f"{without_phone_numbers(error.recipient)} ({error.code}{self._quotes.clause(error.message, message)})"
            for error in refused
        ]
        count = counted(len(self._channel.recipients), "recipient")
        return f"{self._peer} refused {len(refused)} of {count}: {', '.join(whom)}"

    def _describe(
        self, error: SMTPException | OSError | UnicodeError, session: _Session, message: Message | None = None
    ) -> str:
        peer = self._peer
        if isinstance(error, SMTPResponseException):
            return self._describe_answer(error, session, message)
        if not session.is_open and (cause := _cause_of(error)) is not None:
            return connection_failure(cause, peer)
        if isinstance(error, TimeoutError):
            return f"{peer} did not answer to {session.step} within {self._timeout_seconds:g} s"
        if isinstance(error, OSError):
            # After a refused login the library tries the next way to log in, which some servers do not wait for.
            advice = ": check username and password" if session.step == "the login" else ""
            return f"{peer} closed the connection instead of answering to {session.step}{advice}"
        # The library's other errors say what the server does not offer.
        if session.step == "the login":
            return f"{peer} offers no way to log in that syncer knows: check `server` and `security`, or the server"
        return (
            f"{peer} does not offer STARTTLS, so nothing was sent to it: take the port that offers it, usually 587, or "
            'security = "tls" with port 465'
        )

    def _describe_answer(self, error: SMTPResponseException, session: _Session, message: Message | None) -> str:
        if error.code < 0:
            return f"what {self._peer} answered is not SMTP: check the port and `security`"
        answer = f"{self._peer} answered {error.code} to {session.step}{self._quotes.clause(error.message, message)}"
        if session.step == "the login" and error.code >= _MIN_PERMANENT_CODE:
            return f"{answer}: check username and password; some providers want one made for programs"
        return answer

    async def check(self) -> str:
        """Connects, negotiates TLS and logs in, and sends nothing."""
        session = _Session(self._channel)
        try:
            async with session, asyncio.timeout(self._timeout_seconds):
                await session.open(self._password)
                session.step = "NOOP"
                await session.client.noop()
                tls = session.client.get_transport_info("ssl_object")
        except (SMTPException, OSError, UnicodeError) as error:
            raise NoticeError(self._describe(error, session)) from None
        protection = "without TLS" if tls is None else f"with {tls.version()}"
        login = ", without a login" if self._channel.username is None else ", and the login"
        return f"{self._peer} accepts connections {protection}{login}"


class _Session:
    """A connection to the server, and how far it got; an async context manager that closes it.

    Attributes:
        step: What the server has to answer to.
        is_open: Whether the server has answered on a connection that is as secure as it must be.
        is_data_sent: Whether the server may have the message.
    """

    def __init__(self, channel: EmailChannel) -> None:
        self._channel = channel
        tls_context = create_tls_context(channel.ca_file)
        # Without `start_tls=True` the library sends the password in clear to servers that do not offer STARTTLS.
        self.client = aiosmtplib.SMTP(
            hostname=channel.host,
            port=channel.port,
            local_hostname=_own_name(),
            timeout=None,
            use_tls=channel.security == "tls",
            start_tls=channel.security == "starttls",
            tls_context=tls_context,
        )
        self.step = "EHLO"
        self.is_open = self.is_data_sent = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SMTPResponseException | NoticeError):
            # The server has a moment to answer, and its answer does not matter.
            with suppress(SMTPException, OSError):
                async with asyncio.timeout(_QUIT_SECONDS):
                    await self.client.quit()
        self.client.close()

    async def open(self, password: str) -> None:
        await self.client.connect()
        self.is_open = True
        if self._channel.username is None:
            await self.client.ehlo()
            return
        if self.client.get_transport_info("ssl_object") is None:
            raise NoticeError("a password is never sent without TLS: set security to starttls or tls")
        self.step = "the login"
        await self.client.login(self._channel.username.encode(), password.encode())


def _cause_of(error: BaseException) -> BaseException | None:
    """Returns the exception of the socket or of TLS, which the library's exceptions have as their cause."""
    while isinstance(error, SMTPException) and not isinstance(error, TimeoutError):
        if error.__cause__ is None:
            return None
        error = error.__cause__
    return error


def _own_name() -> str:
    """Returns the name for EHLO. The library's own choice asks DNS, which may take long."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
