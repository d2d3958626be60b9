"""An SMTP server that answers as a test says, and keeps what it received."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

HANG: Final = "hang"
CLOSE: Final = "close"
_ANSWERS: Final = {
    "greeting": "220 test ESMTP",
    "STARTTLS": "220 go ahead",
    "AUTH": "235 welcome",
    "DATA": "354 end with a dot",
    "QUIT": "221 bye",
}


class SmtpServer:
    """Listens within `async with`.

    Args:
        tls: Its certificate; None if it offers no TLS.
        is_tls_implicit: Whether TLS begins with the first byte.
        answers: What it answers to a command, to the greeting or to the final dot (`.`), in this order and then as
            usual: an answer, `HANG` or `CLOSE`.

    Attributes:
        commands: What it received outside of messages, a line each.
        clear: What it received without TLS.
        messages: The messages that ended with a dot, without it.
        hanging: Set when it does not answer.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        is_tls_implicit: bool = False,
        answers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._tls, self._is_tls_implicit = tls, is_tls_implicit
        self._answers = defaultdict[str, deque[str]](deque)
        self._answers |= {command: deque(scripted) for command, scripted in (answers or {}).items()}
        self._tasks: set[asyncio.Task[None]] = set()
        self.commands: list[str] = []
        self.clear = b""
        self.messages: list[bytes] = []
        self.hanging = asyncio.Event()
        self.port = 0

    async def __aenter__(self) -> Self:
        tls = self._tls if self._is_tls_implicit else None
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(writer, "greeting")
            while line := await self._read_line(reader, writer):
                self.commands.append(line.decode().strip())
                command = line.split()[0].decode().upper()
                answer = await self._answer(writer, command)
                if command == "STARTTLS" and answer.startswith("220") and self._tls is not None:
                    await writer.start_tls(self._tls)
                if command == "DATA" and answer.startswith("354"):
                    lines = []
                    while (line := await self._read_line(reader, writer)) != b".\r\n":
                        lines.append(line.removeprefix(b"."))
                    self.messages.append(b"".join(lines))
                    await self._answer(writer, ".")
        except (ConnectionError, OSError):
            pass
        finally:
            writer.transport.abort()

    async def _read_line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        line = await reader.readline()
        if writer.get_extra_info("ssl_object") is None:
            self.clear += line
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError
        return line

    async def _answer(self, writer: asyncio.StreamWriter, command: str) -> str:
        scripted = self._answers[command]
        answer = scripted.popleft() if scripted else self._usual_answer(command, writer)
        if answer == HANG:
            self.hanging.set()
            await asyncio.Event().wait()
        if answer == CLOSE:
            raise ConnectionAbortedError
        writer.write(answer.encode("utf-8", "surrogateescape") + b"\r\n")
        await writer.drain()
        return answer

    def _usual_answer(self, command: str, writer: asyncio.StreamWriter) -> str:
        if command != "EHLO":
            return _ANSWERS.get(command, "250 ok")
        is_offered = self._tls is not None and writer.get_extra_info("ssl_object") is None
        return "250-test\r\n" + "250-STARTTLS\r\n" * is_offered + "250 AUTH PLAIN LOGIN"
