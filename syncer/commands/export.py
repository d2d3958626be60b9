"""`syncer export`: writes a view of schema `analytics` as CSV, Excel or Parquet file."""

from __future__ import annotations

import codecs
import json
import os
import secrets
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final, Literal, get_args

from syncer.commands.progress import show_progress
from syncer.daemon.signals import exit_on_sigterm
from syncer.errors import ConfigurationError, InvalidValueError, SyncerError
from syncer.printable import escape_unprintable
from syncer.store.queries.export_views import (
    count_rows,
    find_changes_since,
    find_view,
    find_views_of_number,
    open_snapshot,
    write_csv,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    import asyncpg

    from syncer.database import Database
    from syncer.store.queries.export_views import View
    from syncer.web.translations import Language

FileFormat = Literal["csv", "xlsx", "parquet"]

_FORMATS: Final[tuple[FileFormat, ...]] = get_args(FileFormat)
_BYTES_PER_MEGABYTE: Final = 1_000_000
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MAX_CURSOR_BYTES: Final = 16_000_000

# SQL expressions that format a column, by its PostgreSQL type. Other types keep PostgreSQL's text format.
_CSV_EXPRESSIONS: Final = {"bool": "{}::text"}
# Excel reads a CSV file by its locale, and the Russian one has decimal commas. Excel does not understand UTC offsets.
_EXCEL_EXPRESSIONS: Final = {
    "bool": "{}::text",
    "int4": "{}",
    "int8": "{}",
    "numeric": "replace({}::text, '.', ',')",
    "date": "{}",
    "timestamptz": "to_char({}, 'YYYY-MM-DD HH24:MI:SS')",
}
# Unicode's control, format, white space and default ignorable characters: a cell does not show them.
_INVISIBLE: Final = (
    r"\u0001-\u0020\u007F-\u00A0\u00AD\u034F\u0600-\u0605\u061C\u06DD\u070F\u0890\u0891\u08E2\u115F\u1160\u1680\u17B4"
    r"\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB"
    r"\U000110BD\U000110CD\U00013430-\U0001343F\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
)
# = + - @ and the minus sign, and their full-width and small forms.
_FORMULA_SIGNS: Final = r"=+\-@\u2212\uFE62\uFE63\uFE66\uFE6B\uFF0B\uFF0D\uFF1D\uFF20"
# Excel would execute a text that starts like a formula. Such a text gets a leading apostrophe, and so does one that
# starts with a tab or a line break, which a program may drop. A plain phone number stays as it is.
_EXCEL_TEXT: Final = (
    rf"regexp_replace({{}}::text, '^(?![+-][0-9]+$)(?=[\t\r\n]|[{_INVISIBLE}]*[{_FORMULA_SIGNS}])', '''')"
)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export, and in which format.

    Attributes:
        view: The name of the view.
        output: The file to write; None means standard output.
        file_format: The format to write.
        excel: Whether to write CSV for Excel.
        language: The language of the header of an Excel file; None means the names of the columns.
        accounts: The accounts to export; empty means all.
        at: The time as of which to export `numbers`; None means now.
        since: The file with the cursor of `changes`; None means all rows, and no cursor.
    """

    view: str
    output: Path | None
    file_format: FileFormat
    excel: bool
    language: Language | None
    accounts: Sequence[str]
    at: datetime | None
    since: Path | None = None


def choose_format(
    output: Path | None, asked: FileFormat | None, *, excel: bool, language: Language | None
) -> FileFormat:
    """Returns the format that is asked for, or else the one that the output's suffix names.

    Raises:
        ConfigurationError: The suffix names none or another one, or an option does not go with the format.
    """
    suffix = "" if output is None else output.suffix.lower()
    named = next((one for one in _FORMATS if suffix == f".{one}"), None)
    if output is not None and named is None and asked is None and (output.is_file() or not output.exists()):
        raise ConfigurationError(
            f"--output {output}: the name must end in .csv, .xlsx or .parquet, or --format must say what to write"
        )
    if None not in {named, asked} and named != asked:
        raise ConfigurationError(f"--output {output} does not go with --format {asked}: rename it, or omit --format")
    chosen = asked or named or "csv"
    if chosen != "csv" and output is None:
        raise ConfigurationError(f"--format {chosen} needs --output FILE")
    if chosen != "csv" and excel:
        raise ConfigurationError(f"--excel is for CSV, and {output} is to be {chosen}: omit --excel")
    if chosen != "xlsx" and language is not None:
        raise ConfigurationError("--language is for the header of an Excel file: name one with --output FILE.xlsx")
    return chosen


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """Parses a time in ISO 8601; a time without a UTC offset is in the time zone `zone`.

    Raises:
        ValueError: The text is not a time in ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it must be a time such as 2026-03-01 or 2026-03-01T12:00+03:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


async def export(options: ExportOptions, database: Database, zone: ZoneInfo) -> None:
    """Exports a view; an output file appears only when it is complete.

    With `since`, only the changes since the cursor in that file are exported; it is replaced when they are written.

    Raises:
        ConfigurationError: There is no such view or account, or the file with the cursor is not one.
        DatabaseError: The database cannot be reached, or the connection was lost.
        SchemaError: The database has no views.
        SyncerError: The file or standard output cannot be written, the view has too many rows for the format, or
            pyarrow is not installed.
    """
    with exit_on_sigterm():
        async with open_snapshot(database.url(), zone) as connection:
            view, cursor = await _find(options, connection)
            with _explain_cursor(options), _open_output(options.output) as file, _show_progress(options) as report:
                if options.file_format == "xlsx":
                    await _write_xlsx(options, connection, view, zone, file, report)
                else:
                    await _write(options, connection, view, _counting_writer(file, report))
            if cursor is not None:
                with _open_output(options.since) as file:
                    file.write(json.dumps(cursor).encode() + b"\n")


def make_folder(folder: Path) -> None:
    """Makes the folder for `export_number`, which only its user may read; one that is empty is used.

    Raises:
        ConfigurationError: It is not empty. The files there may be about another person, and those of views without
            rows would not be replaced.
        SyncerError: It cannot be made, or not be read.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise SyncerError(f"{folder} cannot be made: {error.strerror or error}") from None
    if not is_empty:
        raise ConfigurationError(
            f"--output {folder}: the folder is not empty, and its files would be taken for those of this number: name "
            "a new folder"
        )


async def export_number(
    database: Database, zone: ZoneInfo, spellings: Sequence[str], accounts: Sequence[str], folder: Path
) -> bool:
    """Exports all that the views have of a phone number, a CSV file for each view that has anything.

    Args:
        database: The database.
        zone: The time zone of times.
        spellings: The phone number, in each of its spellings.
        accounts: The accounts to export; empty means all.
        folder: Where the files are written; `make_folder` makes it.

    Returns:
        Whether any number has or had it.

    Raises:
        ConfigurationError: There is no such account.
        DatabaseError: The database cannot be reached, or the connection was lost.
        SyncerError: A file cannot be written.
    """
    with exit_on_sigterm():
        async with open_snapshot(database.url(), zone) as connection:
            views = await find_views_of_number(connection, spellings, accounts)
            for view in views:
                if await count_rows(connection, view, limit=1):
                    with _open_output(folder / f"{view.name}.csv") as file:
                        await write_csv(connection, view, _CSV_EXPRESSIONS, ",", file.write)
    return bool(views)


async def _find(options: ExportOptions, connection: asyncpg.Connection[Any]) -> tuple[View, dict[str, Any] | None]:
    """Returns what to export, and the cursor after it if there is one."""
    view = await find_view(connection, options.view, options.accounts, options.at)
    if options.since is None:
        return view, None
    if options.view != "changes" or options.accounts or options.at is not None:
        raise ConfigurationError("--since works only with the view changes, and not with --account or --at")
    if options.output is not None and options.output.resolve() == options.since.resolve():
        raise ConfigurationError(f"--since {options.since}: the cursor needs a file of its own, not that of --output")
    return await find_changes_since(connection, view, _read_cursor(options.since))


@contextmanager
def _explain_cursor(options: ExportOptions) -> Iterator[None]:
    """Says what to do if the database refuses the cursor."""
    try:
        yield
    except InvalidValueError:
        if options.since is None:
            raise
        raise ConfigurationError(
            f"--since {options.since}: this database does not have all that its cursor says was copied. It is that "
            "of another database, or this one was restored from a backup: delete the copy and the file, and copy again"
        ) from None


def _read_cursor(path: Path) -> dict[str, Any]:
    """Returns the cursor in a file; without a file, the one with which everything is new."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_CURSOR_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SyncerError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        cursor = json.loads(text)
    except (ValueError, RecursionError):
        cursor = None
    if not isinstance(cursor, dict) or not all(map(_is_position, cursor.values())):
        raise ConfigurationError(
            f"--since {path}: this is no cursor that `syncer export` has written. If it is damaged, delete it and the "
            "copy, and copy again"
        )
    return cursor


def _is_position(value: object) -> bool:
    """Whether a cursor can have this value for an account: a run, or before revision 0016 its id alone."""
    run_id = value.get("run_id") if isinstance(value, dict) else value
    return type(run_id) is int and run_id >= 0


async def _write(
    options: ExportOptions, connection: asyncpg.Connection[Any], view: View, write: Callable[[bytes], int]
) -> None:
    if options.output is None and sys.stdout.isatty():
        write = _escaping_writer(write)
    if options.file_format == "parquet":
        # pyarrow is an optional dependency of this format, and slow to import.
        from syncer.commands.parquet import write_parquet  # noqa: PLC0415 - see above

        await write_parquet(connection, view, write)
    elif options.excel:
        await _write_excel_csv(connection, view, write)
    else:
        await write_csv(connection, view, _CSV_EXPRESSIONS, ",", write)


async def _write_excel_csv(connection: asyncpg.Connection[Any], view: View, write: Callable[[bytes], int]) -> None:
    """Writes CSV for Excel, with all texts in quotes."""
    texts = [column for column in view.columns if column.type not in _EXCEL_EXPRESSIONS]
    expressions = {column.type: _EXCEL_TEXT for column in texts} | _EXCEL_EXPRESSIONS
    write(_BYTE_ORDER_MARK)
    await write_csv(connection, view, expressions, ";", write, quoted=[column.name for column in texts])


async def _write_xlsx(
    options: ExportOptions,
    connection: asyncpg.Connection[Any],
    view: View,
    zone: ZoneInfo,
    file: IO[bytes],
    report: Callable[[str], object],
) -> None:
    from syncer.commands.xlsx import SheetOptions, write_xlsx  # noqa: PLC0415 - only this format needs it

    assert options.output is not None  # noqa: S101 - `choose_format` requires it
    sheet_options = SheetOptions(options.language, zone.key, options.output.resolve().parent)
    await write_xlsx(connection, view, file, sheet_options, report)


def _counting_writer(file: IO[bytes], report: Callable[[str], object]) -> Callable[[bytes], int]:
    written = 0

    def write(data: bytes) -> int:
        nonlocal written
        file.write(data)
        written += len(data)
        report(f"{written / _BYTES_PER_MEGABYTE:.1f} MB")
        return len(data)

    return write


def _escaping_writer(write: Callable[[bytes], int]) -> Callable[[bytes], int]:
    """Returns a writer of CSV for a terminal: no character of a field can command the terminal or break the line."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    is_quoted = False

    def write_escaped(data: bytes) -> int:
        nonlocal is_quoted
        escaped = []
        for index, part in enumerate(decoder.decode(data).split('"')):
            is_quoted ^= index > 0
            lines = [part] if is_quoted else part.split("\n")  # a row ends at a newline outside quotes
            escaped.append("\n".join(map(escape_unprintable, lines)))
        write('"'.join(escaped).encode())
        return len(data)

    return write_escaped


@contextmanager
def _open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Opens the output; an existing file is replaced when the new one is complete."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            if path.exists() and not path.is_file():
                raise SyncerError(f"{path} is not a file: omit --output to write to standard output")
            with _replace_when_complete(path.resolve()) as file:
                yield file
    except OSError as error:
        raise SyncerError(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def _replace_when_complete(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Only its user may read a new file, since it has phone numbers; one that is replaced keeps its mode.
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        temporary.touch(0o600, exist_ok=False)
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Keeps the new name of a file even if the machine loses power: a cursor must not survive what it stands for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _show_progress(options: ExportOptions) -> Iterator[Callable[[str], object]]:
    prints_data = options.output is None and sys.stdout.isatty()
    with show_progress(options.view, hidden=prints_data) as show:
        yield lambda progress: show(f"{options.view}: {progress}")
