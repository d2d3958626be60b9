"""The page for people in a real browser: what it shows, in which languages, colours and widths, and what it never does.

The records in it come from an adversary. One browser and one database serve all tests: none of them changes anything.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright
from prometheus_client import CollectorRegistry

from syncer.config.fields import ListenAddress
from syncer.config.settings import Settings
from syncer.emulator import STATIC, Emulator, faults
from syncer.store.engine import create_engine
from syncer.web.site import Site
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser, Page, ViewportSize

    from syncer.embedded import EmbeddedServer

    Open = Callable[..., AbstractAsyncContextManager["Seen"]]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH: apt-get install chromium"),
]

HOUR = timedelta(hours=1)
BEGINNING = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVIL = '<script>document.title = "owned"</script><img src="http://198.51.100.1/x.png" onerror="alert(1)">'
RIGHT_TO_LEFT = "\u202eالعربية <b>עברית</b>"
LONG = "Ж" * 190
ACCOUNTS = ["О'Генри & <b>Ко</b>", "expired token", "n" * 100, "head office"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: EmbeddedServer) -> AsyncIterator[Site]:
    """The page of a database in which everything has gone wrong that can."""
    name = f"page_{uuid.uuid4().hex[:12]}"
    url = f"{server.url.rpartition('/')[0]}/{name}"
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(server.url)
        stack.push_async_callback(owner.close)
        await owner.execute(f"create database {name} template migrated")
        stack.push_async_callback(owner.execute, f"drop database {name} with (force)")
        engine = create_engine(lambda: url)
        stack.push_async_callback(engine.dispose)
        sql = await asyncpg.connect(url)
        stack.push_async_callback(sql.close)
        emulator = await stack.enter_async_context(Emulator(numbers=200, seed=1, rates=STATIC))

        async def account(place: int) -> PolledAccount:
            settings = settings_for(emulator, account_name=ACCOUNTS[place])
            return await stack.enter_async_context(PolledAccount(engine, emulator, sql, settings))

        await _tell(await account(0), await account(1), await account(2), await account(3))
        await sql.execute(
            "insert into syncer.account_schedule select account_id, now() + interval '4 minutes' from syncer.account"
        )
        settings = Settings.model_construct(http_page="auto")
        yield await stack.enter_async_context(
            Site(
                settings,
                ListenAddress("127.0.0.1", 0),
                lambda: url,
                CollectorRegistry(),
                is_live=lambda: True,
                configured=lambda: ACCOUNTS,
            )
        )


async def _tell(evil: PolledAccount, expired: PolledAccount, many: PolledAccount, good: PolledAccount) -> None:
    await good.set_clock(BEGINNING)
    records = [record(number) for number in range(1, 21)]
    await evil.poll(*records)
    states = ["debt_lock", EVIL, RIGHT_TO_LEFT, LONG, "freeze"]
    await evil.poll(
        *(
            one | {"state": states[place % 5], "comment": EVIL, "reason": RIGHT_TO_LEFT}
            for place, one in enumerate(records)
        )
    )
    await evil.poll(
        records[0] | {"number": EVIL, "from_redirect_numbers": [redirect(5, EVIL)], "sip_uri": f"javascript:{LONG}"},
        *records[1:4],
        {"id": 77, "number": EVIL, "state": None},
        {"id": EVIL, "comment": LONG * 9},
    )
    await expired.poll(record(1))
    expired.emulator.fault = faults.Status(status=401)
    await expired.poll_again()
    await many.poll(*(record(number, state=f"state {number}", number="8" * 20) for number in range(1, 12)))
    everything = [record(number) for number in range(1, 8)]
    await good.poll(*everything, record(8, number="79208547433"))
    locked = record(8, number="79208547433", state="debt_lock")
    await good.poll_at(BEGINNING + 12 * HOUR, *everything[:6], record(7, state="freeze"), locked)
    await good.set_clock(BEGINNING + 24 * HOUR)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium as it is on this machine; none is ever downloaded."""
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


@dataclass
class Seen:
    """A page that was opened: what its console said, what it asked for, and what scripts found in it."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def text(self) -> str:
        """What a person reads, in a row."""
        return " ".join((await self.page.inner_text("body")).split())

    async def find(self, script: str) -> Any:
        """What a script of the test's own finds."""
        return await self.page.evaluate(script)


@pytest.fixture
def look(site: Site, browser: Browser) -> Open:
    """Opens the page as a browser of these preferences does."""

    @asynccontextmanager
    async def open_page(
        path: str = "/?refresh=off",
        *,
        locale: str = "en-GB",
        scheme: Any = "light",
        width: int = 1280,
        script: bool = True,
    ) -> AsyncIterator[Seen]:
        viewport: ViewportSize = {"width": width, "height": 800}
        context = await browser.new_context(
            locale=locale, color_scheme=scheme, viewport=viewport, java_script_enabled=script
        )
        page = await context.new_page()
        seen = Seen(page)
        page.on("console", lambda message: seen.console.append(message.text))
        page.on("pageerror", lambda error: seen.console.append(str(error)))
        page.on("dialog", lambda dialog: seen.console.append(dialog.message))
        page.on("request", lambda request: seen.requests.append(request.url))
        await page.goto(site.url + path)
        yield seen
        await context.close()

    return open_page


async def test_what_records_bring_is_text_nothing_runs_and_nothing_is_loaded(look: Open, site: Site) -> None:
    async with look() as seen:
        text = await seen.text()
        title = await seen.page.title()
        foreign = "script, img, iframe, object, embed, link[rel=stylesheet], [style], [onerror]"
        elements = await seen.find(f"[...document.querySelectorAll('{foreign}')].map(one => one.outerHTML)")
        styles = await seen.find("document.querySelectorAll('b').length")

    assert EVIL in text
    assert "О'Генри & <b>Ко</b>" in text
    assert title == "syncer: virtual numbers"
    assert elements == []
    assert styles > 0
    assert seen.console == []
    assert seen.requests == [f"{site.url}/?refresh=off"]


async def test_a_script_that_got_in_all_the_same_would_not_run(look: Open) -> None:
    async with look() as seen:
        image = '<img src="data:image/png," onerror="document.title = 1">'
        await seen.find(f"document.body.insertAdjacentHTML('beforeend', '{image}')")
        await seen.find(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
        )
        title = await seen.page.title()

    assert title == "syncer: virtual numbers"
    assert len([line for line in seen.console if "Content Security Policy" in line]) == 2


async def test_every_payload_can_be_opened_without_a_script(look: Open) -> None:
    async with look(script=False) as seen:
        closed = await seen.page.is_visible("pre")
        await seen.page.click("summary")
        opened = await seen.page.inner_text("pre")

    assert closed is False
    assert "onerror" in opened


async def test_it_reads_the_same_without_javascript(look: Open) -> None:
    async with look(script=False) as without, look() as with_it:
        headings = [await seen.page.locator("h1, h2, h3").all_inner_texts() for seen in (without, with_it)]

    assert headings[0] == headings[1]
    assert headings[0][:3] == ["Something needs attention", "Accounts", "Numbers by state"]


async def test_it_speaks_the_browsers_language_and_another_if_asked(look: Open) -> None:
    async with look(locale="ru-RU") as seen:
        russian = await seen.find("document.documentElement.lang"), await seen.text()
        await seen.page.click("text=In English")
        english = await seen.find("document.documentElement.lang"), await seen.text()

    assert russian[0] == "ru"
    assert "Кое-что требует внимания" in russian[1]
    assert "активен → блокировка за долг" in russian[1]
    assert english[0] == "en"
    assert "Something needs attention" in english[1]
    assert "Active → Locked for debt" in english[1]


async def test_the_state_of_each_account_stands_in_words(look: Open) -> None:
    async with look() as seen:
        pills = await seen.page.locator(".who").all_inner_texts()
        commands = await seen.page.locator("code").all_inner_texts()
        numbers = await seen.page.locator(".number").all_inner_texts()

    assert [" ".join(pill.split()) for pill in pills] == [
        "expired token failing",
        "О'Генри & <b>Ко</b> up to date",
        "head office up to date",
        f"{'n' * 100} up to date",
    ]
    assert commands == ["syncer sync --account 'О'\"'\"'Генри & <b>Ко</b>' --accept-removals"]
    assert "+7\N{NO-BREAK SPACE}920\N{NO-BREAK SPACE}854-74-33" in numbers


async def test_the_chart_shows_what_the_legend_counts(look: Open) -> None:
    async with look("/?refresh=off&account=head+office") as seen:
        legend = await seen.page.locator(".legend tr").all_inner_texts()
        areas = await seen.find(
            "[...document.querySelectorAll('.low .area path:not(.grid)')]"
            ".map(one => [one.className.baseVal, one.getAttribute('d')])"
        )
        axis = await seen.page.locator(".low .axis span").all_inner_texts()
        ticks = await seen.page.locator(".ticks span").all_inner_texts()

    assert [row.split() for row in legend[1:]] == [
        ["Active", "6", "+6"],
        ["Locked", "for", "debt", "1", "+1"],
        ["Frozen", "1", "+1"],
    ]
    # A day is 1200 units wide, and 8 numbers are 240 high: eight are active at first, six from the middle on, when one
    # is locked and one is frozen on top of them.
    assert axis == ["8", "4", "0"]
    assert ticks == ["15:00", "21:00", "03:00", "09:00", "15:00"]
    assert areas == [
        ["s-active", "M0,0L600,0L600,60L1200,60L1200,240L0,240Z"],
        ["s-debt_lock", "M0,0L600,0L600,30L1200,30L1200,60L600,60L600,0L0,0Z"],
        ["s-freeze", "M0,0L1200,0L1200,30L600,30L600,0L0,0Z"],
    ]


@pytest.mark.parametrize(("locale", "width"), [("en-GB", 1280), ("ru-RU", 800), ("ru-RU", 360), ("en-GB", 360)])
async def test_nothing_is_wider_than_the_screen(look: Open, locale: str, width: int) -> None:
    async with look(locale=locale, width=width) as seen:
        await seen.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        page_width = await seen.find("document.documentElement.scrollWidth")
        sticking_out = await seen.find(
            "[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
            ".map(one => one.outerHTML.slice(0, 100))"
        )

    assert page_width <= width
    assert sticking_out == []


# Words of moments that stand in two lines, and how many there are in all.
BROKEN = r"""
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


@pytest.mark.parametrize(("locale", "width"), [("ru-RU", 390), ("en-GB", 320)])
async def test_no_moment_is_broken_in_the_middle_of_a_word(look: Open, locale: str, width: int) -> None:
    async with look(locale=locale, width=width) as seen:
        words, broken = await seen.find(BROKEN)

    assert words > 50
    assert broken == []


# For every text that is shown, its colour against the nearest ground that is painted behind it (WCAG 2.2, 1.4.3).
FAINT = """
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(look: Open, scheme: str) -> None:
    async with look(scheme=scheme) as seen:
        ground = await seen.find("getComputedStyle(document.body).backgroundColor")
        looked, faint = await seen.find(FAINT)

    assert looked > 200
    assert faint == []
    assert (max(int(channel) for channel in ground[4:-1].split(",")) < 60) == (scheme == "dark")


async def test_it_can_be_read_by_who_does_not_see_it(look: Open) -> None:
    async with look() as seen:
        levels = await seen.find("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.tagName[1])")
        heads = await seen.find("[...document.querySelectorAll('th')].map(one => one.scope)")
        tables = await seen.find("[...document.querySelectorAll('table')].map(one => one.tHead.rows.length)")
        drawings = await seen.find(
            "[...document.querySelectorAll('svg')].filter(one => !(one.ariaHidden === 'true' || one.ariaLabel)).length"
        )
        nameless = await seen.find(
            "[...document.querySelectorAll('a, summary')].filter(one => !one.innerText.trim()).length"
        )
        ids = await seen.find("[...document.querySelectorAll('[id]')].map(one => one.id)")
        labels = await seen.find(
            "[...document.querySelectorAll('[aria-labelledby]')].map(one => one.getAttribute('aria-labelledby'))"
        )
        landmarks = await seen.find("[...document.querySelectorAll('header, main')].map(one => one.localName)")

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert set(heads) == {"col", "row"}
    assert set(tables) == {1}
    assert (drawings, nameless) == (0, 0)
    assert len(ids) == len(set(ids))
    assert set(labels) <= set(ids)
    assert landmarks == ["header", "main"]


async def test_it_refreshes_itself_until_told_to_stop(look: Open) -> None:
    async with look("/?lang=en") as seen:
        refresh = await seen.page.get_attribute("meta[http-equiv=refresh]", "content")
        await seen.page.click("text=stop")
        stopped = await seen.page.locator("meta[http-equiv=refresh]").count(), seen.page.url
        await seen.page.click("text=resume")
        resumed = await seen.page.locator("meta[http-equiv=refresh]").count()

    assert refresh == "60"
    assert stopped == (0, seen.requests[0].replace("lang=en", "lang=en&refresh=off"))
    assert resumed == 1
