"""`syncer export`: a view of schema `analytics` as CSV or Parquet."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Final

from syncer.errors import SyncerError
from syncer.store.views import copy_csv, find_view, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from syncer.database import Database

_MEGABYTE: Final = 1_000_000
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# By PostgreSQL's type, how a column of it is spelled. Everything else is as PostgreSQL spells it.
_PLAIN: Final = {"bool": "{}::text"}
# Excel takes a file for that of its locale: Russia's has decimal commas. It knows no offsets of time zones. A text that
# begins like a formula would be one, whoever wrote it: an apostrophe before it keeps it a text.
_FOR_EXCEL: Final = {
    "bool": "{}::text",
    "numeric": "replace({}::text, '.', ',')",
    "timestamptz": "to_char({}, 'YYYY-MM-DD HH24:MI:SS')",
    "text": r"regexp_replace({}, '^([=@\t\r]|[+-](?![0-9]+$))', '''\1')",
}


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted.

    Attributes:
        view: The view's name.
        output: The file; None is standard output.
        parquet: Parquet, and not CSV.
        excel: CSV as Excel opens it.
        accounts: The only accounts that are wanted; none are all.
        at: The moment as of which `numbers` are wanted; None is now.
    """

    view: str
    output: Path | None
    parquet: bool
    excel: bool
    accounts: Sequence[str]
    at: datetime | None


def moment_of(text: str, zone: ZoneInfo) -> datetime:
    """The moment that ISO 8601 means by a text; one without an offset is told by the clocks of `zone`.

    Raises:
        ValueError: It means none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it must be a moment such as 2026-03-01 or 2026-03-01T12:00+03:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


async def export(wanted: Export, database: Database, zone: ZoneInfo) -> None:
    """Writes a view; a file is there once it is whole, and not before.

    Raises:
        ConfigurationError: There is no such view or account.
        DatabaseError: The database cannot be asked, or went away.
        SchemaError: It has no views.
        SyncerError: The file cannot be written, or Parquet not at all.
        BrokenPipeError: Whoever read standard output has gone.
    """
    if wanted.parquet:
        # It is a dependency of this form alone, and slow to import.
        from syncer.commands.parquet import write_parquet  # noqa: PLC0415
    async with reading(database.address(), zone) as connection:
        view = await find_view(connection, wanted.view, wanted.accounts, wanted.at)
        with _output(wanted.output) as file, _progress(wanted) as told:
            write = _counting(file, told)
            if wanted.parquet:
                await write_parquet(connection, view, write)
                return
            if wanted.excel:
                write(_BYTE_ORDER_MARK)
            spelled, delimiter = (_FOR_EXCEL, ";") if wanted.excel else (_PLAIN, ",")
            await copy_csv(connection, view, spelled, delimiter, write)


def _counting(file: IO[bytes], told: Callable[[int], object]) -> Callable[[bytes], int]:
    written = 0

    def write(data: bytes) -> int:
        nonlocal written
        file.write(data)
        written += len(data)
        told(written)
        return len(data)

    return write


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    """Where the bytes go; a file that stands there already is replaced when the new one is whole."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            if path.exists() and not path.is_file():
                raise SyncerError(f"{path} is not a file: leave --output out for standard output")
            with _replacing(path.resolve()) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SyncerError(f"{path or 'standard output'} cannot be written: {error.strerror or error}") from None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # A signal that would end the process at once would leave the unfinished file behind.
    ours = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, ours)


@contextmanager
def _progress(wanted: Export) -> Iterator[Callable[[int], object]]:
    """A sign of life for a person who waits; nothing where nobody looks, or where the data itself is looked at."""
    if not sys.stderr.isatty() or (wanted.output is None and sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it

    with Console(stderr=True).status(wanted.view) as status:
        yield lambda written: status.update(f"{wanted.view}: {written / _MEGABYTE:.1f} MB")
