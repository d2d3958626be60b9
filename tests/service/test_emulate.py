"""`syncer emulate`: the endpoint alone, for whoever wants to try something against it."""

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
    """Where it says that it listens."""
    said = await process.prints()
    assert said.startswith("SYNCER_API_URL=http://127.0.0.1:")
    return said.split()[0].partition("=")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_numbers_or_a_file_until_it_is_told_to_stop(syncer: Program, number: signal.Signals) -> None:
    given = ["--file", syncer.write("response.json", RESPONSE)] if number == signal.SIGINT else ["--numbers", "7"]
    process = await syncer.start("emulate", "--listen", "127.0.0.1:0", *given)
    url = await address(process) + "/numbers/virtual-number"
    async with aiohttp.ClientSession() as client:
        async with client.get(url) as refused:
            assert refused.status == 401
        async with client.get(url, headers={"Authorization": "any"}) as answer:
            assert answer.status == 200
            if number == signal.SIGINT:
                assert await answer.text() == RESPONSE
            else:
                assert len(await answer.json()) == 7

    ended = await process.end(number)

    assert (ended.code, ended.err) == (0, "")


async def test_an_address_in_use_or_a_file_that_is_absent_is_refused_in_one_line(
    syncer: Program, emulator: Emulator
) -> None:
    taken = emulator.url.removeprefix("http://")

    in_use = await syncer.run("emulate", "--listen", taken)
    absent = await syncer.run("emulate", "--listen", "127.0.0.1:0", "--file", "absent.json")

    assert (in_use.code, absent.code) == (2, 2)
    assert taken in in_use.complaint()
    assert "Address already in use" in in_use.complaint()
    assert "absent.json" in absent.complaint()
