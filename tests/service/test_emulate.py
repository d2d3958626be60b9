"""`syncer emulate`: the emulated endpoint without anything else."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from syncer.emulator import Emulator
    from tests.service.processes import Process, Program

RESPONSE = '[{"id": 250, "number": "79208547433", "state": "active"}]'


async def address(process: Process) -> str:
    """Returns the URL that it prints."""
    line = await process.wait_for_output()
    assert line.startswith("SYNCER_API_URL=http://127.0.0.1:")
    return line.split()[0].partition("=")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_numbers_or_a_file_until_a_signal_stops_it(syncer: Program, number: signal.Signals) -> None:
    arguments = ["--file", syncer.write("response.json", RESPONSE)] if number == signal.SIGINT else ["--numbers", "7"]
    process = await syncer.start("emulate", "--listen", "127.0.0.1:0", *arguments)
    base_url = await address(process)
    url = base_url + "/numbers/virtual-number"
    async with aiohttp.ClientSession() as client:
        async with client.get(url) as refused:
            assert refused.status == 401
        async with client.get(url, headers={"Authorization": "any"}) as answer:
            assert answer.status == 200
            if number == signal.SIGINT:
                assert await answer.text() == RESPONSE
            else:
                assert len(await answer.json()) == 7
        async with client.get(base_url + "/employee", headers={"Authorization": "any"}) as names:
            assert names.status == (404 if number == signal.SIGINT else 200)

    ended = await process.stop(number)

    assert (ended.code, ended.err) == (0, "")


async def test_an_address_in_use_or_a_missing_file_is_reported_in_one_line(syncer: Program, emulator: Emulator) -> None:
    in_use_address = emulator.url.removeprefix("http://")

    in_use = await syncer.run("emulate", "--listen", in_use_address)
    absent = await syncer.run("emulate", "--listen", "127.0.0.1:0", "--file", "absent.json")

    assert (in_use.code, absent.code) == (2, 2)
    assert in_use_address in in_use.error_line()
    assert "Address already in use" in in_use.error_line()
    assert "absent.json" in absent.error_line()
