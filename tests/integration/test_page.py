"""The status page in a real browser: content, languages, colours, widths, and resistance to hostile data.

The records come from an attacker. All tests share one browser and one database, and change nothing in them.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from syncer.config.hosts import ListenAddress
from syncer.config.settings import Settings
from syncer.emulator import STATIC, Emulator, faults
from syncer.store.engine import Engine
from syncer.telemetry.metrics import Metrics
from syncer.web.http_server import HttpServer, Response
from syncer.web.site import Site
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from aiohttp import web
    from playwright.async_api import Browser, Page, ViewportSize

    from syncer.embedded import EmbeddedServer

    OpenPage = Callable[..., AbstractAsyncContextManager["OpenedPage"]]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH: apt-get install chromium"),
]

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = '<script>document.title = "owned"</script><img src="http://198.51.100.1/x.png" onerror="alert(1)">'
RIGHT_TO_LEFT = "\u202eالعربية <b>עברית</b>"
LONG = "Ж" * 190
OTHER_PAGES = [
    "/number?number=1",
    "/number?number=7920",
    "/number?" + urlencode({"account": "О'Генри & <b>Ко</b>", "id": 1}),
    "/number?account=head+office&id=8",
    "/number?number=Анна",
    "/number?number=<script>",
    "/numbers",
    "/numbers?state=debt_lock&state=freeze&order=since",
    f"/numbers?account={'n' * 100}",
    "/numbers?page=x",
]
BAD = OTHER_PAGES[-1]
ACCOUNTS = ["О'Генри & <b>Ко</b>", "expired token", "n" * 100, "head office"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: EmbeddedServer) -> AsyncIterator[Site]:
    """A site on a database with hostile records, failed polls and held removals."""
    name = f"page_{uuid.uuid4().hex[:12]}"
    url = f"{server.url.rpartition('/')[0]}/{name}"
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(server.url)
        stack.push_async_callback(owner.close)
        await owner.execute(f"create database {name} template migrated strategy file_copy")
        stack.push_async_callback(owner.execute, f"drop database {name} with (force)")
        engine = Engine(lambda: url)
        stack.push_async_callback(engine.dispose)
        sql = await asyncpg.connect(url)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=200, seed=1, rates=STATIC))

        async def account(index: int) -> PolledAccount:
            settings = settings_for(emulator, account_name=ACCOUNTS[index])
            return await stack.enter_async_context(PolledAccount(engine, emulator, sql, settings))

        await _fill(await account(0), await account(1), await account(2), await account(3))
        await sql.execute(
            "insert into syncer.account_schedule select account_id, now() + interval '4 minutes' from syncer.account"
        )
        settings = Settings.model_construct(http_page="auto")
        yield await stack.enter_async_context(
            Site(
                settings,
                ListenAddress("127.0.0.1", 0),
                lambda: url,
                Metrics(),
                is_live=lambda: True,
                configured=lambda: ACCOUNTS,
            )
        )


async def _fill(hostile: PolledAccount, expired: PolledAccount, many: PolledAccount, good: PolledAccount) -> None:
    await good.set_clock(START)
    records = [record(number) for number in range(1, 21)]
    await hostile.poll(*records)
    states = ["debt_lock", HOSTILE, RIGHT_TO_LEFT, LONG, "freeze"]
    await hostile.poll(
        *(
            one | {"state": states[index % 5], "comment": HOSTILE, "reason": RIGHT_TO_LEFT, "employee_id": 125}
            for index, one in enumerate(records)
        )
    )
    await hostile.poll(
        records[0]
        | {"number": HOSTILE, "from_redirect_numbers": [redirect(5, HOSTILE)], "sip_uri": f"javascript:{LONG}"},
        *records[1:4],
        {"id": 77, "number": HOSTILE, "state": None},
        {"id": HOSTILE, "comment": LONG * 9},
    )
    await expired.poll(record(1))
    expired.emulator.fault = faults.Status(status=401)
    await expired.poll_again()
    await many.poll(*(record(number, state=f"state {number}", number="8" * 20) for number in range(1, 12)))
    records = [record(number) for number in range(1, 8)]
    records[4:6] = [
        record(5, employee_id=125, group_id=9, scenario_id=540),
        record(6, employee_id=125, comment="Склад 100%"),
    ]
    await good.poll(*records, record(8, number="79208547433"))
    locked = record(8, number="79208547433", state="debt_lock")
    records[5] |= {"employee_id": 124}
    await good.poll_at(START + 12 * HOUR, *records[:6], record(7, state="freeze"), locked)
    await _insert_names(hostile, [("employees", 125, HOSTILE)])
    await _insert_names(
        good, [("employees", 125, "Орлова Анна"), ("employees", 124, "Анна Белова"), ("groups", 9, "Продажи")]
    )
    await good.sql.execute(
        "insert into syncer.name (account_id, list, object_id, scenario_type, target_list, target_id, first_seen_at,"
        " changed_at) select account_id, 'scenarios', 540, 'redirect_to_employee', 'employees', 124, $2, $2"
        "   from syncer.account where name = $1",
        *(good.account.name, START),
    )
    await _insert_notices(good)
    await good.set_clock(START + 24 * HOUR)


async def _insert_names(account: PolledAccount, names: list[tuple[str, int, str]]) -> None:
    await account.sql.executemany(
        "insert into syncer.name (account_id, list, object_id, name, position, first_seen_at, changed_at)"
        " select account_id, $2, $3, $4, case when $2 = 'employees' then 'Менеджер' end, $5, $5"
        "   from syncer.account where name = $1",
        [(account.account.name, *one, START) for one in names],
    )


async def _insert_notices(account: PolledAccount) -> None:
    """Inserts messages of each outcome; the names and errors of some are hostile, too."""
    both = [ACCOUNTS[1], ACCOUNTS[3]]
    for hours, accounts, rule, channel, events, outcome, error in (
        (1, ACCOUNTS[:1], HOSTILE[:60], LONG[:60], '{"locked": 4, "state": 12}', "expired", f"{HOSTILE} {LONG}"),
        (2, both, "conditions", "duty", '{"stale": 1}', "sent", None),
        (12, ACCOUNTS[3:], "locks", "duty", '{"locked": 1, "frozen": 1}', "sent", None),
        (13, ACCOUNTS[3:], "locks", "chief", '{"locked": 1, "frozen": 1}', "refused", "127.0.0.1:1 answered 410"),
        (14, ACCOUNTS[3:], "monday", "duty", "{}", "sent", None),
        (23, ACCOUNTS[:1], "locks", RIGHT_TO_LEFT, '{"removed": 16}', "waiting", f"{RIGHT_TO_LEFT} {HOSTILE}"),
    ):
        at = START + hours * HOUR
        ids = await account.rows("select account_id from syncer.account where name = any($1)", accounts)
        keys = [(id_, rule, channel) for (id_,) in ids]
        await account.sql.executemany(
            "insert into syncer.notice_cursor (account_id, rule, channel, planned_at) values ($1, $2, $3, now())"
            " on conflict do nothing",
            keys,
        )
        message_id, finished_at = uuid.uuid4(), None if outcome == "waiting" else at + timedelta(seconds=1.4)
        polls_since = at - 24 * HOUR if rule == "monday" else None
        await account.sql.executemany(
            "insert into syncer.notice (account_id, rule, channel, kind, events, outcome, made_at, due_at, finished_at,"
            "                           error, message_id, attempts, polls_since)"
            " values ($1, $2, $3, 'conditions', $4, $5, $6, $6, $7, $8, $9, 3, $10)",
            [(*key, events, outcome, at, finished_at, error, message_id, polls_since) for key in keys],
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The Chromium that is installed on this machine; none is downloaded."""
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


@dataclass
class OpenedPage:
    """An open page, with its console messages and its requests."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def text(self) -> str:
        """Returns the visible text, with single spaces."""
        return " ".join((await self.page.inner_text("body")).split())

    async def evaluate(self, script: str) -> Any:
        """Runs a script of the test and returns its result."""
        return await self.page.evaluate(script)


@pytest.fixture
def open_page(site: Site, browser: Browser) -> OpenPage:
    """Opens the page in a browser with the given preferences."""

    @asynccontextmanager
    async def open_in_browser(
        path: str = "/?refresh=off",
        *,
        locale: str = "en-GB",
        scheme: Any = "light",
        width: int = 1280,
        script: bool = True,
    ) -> AsyncIterator[OpenedPage]:
        viewport: ViewportSize = {"width": width, "height": 800}
        context = await browser.new_context(
            locale=locale, color_scheme=scheme, viewport=viewport, java_script_enabled=script
        )
        page = await context.new_page()
        opened = OpenedPage(page)
        page.on("console", lambda message: opened.console.append(message.text))
        page.on("pageerror", lambda error: opened.console.append(str(error)))
        page.on("dialog", lambda dialog: opened.console.append(dialog.message))
        page.on("request", lambda request: opened.requests.append(request.url))
        await page.goto(site.url + path)
        yield opened
        await context.close()

    return open_in_browser


async def test_hostile_values_are_shown_as_text_and_nothing_runs_or_loads(open_page: OpenPage, site: Site) -> None:
    async with open_page() as opened:
        text = await opened.text()
        title = await opened.page.title()
        foreign = "script, img, iframe, object, embed, link[rel=stylesheet], [style], [onerror]"
        elements = await opened.evaluate(f"[...document.querySelectorAll('{foreign}')].map(one => one.outerHTML)")
        styles = await opened.evaluate("document.querySelectorAll('b').length")

    assert HOSTILE in text
    assert "О'Генри & <b>Ко</b>" in text
    assert title == "syncer: virtual numbers"
    assert elements == []
    assert styles > 0
    assert opened.console == []
    assert opened.requests == [f"{site.url}/?refresh=off"]


@pytest.mark.parametrize("path", OTHER_PAGES)
async def test_hostile_values_on_the_other_pages_are_shown_as_text_and_nothing_runs_or_loads(
    open_page: OpenPage, site: Site, path: str
) -> None:
    async with open_page(path) as opened:
        foreign = "script, img, iframe, object, embed, link[rel=stylesheet], [style], [onerror]"
        elements = await opened.evaluate(f"[...document.querySelectorAll('{foreign}')].map(one => one.outerHTML)")
        hosts = {request[: len(site.url)] for request in opened.requests}

    assert elements == []
    assert [line for line in opened.console if "status of 40" not in line] == []
    assert hosts == {site.url}


async def test_a_number_is_found_by_any_spelling_with_the_keyboard_and_without_javascript(open_page: OpenPage) -> None:
    async with open_page("/?refresh=off", script=False) as opened:
        await opened.page.click("text=Find a number")
        await opened.page.focus("#number")
        await opened.page.keyboard.type("８ (920) 854-74-33")
        await opened.page.keyboard.press("Enter")
        await opened.page.wait_for_selector(".strip")
        url, heading = opened.page.url, await opened.page.inner_text("h1")
        periods = await opened.page.locator(".periods > li").all_inner_texts()

    assert url.endswith("/number?account=head+office&id=8")
    assert heading == "+7\N{NO-BREAK SPACE}920\N{NO-BREAK SPACE}854-74-33"
    assert [" ".join(period.split()).partition(" now ")[0] for period in periods] == [
        "Locked for debt from 03:00:00 +03:00 or up to 12 h earlier until",
        "Active from 1 Mar, 15:00:00 +03:00 or before the first poll until 03:00:00 +03:00 12 h",
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("анна", ["+7 900 000-00-06", "+7 900 000-00-05"]),
        ("100% склад", "/number?account=head+office&id=6"),
        ("Орлова", "/number?account=head+office&id=5"),
        ("Белова А", "/number?account=head+office&id=6"),
        ("бел_ва", "No number has an employee or a comment with бел_ва."),
        ("7 анна", "No number has an employee or a comment with 7 анна."),
        ("Анна \\", "No number has an employee or a comment with Анна \\."),
        ("+-", "This is neither a phone number, such as +7 926 123-45-67, nor words."),
        ("7926", "No number has 7926 or ever had it. Check its digits."),
    ],
)
async def test_numbers_are_found_by_words_of_an_employee_or_a_comment(
    open_page: OpenPage, words: str, found: str | list[str]
) -> None:
    async with open_page("/number?" + urlencode({"number": words}), script=False) as opened:
        url = opened.page.url
        alert = opened.page.locator("[role=alert]")
        numbers = await opened.page.locator(".found .number").all_inner_texts()
        shown = await alert.inner_text() if await alert.count() else ""

    if isinstance(found, list):
        assert [number.replace("\N{NO-BREAK SPACE}", " ") for number in numbers] == found
    else:
        assert found in {url[url.index("/number") :], shown}


async def test_an_employee_and_a_group_have_their_names_beside_the_ids(open_page: OpenPage) -> None:
    async with open_page("/number?account=head+office&id=5&lang=ru") as opened:
        number = await opened.text()
    async with open_page("/number?account=head+office&id=6") as opened:
        changed = await opened.text()
    async with open_page("/numbers?account=head+office") as opened:
        listed = await opened.text()
    async with open_page("/number?number=анна") as opened:
        found = await opened.text()
    async with open_page("/?refresh=off&account=head+office") as opened:
        recent = await opened.text()

    assert "Сотрудник Орлова Анна (125) Менеджер Группа Продажи (9)" in number
    assert "Сценарий На сотрудника Анна Белова (124)" in number
    assert "Employee Анна Белова (124) Менеджер" in changed
    assert "employee Орлова Анна (125) → Анна Белова (124)" in changed
    assert "employee Анна Белова (124) Склад 100%" in listed
    assert "анна in the employee or the comment +7 900 000-00-06" in found.replace(":", "")
    assert "head office employee Орлова Анна (125)" in found
    assert "employee Орлова Анна (125) → Анна Белова (124)" in recent


async def test_the_strip_shows_the_states_to_scale(open_page: OpenPage) -> None:
    async with open_page("/number?account=head+office&id=8") as opened:
        stretches = await opened.evaluate(
            "[...document.querySelectorAll('.strip rect')].map(one => [one.className.baseVal, one.x.baseVal.value, "
            "one.width.baseVal.value])"
        )
        label = await opened.page.get_attribute(".strip", "aria-label")

    assert stretches == [["s-active", 0, 600], ["s-debt_lock", 600, 600]]
    assert label == ("States from 1 Mar, 15:00:00 +03:00 to 2 Mar, 15:00:00 +03:00; the periods are listed below.")


async def test_the_filters_work_without_javascript(open_page: OpenPage) -> None:
    async with open_page("/numbers?account=head+office&lang=en", script=False) as opened:
        everything = await opened.page.locator(".listed > li").count()
        await opened.page.check("label:has-text('Frozen')")
        await opened.page.select_option("#type", "def")
        await opened.page.click("button:has-text('Show')")
        await opened.page.wait_for_selector("text=Numbers: 1")
        url, numbers = opened.page.url, await opened.page.locator(".listed .number").all_inner_texts()

    assert everything == 8
    assert url.partition("?")[2] == "lang=en&account=head+office&state=freeze&region=&type=def&order=number"
    assert [number.replace("\N{NO-BREAK SPACE}", " ") for number in numbers] == ["+7 900 000-00-07"]


async def test_the_policy_blocks_an_injected_script(open_page: OpenPage) -> None:
    async with open_page() as opened:
        image = '<img src="data:image/png," onerror="document.title = 1">'
        await opened.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{image}')")
        await opened.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
        )
        title = await opened.page.title()

    assert title == "syncer: virtual numbers"
    assert len([line for line in opened.console if "Content Security Policy" in line]) == 2


# What a page of another web site tries; each promise is kept as the text that it got, or as the kind of its error.
ATTACKS = """
async base => Promise.all([
  fetch(base + "/metrics"),
  fetch(base + "/metrics", {mode: "no-cors"}),
  fetch(base + "/", {mode: "no-cors", credentials: "include"}),
  fetch(base + "/livez", {method: "POST", mode: "no-cors", body: "x"}),
].map(one => one.then(reply => reply.text(), error => error.name)))
"""


async def test_another_web_site_reads_nothing_through_the_browser_but_may_link_to_the_page(
    browser: Browser, site: Site
) -> None:
    async def other_site(_: web.BaseRequest) -> Response:
        content = f'<a href="{site.url}/?lang=en">link</a><iframe src="{site.url}/">'
        return Response(text=content, content_type="text/html", headers={"Content-Security-Policy": "frame-src *"})

    async with HttpServer(other_site, "127.0.0.1", 0) as other:
        page = await browser.new_page()
        answers: list[tuple[str, str, int]] = []
        page.on("response", lambda reply: answers.append((reply.request.method, reply.url, reply.status)))
        await page.goto(f"http://localhost:{other.port}/")
        stolen = await page.evaluate(ATTACKS, site.url)
        refused = [answer for answer in answers if answer[1].startswith(site.url)]
        await page.click("text=link")
        followed = await page.inner_text("body")
        await page.close()

    assert stolen == ["TypeError"] * 4  # blocked by the browser too, because the responses allow no other origin
    assert refused == [("GET", f"{site.url}/", 403)]  # that of the frame; the others are not shown to the test either
    assert "Something needs attention" in followed


async def test_a_web_site_whose_name_resolves_to_this_machine_gets_nothing(site: Site) -> None:
    port = site.url.rpartition(":")[2]
    async with async_playwright() as playwright:
        rebound = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
        )
        page = await rebound.new_page()
        answers = [await page.goto(f"http://evil.example:{port}{path}") for path in ("/", "/metrics", "/livez")]
        text = await page.inner_text("body")
        await rebound.close()

    assert [answer.status if answer else None for answer in answers] == [421, 421, 421]
    assert text.startswith("This host name is not answered, so that no web site can read this through your browser")


async def test_a_payload_can_be_expanded_without_javascript(open_page: OpenPage) -> None:
    async with open_page(script=False) as opened:
        was_visible = await opened.page.is_visible("pre")
        await opened.page.click("summary")
        payload = await opened.page.inner_text("pre")

    assert was_visible is False
    assert "onerror" in payload


async def test_the_headings_are_the_same_without_javascript(open_page: OpenPage) -> None:
    async with open_page(script=False) as without, open_page() as with_it:
        headings = [await opened.page.locator("h1, h2, h3").all_inner_texts() for opened in (without, with_it)]

    assert headings[0] == headings[1]
    assert headings[0][:3] == ["Something needs attention", "Accounts", "Numbers by state"]


async def test_the_page_uses_the_browsers_language_and_can_be_switched(open_page: OpenPage) -> None:
    async with open_page(locale="ru-RU") as opened:
        russian = await opened.evaluate("document.documentElement.lang"), await opened.text()
        await opened.page.click("text=In English")
        english = await opened.evaluate("document.documentElement.lang"), await opened.text()

    assert russian[0] == "ru"
    assert "Требуется внимание" in russian[1]
    assert "активен → блокировка за долг" in russian[1]
    assert english[0] == "en"
    assert "Something needs attention" in english[1]
    assert "Active → Locked for debt" in english[1]


async def test_the_health_of_each_account_is_shown_in_words(open_page: OpenPage) -> None:
    async with open_page() as opened:
        pills = await opened.page.locator(".who").all_inner_texts()
        commands = await opened.page.locator("code").all_inner_texts()
        numbers = await opened.page.locator(".number").all_inner_texts()

    assert [" ".join(pill.split()) for pill in pills] == [
        "expired token failing",
        "О'Генри & <b>Ко</b> up to date",
        "head office up to date",
        f"{'n' * 100} up to date",
    ]
    assert commands == ["syncer sync --account 'О'\"'\"'Генри & <b>Ко</b>' --accept-removals"]
    assert "+7\N{NO-BREAK SPACE}920\N{NO-BREAK SPACE}854-74-33" in numbers


async def test_the_chart_agrees_with_its_legend(open_page: OpenPage) -> None:
    async with open_page("/?refresh=off&account=head+office") as opened:
        legend = await opened.page.locator(".legend tr").all_inner_texts()
        areas = await opened.evaluate(
            "[...document.querySelectorAll('.low .area path:not(.grid)')]"
            ".map(one => [one.className.baseVal, one.getAttribute('d')])"
        )
        axis = await opened.page.locator(".low .axis span").all_inner_texts()
        ticks = await opened.page.locator(".ticks span").all_inner_texts()

    assert legend[0].split("\t") == ["State", "Now", "Change since 15:12"]
    assert [row.split() for row in legend[1:]] == [
        ["Active", "6", "−2"],
        ["Locked", "for", "debt", "1", "+1"],
        ["Frozen", "1", "+1"],
    ]
    # A day is 1200 units wide, and 8 numbers are 240 units high. Eight are active in the first half of the day; in the
    # second half six are active, one is locked and one is frozen.
    assert axis == ["8", "4", "0"]
    assert ticks == ["15:00", "21:00", "03:00", "09:00", "15:00"]
    assert areas == [
        ["s-active", "M0,0L600,0L600,60L1200,60L1200,240L0,240Z"],
        ["s-debt_lock", "M0,0L600,0L600,30L1200,30L1200,60L600,60L600,0L0,0Z"],
        ["s-freeze", "M0,0L1200,0L1200,30L600,30L600,0L0,0Z"],
    ]


@pytest.mark.parametrize("path", ["/?refresh=off", *OTHER_PAGES])
@pytest.mark.parametrize(("locale", "width"), [("en-GB", 1280), ("ru-RU", 800), ("ru-RU", 360), ("en-GB", 360)])
async def test_no_element_is_wider_than_the_screen(open_page: OpenPage, locale: str, width: int, path: str) -> None:
    async with open_page(path, locale=locale, width=width) as opened:
        await opened.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        page_width = await opened.evaluate("document.documentElement.scrollWidth")
        overflowing = await opened.evaluate(
            "[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
            ".map(one => one.outerHTML.slice(0, 100))"
        )

    assert page_width <= width
    assert overflowing == []


# Returns how many words the <time> elements have, and those of them that wrap onto a second line.
WRAPPED_WORDS = r"""
() => {
  const words = [...document.querySelectorAll('time')].flatMap(time => {
    const walker = document.createTreeWalker(time, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node; node = walker.nextNode();) {
      for (const word of node.data.matchAll(/\S+/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        found.push([word[0], range.getClientRects().length]);
      }
    }
    return found;
  });
  return [words.length, words.filter(word => word[1] > 1)];
}
"""


@pytest.mark.parametrize(
    ("path", "least"),
    [("/?refresh=off", 50), ("/number?account=head+office&id=8", 15), ("/numbers?account=head+office", 20)],
)
@pytest.mark.parametrize(("locale", "width"), [("ru-RU", 390), ("en-GB", 320)])
async def test_no_time_wraps_in_the_middle_of_a_word(
    open_page: OpenPage, locale: str, width: int, path: str, least: int
) -> None:
    async with open_page(path, locale=locale, width=width) as opened:
        words, wrapped = await opened.evaluate(WRAPPED_WORDS)

    assert words > least
    assert wrapped == []


# The contrast of every visible text with the nearest painted background behind it (WCAG 2.2, 1.4.3).
LOW_CONTRAST = """
() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgba => rgba.slice(0, 3).map(c => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = one => {
    for (; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const one = node.parentElement;
    if (!node.data.trim() || one.closest('svg') || !one.checkVisibility()) continue;
    looked += 1;
    const [a, b] = [light(channels(getComputedStyle(one).color)), light(ground(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${one.className} ${node.data.slice(0, 40)}`);
  }
  return [looked, faint];
}
"""


@pytest.mark.parametrize(("path", "least"), [("/?refresh=off", 200), *((path, 8) for path in OTHER_PAGES)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(open_page: OpenPage, scheme: str, path: str, least: int) -> None:
    async with open_page(path, scheme=scheme) as opened:
        background = await opened.evaluate("getComputedStyle(document.body).backgroundColor")
        checked, low_contrast = await opened.evaluate(LOW_CONTRAST)

    assert checked > least
    assert low_contrast == []
    assert (max(int(channel) for channel in background[4:-1].split(",")) < 60) == (scheme == "dark")


@pytest.mark.parametrize("path", ["/?refresh=off", *OTHER_PAGES])
async def test_the_page_is_accessible_to_screen_readers(open_page: OpenPage, path: str) -> None:
    async with open_page(path) as opened:
        await opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        levels = await opened.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.tagName[1])")
        header_scopes = await opened.evaluate("[...document.querySelectorAll('th')].map(one => one.scope)")
        tables = await opened.evaluate("[...document.querySelectorAll('table')].map(one => one.tHead.rows.length)")
        unlabelled_images = await opened.evaluate(
            "[...document.querySelectorAll('svg')].filter(one => !(one.ariaHidden === 'true' || one.ariaLabel)).length"
        )
        unnamed_links = await opened.evaluate(
            "[...document.querySelectorAll('a, summary')].filter(one => !one.innerText.trim()).length"
        )
        ids = await opened.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
        labels = await opened.evaluate(
            "[...document.querySelectorAll('[aria-labelledby]')].map(one => one.getAttribute('aria-labelledby'))"
        )
        unlabelled_fields = await opened.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select')]"
            ".filter(one => !one.labels.length).length"
        )
        titles = await opened.page.title()
        landmarks = await opened.evaluate("[...document.querySelectorAll('header, main')].map(one => one.localName)")

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert set(header_scopes) <= {"col", "row"}
    assert set(tables) <= {1}
    assert bool(tables) == (path in {"/?refresh=off", *(one for one in OTHER_PAGES if "/numbers" in one)} - {BAD})
    assert (unlabelled_images, unnamed_links, unlabelled_fields) == (0, 0, 0)
    assert "syncer" in titles
    assert len(ids) == len(set(ids))
    assert set(labels) <= set(ids)
    assert landmarks == ["header", "main"]


async def test_the_page_refreshes_until_that_is_switched_off(open_page: OpenPage) -> None:
    async with open_page("/?lang=en") as opened:
        refresh = await opened.page.get_attribute("meta[http-equiv=refresh]", "content")
        await opened.page.click("text=stop")
        stopped = await opened.page.locator("meta[http-equiv=refresh]").count(), opened.page.url
        await opened.page.click("text=resume")
        resumed = await opened.page.locator("meta[http-equiv=refresh]").count()

    assert refresh == "60"
    assert stopped == (0, opened.requests[0].replace("lang=en", "lang=en&refresh=off"))
    assert resumed == 1


async def test_the_newest_notices_and_what_waits_are_shown(open_page: OpenPage) -> None:
    section = "section[aria-labelledby=notices]"
    async with open_page("/?refresh=off", locale="ru-RU") as opened:
        rows = [" ".join(row.split()) for row in await opened.page.locator(f"{section} tbody tr").all_inner_texts()]
        note = " ".join((await opened.page.inner_text(f"{section} .note p")).split())
    async with open_page("/?refresh=off&account=head+office") as opened:
        of_one = [" ".join(row.split()) for row in await opened.page.locator(f"{section} tbody tr").all_inner_texts()]
    async with open_page(f"/?refresh=off&account={ACCOUNTS[2]}") as opened:
        none = await opened.page.inner_text(f"{section} .card")

    digest, refused, sent, conditions = rows[1:-1]
    assert digest == (
        "сводка: изменений не было head office · monday → duty отправлено попыток: 3 05:00:00 +03:00 1,40 с"
    )
    assert refused == (
        "заблокирован за долг 1 номер, заморожен 1 номер head office · locks → chief получатель отказался попыток: 3 "
        "127.0.0.1:1 answered 410 04:00:00 +03:00"
    )
    assert sent == (
        "заблокирован за долг 1 номер, заморожен 1 номер head office · locks → duty отправлено попыток: 3 "
        "03:00:00 +03:00 1,40 с"
    )
    assert conditions == (
        "не удаётся опросить 2 личных кабинета · conditions → duty отправлено попыток: 3 1 марта, 17:00:00 +03:00 "
        "1,40 с"
    )
    assert note == f"Канал {RIGHT_TO_LEFT}: сообщений, ожидающих отправки с 14:00:00 +03:00: 1."
    assert [row.partition("→")[0] for row in of_one] == [
        "digest: nothing has changed monday ",
        "1 number locked for debt, 1 number frozen locks ",
        "1 number locked for debt, 1 number frozen locks ",
        "no successful poll conditions ",
    ]
    assert none == "There is none about this account yet."
