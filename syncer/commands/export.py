"""`syncer export`: a view of schema `analytics` as CSV or Parquet."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

from syncer.errors import SyncerError
from syncer.store.queries.export_views import find_view, open_snapshot, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    import asyncpg

    from syncer.database import Database
    from syncer.store.queries.export_views import View

_BYTES_PER_MEGABYTE: Final = 1_000_000
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# By PostgreSQL's type, how a column of it is spelled. Everything else is as PostgreSQL spells it.
_CSV_EXPRESSIONS: Final = {"bool": "{}::text"}
# Excel takes a file for that of its locale: Russia's has decimal commas. It knows no offsets of time zones. A text that
# begins like a formula would be one, whoever wrote it: an apostrophe before it keeps it a text.
_EXCEL_EXPRESSIONS: Final = {
    "bool": "{}::text",
    "numeric": "replace({}::text, '.', ',')",
    "timestamptz": "to_char({}, 'YYYY-MM-DD HH24:MI:SS')",
    "text": r"regexp_replace({}, '^([=@\t\r]|[+-](?![0-9]+$))', '''\1')",
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
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


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment that ISO 8601 means by a text; one without an offset is told by the clocks of `zone`.

    Raises:
        ValueError: It means none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it must be a moment such as 2026-03-01 or 2026-03-01T12:00+03:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


async def export(options: ExportOptions, database: Database, zone: ZoneInfo) -> None:
    """Writes a view; a file is there once it is whole, and not before.

    Raises:
        ConfigurationError: There is no such view or account.
        DatabaseError: The database cannot be asked, or went away.
        SchemaError: It has no views.
        SyncerError: The file cannot be written, or Parquet not at all.
        BrokenPipeError: Whoever read standard output has gone.
    """
    with _exit_on_sigterm():
        async with open_snapshot(database.url(), zone) as connection:
            view = await find_view(connection, options.view, options.accounts, options.at)
            with _open_output(options.output) as file, _progress(options) as report:
                await _write(options, connection, view, _counting_writer(file, report))


async def _write(
    options: ExportOptions, connection: asyncpg.Connection[Any], view: View, write: Callable[[bytes], int]
) -> None:
    if options.parquet:
        # A dependency of this form alone, and slow to import.
        from syncer.commands.parquet import write_parquet  # noqa: PLC0415 - see above

        await write_parquet(connection, view, write)
    elif options.excel:
        write(_BYTE_ORDER_MARK)
        await write_csv(connection, view, _EXCEL_EXPRESSIONS, ";", write)
    else:
        await write_csv(connection, view, _CSV_EXPRESSIONS, ",", write)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Has SIGTERM end the block as Ctrl-C does, with nothing left behind."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - the loop runs it
    has_received_sigterm = False

    def cancel() -> None:
        nonlocal has_received_sigterm
        has_received_sigterm = True
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, cancel)
    try:
        yield
    except asyncio.CancelledError:
        if has_received_sigterm:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _counting_writer(file: IO[bytes], report: Callable[[int], object]) -> Callable[[bytes], int]:
    written = 0

    def write(data: bytes) -> int:
        nonlocal written
        file.write(data)
        written += len(data)
        report(written)
        return len(data)

    return write


@contextmanager
def _open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Where the bytes go; a file that stands there already is replaced when the new one is whole."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            if path.exists() and not path.is_file():
                raise SyncerError(f"{path} is not a file: leave --output out for standard output")
            with _replace_when_complete(path.resolve()) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SyncerError(f"{path or 'standard output'} cannot be written: {error.strerror or error}") from None


@contextmanager
def _replace_when_complete(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _progress(options: ExportOptions) -> Iterator[Callable[[int], object]]:
    """A sign of life for a person who waits; nothing where nobody looks, or where the data itself is looked at."""
    if not sys.stderr.isatty() or (options.output is None and sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it

    with Console(stderr=True).status(options.view) as status:
        yield lambda written: status.update(f"{options.view}: {written / _BYTES_PER_MEGABYTE:.1f} MB")
