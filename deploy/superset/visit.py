"""Opens every tab of every dashboard in Chromium and takes a screenshot."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from playwright.sync_api import TimeoutError, sync_playwright  # noqa: A004 - Playwright's name

from deploy.superset.dashboard import TABS
from deploy.superset.language import LANGUAGES
from deploy.superset.server import USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request, Response

    from deploy.superset.language import Language
    from deploy.superset.server import Superset

_WIDTH: Final = 1500
_HEIGHT: Final = 2600  # the height of the longest tab: Superset draws a chart only when it is visible
_TIMEOUT_MS: Final = 300_000
_ANIMATION_MS: Final = 1500  # Superset does not report the end of a chart's animation
_FIRST_ERROR_STATUS: Final = 400
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_CHARTS: Final = "[...document.querySelectorAll('.dashboard-component-chart-holder')]"
_ALL_DRAWN: Final = f"""() => {_CHARTS}.length > 0 && !document.querySelector('[data-test="loading-indicator"]')
    && {_CHARTS}.every(chart => chart.querySelector('canvas, table, .header-line, [role="alert"], .ant-empty'))"""
_EMPTY: Final = f"""() => {_CHARTS}.filter(chart => chart.querySelector('[role="alert"], .ant-empty'))
    .map(chart => chart.innerText.replaceAll('\\n', ' '))"""
_BOTTOM: Final = f"() => Math.max(...{_CHARTS}.map(chart => chart.getBoundingClientRect().bottom))"


def visit(superset: Superset, folder: Path) -> list[str]:
    """Saves a screenshot of each tab in the folder.

    Returns:
        The problems found: charts that show nothing, responses with an error status, and requests to other hosts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        problems = [line for language in LANGUAGES for line in _visit_dashboard(browser, superset, language, folder)]
        browser.close()
    return problems


def _visit_dashboard(browser: Browser, superset: Superset, language: Language, folder: Path) -> Iterator[str]:
    page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    page.set_default_timeout(_TIMEOUT_MS)
    problems: list[str] = []

    def check_host(request: Request) -> None:
        if urlsplit(request.url).hostname not in {urlsplit(superset.address).hostname, None}:
            problems.append(f"the page requested {request.url}, which is not on this machine")

    def check_status(response: Response) -> None:
        if response.status >= _FIRST_ERROR_STATUS:
            problems.append(f"{response.url} responded with {response.status}")

    page.on("requestfinished", check_host)
    page.on("response", check_status)
    _log_in(page, superset, language)
    for tab in TABS:
        page.goto("about:blank")  # a link to another tab of the same page does not reload it
        page.goto(f"{superset.address}/superset/dashboard/syncer-{language}/?standalone=1#TAB-{tab.key}")
        try:
            page.wait_for_function(_ALL_DRAWN)
        except TimeoutError:
            problems.append(
                f"{tab.key}-{language}: a chart was not drawn in {_TIMEOUT_MS // 1000} s, see the screenshot"
            )
        page.wait_for_timeout(_ANIMATION_MS)
        problems += [f"{tab.key}-{language}: this chart shows nothing: {text}" for text in page.evaluate(_EMPTY)]
        height = min(page.evaluate(_BOTTOM) + 24, _HEIGHT)
        page.screenshot(
            path=folder / f"{tab.key}-{language}.png", clip={"x": 0, "y": 0, "width": _WIDTH, "height": height}
        )
    page.close()
    yield from problems


def _log_in(page: Page, superset: Superset, language: Language) -> None:
    page.goto(f"{superset.address}/login/")
    page.fill("input[id=username]", USER)
    page.fill("input[id=password]", superset.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/login" not in url)
    page.goto(f"{superset.address}/lang/{language}")
