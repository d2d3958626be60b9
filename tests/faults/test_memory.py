"""Small compressed bodies that decode to large ones of every shape: memory stays bounded, and the daemon stays live."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from syncer.emulator import faults
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

MEBIBYTES: Final = int(os.environ.get("SYNCER_TEST_BOMB_MEBIBYTES", "64"))
"""The size that the bombs decode to. `make` uses one that is quick; 256 is the default of SYNCER_API_MAX_BYTES."""
ALLOWED_GROWTH_MEBIBYTES: Final = 3 * MEBIBYTES + 128
MAX_LIVEZ_SECONDS: Final = 5.0
RECORD: Final = '{"id":250,"number":"7","state":"active"'

# The text before the repeated one, the repeated one, and the text after it; and the outcome, or the kind of the error.
BOMBS: Final = {
    "NUL in a comment": (f'[{RECORD},"comment":"', r"\u0000", '"}]', "applied"),
    "NUL between letters": (f'[{RECORD},"comment":"', r"a\u0000", '"}]', "applied"),
    "NUL after escaped backslashes": (f'[{RECORD},"x":"', r"\\\u0000", '"}]', "applied"),
    "NUL in a key": (f'[{RECORD},"', r"\u0000", '":1}]', "applied"),
    "lone surrogates": (f'[{RECORD},"comment":"', r"\ud800", '"}]', "applied"),
    "lone surrogates between letters": (f'[{RECORD},"comment":"', r"a\udc00", '"}]', "applied"),
    "pairs of surrogates": (f'[{RECORD},"comment":"', r"\ud83d\ude00", r'\ud800"}]', "applied"),
    "open arrays": ("", "[", "", "not_json"),
    "open objects": ("", '{"a":', "", "not_an_array"),
    "open objects in an array": ("[", '{"a":', "", "not_json"),
    "deep nesting in an unknown field": (f'[{RECORD},"x":', "[", "}]", "not_json"),
    "one large string": (f'[{RECORD},"comment":"', "a", '"}]', "applied"),
    "one large string with an emoji": (f'[{RECORD},"comment":"\U0001f600', "a", '"}]', "applied"),
    "one large string, not closed": (f'[{RECORD},"comment":"', "a", "", "not_json"),
    "numbers": ("[", "0,", "0]", "not_an_array"),
    "empty objects": ("[", "{},", "{}]", "not_an_array"),
    "redirects": (
        f'[{RECORD},"from_redirect_numbers":[',
        '{"id":1,"number":"1"},',
        '{"id":1,"number":"1"}]}]',
        "applied",
    ),
    "empty arrays in an unknown field": (f'[{RECORD},"x":[', "[],", "[]]}]", "applied"),
    "decimals in an unknown field": (f'[{RECORD},"x":[', "0.5,", "1]}]", "applied"),
    "keys": ("[{", '"abcdef":1,', '"a":1}]', "applied"),
    "short records": ("[", f"{RECORD}}},", f"{RECORD}}}]", "not_an_array"),
    "short records that are not valid": ("[", '{"id":250,"number":"7","state":null},', f"{RECORD}}}]", "not_an_array"),
    "records": ("[", f'{RECORD},"comment":"{"x" * 300}"}},', f'{RECORD},"comment":"{"x" * 300}"}}]', "applied"),
    "records that are not valid": (
        "[",
        f'{{"id":250,"number":"7","state":null,"comment":"{"x" * 300}"}},',
        f"{RECORD}}}]",
        "applied",
    ),
    "white space": ("[", " ", "]", "applied"),
    "commas": ("[", ",", "]", "not_an_array"),
    "quotes": ("[", '"', "]", "not_json"),
    "backslashes": (f'[{RECORD},"comment":"', "\\\\", '"}]', "applied"),
}


def reset_peak(process: Process) -> None:
    """Sets the peak of a process's memory to what it uses now."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def mebibytes(process: Process, field: str) -> float:
    """Returns VmHWM, the peak of a process's memory, or VmRSS, what it uses now."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


async def longest_wait_for_livez(http: aiohttp.ClientSession, url: str, done: asyncio.Event) -> float:
    """Asks for /livez until the event is set; each answer must be 200.

    Returns:
        The longest time, in seconds, that an answer took.
    """
    longest = 0.0
    while not done.is_set():
        asked_at = time.monotonic()
        async with http.get(f"{url}/livez") as response:
            assert response.status == 200, await response.text()
        longest = max(longest, time.monotonic() - asked_at)
        await asyncio.sleep(0.05)
    return longest


def bomb_results(daemon: Process) -> list[str]:
    """Returns the outcomes of the polls of bombs so far, with the kind of the error in place of `failed`."""
    return [
        event.get("error_kind") or event["outcome"]
        for event in daemon.events("poll_finished")
        if event.get("response_bytes", 0) > (MEBIBYTES - 1) * 2**20
    ]


def has_results(daemon: Process, count: int) -> bool:
    """Returns whether the polls of as many bombs have ended."""
    return len(bomb_results(daemon)) == count


@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", [sorted(BOMBS)[0::2], sorted(BOMBS)[1::2]], ids=["one half", "the other half"])
async def test_bodies_of_every_shape_keep_memory_bounded_and_the_daemon_live(
    syncer: Program, database: str, emulator: Emulator, names: list[str]
) -> None:
    daemon = await syncer.without_coverage().start(
        "run",
        database_url=database,
        poll_interval="1s",
        api_max_bytes=f"{MEBIBYTES + 1}MiB",
        http_listen="127.0.0.1:0",
        api_timeout="5m",
    )
    url = (await daemon.wait_for_event("http_listening"))["url"]
    await daemon.wait_for_event("poll_finished")
    before = mebibytes(daemon, "VmRSS")
    outcomes, grown, waited = {}, {}, {}
    async with aiohttp.ClientSession() as http:
        for count, name in enumerate(names, start=1):
            start, repeated, end, _ = BOMBS[name]
            reset_peak(daemon)
            done = asyncio.Event()
            live = asyncio.create_task(longest_wait_for_livez(http, url, done))
            began = time.monotonic()
            emulator.fault = faults.GzipBomb(
                requests=1, mebibytes=MEBIBYTES, before=start, repeated=repeated, after=end
            )
            await wait_until(partial(has_results, daemon, count), within=300)
            done.set()
            waited[name] = await live
            outcomes[name], grown[name] = bomb_results(daemon)[-1], mebibytes(daemon, "VmHWM") - before
            seconds = time.monotonic() - began
            figures = f"{grown[name]:7.0f} MiB {seconds:6.1f} s {waited[name]:6.2f} s"
            sys.stdout.write(f"{name:40} {outcomes[name]:13} {figures}\n")
    assert outcomes == {name: BOMBS[name][3] for name in names}
    assert {name: peak for name, peak in grown.items() if peak > ALLOWED_GROWTH_MEBIBYTES} == {}
    assert {name: seconds for name, seconds in waited.items() if seconds > MAX_LIVEZ_SECONDS} == {}
    assert (await daemon.stop(within=30)).code == 0


def large_records(fields: str, count: int) -> str:
    """Returns a list of so many records with these fields, in which {} is the record's id, as long as the bombs are."""
    records = [
        RECORD.replace("250", str(number)) + "," + fields.replace("{}", str(number)) for number in range(1, count)
    ]
    return f"[{'},'.join(records)}}}".ljust(MEBIBYTES * 2**20, " ") + "]"


MAX_CHARS: Final = 2**22 - 1_000
VALUES: Final = 199_900
# The fields of records that are about as large or as many as is accepted, and how many; some replace those before them.
LARGEST: Final = {
    "decimals": (f'"x":[{"0.5," * VALUES}1]', 12),
    "other decimals": (f'"x":[{"0.6," * VALUES}1]', 12),
    "a string with an emoji": (rf'"x":"\ud83d\ude00{"a" * MAX_CHARS}"', 4),
    "another string with an emoji": (rf'"x":"\ud83d\ude00{"b" * MAX_CHARS}"', 4),
    "digits": (f'"x":{"1" * MAX_CHARS}', 4),
    "other digits": (f'"x":0.{"2" * MAX_CHARS}', 4),
    "rejected records": (f'"type":1,"comment":"{"x" * 65_000}{{}}"', MEBIBYTES * 15),
    "words": (",".join(f'"{name}":"{"w" * 80}{{}}"' for name in ("type", "purpose", "region_name")), MEBIBYTES * 2_900),
}


@pytest.mark.timeout(900)
async def test_the_largest_records_and_most_words_that_are_accepted_keep_memory_bounded(
    syncer: Program, database: str, emulator: Emulator
) -> None:
    daemon = await syncer.without_coverage().start(
        "run", database_url=database, poll_interval="1s", api_max_bytes=f"{MEBIBYTES + 1}MiB", api_timeout="5m"
    )
    await daemon.wait_for_event("poll_finished")
    before = mebibytes(daemon, "VmRSS")
    grown = {}
    for count, (name, (fields, records)) in enumerate(LARGEST.items(), start=1):
        reset_peak(daemon)
        emulator.fault = faults.Body(requests=1, body=large_records(fields, records))
        await wait_until(partial(has_results, daemon, count), within=300)
        grown[name] = mebibytes(daemon, "VmHWM") - before
        sys.stdout.write(f"{name:40} {bomb_results(daemon)[-1]:13} {grown[name]:7.0f} MiB\n")
    assert bomb_results(daemon) == ["applied"] * len(LARGEST)
    assert {name: peak for name, peak in grown.items() if peak > ALLOWED_GROWTH_MEBIBYTES} == {}
    assert (await daemon.stop(within=30)).code == 0
