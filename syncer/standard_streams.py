"""Standard output and standard error as this program uses them.

What reads them may close them, stop reading or run out of space. Standard output then ends the command with one plain
line, since its result is lost. Standard error must not end or delay anything, since the daemon logs to it: a bounded
queue takes the text, a thread writes it, and what does not fit is dropped and counted.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import select
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from syncer.errors import OutputError, os_error_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

QUEUE_BYTES: Final = 2**20
"""Text that may wait for the reader of standard error: some thousands of log lines."""
EXIT_TIMEOUT_SECONDS: Final = 2.0
"""How long the process waits at its end for the reader to take what is queued."""


class QueuedStream(io.TextIOBase):
    """A text stream whose writes never wait and never fail: a thread passes them on to a file descriptor.

    A queue, not `logging.handlers.QueueHandler`: that covers only what is logged through `logging`, prints a traceback
    to the stream itself when the queue is full, and its listener waits for the reader at the end without a limit.

    Args:
        descriptor: The file descriptor to write to.
        encoding: The encoding of the text; characters that it lacks are escaped.
        capacity: How many bytes may wait.

    Attributes:
        dropped_lines: How many lines were dropped because the queue was full or the descriptor could not be written.
        on_resume: Called with the number of lines dropped since its last call, once the reader reads again.
    """

    def __init__(self, descriptor: int, encoding: str = "utf-8", capacity: int = QUEUE_BYTES) -> None:
        self.dropped_lines = 0
        self.on_resume: Callable[[int], None] | None = None
        self._descriptor = descriptor
        self._encoding = encoding
        self._capacity = capacity
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._reported_lines = 0
        self._changed = threading.Condition(threading.RLock())  # a signal handler may interrupt a write, and write too
        self._thread: threading.Thread | None = None
        self._is_closing = False

    @property
    def encoding(self) -> str:  # type: ignore[override] # read-only here, a writable attribute in typeshed
        """The encoding of the text."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override] # as above
        """How characters are written that the encoding lacks."""
        return "backslashreplace"

    def fileno(self) -> int:
        """The file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Queues text, or drops it if the queue is full. Text of any size fits into an empty queue."""
        chunk = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._waiting_bytes and self._waiting_bytes + len(chunk) > self._capacity:
                self.dropped_lines += chunk.count(b"\n")
                return len(text)
            self._chunks.append(chunk)
            self._waiting_bytes += len(chunk)
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._pass_on, name="stderr", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return len(text)

    def drain(self, timeout: float) -> bool:
        """Waits until everything is written, for at most `timeout` seconds.

        Returns:
            Whether nothing waits any more.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._waiting_bytes and (remaining := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining)
            return not self._waiting_bytes

    def drain_at_exit(self) -> None:
        """Waits for a limited time, and starts no thread any more: the interpreter is about to end."""
        self.drain(EXIT_TIMEOUT_SECONDS)
        self._is_closing = True

    def _pass_on(self) -> None:
        while True:
            with self._changed:
                while not self._chunks:
                    self._changed.wait()
                chunk = self._chunks.popleft()
            is_written = self._write_all(chunk)
            with self._changed:
                self._waiting_bytes -= len(chunk)
                if not is_written:
                    self.dropped_lines += chunk.count(b"\n")
                self._changed.notify_all()
                dropped = self.dropped_lines - self._reported_lines
                resumed = is_written and dropped and self._waiting_bytes <= self._capacity // 2
                if resumed:
                    self._reported_lines = self.dropped_lines
            if resumed and self.on_resume is not None:
                self.on_resume(dropped)

    def _write_all(self, chunk: bytes) -> bool:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares the descriptor made it non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True


_REASONS: Final = {errno.EBADF: "it is closed", errno.EPIPE: "its reader has closed it"}


class _StandardOutput(io.FileIO):
    """Standard output; a failed write raises OutputError, which no library takes for an error of its own."""

    def write(self, data: Buffer) -> int:
        """Writes to standard output.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            return super().write(data)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0) or os_error_text(error)
            raise OutputError(f"standard output cannot be written: {reason}") from None


def prepare_standard_streams() -> None:
    """Replaces `sys.stdout` and `sys.stderr`, and occupies the descriptors of standard streams that are closed.

    Otherwise the next file or connection would get such a descriptor, and be written to by mistake.
    """
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):  # writes to standard output shall fail
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free descriptor
    raw = _StandardOutput(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(sys.stdout, "encoding", "utf-8"),
        errors=getattr(sys.stdout, "errors", "strict"),
        line_buffering=raw.isatty(),
    )
    stream = QueuedStream(2, getattr(sys.stderr, "encoding", "utf-8"))
    atexit.register(stream.drain_at_exit)
    sys.stderr = stream


def discard_standard_output() -> None:
    """Discards what is still buffered for a standard output that cannot be written, and everything after it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def dropped_log_lines() -> int:
    """Returns how many lines of standard error this process has dropped."""
    return sys.stderr.dropped_lines if isinstance(sys.stderr, QueuedStream) else 0
