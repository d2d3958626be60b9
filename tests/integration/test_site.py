"""What the daemon says over HTTP, asked as probes, Prometheus and browsers ask it."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from syncer.config.fields import ListenAddress
from syncer.config.settings import Settings
from syncer.emulator import faults
from syncer.errors import ConfigurationError
from syncer.web import site as site_module
from syncer.web.site import Site
from tests.builders import record
from tests.silence import SilentServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    import asyncpg

    from tests.builders import PolledAccount

LOOPBACK = ListenAddress("127.0.0.1", 0)
EVERYWHERE = ListenAddress("0.0.0.0", 0)  # noqa: S104 - that is the case in question


class Asked:
    """What came of a request."""

    def __init__(self, answer: aiohttp.ClientResponse, text: str) -> None:
        self.status, self.headers, self.text = answer.status, answer.headers, text

    @property
    def told(self) -> tuple[int, str]:
        return self.status, self.text


class Client:
    """A site that listens, and whoever asks it."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.port = site.url.rpartition(":")[2]

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Asked:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.request(method, url, headers=named) as answer:
            return Asked(answer, await answer.text())


@asynccontextmanager
async def listening(
    database: str,
    *,
    address: ListenAddress = LOOPBACK,
    page: str = "auto",
    registry: CollectorRegistry | None = None,
    is_live: Callable[[], bool] = lambda: True,
    configured: Collection[str] = ("default",),
) -> AsyncIterator[Client]:
    settings = Settings.model_construct(http_page=page)
    site = Site(
        settings,
        address,
        lambda: database,
        registry or CollectorRegistry(),
        is_live=is_live,
        configured=lambda: configured,
    )
    async with site, aiohttp.ClientSession() as session:
        yield Client(site, session)


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    async with listening(database) as made:
        yield made


# Probes


async def test_it_is_live_as_long_as_due_accounts_are_being_looked_for(database: str) -> None:
    looked_for = True
    async with listening(database, is_live=lambda: looked_for) as client:
        assert (await client.ask("/livez")).told == (200, "live\n")
        looked_for = False
        assert (await client.ask("/livez")).told == (503, "not live: nobody looks for due accounts any more\n")


async def test_it_is_ready_with_the_schema_it_wants_and_says_what_to_do_with_any_other(
    client: Client, sql: asyncpg.Connection
) -> None:
    assert (await client.ask("/readyz")).told == (200, "ready\n")

    await sql.execute("update syncer.alembic_version set version_num = '9999'")
    newer = await client.ask("/readyz")
    await sql.execute("drop schema syncer, analytics cascade")
    none = await client.ask("/readyz")

    assert newer.status == 503
    assert newer.text.startswith("not ready: the database's schema is 9999, which is newer")
    assert none.told == (503, "not ready: the database has no schema of syncer yet: run `syncer migrate`\n")


async def test_it_is_not_ready_without_a_database_and_tells_no_password() -> None:
    async with listening("postgresql://user:passw0rd@127.0.0.1:1/none") as client:
        answer = await client.ask("/readyz")

    assert answer.status == 503
    assert answer.text.startswith("not ready: database: ")
    assert answer.text.endswith("; check that the server is up and SYNCER_DATABASE_URL is right\n")
    assert "passw0rd" not in answer.text
    assert "user" not in answer.text


async def test_a_database_that_never_answers_keeps_nobody_waiting_and_is_asked_once_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(site_module, "READY_TIMEOUT_SECONDS", 0.2)
    async with SilentServer() as silent, listening(silent.url) as client:
        async with asyncio.timeout(5):  # by itself a connection is given up after 10 s
            answers = await asyncio.gather(*(client.ask("/readyz") for _ in range(10)))
        live = await client.ask("/livez")

    reason = "database: no answer within 0.2 s; check that the server and the network are up"
    assert {one.told for one in answers} == {(503, f"not ready: {reason}\n")}
    assert silent.connection_count == 1
    assert live.status == 200


# Metrics


async def test_metrics_are_in_the_format_that_is_asked_for(database: str) -> None:
    registry = CollectorRegistry()
    Counter("syncer_polls", "Polls.", registry=registry).inc()
    async with listening(database, registry=registry) as client:
        plain = await client.ask("/metrics")
        open_metrics = await client.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0")

    assert plain.status == 200
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert "syncer_polls_total 1.0\n" in plain.text
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


# Every answer


async def test_no_answer_is_kept_framed_sniffed_or_told_to_others(client: Client) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/", "/nothing"):
        headers = (await client.ask(path)).headers
        policy = headers["Content-Security-Policy"]

        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "syncer"
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script" not in policy  # none is allowed, then


async def test_what_is_not_there_or_cannot_be_done_is_told_in_one_line(client: Client) -> None:
    assert (await client.ask("/favicon.ico")).told == (404, "There are /livez, /readyz, /metrics and the page /.\n")
    for path in ("/livez", "/readyz", "/metrics", "/"):
        refused = await client.ask(path, "POST")
        assert refused.told == (405, "Only GET, HEAD are answered here.\n")
        assert refused.headers["Allow"] == "GET, HEAD"
        assert (await client.ask(path, "HEAD")).told == (200, "")


# Who may see the page


async def test_the_page_is_for_this_machine_unless_it_is_switched_on(database: str) -> None:
    async with listening(database, address=EVERYWHERE) as client:
        refused = await client.ask("/")
        assert (await client.ask("/livez")).status == 200
    async with listening(database, address=EVERYWHERE, page="on") as client:
        served = await client.ask("/", Host="pbx.example")
    async with listening(database, page="off") as client:
        off = await client.ask("/")

    assert refused.status == 404
    assert refused.text.endswith("set SYNCER_HTTP_PAGE=on to serve it here too.\n")
    assert (served.status, served.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert off.told == (404, "The page is switched off: SYNCER_HTTP_PAGE is off.\n")


async def test_the_page_answers_to_the_names_of_this_machine_and_to_no_other_that_a_browser_may_have_been_told(
    client: Client,
) -> None:
    for host in ("localhost", "LOCALHOST:81", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"):
        assert (await client.ask("/", Host=host)).status == 200
    for host in ("evil.example", "localhost.evil.example:8080", "10.0.0.1", "127.0.0.1.evil.example", "", "["):
        refused = await client.ask("/", Host=host)
        assert refused.status in {400, 421}  # aiohttp itself refuses what is no name at all
        assert "<html" not in refused.text
    assert (await client.ask("/livez", Host="10.0.0.1")).status == 200


async def test_an_address_that_is_taken_is_told_in_one_sentence(client: Client, database: str) -> None:
    taken = ListenAddress("127.0.0.1", int(client.port))

    with pytest.raises(ConfigurationError) as refused:
        async with listening(database, address=taken):
            pass

    assert str(refused.value) == (
        f"SYNCER_HTTP_LISTEN is 127.0.0.1:{client.port}, which cannot be listened at (Address already in use): "
        "set another address or port, or off"
    )


# What the page says


def text_of(page: Asked) -> str:
    """The words of a page, in a row."""
    body = page.text.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


async def test_before_the_first_poll_the_page_says_so(client: Client) -> None:
    page = await client.ask("/")

    assert page.status == 200
    assert "Nothing was recorded yet" in text_of(page)


async def test_the_language_is_the_browsers_unless_one_is_chosen(client: Client) -> None:
    russian = await client.ask("/", Accept_Language="de, ru-RU;q=0.8, en;q=0.7")
    chosen = await client.ask("/?lang=en", Accept_Language="ru")

    assert (russian.headers["Content-Language"], chosen.headers["Content-Language"]) == ("ru", "en")
    assert '<html lang="ru">' in russian.text
    assert russian.headers["Vary"] == "Accept-Language"
    assert "Пока ничего не записано" in russian.text
    assert "Nothing was recorded yet" in chosen.text


async def test_what_changed_is_told_with_both_values_and_the_window(account: PolledAccount, client: Client) -> None:
    await account.poll(record(79208547433 - 79_000_000_000, number="79208547433"), record(2))
    await account.poll(
        record(79208547433 - 79_000_000_000, number="79208547433", state="debt_lock", reason="нет денег"),
        record(2, comment="склад"),
    )

    told = text_of(await client.ask("/?lang=en"))

    assert "+7\xa0920\xa0854-74-33".replace("\xa0", " ") in told
    assert "Active → Locked for debt нет денег" in told
    assert "comment empty → склад" in told
    assert re.search(r"happened between \d\d:\d\d:\d\d \+03:00 and \d\d:\d\d:\d\d \+03:00", told)
    assert "Everything is up to date" in told


async def test_what_needs_a_person_comes_with_what_to_do(account: PolledAccount, client: Client) -> None:
    await account.poll(*(record(number) for number in range(1, 11)))
    await account.poll(record(1), record(2, number=None))
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()

    page = await client.ask("/?lang=en")
    told = text_of(page)

    assert "Something needs attention" in told
    assert "default failing" in told
    assert "answered 401" in told
    assert "removal held: 8. If they are really gone: syncer sync --account default --accept-removals" in told
    assert "record 2" in told
    assert "token" in told  # the reason speaks of it
    assert "Authorization" not in told


async def test_an_account_that_is_due_and_not_polled_is_late_and_one_not_configured_is_not_polled(
    account: PolledAccount, client: Client, sql: asyncpg.Connection, database: str
) -> None:
    await account.poll(record(1))
    await sql.execute("insert into syncer.account_schedule values (1, now() - interval '10 minutes')")

    late = text_of(await client.ask("/?lang=en"))
    async with listening(database, configured=["another"]) as other:
        left = text_of(await other.ask("/?lang=en"))

    assert "default late" in late
    assert "nobody polls it" in late
    assert "default not polled" in left
    assert "Something needs attention" not in left


async def test_thousands_of_accounts_come_in_pages_those_that_need_attention_first(
    account: PolledAccount, client: Client, sql: asyncpg.Connection
) -> None:
    await account.poll(record(1), record(2))
    await account.poll(record(1))  # holds a removal
    await sql.execute(
        "insert into syncer.account (name, time_zone, created_at)"
        " select 'account ' || lpad(i::text, 4, '0'), 'Europe/Moscow', now() from generate_series(1, 3000) i"
    )

    first = text_of(await client.ask("/?lang=en"))
    last = text_of(await client.ask("/?lang=en&page=999999"))

    assert "Page 1 of 151" in first
    assert first.index("default") < first.index("account 0001") < first.index("account 0019")
    assert "account 0020" not in first
    assert "Page 151 of 151" in last
    assert "account 3000" in last


async def test_one_account_can_be_looked_at_alone(account: PolledAccount, client: Client) -> None:
    await account.poll(record(1))

    alone, unknown = await client.ask("/?account=default"), await client.ask(f"/?account={quote('нет <b>')}&lang=en")

    assert alone.status == 200
    assert unknown.status == 404
    assert "There is no account of this name" in unknown.text


async def test_a_query_that_makes_no_sense_does_not_count(client: Client) -> None:
    for page in ("page=0", "page=-1", "page=x", "page=99999999999999999999", "page=٣"):
        assert (await client.ask(f"/?{page}")).status == 200
    for other in ("days=5", "days=", "lang=xx", "account=", "account=%00"):
        assert (await client.ask(f"/?{other}")).status == 200


async def test_when_the_database_is_gone_the_page_says_so_and_keeps_what_it_knew(
    account: PolledAccount, sql: asyncpg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.web.page._MIN_CACHE_SECONDS", 0.0)
    monkeypatch.setattr("syncer.web.page._KEPT_TIMES", 0.0)
    await account.poll(record(1))
    async with listening(database) as client:
        before = await client.ask("/?lang=en")
        await sql.execute("alter schema syncer rename to elsewhere")
        gone = await client.ask("/?lang=en")
        other_view = await client.ask("/?lang=en&days=7")
        await sql.execute("alter schema elsewhere rename to syncer")
        after = await client.ask("/?lang=en")

    assert (before.status, gone.status, other_view.status, after.status) == (200, 503, 503, 200)
    assert "The database cannot be read" in gone.text
    assert "What follows is as of" in gone.text
    assert "+7" in gone.text
    assert "there is nothing to show" in other_view.text
    assert "The database cannot be read" not in after.text


async def test_no_statement_of_the_page_may_take_long(
    account: PolledAccount, sql: asyncpg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.web.page._STATEMENT_TIMEOUT_SECONDS", 1)
    await account.poll(record(1))
    async with listening(database) as client, sql.transaction():
        await sql.execute("lock table syncer.state_history in access exclusive mode")
        page = await client.ask("/?lang=en")

    assert page.status == 200  # the accounts are told all the same
    assert "This took too long to ask." in page.text
    assert "default" in text_of(page)
