"""Writes a view as an Excel file, row by row, so that it needs little memory."""

from __future__ import annotations

import asyncio
import math
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any, Final

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError, FileSizeError

from syncer.commands.column_titles import column_title
from syncer.errors import SyncerError
from syncer.store.queries.export_views import count_rows, read_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import asyncpg
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from syncer.store.queries.export_views import Column, View
    from syncer.web.translations import Language

    Cell = Callable[[Worksheet, int, int, Any, Format | None], object]

# The limits of Excel.
_MAX_ROWS: Final = 1_048_576
_MAX_CELL: Final = 32_767
_MAX_EXACT_INTEGER: Final = 10**15
_FIRST_DAY: Final = date(1900, 3, 1)  # Excel believes that 1900 was a leap year
_SHEET_NAME: Final = re.compile(r"\w{1,31}", re.ASCII)

# Excel's times have no UTC offset: they are in the session's time zone.
_CONVERSIONS: Final = {"numeric": "{}::float8", "timestamptz": "{}::timestamp"}
_TIMES: Final = {"date": ("yyyy-mm-dd", 11), "timestamptz": ("yyyy-mm-dd hh:mm:ss", 19)}
_WIDEST: Final = 40


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """How to write the file.

    Attributes:
        language: The language of the header; None means the names of the columns.
        zone: The name of the time zone that the connection is set to.
        folder: Where temporary files are written.
    """

    language: Language | None
    zone: str
    folder: Path


class _Output:
    """The file, to which a thread writes until it is told to stop."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.flush = file.seek, file.tell, file.flush
        self._write = file.write
        self._is_given_up = False
        self.is_stopped = False

    def write(self, data: bytes) -> int:
        """Writes, or fails once after `is_stopped` is set, and from then on drops what the closing archive writes."""
        if self._is_given_up:
            return len(data)
        self._is_given_up = True
        if self.is_stopped:
            raise InterruptedError
        written = self._write(data)
        self._is_given_up = False
        return written


async def write_xlsx(
    connection: asyncpg.Connection[Any],
    view: View,
    file: IO[bytes],
    options: SheetOptions,
    report: Callable[[str], object],
) -> None:
    """Writes a view as an Excel file.

    Args:
        connection: The connection of `open_snapshot`.
        view: The view.
        file: Where to write; it must be seekable.
        options: How to write it.
        report: Receives the progress.

    Raises:
        DatabaseError: PostgreSQL reported an error, or the connection was lost.
        SyncerError: The view has more rows than a sheet of Excel can have, or the sheet is too large for the file.
        OSError: The file or a temporary file cannot be written.
    """
    if await count_rows(connection, view, limit=_MAX_ROWS) == _MAX_ROWS:
        raise SyncerError(
            f"{view.name} has more rows than the {_MAX_ROWS - 1:,} that fit below the header of an Excel sheet: "
            "name some accounts with --account, or write .csv or .parquet"
        )
    with tempfile.TemporaryDirectory(prefix=".xlsx.", dir=options.folder) as folder:
        output = _Output(file)
        workbook = Workbook(output, {"constant_memory": True, "tmpdir": folder})
        sheet = workbook.add_worksheet(view.name if _SHEET_NAME.fullmatch(view.name) else "data")
        try:
            await _write_rows(connection, view, workbook, sheet, options, report)
            await _close(workbook, output)
        except FileCreateError as error:
            raise error.args[0] from None  # an OSError
        except FileSizeError:
            raise SyncerError(f"{view.name} is too large for an Excel file: write .csv or .parquet") from None
        finally:
            with suppress(OSError):
                sheet.row_data_fh.close()


async def _write_rows(
    connection: asyncpg.Connection[Any],
    view: View,
    workbook: Workbook,
    sheet: Worksheet,
    options: SheetOptions,
    report: Callable[[str], object],
) -> None:
    _write_header(workbook, sheet, view.columns, options)
    formats = {name: workbook.add_format({"num_format": pattern}) for name, (pattern, _) in _TIMES.items()}
    cells: list[tuple[Cell, Format | None]] = [
        (_CELLS.get(column.type, _write_text), formats.get(column.type)) for column in view.columns
    ]
    texts = {column.type: "{}::text" for column in view.columns if column.type not in _CELLS}
    row = 0
    async for records in read_batches(connection, view, texts | _CONVERSIONS):
        for record in records:
            row += 1
            for index, ((write, cell_format), value) in enumerate(zip(cells, record.values(), strict=True)):
                if value is not None:
                    write(sheet, row, index, value, cell_format)
        report(f"{row:,} rows")
    sheet.autofilter(0, 0, row, len(cells) - 1)


def _write_header(workbook: Workbook, sheet: Worksheet, columns: Sequence[Column], options: SheetOptions) -> None:
    bold = workbook.add_format({"bold": True})
    for index, column in enumerate(columns):
        title = column_title(column.name, options.language) if options.language else None
        if title is None:
            title = column.name
        elif column.type == "timestamptz":
            title = f"{title} ({options.zone})"
        _, width = _TIMES.get(column.type, (None, 12))
        sheet.set_column(index, index, min(max(width, len(title) + 4), _WIDEST))  # 4 for the filter's button
        sheet.write_string(0, index, title, bold)
    sheet.freeze_panes(1, 0)
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{_MAX_ROWS}"})  # phone numbers are texts on purpose
    workbook.set_properties({"comments": f"Times are in {options.zone}."})


async def _close(workbook: Workbook, output: _Output) -> None:
    """Compresses the file, in a thread, so that a signal can stop it."""
    closing = asyncio.get_running_loop().run_in_executor(None, workbook.close)
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        output.is_stopped = True
        await asyncio.wait([closing])
        closing.exception()
        raise


def _write_text(sheet: Worksheet, row: int, column: int, value: str, _: Format | None) -> None:
    if len(value) > _MAX_CELL // 2 and len(value.encode("utf-16-le")) > 2 * _MAX_CELL:
        value = value.encode("utf-16-le")[: 2 * (_MAX_CELL - 1)].decode("utf-16-le", "ignore") + "…"
    if value.startswith("<r>") and value.endswith("</r>"):
        # xlsxwriter takes such a text for its own XML. In three parts it is escaped, its control characters twice.
        sheet.write_rich_string(row, column, value[0], value[1], value[2:])
    else:
        sheet.write_string(row, column, value)


def _write_integer(sheet: Worksheet, row: int, column: int, value: int, _: Format | None) -> None:
    """Excel's numbers have 15 digits: a longer one is written as text, which keeps all of them."""
    if abs(value) < _MAX_EXACT_INTEGER:
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, str(value))


def _write_number(sheet: Worksheet, row: int, column: int, value: float, _: Format | None) -> None:
    if math.isfinite(value):
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, str(value))


def _write_boolean(sheet: Worksheet, row: int, column: int, value: bool, _: Format | None) -> None:
    sheet.write_boolean(row, column, value)


def _write_time(sheet: Worksheet, row: int, column: int, value: date, cell_format: Format | None) -> None:
    """Writes a date or a time. Excel has none before 1900, which are texts."""
    if (value.date() if isinstance(value, datetime) else value) >= _FIRST_DAY:
        sheet.write_datetime(row, column, value, cell_format)
    else:
        sheet.write_string(row, column, str(value))


_CELLS: Final[dict[str, Cell]] = {
    "bool": _write_boolean,
    "int4": _write_integer,
    "int8": _write_integer,
    "numeric": _write_number,
    "text": _write_text,
    "jsonb": _write_text,
    "date": _write_time,
    "timestamptz": _write_time,
}
"""By PostgreSQL's name of the type. Other types are written as text."""
