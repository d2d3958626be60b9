"""The vendor's words are data: none of them commands a terminal, forges a line or is taken for markup."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import pty
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from syncer.commands.demo import live_view, plain_lines
from syncer.emulator import faults
from syncer.printable import escape_unprintable
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.queries.change_feed import FeedEntry
from tests.builders import record
from tests.service.processes import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine
    from tests.builders import PolledAccount
    from tests.service.processes import Program

HOSTILE = [
    "\x1b[31mRED\x1b[0m",
    "a\nb",
    "\x9b2J",
    "left\u202eright",
    "line\u2028break",
    "[bold]x[/bold]",
    "\x07\x7f\ufeff",
]
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ufeff]")


def hostile_records() -> Sequence[dict[str, object]]:
    return [record(key, state=word, reason=word, region_name=word) for key, word in enumerate(HOSTILE, start=1)]


async def test_status_sync_and_check_show_the_vendors_words_escaped(syncer: Program, account: PolledAccount) -> None:
    await account.poll(*hostile_records(), {"id": "\x1b[31m"})

    sync, status, check, as_json = await asyncio.gather(
        *(syncer.run(*command.split()) for command in ("sync", "status", "check", "status --json"))
    )
    logged = await syncer.run("sync", log_format="console", log_level="debug")

    for finished in (sync, status, check, as_json, logged):
        assert DANGEROUS.findall(finished.out + finished.err) == []
    assert "\\u001b[31mRED\\u001b[0m 1" in status.out
    assert "a\\u000ab 1" in status.out
    assert "left\\u202eright 1" in status.out
    assert "[bold]x[/bold] 1" in status.out
    assert json.loads(as_json.out)["numbers"] == dict.fromkeys(HOSTILE, 1)


async def test_the_log_of_new_words_and_of_failures_is_escaped(syncer: Program, emulator: Emulator) -> None:
    emulator.fault = faults.Body(body=json.dumps(hostile_records()))

    console = await syncer.run("sync", log_format="console", log_level="debug")

    assert console.code == 0
    assert DANGEROUS.findall(console.out + console.err) == []
    (line,) = [line for line in console.err.splitlines() if "unknown_values" in line]
    assert "u202eright" in line


async def test_export_shows_the_vendors_words_escaped_on_a_terminal_and_as_they_are_in_a_pipe(
    syncer: Program, account: PolledAccount
) -> None:
    quoted = ['a "b", \x1b[31m', "«сеть»\n\n", *HOSTILE]
    await account.poll(*(record(key, comment=word) for key, word in enumerate(quoted, start=1)))
    reader, writer = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncer", "export", "numbers"),
            cwd=syncer.folder,
            env=environment(syncer.folder, syncer.settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
        )
        assert await process.wait() == 0
        shown = os.read(reader, 2**16).decode().replace("\r\n", "\n")
    finally:
        os.close(reader)
        os.close(writer)
    piped = await syncer.run("export", "numbers")

    assert DANGEROUS.findall(shown) == []
    assert [row["comment"] for row in csv.DictReader(io.StringIO(shown))] == list(map(escape_unprintable, quoted))
    assert [row["comment"] for row in csv.DictReader(io.StringIO(piped.out, newline=""))] == quoted


async def test_the_demo_shows_the_vendors_words_escaped(account: PolledAccount, engine: Engine) -> None:
    await account.poll(*hostile_records())
    changes = [
        FeedEntry(1, datetime(2026, 3, 1, tzinfo=UTC), "default", word, "state", word, word, "UTC") for word in HOSTILE
    ]
    terminal = Console(file=io.StringIO(), width=200)

    terminal.print(live_view(await read_account_statuses(engine), changes))

    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    for text in (shown, *plain_lines(changes)):
        assert DANGEROUS.findall(text) == []
    assert "\n" not in "".join(plain_lines(changes))
    assert shown.count("[bold]x[/bold]") == 4
