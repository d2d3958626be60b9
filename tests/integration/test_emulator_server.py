"""The emulated endpoint over real HTTP: responses, faults, control."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, get_args

import aiohttp
import pytest

from syncer.emulator import STATIC, Emulator, Rates, faults, serve
from syncer.emulator.fault import Fault, RecordsFault
from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


PATH = "/numbers/virtual-number"
TOKEN = "token"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(numbers=50, rates=STATIC) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


async def get(http: aiohttp.ClientSession, url: str, token: str = TOKEN) -> tuple[int, bytes]:
    async with http.get(url + PATH, headers={"Authorization": token}, allow_redirects=False) as response:
        return response.status, await response.read()


async def records_of(http: aiohttp.ClientSession, emulator: Emulator) -> list[dict[str, Any]]:
    status, body = await get(http, emulator.url)
    assert status == 200
    records: list[dict[str, Any]] = json.loads(body)
    return records


# Responses


async def test_it_responds_with_the_numbers_of_the_token_as_the_vendor_does(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert response.status == 200
        assert response.version == aiohttp.HttpVersion11
        assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert "Content-Encoding" not in response.headers
        assert response.content_length == len(emulator.fleet(TOKEN).body())
        assert await response.read() == emulator.fleet(TOKEN).body()


async def test_a_request_without_a_token_is_refused(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.get(emulator.url + PATH) as response:
        assert response.status == 401


async def test_only_the_configured_token_is_accepted(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=5, token="right") as emulator:
        assert [(await get(http, emulator.url, token))[0] for token in ("right", "wrong")] == [200, 401]


async def test_other_paths_are_not_found(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.get(emulator.url + "/numbers", headers={"Authorization": TOKEN}) as response:
        assert response.status == 404


async def test_the_response_is_compressed_if_client_and_emulator_support_it(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=50, gzip=True) as emulator:
        async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.read() == emulator.fleet(TOKEN).body()
        plain = {"Authorization": TOKEN, "Accept-Encoding": "identity"}
        async with http.get(emulator.url + PATH, headers=plain) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.read() == emulator.fleet(TOKEN).body()


async def test_a_body_of_many_chunks_arrives_complete(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=5000) as emulator:
        assert await get(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


# Accounts


async def test_each_token_is_a_separate_account(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    bodies = {token: (await get(http, emulator.url, token))[1] for token in ("one", "other", "one")}
    assert bodies == {token: emulator.fleet(token).body() for token in ("one", "other")}
    assert emulator.fleet("one").app_id != emulator.fleet("other").app_id
    assert emulator.requests == {"one": 2, "other": 1}


async def test_two_emulators_with_one_seed_agree_even_if_an_account_is_first_requested_late() -> None:
    early, late = Emulator(seed=7), Emulator(seed=7)
    early.fleet(TOKEN)
    for emulator in (early, late):
        emulator.step(5)
    assert early.fleet(TOKEN).body() == late.fleet(TOKEN).body()
    assert late.fleet(TOKEN).steps == 5


# Faults


@pytest.mark.parametrize(
    ("fault", "status", "headers"),
    [
        (faults.Status(status=401), 401, {}),
        (faults.Status(status=403), 403, {}),
        (faults.Status(status=500), 500, {}),
        (faults.Status(status=502), 502, {}),
        (faults.Status(status=429, retry_after=7), 429, {"Retry-After": "7"}),
        (faults.Status(status=503, retry_after=0), 503, {"Retry-After": "0"}),
        (faults.Redirect(), 302, {"Location": "/login"}),
        (faults.Redirect(status=307, location="/elsewhere"), 307, {"Location": "/elsewhere"}),
        (faults.Html(), 200, {"Content-Type": "text/html; charset=UTF-8"}),
        (faults.NotJson(), 200, {"Content-Type": "application/json; charset=UTF-8"}),
    ],
)
async def test_a_status_fault_sends_its_status_and_headers(
    emulator: Emulator, http: aiohttp.ClientSession, fault: Fault, status: int, headers: dict[str, str]
) -> None:
    emulator.fault = fault
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}, allow_redirects=False) as response:
        assert response.status == status
        assert headers.items() <= dict(response.headers).items()
        assert ("Retry-After" in response.headers) == ("Retry-After" in headers)


async def test_retry_after_can_be_a_date(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=503, retry_after=60, retry_after_as_date=True)
    requested_at = datetime.now(UTC)
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        retry_after = response.headers["Retry-After"]
    assert retry_after.endswith(" GMT")
    assert 60 <= (parsedate_to_datetime(retry_after) - requested_at).total_seconds() < 70


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (faults.Empty(), b"[]"),
        (faults.Null(), b"null"),
        (faults.String(), b'"string"'),
        (faults.OneObject(), b'{"id": 250, "number": "79208547433", "state": "active"}'),
        (faults.NotJson(), "Сервис временно недоступен".encode()),
        (faults.Body(body='[{"id": 1'), b'[{"id": 1'),
    ],
)
async def test_a_body_fault_sends_its_body_with_status_200(
    emulator: Emulator, http: aiohttp.ClientSession, fault: Fault, body: bytes
) -> None:
    emulator.fault = fault
    assert await get(http, emulator.url) == (200, body)


async def test_a_truncated_body_is_a_complete_response_with_cut_off_json(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Truncated(share=0.25)
    complete = emulator.fleet(TOKEN).body()
    assert await get(http, emulator.url) == (200, complete[: len(complete) // 4])


async def test_an_unclosed_body_ends_as_in_the_vendors_example(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Unclosed()
    assert await get(http, emulator.url) == (200, emulator.fleet(TOKEN).body()[:-1] + b",")


async def test_a_cut_connection_delivers_a_part_of_the_announced_length(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.CutOff(share=0.5)
    complete = emulator.fleet(TOKEN).body()
    received = bytearray()

    async def read(response: aiohttp.ClientResponse) -> None:
        async for chunk in response.content.iter_any():
            received.extend(chunk)

    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert response.content_length == len(complete)
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(response)
    assert received == complete[: len(complete) // 2]


async def test_a_reset_connection_sends_no_response(emulator: Emulator) -> None:
    emulator.fault = faults.Reset()
    host, port = emulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: token\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_hang_sends_nothing_until_the_client_disconnects(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Hang(requests=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(get(http, emulator.url), timeout=0.2)
    assert await get(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_a_slow_drip_sends_a_few_bytes_per_interval(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.SlowDrip(chunk=3, interval=3600)
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert await response.content.readany() == b'[{"'
        assert response.content_length == len(emulator.fleet(TOKEN).body())


async def test_a_complete_drip_is_the_complete_list(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.SlowDrip(chunk=1000, interval=0)
    assert await get(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_a_gzip_bomb_is_small_and_decodes_to_a_large_body() -> None:
    async with (
        Emulator(numbers=1) as emulator,
        aiohttp.ClientSession(auto_decompress=False) as raw,
        aiohttp.ClientSession() as decoding,
    ):
        emulator.fault = faults.GzipBomb(mebibytes=8)
        _, compressed = await get(raw, emulator.url)
        assert len(compressed) < 16 * 1024
        assert await get(decoding, emulator.url) == (200, b"[" + b" " * 8 * 1024 * 1024 + b"]")


async def test_a_client_may_disconnect_in_the_middle_of_a_response(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=20_000) as emulator:
        for fault in (None, faults.SlowDrip(interval=0), faults.GzipBomb()):
            emulator.fault = fault
            async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
                assert await response.content.read(1) == b"["
                response.close()
        emulator.fault = None
        assert await get(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_the_wrong_account_is_in_every_record(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.WrongAccount(app_id=42)
    assert await records_of(http, emulator) == [record | {"app_id": 42} for record in emulator.fleet(TOKEN).records()]


async def test_a_partial_list_is_valid_and_shorter(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.PartialList(share=0.5)
    assert await records_of(http, emulator) == emulator.fleet(TOKEN).records()[:25]


async def test_absent_keys_are_missing_from_every_record(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.AbsentKeys()
    complete = emulator.fleet(TOKEN).records()
    absent = {"comment", "from_redirect_numbers"}
    assert [record.keys() for record in await records_of(http, emulator)] == [
        record.keys() - absent for record in complete
    ]


async def test_an_unknown_state_is_in_the_requested_number_of_records(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.UnknownState(word="porting", count=3)
    complete = emulator.fleet(TOKEN).records()
    assert await records_of(http, emulator) == [record | {"state": "porting"} for record in complete[:3]] + complete[3:]


async def test_unknown_fields_are_in_every_record(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.UnknownFields()
    assert await records_of(http, emulator) == [
        record | {"is_vip": False, "tariff": {"name": "Бизнес", "price": 500}}
        for record in emulator.fleet(TOKEN).records()
    ]


@pytest.mark.parametrize(("field", "value"), [("number", None), ("id", "250")])
async def test_broken_records_have_the_requested_value(
    emulator: Emulator, http: aiohttp.ClientSession, field: str, value: object
) -> None:
    emulator.fault = faults.BrokenRecords(field=field, value=value, count=2)
    complete = emulator.fleet(TOKEN).records()
    assert await records_of(http, emulator) == [record | {field: value} for record in complete[:2]] + complete[2:]


@pytest.mark.parametrize("differing", [False, True])
async def test_repeated_records_are_appended_at_the_end(
    emulator: Emulator, http: aiohttp.ClientSession, differing: bool
) -> None:
    emulator.fault = faults.RepeatedRecords(count=2, differing=differing)
    complete = emulator.fleet(TOKEN).records()
    records = await records_of(http, emulator)
    assert records[:50] == complete
    assert [record["id"] for record in records[50:]] == [record["id"] for record in complete[:2]]
    assert (records[50:] == complete[:2]) != differing


# Duration of faults


async def statuses(http: aiohttp.ClientSession, emulator: Emulator, *tokens: str) -> list[int]:
    return [(await get(http, emulator.url, token))[0] for token in tokens]


async def test_a_fault_lasts_until_it_is_cleared(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=500)
    assert await statuses(http, emulator, "a", "b", "a") == [500, 500, 500]
    emulator.fault = None
    assert await statuses(http, emulator, "a") == [200]


async def test_a_fault_can_apply_to_a_number_of_requests(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=500, requests=2)
    assert await statuses(http, emulator, "a", "a", "a") == [500, 500, 200]
    assert emulator.fault is None


async def test_queued_faults_apply_one_after_another(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.queue(
        faults.Status(status=503, requests=1), faults.Healthy(requests=2), faults.Status(status=429, requests=1)
    )
    assert await statuses(http, emulator, "a", "a", "a", "a", "a") == [503, 200, 200, 429, 200]


async def test_a_fault_can_apply_to_one_account(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.queue(faults.Status(status=401, token="a"), faults.Status(status=500, requests=1))
    assert await statuses(http, emulator, "a", "b", "b", "a") == [401, 500, 200, 401]


# Control over HTTP


async def test_a_fault_put_over_http_lasts_until_deleted(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.put(emulator.url + "/emulator/fault", json={"name": "status", "status": 503}) as response:
        assert response.status == 204
    assert emulator.fault == faults.Status(status=503)
    assert await statuses(http, emulator, "a") == [503]
    async with http.delete(emulator.url + "/emulator/fault") as response:
        assert response.status == 204
    assert await statuses(http, emulator, "a") == [200]


async def test_several_faults_put_over_http_are_a_queue(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    queue = [{"name": "status", "status": 429, "requests": 1}, {"name": "truncated", "share": 0.1}]
    async with http.put(emulator.url + "/emulator/fault", json=queue) as response:
        assert response.status == 204
    assert await statuses(http, emulator, "a") == [429]
    assert emulator.fault == faults.Truncated(share=0.1)


@pytest.mark.parametrize(
    "command",
    ['{"name": "no such fault"}', '{"name": "truncated", "share": 2}', '{"name": "hang", "typo": 1}', "not JSON"],
)
async def test_an_invalid_fault_is_refused_and_changes_nothing(
    emulator: Emulator, http: aiohttp.ClientSession, command: str
) -> None:
    async with http.put(emulator.url + "/emulator/fault", data=command) as response:
        assert response.status == 400
    assert emulator.fault is None


def test_every_fault_can_be_requested_over_http() -> None:
    modules = (faults.answers, faults.connection, faults.records)
    defined = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Fault)
    }
    assert set(get_args(faults.AnyFault)) == defined - {Fault, RecordsFault}


async def test_steps_requested_over_http_advance_the_emulation(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=50, rates=Rates(comment_edits=1)) as emulator:
        _, before = await get(http, emulator.url)
        async with http.post(emulator.url + "/emulator/step", json={"steps": 3}) as response:
            assert (await response.json())["steps"] == 3
        async with http.post(emulator.url + "/emulator/step") as response:
            assert (await response.json())["steps"] == 4
        async with http.post(emulator.url + "/emulator/step", json={"steps": -1}) as response:
            assert response.status == 400
        _, after = await get(http, emulator.url)
        assert emulator.fleet(TOKEN).steps == 4
        assert before != after == emulator.fleet(TOKEN).body()


async def test_the_stats_contain_steps_accounts_requests_and_faults(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    await statuses(http, emulator, "a", "b", "a")
    emulator.step(2)
    emulator.fault = faults.Hang(token="b")
    async with http.get(emulator.url + "/emulator/stats") as response:
        assert await response.json() == {
            "steps": 2,
            "accounts": 2,
            "requests": {"a": 2, "b": 1},
            "requests_by_path": {PATH: 3},
            "faults": [{"name": "hang", "requests": None, "token": "b", "path": None}],
        }


# A given response, and `serve`


async def test_a_file_is_served_unchanged_and_read_again_for_each_request(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "response.json"
    file.write_bytes(b'[ {"id": 1} ]\n')
    async with Emulator(file=file) as emulator:
        assert await get(http, emulator.url) == (200, b'[ {"id": 1} ]\n')
        file.write_bytes(b"[]")
        assert await get(http, emulator.url) == (200, b"[]")
        file.unlink()
        assert await get(http, emulator.url) == (500, f"{file} cannot be read (No such file or directory).".encode())


async def test_an_unreadable_file_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "missing.json"
    with pytest.raises(ConfigurationError) as caught:
        await serve(Emulator(file=file))
    assert str(caught.value) == f"The response to serve cannot be read from {file} (No such file or directory)."


async def test_a_port_in_use_is_reported_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            await serve(Emulator(port=port))
    assert str(caught.value) == (
        f"The emulated endpoint cannot listen on 127.0.0.1:{port} (Address already in use): "
        "choose another address or port."
    )


async def test_the_url_is_available_only_while_it_listens() -> None:
    with pytest.raises(RuntimeError):
        _ = Emulator().url


async def test_serve_reports_its_url_steps_automatically_and_ends_when_cancelled(http: aiohttp.ClientSession) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(Emulator(numbers=20), step_interval=0.001, on_started=started.set_result))
    url = await started
    steps = 0
    while steps < 3:
        async with http.get(url + "/emulator/stats") as response:
            steps = (await response.json())["steps"]
    assert (await get(http, url))[0] == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(http, url)


async def test_shutdown_does_not_wait_for_a_hanging_request(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(5):
        async with Emulator(numbers=1) as emulator:
            emulator.fault = faults.Hang()
            hanging = asyncio.create_task(get(http, emulator.url))
            while not emulator.requests[TOKEN]:  # noqa: ASYNC110 - the request itself is what is waited for
                await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging
