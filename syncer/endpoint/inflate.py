"""Inflates response bodies, with ISA-L where its wheel is installed and with zlib elsewhere."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable


class _Stream(Protocol):
    """What `decompressobj` of either library returns."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = ..., /) -> bytes: ...


_open_stream: Callable[[int], _Stream] = zlib.decompressobj
_ERRORS: tuple[type[Exception], ...] = (zlib.error,)
try:
    from isal import isal_zlib
except ImportError:  # there is no wheel for this platform
    pass
else:
    _open_stream = isal_zlib.decompressobj
    _ERRORS = (cast("type[Exception]", isal_zlib.error),)  # its annotation is that of an instance

_WINDOW_BYTES: Final = 2**16
"""Compressed bytes that are passed on at a time: what is left of them is copied after each piece."""
_MAX_MEMBERS: Final = 1024
"""A body may have several gzip members. Each costs a copy of a window, so that millions of empty ones would not end."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_DEFLATE_METHOD: Final = 8


class InflateError(ValueError):
    """The bytes are not what the header says."""


class Inflater:
    """Inflates the bytes of a body piece by piece.

    A body that was cut off inflates to the beginning of its content, without an error.
    """

    def __init__(self, compressed: bytes, encoding: str) -> None:
        """Takes all bytes as they were received, and their `Content-Encoding`: `gzip` or `deflate`."""
        self._compressed = memoryview(compressed)
        # What HTTP calls deflate has a header of zlib, which many servers leave out.
        has_header = compressed[:1] and compressed[0] & 0x0F == _DEFLATE_METHOD
        self._window_bits = _GZIP if encoding == "gzip" else zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
        self._stream = _open_stream(self._window_bits)
        self._members = 1
        self._pending: bytes | memoryview = b""
        self._position = 0

    def read(self, size: int) -> bytes:
        """Returns the next bytes, at most so many; none at the end.

        Raises:
            InflateError: The body is corrupt.
        """
        pieces: list[bytes] = []
        while size:
            if not self._pending:
                self._pending = self._compressed[self._position : self._position + _WINDOW_BYTES]
                self._position += len(self._pending)
            if self._stream.eof and self._pending:
                self._begin_member()
            is_last_window = not self._pending
            try:
                piece = self._stream.decompress(self._pending, size)
            except _ERRORS as error:
                raise InflateError from error
            self._pending = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if piece:
                pieces.append(piece)
                size -= len(piece)
            elif is_last_window:
                break
        return b"".join(pieces)

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise InflateError
        self._stream = _open_stream(self._window_bits)
