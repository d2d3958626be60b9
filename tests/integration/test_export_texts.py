"""Any text can be exported for Excel: it comes back as it is, and none is taken for a formula."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
import unicodedata
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from pydantic import SecretStr

from syncer.commands.export import ExportOptions, choose_format, export
from syncer.commands.xlsx import SheetOptions, write_xlsx
from syncer.config.settings import Settings
from syncer.database import Database
from syncer.store.queries.export_views import find_view, open_snapshot
from tests.service.processes import files_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

MOSCOW = ZoneInfo("Europe/Moscow")
SIGNS = "=+-@"
INVISIBLE = "\ufeff\u200b\u200e\u202e\u2066\u00ad\u3000\u00a0 \x01\x1f\u2060\u180e\U000e0020"
many_texts = st.lists(
    st.text(st.sampled_from(SIGNS + "＝＋－＠﹦−\t\r\n;\",'A1" + INVISIBLE) | st.characters(exclude_characters="\0"))
    | st.from_regex(r"[+-]?[0-9]{1,12}", fullmatch=True)
    | st.from_regex(r"_x[0-9A-Fa-f]{4}_|<r>[<>&a-z ]*</r>", fullmatch=True),
    min_size=1,
    max_size=40,
)
database_settings = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def texts(sql: asyncpg.Connection, database: str) -> AsyncIterator[Database]:
    """A database with the view `texts`, whose rows a test inserts into the table of the same name."""
    await sql.execute("create table texts (position int4 primary key, text text)")
    await sql.execute("create view analytics.texts as select position, text from texts order by position")
    opened = Database(Settings.model_construct(database_url=SecretStr(database)))
    yield opened
    await opened.dispose()


async def exported(sql: asyncpg.Connection, database: Database, values: list[str], path: Path) -> bytes:
    await sql.execute("delete from texts")
    await sql.execute("insert into texts (text, position) select * from unnest($1::text[]) with ordinality", values)
    chosen = choose_format(path, None, excel=False, language=None)
    await export(ExportOptions("texts", path, chosen, chosen == "csv", None, (), None), database, MOSCOW)
    return await asyncio.to_thread(path.read_bytes)


def can_be_a_formula(text: str) -> bool:
    """Whether the first character that a person can see is a sign that begins a formula, in any of its forms."""
    if text[:1] in {"\t", "\r", "\n"}:
        return True
    visible = (one for one in text if unicodedata.category(one) not in {"Cc", "Cf", "Zs", "Zl", "Zp"})
    first = unicodedata.normalize("NFKC", next(visible, ""))
    return first[:1] in {*SIGNS, "−"} and first != ""


@database_settings
@given(values=many_texts)
@example(
    values=["=1", " =1", "\n=1", "\r=1", "\t1", "＝1", "\ufeff=1", "\u200b\u202e＠1", "+7920", "-1\n", "'=1", "", "−1"]
)
async def test_a_text_in_csv_for_excel_comes_back_as_it_is_and_has_an_apostrophe_if_it_could_be_a_formula(
    texts: Database, sql: asyncpg.Connection, tmp_path: Path, values: list[str]
) -> None:
    content = (await exported(sql, texts, values, tmp_path / "texts.csv")).decode("utf-8-sig")

    head, *rows = csv.reader(io.StringIO(content, newline=""), delimiter=";")
    assert head == ["position", "text"]
    for expected, (_, found) in zip(values, rows, strict=True):
        is_number = expected.isascii() and expected[:1] in {"+", "-"} and expected[1:].isdigit()
        assert found == "'" * (can_be_a_formula(expected) and not is_number) + expected
    quoted = [found.replace('"', '""') for _, found in rows]
    assert content == "".join(["position;text\n", *(f'{line};"{text}"\n' for line, text in enumerate(quoted, 1))])


@database_settings
@given(values=many_texts)
@example(
    values=["<r><t>x</t></r>", "<r>&</r>", "_x0041_", "\x01\r\n", "=1+1", "http://x", "TRUE", "007", "\ufffe\uffff"]
)
async def test_a_text_in_an_excel_file_comes_back_as_it_is_and_as_text(
    texts: Database, sql: asyncpg.Connection, tmp_path: Path, values: list[str]
) -> None:
    content = await exported(sql, texts, values, tmp_path / "texts.xlsx")

    (sheet,) = openpyxl.load_workbook(io.BytesIO(content), rich_text=False).worksheets
    _, *rows = sheet.iter_rows()
    assert [unescape(str(text.value or "")) for _, text in rows] == values
    assert {text.data_type for _, text in rows if text.value is not None} <= {"s", "inlineStr"}


class HeldFile(io.BytesIO):
    """A file whose writer waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()

    def write(self, data: Any) -> int:
        self.is_reached.set()
        self.may_go_on.wait()
        return super().write(data)


async def test_an_excel_file_that_is_given_up_while_it_is_compressed_is_written_no_further(
    texts: Database, tmp_path: Path
) -> None:
    file = HeldFile()
    async with open_snapshot(texts.url(), MOSCOW) as connection:
        view = await find_view(connection, "texts", (), None)
        options = SheetOptions(None, MOSCOW.key, tmp_path)
        writing = asyncio.create_task(write_xlsx(connection, view, file, options, lambda _: None))
        await asyncio.to_thread(file.is_reached.wait)
        writing.cancel()
        await asyncio.sleep(0)
        assert not writing.done()  # the thread still uses the file
        file.may_go_on.set()

        with pytest.raises(asyncio.CancelledError):
            await writing

    assert b"xl/workbook.xml" not in file.getvalue()
    assert files_in(tmp_path) == []
