"""The emulated endpoint over real HTTP: what it answers, what can go wrong with it, how it is steered."""

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


async def ask(http: aiohttp.ClientSession, url: str, token: str = TOKEN) -> tuple[int, bytes]:
    async with http.get(url + PATH, headers={"Authorization": token}, allow_redirects=False) as response:
        return response.status, await response.read()


async def records_of(http: aiohttp.ClientSession, emulator: Emulator) -> list[dict[str, Any]]:
    status, body = await ask(http, emulator.url)
    assert status == 200
    records: list[dict[str, Any]] = json.loads(body)
    return records


# ── what it answers ──


async def test_it_answers_with_the_numbers_of_the_token_as_the_vendor_does(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert response.status == 200
        assert response.version == aiohttp.HttpVersion11
        assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert "Content-Encoding" not in response.headers
        assert response.content_length == len(emulator.fleet(TOKEN).body())
        assert await response.read() == emulator.fleet(TOKEN).body()


async def test_without_a_token_nobody_is_let_in(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.get(emulator.url + PATH) as response:
        assert response.status == 401


async def test_a_configured_token_is_the_only_one_let_in(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=5, token="right") as emulator:
        assert [(await ask(http, emulator.url, token))[0] for token in ("right", "wrong")] == [200, 401]


async def test_other_paths_are_not_there(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.get(emulator.url + "/numbers", headers={"Authorization": TOKEN}) as response:
        assert response.status == 404


async def test_a_client_that_accepts_gzip_gets_it_if_the_emulator_may(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=50, gzip=True) as emulator:
        async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.read() == emulator.fleet(TOKEN).body()
        plain = {"Authorization": TOKEN, "Accept-Encoding": "identity"}
        async with http.get(emulator.url + PATH, headers=plain) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.read() == emulator.fleet(TOKEN).body()


async def test_a_body_of_many_pieces_arrives_whole(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=5000) as emulator:
        assert await ask(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


# ── accounts ──


async def test_each_token_is_an_account_of_its_own(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    bodies = {token: (await ask(http, emulator.url, token))[1] for token in ("one", "other", "one")}
    assert bodies == {token: emulator.fleet(token).body() for token in ("one", "other")}
    assert emulator.fleet("one").app_id != emulator.fleet("other").app_id
    assert emulator.requests == {"one": 2, "other": 1}


async def test_two_emulators_of_one_seed_agree_even_if_an_account_is_first_looked_at_late() -> None:
    early, late = Emulator(seed=7), Emulator(seed=7)
    early.fleet(TOKEN)
    for emulator in (early, late):
        emulator.step(5)
    assert early.fleet(TOKEN).body() == late.fleet(TOKEN).body()
    assert late.fleet(TOKEN).steps == 5


# ── what can go wrong ──


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
async def test_an_answer_with_another_status_or_headers(
    emulator: Emulator, http: aiohttp.ClientSession, fault: Fault, status: int, headers: dict[str, str]
) -> None:
    emulator.fault = fault
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}, allow_redirects=False) as response:
        assert response.status == status
        assert headers.items() <= dict(response.headers).items()
        assert ("Retry-After" in response.headers) == ("Retry-After" in headers)


async def test_retry_after_can_be_a_date(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=503, retry_after=60, retry_after_as_date=True)
    asked_at = datetime.now(UTC)
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        said = response.headers["Retry-After"]
    assert said.endswith(" GMT")
    assert 60 <= (parsedate_to_datetime(said) - asked_at).total_seconds() < 70


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
async def test_an_answer_that_is_not_the_list(
    emulator: Emulator, http: aiohttp.ClientSession, fault: Fault, body: bytes
) -> None:
    emulator.fault = fault
    assert await ask(http, emulator.url) == (200, body)


async def test_a_truncated_body_is_a_whole_answer_that_ends_in_the_middle(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Truncated(share=0.25)
    whole = emulator.fleet(TOKEN).body()
    assert await ask(http, emulator.url) == (200, whole[: len(whole) // 4])


async def test_an_unclosed_body_ends_as_in_the_vendors_example(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Unclosed()
    assert await ask(http, emulator.url) == (200, emulator.fleet(TOKEN).body()[:-1] + b",")


async def test_a_cut_connection_delivers_a_part_of_what_it_announced(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.CutOff(share=0.5)
    whole = emulator.fleet(TOKEN).body()
    arrived = bytearray()

    async def read(response: aiohttp.ClientResponse) -> None:
        async for chunk in response.content.iter_any():
            arrived.extend(chunk)

    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert response.content_length == len(whole)
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(response)
    assert arrived == whole[: len(whole) // 2]


async def test_a_reset_connection_answers_nothing(emulator: Emulator) -> None:
    emulator.fault = faults.Reset()
    host, port = emulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: token\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_hang_answers_nothing_until_the_client_goes_away(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.Hang(requests=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(http, emulator.url), timeout=0.2)
    assert await ask(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_a_slow_drip_sends_a_few_bytes_an_interval(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.SlowDrip(chunk=3, interval=3600)
    async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
        assert await response.content.readany() == b'[{"'
        assert response.content_length == len(emulator.fleet(TOKEN).body())


async def test_a_drip_that_is_waited_for_is_the_whole_list(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.SlowDrip(chunk=1000, interval=0)
    assert await ask(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_a_gzip_bomb_is_few_bytes_that_decode_to_many() -> None:
    async with (
        Emulator(numbers=1) as emulator,
        aiohttp.ClientSession(auto_decompress=False) as raw,
        aiohttp.ClientSession() as decoding,
    ):
        emulator.fault = faults.GzipBomb(mebibytes=8)
        _, compressed = await ask(raw, emulator.url)
        assert len(compressed) < 16 * 1024
        assert await ask(decoding, emulator.url) == (200, b"[" + b" " * 8 * 1024 * 1024 + b"]")


async def test_a_client_may_go_away_in_the_middle_of_an_answer(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=20_000) as emulator:
        for fault in (None, faults.SlowDrip(interval=0), faults.GzipBomb()):
            emulator.fault = fault
            async with http.get(emulator.url + PATH, headers={"Authorization": TOKEN}) as response:
                assert await response.content.read(1) == b"["
                response.close()
        emulator.fault = None
        assert await ask(http, emulator.url) == (200, emulator.fleet(TOKEN).body())


async def test_the_wrong_account_is_in_every_record(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.WrongAccount(app_id=42)
    assert await records_of(http, emulator) == [record | {"app_id": 42} for record in emulator.fleet(TOKEN).records()]


async def test_a_partial_list_is_valid_and_shorter(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.PartialList(share=0.5)
    assert await records_of(http, emulator) == emulator.fleet(TOKEN).records()[:25]


async def test_a_half_deployed_version_lacks_its_keys_in_every_record(
    emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    emulator.fault = faults.AbsentKeys()
    whole = emulator.fleet(TOKEN).records()
    absent = {"comment", "from_redirect_numbers"}
    assert [record.keys() for record in await records_of(http, emulator)] == [
        record.keys() - absent for record in whole
    ]


async def test_an_unknown_state_is_in_as_many_records_as_asked(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.UnknownState(word="porting", count=3)
    whole = emulator.fleet(TOKEN).records()
    assert await records_of(http, emulator) == [record | {"state": "porting"} for record in whole[:3]] + whole[3:]


async def test_unknown_fields_are_in_every_record(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.UnknownFields()
    assert await records_of(http, emulator) == [
        record | {"is_vip": False, "tariff": {"name": "Бизнес", "price": 500}}
        for record in emulator.fleet(TOKEN).records()
    ]


@pytest.mark.parametrize(("field", "value"), [("number", None), ("id", "250")])
async def test_broken_records_hold_the_value_asked_for(
    emulator: Emulator, http: aiohttp.ClientSession, field: str, value: object
) -> None:
    emulator.fault = faults.BrokenRecords(field=field, value=value, count=2)
    whole = emulator.fleet(TOKEN).records()
    assert await records_of(http, emulator) == [record | {field: value} for record in whole[:2]] + whole[2:]


@pytest.mark.parametrize("differing", [False, True])
async def test_repeated_records_come_again_at_the_end(
    emulator: Emulator, http: aiohttp.ClientSession, differing: bool
) -> None:
    emulator.fault = faults.RepeatedRecords(count=2, differing=differing)
    whole = emulator.fleet(TOKEN).records()
    records = await records_of(http, emulator)
    assert records[:50] == whole
    assert [record["id"] for record in records[50:]] == [record["id"] for record in whole[:2]]
    assert (records[50:] == whole[:2]) != differing


# ── when it goes wrong ──


async def statuses(http: aiohttp.ClientSession, emulator: Emulator, *tokens: str) -> list[int]:
    return [(await ask(http, emulator.url, token))[0] for token in tokens]


async def test_a_fault_lasts_until_it_is_cleared(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=500)
    assert await statuses(http, emulator, "a", "b", "a") == [500, 500, 500]
    emulator.fault = None
    assert await statuses(http, emulator, "a") == [200]


async def test_a_fault_can_meet_the_next_requests_alone(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.fault = faults.Status(status=500, requests=2)
    assert await statuses(http, emulator, "a", "a", "a") == [500, 500, 200]
    assert emulator.fault is None


async def test_faults_of_a_queue_come_one_after_another(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.queue(
        faults.Status(status=503, requests=1), faults.Healthy(requests=2), faults.Status(status=429, requests=1)
    )
    assert await statuses(http, emulator, "a", "a", "a", "a", "a") == [503, 200, 200, 429, 200]


async def test_a_fault_can_meet_one_account_alone(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    emulator.queue(faults.Status(status=401, token="a"), faults.Status(status=500, requests=1))
    assert await statuses(http, emulator, "a", "b", "b", "a") == [401, 500, 200, 401]


# ── steered over HTTP ──


async def test_a_fault_put_over_http_works_until_deleted(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    async with http.put(emulator.url + "/emulator/fault", json={"name": "status", "status": 503}) as response:
        assert response.status == 204
    assert emulator.fault == faults.Status(status=503)
    assert await statuses(http, emulator, "a") == [503]
    async with http.delete(emulator.url + "/emulator/fault") as response:
        assert response.status == 204
    assert await statuses(http, emulator, "a") == [200]


async def test_several_faults_put_over_http_are_a_queue(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    asked = [{"name": "status", "status": 429, "requests": 1}, {"name": "truncated", "share": 0.1}]
    async with http.put(emulator.url + "/emulator/fault", json=asked) as response:
        assert response.status == 204
    assert await statuses(http, emulator, "a") == [429]
    assert emulator.fault == faults.Truncated(share=0.1)


@pytest.mark.parametrize(
    "asked",
    ['{"name": "no such fault"}', '{"name": "truncated", "share": 2}', '{"name": "hang", "typo": 1}', "not JSON"],
)
async def test_a_fault_that_cannot_be_understood_is_refused_and_changes_nothing(
    emulator: Emulator, http: aiohttp.ClientSession, asked: str
) -> None:
    async with http.put(emulator.url + "/emulator/fault", data=asked) as response:
        assert response.status == 400
    assert emulator.fault is None


def test_every_fault_can_be_asked_for_over_http() -> None:
    rooms = (faults.answers, faults.connection, faults.records)
    written = {
        kind for room in rooms for kind in vars(room).values() if isinstance(kind, type) and issubclass(kind, Fault)
    }
    assert set(get_args(faults.AnyFault)) == written - {Fault, RecordsFault}


async def test_steps_asked_for_over_http_advance_the_world(http: aiohttp.ClientSession) -> None:
    async with Emulator(numbers=50, rates=Rates(comment_edits=1)) as emulator:
        _, before = await ask(http, emulator.url)
        async with http.post(emulator.url + "/emulator/step", json={"steps": 3}) as response:
            assert (await response.json())["steps"] == 3
        async with http.post(emulator.url + "/emulator/step") as response:
            assert (await response.json())["steps"] == 4
        async with http.post(emulator.url + "/emulator/step", json={"steps": -1}) as response:
            assert response.status == 400
        _, after = await ask(http, emulator.url)
        assert emulator.fleet(TOKEN).steps == 4
        assert before != after == emulator.fleet(TOKEN).body()


async def test_the_stats_tell_steps_accounts_requests_and_faults(
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
            "faults": [{"name": "hang", "requests": None, "token": "b"}],
        }


# ── a given response, and the command ──


async def test_a_file_is_served_to_the_byte_as_it_is_at_each_request(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "response.json"
    file.write_bytes(b'[ {"id": 1} ]\n')
    async with Emulator(file=file) as emulator:
        assert await ask(http, emulator.url) == (200, b'[ {"id": 1} ]\n')
        file.write_bytes(b"[]")
        assert await ask(http, emulator.url) == (200, b"[]")
        file.unlink()
        assert await ask(http, emulator.url) == (500, f"{file} cannot be read (No such file or directory).".encode())


async def test_a_file_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "missing.json"
    with pytest.raises(ConfigurationError) as caught:
        await serve(Emulator(file=file))
    assert str(caught.value) == f"The response to serve cannot be read from {file} (No such file or directory)."


async def test_a_port_that_is_taken_is_refused_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            await serve(Emulator(port=port))
    assert str(caught.value) == (
        f"The emulated endpoint cannot listen on 127.0.0.1:{port} (Address already in use): "
        "choose another address or port."
    )


async def test_the_address_is_known_only_while_it_listens() -> None:
    with pytest.raises(RuntimeError):
        _ = Emulator().url


async def test_serve_tells_its_address_steps_by_itself_and_ends_when_cancelled(http: aiohttp.ClientSession) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(Emulator(numbers=20), step_interval=0.001, on_started=started.set_result))
    url = await started
    steps = 0
    while steps < 3:
        async with http.get(url + "/emulator/stats") as response:
            steps = (await response.json())["steps"]
    assert (await ask(http, url))[0] == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, url)


async def test_the_end_waits_for_no_hanging_request(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(5):
        async with Emulator(numbers=1) as emulator:
            emulator.fault = faults.Hang()
            hanging = asyncio.create_task(ask(http, emulator.url))
            while not emulator.requests[TOKEN]:  # noqa: ASYNC110 - the request itself is what is waited for
                await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging
