"""`syncer demo`: runs everything on this machine, ignores the configuration, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import shlex
import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from rich.console import Console
from standardwebhooks import Webhook

from syncer.commands.demo import live_view
from syncer.commands.demo_backfill import BACKFILL_INTERVAL
from syncer.store.queries.change_feed import FeedEntry
from tests.receiver import Receiver
from tests.service.processes import files_in, processes_of, wait_until
from tests.service.scenarios import run_concurrently

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

WAITING = "select count(*) from analytics.notifications"
NOTICE = re.compile(r"would have sent: demo: \d+ number\w* \w[\w ]+, .+ \d\d:\d\d\S*\n")
CHANGE = re.compile(r"run (\d+)  \d\d:\d\d:\d\d  \d+  [a-z_ ]+  .+ → .+\n")


@run_concurrently
async def test_the_demo_shows_changes_as_they_are_recorded_and_leaves_nothing_behind(
    syncer: Program, emulator: Emulator, folder: Path
) -> None:
    # The demo ignores the configuration: otherwise the emulator would get requests, and the database is unreachable.
    demo = await syncer.start("demo", http_listen=None, database_url="postgresql://u:passw0rd@127.0.0.1:1/none")

    def runs() -> set[str]:
        return {found[1] for line in list(demo.out) if (found := CHANGE.fullmatch(line))}

    await wait_until(lambda: len(runs()) >= 2 or not demo.is_running)
    printed = "".join(demo.out)
    page, endpoint = re.findall(r"http://127\.0\.0\.1:\d+", printed)
    data = re.search(r"SYNCER_DATA_DIR=(\S+) (.+) status\n", printed)
    assert data is not None
    assert str(folder) in data[1]
    assert data[2] == shlex.join([sys.executable, "-m", "syncer"])
    async with (
        aiohttp.ClientSession(headers={"Authorization": "demo"}) as client,
        client.get(f"{endpoint}/numbers/virtual-number") as answer,
        client.get(page, headers={"Accept-Language": "ru"}) as shown,
    ):
        assert answer.status == 200
        assert len(await answer.json()) > 100
        assert shown.status == 200
        assert "Номера по состояниям" in await shown.text()
    status = await syncer.run("status", database_url=None, data_dir=data[1])
    assert re.match(r"demo  \d+ numbers: ", status.out)
    assert len(processes_of(folder)) > 1

    ended = await demo.stop(signal.SIGINT, within=20)

    assert (ended.code, ended.err) == (0, "")
    assert processes_of(folder) == set()
    assert files_in(folder) == []
    assert emulator.requests == {}


@run_concurrently
async def test_the_demo_says_which_notices_it_would_have_sent(syncer: Program) -> None:
    demo = await syncer.start("demo", http_listen="off")

    def notices() -> list[str]:
        return [line for line in list(demo.out) if line.startswith("would have sent: ")]

    await wait_until(lambda: len(notices()) >= 2 or not demo.is_running)
    waiting = await syncer.run("psql", "-Atc", WAITING, database_url=None, data_dir=data_folder(demo))
    ended = await demo.stop(signal.SIGINT, within=20)

    assert [line for line in notices() if not NOTICE.fullmatch(line)] == []
    assert "200 numbers added" not in "".join(notices())  # the first poll is no news
    assert waiting.out == "0\n"
    assert (ended.code, ended.err) == (0, "")


@run_concurrently
async def test_the_demo_sends_notices_to_a_receiver_of_ones_own_that_can_verify_them(syncer: Program) -> None:
    async with Receiver() as receiver:
        receiver.answers = [500]
        peer = receiver.url.removeprefix("http://").removesuffix("/hook")
        demo = await syncer.start("demo", "--notify-to", receiver.url, http_listen="off")
        await wait_until(lambda: any(line.startswith("sent: ") for line in list(demo.out)) or not demo.is_running)
        printed = "".join(demo.out)
        ended = await demo.stop(signal.SIGINT, within=20)

    (secret,) = re.findall(r"whsec_\S+", printed)
    failed, sent, *_ = [line for line in printed.splitlines() if ": demo: " in line]
    subject = sent.removeprefix("sent: ")
    assert NOTICE.fullmatch(f"would have sent: {subject}\n")
    assert failed == f"not sent, {peer} answered 500: {subject}"
    assert f"Notices are sent to {peer}, signed as Standard Webhooks 1.0 says." in printed
    assert "would have sent" not in printed
    for received in receiver.requests:
        assert Webhook(secret).verify(received.body, received.headers)["data"]["account"] == "demo"
    assert len({received.id for received in receiver.requests[:2]}) == 1
    assert (ended.code, ended.err) == (0, "")


async def test_an_address_to_which_the_demo_cannot_send_is_refused_without_repeating_it(syncer: Program) -> None:
    plain, no_address, both = await asyncio.gather(
        syncer.run("demo", "--notify-to", "http://192.0.2.1/t0ken"),
        syncer.run("demo", "--notify-to", "t0ken"),
        syncer.run("demo", "--notify-to", "http://127.0.0.1:1/t0ken", "--database", "postgresql://db/x"),
    )

    assert [refused.code for refused in (plain, no_address, both)] == [2, 2, 2]
    assert plain.error_line() == (
        "syncer: --notify-to: plain http is for a receiver on this machine only; use https://"
    )
    assert no_address.error_line() == (
        "syncer: --notify-to has an invalid value, which is not shown: it must be an address such as "
        "https://example.org/hook, with no fragment"
    )
    assert both.error_line() == "syncer: --database and --notify-to do not go together: name one of them"


def test_the_live_view_has_the_newest_notices_above_the_changes() -> None:
    shown = io.StringIO()

    Console(file=shown, width=80).print(live_view([], [], ["would have sent: demo: 1 number frozen, at 10:00"]))

    assert [line.rstrip() for line in shown.getvalue().splitlines() if line.strip()] == [
        "would have sent: demo: 1 number frozen, at 10:00",
        "latest changes",
        "at  number  what  from  to",
    ]


@run_concurrently
async def test_the_demo_starts_with_as_many_days_of_history_as_requested(syncer: Program) -> None:
    demo = await syncer.start("demo", "--history", "2d", http_listen=None)
    await wait_until(lambda: any(CHANGE.fullmatch(line) for line in list(demo.out)) or not demo.is_running)
    exported = await syncer.run("export", "runs", database_url=None, data_dir=data_folder(demo))
    ended = await demo.stop(signal.SIGINT, within=20)

    started = [datetime.fromisoformat(run["started_at"]) for run in csv.DictReader(exported.out.splitlines())]
    first = min(started)
    generated = [moment for moment in started if not (moment - first) % BACKFILL_INTERVAL]
    assert len(generated) > 1
    assert set(started) - set(generated) == {moment for moment in started if moment > max(generated)}
    assert first.date() == max(generated).date() - timedelta(days=2)
    assert first.hour < 6  # history begins with a day
    assert (ended.code, ended.err) == (0, "")


@run_concurrently
async def test_the_demo_can_be_stopped_while_it_generates_history(syncer: Program, folder: Path) -> None:
    demo = await syncer.start("demo", "--history", "365d", http_listen=None)
    await wait_until(lambda: "status" in "".join(demo.out) or not demo.is_running)
    data_dir = data_folder(demo)

    async def has_history() -> bool:
        runs = await syncer.run("export", "runs", database_url=None, data_dir=data_dir)
        return len(runs.out.splitlines()) > 10

    await wait_until(has_history)
    ended = await demo.stop(signal.SIGINT, within=20)

    assert (ended.code, ended.err) == (0, "")
    assert not any(CHANGE.fullmatch(line) for line in ended.out.splitlines(keepends=True))
    assert processes_of(folder) == set()
    assert files_in(folder) == []


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["15:00:00  79268543311  redirect closed  74951234567890  Отдел по работе с регио…"]),
        (44, ["15:00:00  79268543311  redi…  74951…  Отдел…"]),
    ],
)
def test_the_live_view_shows_whole_numbers_and_times_where_the_terminal_is_narrow(width: int, lines: list[str]) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    change = FeedEntry(
        1234, noon, "demo", "79268543311", "redirect closed", "74951234567890", "Отдел по работе с регионами",
        "Europe/Moscow",
    )  # fmt: skip
    shown = io.StringIO()

    Console(file=shown, width=width).print(live_view([], [change] * 14))

    assert [line.rstrip() for line in shown.getvalue().splitlines()][-14:] == lines * 14


def data_folder(demo: Process) -> str:
    """Returns the demo's data folder, as it prints it."""
    printed = re.search(r"SYNCER_DATA_DIR=(\S+) ", "".join(demo.out))
    assert printed is not None
    return printed[1]


@run_concurrently
async def test_the_demo_listens_where_it_is_told_and_says_what_works_in_any_folder(syncer: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = await syncer.run("demo", http_listen=address)
    demo = await syncer.start("demo", http_listen=address, poll_interval="wrong")
    await wait_until(lambda: "status" in "".join(demo.out) or not demo.is_running)
    printed = "".join(demo.out)
    ended = await demo.stop(signal.SIGINT, within=20)
    without_page = await syncer.start("demo", http_listen="off")
    await wait_until(lambda: "status" in "".join(without_page.out) or not without_page.is_running)
    assert (await without_page.stop(signal.SIGINT, within=20)).code == 0

    assert refused.code == 2
    assert f"cannot listen on SYNCER_HTTP_LISTEN={address} (Address already in use)" in refused.error_line()
    assert f"Open http://{address} to watch" in printed
    assert re.findall(r"SYNCER_DATA_DIR=\S+ (/\S+) ", printed) == [sys.executable] * 4
    assert ended.code == 0
    assert "Open http" not in "".join(without_page.out)


@run_concurrently
async def test_the_demo_keeps_its_data_and_a_bi_tool_can_connect_to_them(syncer: Program, folder: Path) -> None:
    demo = await syncer.start("demo", "--history", "2d", "--keep", "kept data", http_listen="off")
    await wait_until(lambda: any(CHANGE.fullmatch(line) for line in list(demo.out)) or not demo.is_running)
    described = re.search(
        r"host (\S+), port (\d+), database (\w+), user (\w+), with the password in (.+)\.\n", "".join(demo.out)
    )
    assert described is not None
    host, port, database, user, file = described.groups()
    connected = await asyncpg.connect(
        host=host, port=int(port), database=database, user=user, password=await asyncio.to_thread(Path(file).read_text)
    )
    numbers = await connected.fetchval("select count(*) from analytics.numbers")
    await connected.close()
    ended = await demo.stop(signal.SIGINT, within=20)
    again = await syncer.run("demo", "--keep", "kept data")
    status = await syncer.run("status", database_url=None, data_dir=str(folder / "kept data"))

    assert numbers > 150
    assert ended.code == 0
    assert f"SYNCER_DATA_DIR='{folder}/kept data' " in ended.out.splitlines()[-1]
    assert (again.code, "--keep kept data: this folder is not empty" in again.error_line()) == (2, True)
    assert (status.code, "demo  " in status.out) == (0, True)
    assert processes_of(folder) == set()


async def test_an_empty_database_of_ones_own_is_filled_with_history(syncer: Program, empty_database: str) -> None:
    filled = await syncer.run("demo", "--database", empty_database, "--history", "3d")
    again = await syncer.run("demo", "--database", empty_database)
    checked = await syncer.run("check", "--data", database_url=empty_database)
    wrong = await syncer.run("demo", "--database", "mysql://u:passw0rd@db/x")
    both = await syncer.run("demo", "--database", empty_database, "--keep", "kept")

    location = empty_database.rpartition("@")[2]
    assert filled.result == (0, f"3 days of history are in {location}\n")
    assert (again.code, again.error_line()) == (
        2,
        f"syncer: --database: {location} has data of syncer already: name an empty database",
    )
    assert checked.out.splitlines()[-1] == "ok     data: every invariant holds"
    assert (wrong.code, "passw0rd" in wrong.error_line()) == (2, False)
    assert both.code == 2
