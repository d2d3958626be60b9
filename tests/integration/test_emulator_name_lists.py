"""The lists of names of the emulated endpoint over real HTTP: responses, faults of one list, counts of requests."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from syncer.emulator import REALISTIC, STATIC, Emulator, faults, paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncer.emulator.fault import Fault

TOKEN = "token"
NAMED_LISTS = [
    (paths.EMPLOYEES, "full_name"),
    (paths.GROUPS, "name"),
    (paths.EMPLOYEE_GROUPS, "name"),
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(numbers=50, rates=STATIC) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(http: aiohttp.ClientSession, emulator: Emulator, path: str, token: str = TOKEN) -> tuple[int, bytes]:
    async with http.get(emulator.url + path, headers={"Authorization": token}, allow_redirects=False) as response:
        return response.status, await response.read()


async def records_at(http: aiohttp.ClientSession, emulator: Emulator, path: str) -> list[dict[str, Any]]:
    status, body = await get(http, emulator, path)
    assert status == 200
    records: list[dict[str, Any]] = json.loads(body)
    return records


# Responses


def test_the_paths_are_those_of_the_vendor() -> None:
    assert paths.NAME_LISTS == (
        "/employee",
        "/scenario/inbound/group",
        "/employee-group/",
        "/scenario/inbound/virtual-number",
        "/scenario/inbound/virtual-number-group",
    )


@pytest.mark.parametrize("path", paths.NAME_LISTS)
async def test_it_responds_with_the_names_of_the_token(
    emulator: Emulator, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(emulator.url + path, headers={"Authorization": TOKEN}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert await response.read() == emulator.fleet(TOKEN).name_lists().body(path)
    assert json.loads((await get(http, emulator, path))[1])
    assert await get(http, emulator, path, "other") != await get(http, emulator, path)


@pytest.mark.parametrize("path", paths.NAME_LISTS)
async def test_a_request_without_a_valid_token_is_refused(http: aiohttp.ClientSession, path: str) -> None:
    async with Emulator(numbers=5, token="right") as emulator:
        assert [(await get(http, emulator, path, token))[0] for token in ("right", "wrong", "")] == [200, 401, 401]


async def test_employee_groups_are_found_only_with_the_slash(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    assert [(await get(http, emulator, path))[0] for path in ("/employee-group/", "/employee-group")] == [200, 404]


async def test_a_list_of_names_is_compressed_if_client_and_emulator_support_it(http: aiohttp.ClientSession) -> None:
    async with (
        Emulator(numbers=50, gzip=True) as emulator,
        http.get(emulator.url + paths.EMPLOYEES, headers={"Authorization": TOKEN}) as response,
    ):
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == emulator.fleet(TOKEN).name_lists().body(paths.EMPLOYEES)


async def test_names_are_as_they_are_after_all_steps_so_far(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=200, rates=REALISTIC) as emulator:
        before = await get(http, emulator, paths.EMPLOYEES)
        emulator.step(200)
        assert await get(http, emulator, paths.EMPLOYEES) != before
        assert emulator.fleet(TOKEN).steps == 200


async def test_a_given_list_of_numbers_has_no_lists_of_names(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    file = tmp_path / "response.json"
    file.write_text("[]")
    async with Emulator(file=file) as emulator:
        assert [(await get(http, emulator, path))[0] for path in (paths.NUMBERS, *paths.NAME_LISTS)] == [
            200,
            *[404] * 5,
        ]


# Faults


@pytest.mark.parametrize("path", paths.NAME_LISTS)
async def test_a_fault_with_a_path_applies_to_that_list_only(
    emulator: Emulator, http: aiohttp.ClientSession, path: str
) -> None:
    emulator.fault = faults.Status(status=403, path=path)
    assert {each: (await get(http, emulator, each))[0] for each in (paths.NUMBERS, *paths.NAME_LISTS)} == {
        paths.NUMBERS: 200,
        **dict.fromkeys(paths.NAME_LISTS, 200),
        path: 403,
    }


async def test_a_fault_without_a_path_applies_to_the_list_of_numbers_only(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Status(status=500)
    assert [(await get(http, emulator, path))[0] for path in (*paths.NAME_LISTS, paths.NUMBERS)] == [*[200] * 5, 500]


async def test_faults_of_several_lists_are_counted_separately(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.queue(
        faults.Status(status=503, requests=1),
        faults.Status(status=403, requests=2, path=paths.EMPLOYEES),
        faults.Status(status=500, requests=1, path=paths.GROUPS, token="other"),
    )
    assert [(await get(http, emulator, paths.EMPLOYEES))[0] for _ in range(3)] == [403, 403, 200]
    assert [(await get(http, emulator, paths.GROUPS, token))[0] for token in (TOKEN, "other", "other")] == [
        200,
        500,
        200,
    ]
    assert [(await get(http, emulator, paths.NUMBERS))[0] for _ in range(2)] == [503, 200]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Empty(path=paths.EMPLOYEES), (200, b"[]")),
        (faults.Null(path=paths.EMPLOYEES), (200, b"null")),
        (faults.Body(body='{"id": 41}', path=paths.EMPLOYEES), (200, b'{"id": 41}')),
        (faults.Redirect(path=paths.EMPLOYEES), (302, b"")),
        (faults.Status(status=403, path=paths.EMPLOYEES), (403, b"emulated 403")),
        (
            faults.Html(path=paths.EMPLOYEES),
            (200, "<!DOCTYPE html><html><body><h1>Ведутся технические работы</h1></body></html>".encode()),
        ),
        (faults.GzipBomb(mebibytes=8, path=paths.EMPLOYEES), (200, b"[" + b" " * 8 * 2**20 + b"]")),
    ],
)
async def test_another_response_is_sent_instead_of_a_list_of_names(
    emulator: Emulator, http: aiohttp.ClientSession, fault: Fault, expected: tuple[int, bytes]
) -> None:
    emulator.fault = fault
    assert await get(http, emulator, paths.EMPLOYEES) == expected


async def test_a_list_of_names_can_be_truncated_halved_or_slow(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    names = emulator.fleet(TOKEN).name_lists()
    body, records = names.body(paths.EMPLOYEES), names.records(paths.EMPLOYEES)
    emulator.queue(
        faults.Truncated(share=0.5, requests=1, path=paths.EMPLOYEES),
        faults.SlowDrip(chunk=1000, interval=0, requests=1, path=paths.EMPLOYEES),
        faults.PartialList(share=0.5, requests=1, path=paths.EMPLOYEES),
        faults.BrokenRecords(field="id", value="41", count=1, requests=1, path=paths.EMPLOYEES),
    )
    assert await get(http, emulator, paths.EMPLOYEES) == (200, body[: len(body) // 2])
    assert await get(http, emulator, paths.EMPLOYEES) == (200, body)
    assert await records_at(http, emulator, paths.EMPLOYEES) == records[: round(len(records) / 2)]
    assert await records_at(http, emulator, paths.EMPLOYEES) == [records[0] | {"id": "41"}, *records[1:]]


async def test_while_a_list_of_names_hangs_the_other_lists_are_served(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Hang(path=paths.EMPLOYEES)
    hanging = asyncio.create_task(get(http, emulator, paths.EMPLOYEES))
    while not emulator.requests_by_path[paths.EMPLOYEES]:  # noqa: ASYNC110 - the request itself is what is waited for
        await asyncio.sleep(0)
    assert [(await get(http, emulator, path))[0] for path in (paths.NUMBERS, paths.GROUPS)] == [200, 200]
    assert not hanging.done()
    hanging.cancel()


@pytest.mark.parametrize(("path", "key"), NAMED_LISTS)
async def test_names_can_be_unusable(emulator: Emulator, http: aiohttp.ClientSession, path: str, key: str) -> None:
    records = emulator.fleet(TOKEN).name_lists().records(path)
    first, rest = records[:2], records[2:]
    expected = {
        "id_missing": [{name: value for name, value in record.items() if name != "id"} for record in first] + rest,
        "name_null": [record | {key: None} for record in first] + rest,
        "name_too_long": [record | {key: "я" * 301} for record in first] + rest,
        "second_name": records + [record | {key: "другое имя с тем же id"} for record in first],
    }
    for problem, altered in expected.items():
        command = {"name": "unusable_names", "problem": problem, "count": 2, "path": path}
        async with http.put(emulator.url + "/emulator/fault", json=command) as response:
            assert response.status == 204
        assert await records_at(http, emulator, path) == altered


@pytest.mark.parametrize("path", ["/employees", "/employee-group", "/numbers/virtual-number"])
async def test_a_fault_of_another_path_is_refused_with_a_sentence(
    emulator: Emulator, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.put(emulator.url + "/emulator/fault", json={"name": "hang", "path": path}) as response:
        assert response.status == 400
        assert await response.text() == (
            f"path is {path}, but it must be that of a list of names (/employee, /scenario/inbound/group, "
            "/employee-group/, /scenario/inbound/virtual-number, /scenario/inbound/virtual-number-group), "
            "or be left out for the list of numbers"
        )
    assert emulator.fault is None


def test_a_fault_of_another_path_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="path is /position, but it must be that of a list of names"):
        faults.Hang(path="/position")


# Counts of requests


async def test_requests_are_counted_by_path_and_those_for_numbers_by_token(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    for path in (paths.NUMBERS, paths.EMPLOYEES, paths.EMPLOYEES, paths.EMPLOYEE_GROUPS):
        await get(http, emulator, path)
    await get(http, emulator, paths.SCENARIOS, "other")
    async with http.get(emulator.url + "/emulator/stats") as response:
        stats = await response.json()
    assert stats["requests"] == {TOKEN: 1}
    assert stats["requests_by_path"] == {
        paths.NUMBERS: 1,
        paths.EMPLOYEES: 2,
        paths.EMPLOYEE_GROUPS: 1,
        paths.SCENARIOS: 1,
    }
