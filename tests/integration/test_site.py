"""The HTTP server of the daemon, requested as probes, Prometheus and browsers do."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import pytest

from syncer.config.hosts import ListenAddress
from syncer.config.settings import Settings
from syncer.emulator import faults
from syncer.errors import ConfigurationError
from syncer.telemetry.metrics import Metrics
from syncer.web import site as site_module
from syncer.web.site import Site
from syncer.web.translations import TEXTS
from tests.builders import record
from tests.contract_page import name, table
from tests.service.processes import wait_until
from tests.silence import SilentServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    import asyncpg

    from tests.builders import PolledAccount

PATHS = ("/livez", "/readyz", "/metrics", "/", "/number", "/numbers", "/nothing")
LOOPBACK = ListenAddress("127.0.0.1", 0)
ALL_INTERFACES = ListenAddress("0.0.0.0", 0)  # noqa: S104 - the tests are about this case


class Reply:
    """The reply to a request."""

    def __init__(self, reply: aiohttp.ClientResponse, text: str) -> None:
        self.status, self.headers, self.text = reply.status, reply.headers, text

    @property
    def status_and_text(self) -> tuple[int, str]:
        return self.status, self.text


class Client:
    """An HTTP client of a running site."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.port = site.url.rpartition(":")[2]

    async def get(self, path: str, address: str = "127.0.0.1", *, method: str = "GET", **headers: str) -> Reply:
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://{address}:{self.port}{path}"
        async with self._session.request(method, url, headers=sent_headers) as reply:
            return Reply(reply, await reply.text())

    async def send(self, request: bytes) -> bytes:
        """Sends bytes and returns what is answered until the server closes the connection, or the first part of it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.port))
        writer.write(request)
        reply = await asyncio.wait_for(reader.read(65536), 20)
        writer.close()
        return reply


def own_address_beyond_loopback() -> str:
    """Returns an address of this machine, to which packets go over loopback; skips the test if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = unsent.getsockname()[0]
    return address


@asynccontextmanager
async def listening(
    database: str,
    *,
    address: ListenAddress = LOOPBACK,
    page: str = "auto",
    hosts: Collection[str] = (),
    metrics: Metrics | None = None,
    is_live: Callable[[], bool] = lambda: True,
    configured: Collection[str] = ("default",),
) -> AsyncIterator[Client]:
    settings = Settings.model_construct(http_page=page, http_hosts=tuple(hosts))
    site = Site(
        settings,
        address,
        lambda: database,
        metrics or Metrics(),
        is_live=is_live,
        configured=lambda: configured,
    )
    async with site, aiohttp.ClientSession() as session:
        yield Client(site, session)


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    async with listening(database) as running:
        yield running


# Probes


async def test_livez_answers_200_while_the_scheduler_runs_and_503_after_it_stopped(database: str) -> None:
    is_live = True
    async with listening(database, is_live=lambda: is_live) as client:
        assert (await client.get("/livez")).status_and_text == (200, "live\n")
        is_live = False
        stopped = await client.get("/livez")
    assert stopped.status_and_text == (503, "not live: the scheduler has stopped looking for due accounts\n")


async def test_readyz_answers_200_with_the_current_schema_and_says_what_to_do_otherwise(
    client: Client, sql: asyncpg.Connection
) -> None:
    assert (await client.get("/readyz")).status_and_text == (200, "ready\n")

    await sql.execute("update syncer.alembic_version set version_num = '9999'")
    newer = await client.get("/readyz")
    await sql.execute("drop schema syncer, analytics cascade")
    none = await client.get("/readyz")

    assert newer.status == 503
    assert newer.text.startswith("not ready: the database's schema is 9999, which is newer")
    assert none.status_and_text == (503, "not ready: the database has no schema of syncer yet: run `syncer migrate`\n")


async def test_readyz_answers_503_while_the_database_cannot_be_written_to(
    client: Client, database: str, sql: asyncpg.Connection
) -> None:
    name = database.rpartition("/")[2]
    await sql.execute(f"alter database {name} set default_transaction_read_only = on")
    async with listening(database) as fresh:  # settings of a database hold for new connections
        read_only = await fresh.get("/readyz")
    await sql.execute(f"alter database {name} reset default_transaction_read_only")

    assert read_only.status == 503
    assert read_only.text == (
        "not ready: database: transactions are read-only: check default_transaction_read_only of the server, database "
        "and role\n"
    )
    assert (await client.get("/readyz")).status_and_text == (200, "ready\n")


async def test_readyz_answers_503_without_a_database_and_reveals_no_credentials() -> None:
    async with listening("postgresql://user:passw0rd@127.0.0.1:1/none") as client:
        reply = await client.get("/readyz")

    assert reply.status == 503
    assert reply.text.startswith("not ready: database: ")
    assert reply.text.endswith("; check that the server is up and SYNCER_DATABASE_URL is right\n")
    assert "passw0rd" not in reply.text
    assert "user" not in reply.text


async def test_readyz_times_out_on_a_silent_database_and_connects_once_for_all_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(site_module, "READY_TIMEOUT_SECONDS", 0.2)
    async with SilentServer() as silent, listening(silent.url) as client:
        async with asyncio.timeout(5):  # a connection attempt times out after 10 s
            replies = await asyncio.gather(*(client.get("/readyz") for _ in range(10)))
        live = await client.get("/livez")

    reason = "database: no answer within 0.2 s; check that the server and the network are up"
    assert {reply.status_and_text for reply in replies} == {(503, f"not ready: {reason}\n")}
    assert silent.connection_count == 1
    assert live.status == 200


# Metrics


async def test_metrics_come_in_the_requested_format(database: str) -> None:
    metrics = Metrics()
    metrics.set_accounts(["office"])
    async with listening(database, metrics=metrics) as client:
        plain = await client.get("/metrics")
        open_metrics = await client.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")

    assert plain.status == 200
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert 'syncer_runs_total{account="office",outcome="applied"} 0.0\n' in plain.text
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


async def test_metrics_ignore_an_accept_header_that_makes_no_sense(client: Client) -> None:
    for accept in (
        "application/openmetrics-text;version=x",
        "application/openmetrics-text; version=",
        ";;;q=,",
        "\xff",
    ):
        reply = await client.get("/metrics", Accept=accept)

        assert (reply.status, "version=" in reply.headers["Content-Type"]) == (200, True)


# Every reply


async def test_no_reply_may_be_cached_framed_sniffed_or_sent_as_referrer(client: Client) -> None:
    for path in (*PATHS, "/number?number=1", "/number?number=79000000001", "/numbers?page=x"):
        headers = (await client.get(path)).headers
        policy = headers["Content-Security-Policy"]

        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Server" not in headers
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script" not in policy  # so default-src forbids scripts


async def test_404_and_405_are_one_line_of_plain_text(client: Client) -> None:
    missing = await client.get("/favicon.ico")
    paths = "/livez, /readyz, /metrics and the page at /"
    assert missing.status_and_text == (404, f"Not found. Available paths: {paths}.\n")
    for path in PATHS[:-1]:
        refused = await client.get(path, method="POST")
        assert refused.status_and_text == (405, "The allowed methods here are GET, HEAD.\n")
        assert refused.headers["Allow"] == "GET, HEAD"
        assert (await client.get(path, method="HEAD")).status_and_text == (200, "")


# Access to the page


async def test_the_page_is_served_on_loopback_only_unless_it_is_switched_on(database: str) -> None:
    pages = ("/", "/number", "/numbers")
    async with listening(database, address=ALL_INTERFACES) as client:
        refused = [
            await client.get(path) for path in (*pages, "/number?number=79000000001", "/number?account=default&id=1")
        ]
        assert (await client.get("/livez")).status == 200
    async with listening(database, address=ALL_INTERFACES, page="on", hosts=["pbx.example"]) as client:
        served = [await client.get(path, Host="pbx.example") for path in pages]
    async with listening(database, page="off") as client:
        switched_off = [await client.get(path) for path in pages]

    assert {page.status for page in refused} == {404}
    assert all(page.text.endswith("set SYNCER_HTTP_PAGE=on to serve it here too.\n") for page in refused)
    assert {(page.status, page.headers["Content-Type"]) for page in served} == {(200, "text/html; charset=utf-8")}
    assert {page.status_and_text for page in switched_off} == {
        (404, "The page is switched off: SYNCER_HTTP_PAGE is off.\n")
    }


WRONG_HOST = (
    "This host name is not answered, so that no web site can read this through your browser: use 127.0.0.1 or "
    "the address that the daemon listens on, or add the name to SYNCER_HTTP_HOSTS.\n"
)


async def test_the_page_answers_to_loopback_host_names_only(client: Client) -> None:
    for host in ("localhost", "LOCALHOST:81", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "localhost."):
        assert (await client.get("/", Host=host)).status == 200
    for host in (
        *("evil.example", "localhost.evil.example:8080", "10.0.0.1", "127.0.0.1.evil.example", "", "[", "::1"),
        *(
            "localhost@evil.example",
            "evil.example#localhost",
            "localhost:80:80",
            "localhost, evil.example",
        ),
    ):
        assert (await client.get("/", Host=host)).status_and_text == (421, WRONG_HOST)


@pytest.mark.parametrize("page", ["auto", "on"])
@pytest.mark.parametrize("address", [LOOPBACK, ALL_INTERFACES])
async def test_every_path_checks_the_host_and_answers_to_the_names_of_the_setting(
    database: str, address: ListenAddress, page: str
) -> None:
    async with listening(
        database, address=address, page=page, hosts=["pbx.example", "192.0.2.7", "2001:db8::7"]
    ) as client:
        for path in PATHS:
            usual = (await client.get(path)).status_and_text
            for host in ("pbx.example", "PBX.example:443", "pbx.example.", "192.0.2.7:8080", "[2001:DB8:0::7]:80"):
                assert (await client.get(path, Host=host)).status == usual[0]
            for host in ("evil.example", "sub.pbx.example", "pbx.example.evil.example", "192.0.2.8"):
                assert (await client.get(path, Host=host)).status_and_text == (421, WRONG_HOST)


async def test_probes_reach_every_path_by_the_address_that_they_connect_to(database: str) -> None:
    own_address = own_address_beyond_loopback()
    async with listening(database, address=ALL_INTERFACES, page="on") as client:
        for path in ("/livez", "/readyz", "/metrics", "/"):
            assert (await client.get(path, own_address)).status == 200
        for host in ("10.255.255.254", f"{own_address}.evil.example"):
            assert (await client.get("/livez", own_address, Host=host)).status == 421
        # Over loopback it is not the address of the connection.
        assert (await client.get("/livez", Host=own_address)).status == 421


async def test_the_host_in_the_request_line_counts_too_and_http_1_0_needs_none(client: Client) -> None:
    proxied = await client.send(b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    tunnel = await client.send(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    old_probe = await client.send(b"GET /livez HTTP/1.0\r\n\r\n")
    old_foreign = await client.send(b"GET /livez HTTP/1.0\r\nHost: evil.example\r\n\r\n")
    without = await client.send(b"GET /livez HTTP/1.1\r\n\r\n")

    assert [reply.split(b" ")[1] for reply in (proxied, tunnel, old_probe, old_foreign, without)] == [
        *(b"421", b"421", b"200", b"421", b"400")
    ]


CROSS_SITE = "Requests from other web sites are refused: open the address in a browser window of its own.\n"


@pytest.mark.parametrize("path", PATHS)
async def test_requests_from_other_web_sites_are_refused_and_links_are_followed(client: Client, path: str) -> None:
    usual = await client.get(path)
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    allowed: list[dict[str, str]] = [
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Origin": f"http://127.0.0.1:{client.port}"},
        link,
        link | {"Sec_Fetch_Site": "same-site"},
    ]
    refused: list[dict[str, str]] = [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "anything"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        link | {"Sec_Fetch_Dest": "iframe"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ]

    for headers in allowed:
        assert (await client.get(path, **headers)).status == usual.status
    for headers in refused:
        assert (await client.get(path, **headers)).status_and_text == (403, CROSS_SITE)
    assert (await client.get(path, method="HEAD", **link)).status == 403


async def test_an_address_in_use_is_reported_in_one_sentence(client: Client, database: str) -> None:
    occupied = ListenAddress("127.0.0.1", int(client.port))

    with pytest.raises(ConfigurationError) as refused:
        async with listening(database, address=occupied):
            pass

    assert str(refused.value) == (
        f"cannot listen on SYNCER_HTTP_LISTEN=127.0.0.1:{client.port} (Address already in use): "
        "set another address or port, or off"
    )


# The content of the page


def text_of(page: Reply) -> str:
    """Returns the visible text of a page, with single spaces."""
    body = page.text.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


async def test_the_page_says_that_there_is_no_data_before_the_first_poll(client: Client) -> None:
    page = await client.get("/")

    assert page.status == 200
    assert "No data yet" in text_of(page)


async def test_the_page_uses_the_language_of_the_browser_unless_the_address_names_one(client: Client) -> None:
    russian = await client.get("/", Accept_Language="de, ru-RU;q=0.8, en;q=0.7")
    chosen = await client.get("/?lang=en", Accept_Language="ru")

    assert (russian.headers["Content-Language"], chosen.headers["Content-Language"]) == ("ru", "en")
    assert '<html lang="ru">' in russian.text
    assert russian.headers["Vary"] == "Accept-Language"
    assert "Данных пока нет" in russian.text
    assert "No data yet" in chosen.text


async def test_a_change_is_shown_with_both_values_and_its_time_window(account: PolledAccount, client: Client) -> None:
    await account.poll(record(79208547433 - 79_000_000_000, number="79208547433"), record(2))
    await account.poll(
        record(79208547433 - 79_000_000_000, number="79208547433", state="debt_lock", reason="нет денег"),
        record(2, comment="склад"),
    )

    text = text_of(await client.get("/?lang=en"))

    assert "+7\xa0920\xa0854-74-33".replace("\xa0", " ") in text
    assert "Active → Locked for debt нет денег" in text
    assert "comment empty → склад" in text
    assert re.search(r"happened between \d\d:\d\d:\d\d \+03:00 and \d\d:\d\d:\d\d \+03:00", text)
    assert "Everything is up to date" in text


async def test_a_problem_is_shown_with_what_to_do_about_it(account: PolledAccount, client: Client) -> None:
    await account.poll(*(record(number) for number in range(1, 11)))
    await account.poll(record(1), record(2, number=None))
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()

    page = await client.get("/?lang=en")
    text = text_of(page)

    assert "Something needs attention" in text
    assert "default failing" in text
    assert "answered 401" in text
    assert "removal held: 8. If they are really gone, run: syncer sync --account default --accept-removals" in text
    assert "record 2" in text
    assert "token" in text  # the error message mentions it
    assert "Authorization" not in text


async def test_the_field_of_a_rejected_record_is_named_in_the_language_of_the_page(
    account: PolledAccount, client: Client
) -> None:
    await account.poll(record(1), record(2, number=None), record(3, state=7), "no record")

    russian = text_of(await client.get("/?lang=ru"))

    assert "Недопустимое значение поля: номер Expected `str`, got `null` - at `$.number`" in russian
    assert "Недопустимое значение поля: состояние Expected `str`, got `int` - at `$.state`" in russian
    assert russian.count("Недопустимое значение поля") == 2


async def test_an_overdue_account_is_late_and_a_retired_one_is_not_polled(
    account: PolledAccount, client: Client, sql: asyncpg.Connection, database: str
) -> None:
    await account.poll(record(1))
    await sql.execute("insert into syncer.account_schedule values (1, now() - interval '10 minutes')")

    late = text_of(await client.get("/?lang=en"))
    async with listening(database, configured=["another"]) as other:
        retired = text_of(await other.get("/?lang=en"))

    assert "default late" in late
    assert "and has not started" in late
    assert "default not polled" in retired
    assert "Something needs attention" not in retired


async def test_thousands_of_accounts_are_paginated_with_those_that_need_attention_first(
    account: PolledAccount, client: Client, sql: asyncpg.Connection
) -> None:
    await account.poll(record(1), record(2))
    await account.poll(record(1))  # number 2 is missing: its removal is held
    await sql.execute(
        "with registered as (insert into syncer.account (name, time_zone, created_at)"
        " select 'account ' || lpad(i::text, 4, '0'), 'Europe/Moscow', now() from generate_series(1, 3000) i"
        " returning account_id) insert into syncer.account_fence (account_id) select account_id from registered"
    )

    first = text_of(await client.get("/?lang=en"))
    last = text_of(await client.get("/?lang=en&page=999999"))

    assert "Page 1 of 151" in first
    assert first.index("default") < first.index("account 0001") < first.index("account 0019")
    assert "account 0020" not in first
    assert "Page 151 of 151" in last
    assert "account 3000" in last


async def test_the_page_can_show_one_account(account: PolledAccount, client: Client) -> None:
    await account.poll(record(1))

    alone, unknown = await client.get("/?account=default"), await client.get(f"/?account={quote('нет <b>')}&lang=en")

    assert alone.status == 200
    assert unknown.status == 404
    assert "There is no account with this name" in unknown.text


async def test_unknown_accounts_are_404_without_a_query_and_retired_ones_are_shown(
    account: PolledAccount, sql: asyncpg.Connection, database: str
) -> None:
    await account.poll(record(1))
    async with listening(database, configured=["another"]) as client:
        retired = await client.get("/?account=default&lang=en")
        first = await client.get("/?account=nobody&lang=en")
        await sql.execute("alter schema syncer rename to elsewhere")
        names = [*(f"nobody{number}" for number in range(20)), "%00", "%ff", "%0a", "a%E2%80%AEb"]
        unknown = [await client.get(f"/?account={name}&lang=en") for name in names]
        configured = await client.get("/?account=another&lang=en")

    assert (retired.status, first.status) == (200, 404)
    assert "default not polled" in text_of(retired)
    assert {reply.status for reply in unknown} == {404}
    assert all("There is no account with this name" in reply.text for reply in unknown)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in unknown[-1].text
    assert (configured.status, "The database cannot be read" in configured.text) == (503, True)


async def test_an_account_that_the_list_shows_can_be_opened_though_it_is_new(
    account: PolledAccount, client: Client, sql: asyncpg.Connection
) -> None:
    await account.poll(record(1))
    assert (await client.get("/?account=new")).status == 404  # the names are remembered now
    await sql.execute(
        "with registered as (insert into syncer.account (name, time_zone, created_at) values ('new', 'UTC', now())"
        " returning account_id) insert into syncer.account_fence (account_id) select account_id from registered"
    )
    await client.get("/?days=7")

    assert (await client.get("/?account=new")).status == 200


async def test_invalid_query_parameters_are_ignored(client: Client) -> None:
    for page in ("page=0", "page=-1", "page=x", "page=99999999999999999999", "page=٣"):
        assert (await client.get(f"/?{page}")).status == 200
    for other in ("days=5", "days=", "lang=xx", "account="):
        assert (await client.get(f"/?{other}")).status == 200


async def test_the_reason_of_a_failure_has_a_title_in_the_language_of_the_page(
    account: PolledAccount, client: Client
) -> None:
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()

    english, russian = [text_of(await client.get(f"/?lang={language}")) for language in ("en", "ru")]

    assert english.count("The token is not valid 127.0.0.1:") == 2  # at the account and at the poll
    assert russian.count("Неверный токен 127.0.0.1:") == 2
    assert "answered 401" in russian


async def test_every_kind_of_error_has_the_title_that_the_views_give_it(sql: asyncpg.Connection) -> None:
    kinds = [name(cells[0]) for cells in table("`error_kind`")]
    titles = await sql.fetch("select kind, syncer.error_kind_title(kind) as title from unnest($1::text[]) kind", kinds)

    shown = {text: tuple(title) for text, title in TEXTS.items() if text.startswith("error_")}
    assert shown == {f"error_{row['kind']}": tuple(row["title"]) for row in titles}


# The pages of numbers


async def test_a_search_goes_to_the_page_of_the_only_number_and_lists_several(
    account: PolledAccount, client: Client
) -> None:
    await account.poll(record(1, number="79208547433"), record(2, number="89261112233"), record(3, number="9261112233"))

    one = await client.get("/number?number=8%20(920)%20854-74-33&lang=en")
    several = await client.get("/number?number=%2B79261112233&lang=en")

    assert (one.status, "+7\xa0920\xa0854-74-33" in one.text) == (200, True)
    assert re.findall(r'class="number" href="(/number[^"]*)"', several.text) == [
        "/number?lang=en&amp;account=default&amp;id=2",
        "/number?lang=en&amp;account=default&amp;id=3",
    ]


async def test_a_number_is_found_by_the_number_that_it_had(account: PolledAccount, client: Client) -> None:
    await account.poll(record(1, number="79208547433"))
    await account.poll(record(1, number="79261112233"))

    page = await client.get("/number?number=89208547433&lang=en")

    assert page.status == 200
    assert "Phone numbers it had +7\xa0926\xa0111-22-33 from".replace("\xa0", " ") in text_of(page)


async def test_what_is_not_found_or_wrong_on_the_pages_of_numbers_is_one_sentence(
    account: PolledAccount, client: Client
) -> None:
    await account.poll(record(1))
    expected = {
        "/number?number=reception": (404, "No number has an employee or a comment with reception."),
        "/number?number=": (400, "This is neither a phone number, such as +7 926 123-45-67, nor words."),
        f"/number?number={'a' * 101}": (400, "This is neither a phone number, such as +7 926 123-45-67, nor words."),
        f"/number?number={'1' * 101}": (400, "This is neither a phone number, such as +7 926 123-45-67, nor words."),
        "/number?number=79999999999": (404, "No number has 79999999999 or ever had it. Check its digits."),
        "/number?number=1%00%ff": (
            404,
            "No number has 1\\u0000\N{REPLACEMENT CHARACTER} or ever had it. Check its digits.",
        ),
        "/number?number=1&id=1": (400, "The address of this page is wrong: number"),
        "/number?nonsense=1": (400, "The address of this page is wrong: nonsense"),
        "/number?account=default&id=x": (400, "The address of this page is wrong: id"),
        "/number?account=default": (400, "The address of this page is wrong: account"),
        "/number?account=default&id=2": (404, "This account has no number with this id"),
        "/number?account=nobody&id=1": (404, "There is no account with this name"),
        "/numbers?account=nobody": (404, "There is no account with this name"),
        "/numbers?state=nonsense": (404, "There is no nonsense"),
        "/numbers?region=Atlantis": (404, "There is no Atlantis"),
        "/numbers?page=0": (400, "The address of this page is wrong: page=0"),
        "/numbers?order=x": (400, "The address of this page is wrong: order=x"),
        "/numbers?type=def&type=abc": (400, "The address of this page is wrong: type"),
        "/numbers?number=1": (400, "The address of this page is wrong: number"),
    }

    for path, (status, sentence) in expected.items():
        page = await client.get(f"{path}&lang=en")
        assert (page.status, sentence in text_of(page)) == (status, True), path


async def test_the_numbers_are_listed_by_state_region_and_type_a_page_at_a_time(
    account: PolledAccount, client: Client
) -> None:
    regions = ("Москва", "Тверь")
    await account.poll(
        *(
            record(
                key,
                state="freeze" if key % 10 == 0 else "active",
                region_name=regions[key % 2],
                type="abc" if key % 3 else "def",
            )
            for key in range(1, 121)
        )
    )

    async def listed(query: str) -> tuple[str, int]:
        page = await client.get(f"/numbers?{query}&lang=en")
        count = re.search(r"Numbers: (\d+)", text_of(page))
        assert count is not None
        return count[1], page.text.count('<a class="number"')

    assert await listed("account=default") == ("120", 50)
    assert await listed("account=default&page=3") == ("120", 20)
    assert await listed("account=default&page=99") == ("120", 20)
    assert await listed("state=freeze") == ("12", 12)
    assert await listed("state=freeze&state=active&type=def") == ("40", 40)
    assert await listed(f"region={quote('Тверь')}&state=active") == ("60", 50)
    assert await listed(f"region={quote('Тверь')}&state=freeze") == ("0", 0)
    assert await listed("state=debt_lock&state=freeze&order=since") == ("12", 12)


async def test_the_list_of_locked_numbers_begins_with_the_longest_lock(account: PolledAccount, client: Client) -> None:
    await account.poll(record(1), record(2, state="debt_lock"), record(3, state="freeze"))
    await account.poll(record(1, state="debt_lock"), record(2, state="debt_lock"), record(3, state="freeze"))

    page = await client.get("/numbers?state=debt_lock&state=freeze&order=since&lang=en")

    assert re.findall(r"id=(\d+)", page.text) == ["2", "3", "1"]
    assert "<h1" in page.text
    assert "Locked or frozen" in text_of(page)


async def test_the_numbers_of_a_retired_account_are_listed_only_with_its_name(
    account: PolledAccount, client: Client, sql: asyncpg.Connection
) -> None:
    await account.poll(record(1))
    await sql.execute("update syncer.account set retired_at = now()")

    everything, named = await client.get("/numbers?lang=en"), await client.get("/numbers?account=default&lang=en")

    assert "No number matches." in text_of(everything)
    assert "Numbers: 1" in text_of(named)


async def test_no_phone_number_that_is_searched_for_reaches_the_log(
    account: PolledAccount,
    client: Client,
    sql: asyncpg.Connection,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await account.poll(record(1, number="79208547433"))
    capsys.readouterr()

    for query in ("number=79208547433", "number=79208547499", "account=default&id=1"):
        await client.get(f"/number?{query}")
    await sql.execute("alter schema syncer rename to elsewhere")
    failed = await client.get("/number?number=79208547411")

    assert failed.status == 503
    output = capsys.readouterr()
    assert "792085474" not in output.out + output.err + caplog.text


async def test_searches_wait_in_the_same_queue_as_the_page(
    account: PolledAccount, sql: asyncpg.Connection, client: Client
) -> None:
    await account.poll(record(1))
    async with sql.transaction():
        await sql.execute("lock table syncer.account in access exclusive mode")
        replies = [
            asyncio.create_task(client.get(f"/number?lang=en&number=7926000{number:04}")) for number in range(1, 16)
        ]
        done, _ = await asyncio.wait(replies, timeout=3, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        await wait_until(lambda: blocked_queries(sql))
        running = await blocked_queries(sql)
    for task in replies:
        task.cancel()

    assert running == 1
    assert refused.status == 503
    assert "database: busy with other requests for this page; try again in a few seconds" in text_of(refused)


async def test_without_the_database_the_page_says_so_and_shows_the_last_known_data(
    account: PolledAccount, sql: asyncpg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.web.query_cache._MIN_CACHE_SECONDS", 0.0)
    monkeypatch.setattr("syncer.web.query_cache._CACHE_TIME_FACTOR", 0.0)
    await account.poll(record(1))
    async with listening(database) as client:
        before = await client.get("/?lang=en")
        await sql.execute("alter schema syncer rename to elsewhere")
        gone = await client.get("/?lang=en")
        other_view = await client.get("/?lang=en&days=7")
        await sql.execute("alter schema elsewhere rename to syncer")
        after = await client.get("/?lang=en")

    assert (before.status, gone.status, other_view.status, after.status) == (200, 503, 503, 200)
    assert "The database cannot be read" in gone.text
    assert "The data below are as of" in gone.text
    assert "+7" in gone.text
    assert "There is nothing to show" in other_view.text
    assert "The database cannot be read" not in after.text


async def test_a_blocked_statement_of_the_page_times_out(
    account: PolledAccount, sql: asyncpg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.web.query_cache.STATEMENT_TIMEOUT_SECONDS", 1)
    await account.poll(record(1))
    async with listening(database) as client, sql.transaction():
        await sql.execute("lock table syncer.state_history in access exclusive mode")
        page = await client.get("/?lang=en")

    assert page.status == 200  # the accounts are shown nevertheless
    assert "This query took too long." in page.text
    assert "default" in text_of(page)


# Requests that wait


async def blocked_queries(sql: asyncpg.Connection) -> int:
    """Returns how many queries wait for a lock."""
    waiting: int = await sql.fetchval(
        "select count(*) from pg_locks join pg_database on oid = database"
        " where datname = current_database() and not granted"
    )
    return waiting


async def test_a_query_ends_when_the_last_client_that_waits_for_it_leaves(
    account: PolledAccount, sql: asyncpg.Connection, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await account.poll(record(1))
    async with sql.transaction():
        await sql.execute("lock table syncer.account in access exclusive mode")
        first, second = (asyncio.create_task(client.get("/")) for _ in range(2))
        await wait_until(lambda: blocked_queries(sql))
        first.cancel()
        await asyncio.wait({first})
        assert (await client.get("/livez")).status == 200
        assert await blocked_queries(sql) == 1
        second.cancel()
        async with asyncio.timeout(4):  # the statement timeout is 5 s
            await wait_until(lambda: no_query_is_blocked(sql))
    page = await client.get("/")

    assert (page.status, "default" in page.text) == (200, True)
    assert caplog.records == []


async def no_query_is_blocked(sql: asyncpg.Connection) -> bool:
    return await blocked_queries(sql) == 0


async def test_clients_that_leave_do_not_leave_queries_in_the_queue(
    account: PolledAccount, sql: asyncpg.Connection, client: Client
) -> None:
    await account.poll(record(1))
    async with sql.transaction():
        await sql.execute("lock table syncer.account in access exclusive mode")
        for batch in range(0, 40, 8):
            waiting = [asyncio.create_task(client.get(f"/?page={batch + number}")) for number in range(1, 9)]
            await wait_until(lambda: blocked_queries(sql))
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            await wait_until(lambda: no_query_is_blocked(sql))
    page = await client.get("/?lang=en")

    assert (page.status, "Everything is up to date" in page.text) == (200, True)


async def test_more_requests_than_may_wait_are_refused_at_once(
    account: PolledAccount, sql: asyncpg.Connection, client: Client
) -> None:
    await account.poll(record(1))
    async with sql.transaction():
        await sql.execute("lock table syncer.account in access exclusive mode")
        replies = [asyncio.create_task(client.get(f"/?lang=en&page={number}")) for number in range(1, 16)]
        done, _ = await asyncio.wait(replies, timeout=3, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        live = await client.get("/livez")
    for task in replies:
        task.cancel()

    assert refused.status == 503
    assert "database: busy with other requests for this page; try again in a few seconds" in text_of(refused)
    assert live.status == 200


async def test_livez_is_answered_while_no_other_request_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "MAX_OPEN_REQUESTS", 3)
    async with SilentServer() as silent, listening(silent.url) as client:
        waiting = [asyncio.create_task(client.get("/readyz")) for _ in range(3)]
        await silent.connected.wait()
        refused = [await client.get(path) for path in ("/readyz", "/metrics", "/")]
        live = await client.get("/livez")
        waited = await asyncio.gather(*waiting)

    assert {reply.status_and_text for reply in refused} == {
        (503, "Too many requests are waiting: try again in a few seconds.\n")
    }
    assert {reply.headers["Retry-After"] for reply in refused} == {"5"}
    assert live.status_and_text == (200, "live\n")
    assert {reply.text[:20] for reply in waited} == {"not ready: database:"}
