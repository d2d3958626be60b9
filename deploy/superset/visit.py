"""Opens every tab of every dashboard in Chromium, as a person would, and takes its picture."""

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
_HEIGHT: Final = 2600  # the longest tab at once, for a chart is drawn when it comes in sight
_PATIENCE_MS: Final = 300_000
_ANIMATION_MS: Final = 1500  # Superset does not say when a chart has stopped moving
_REFUSED: Final = 400
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
    """Leaves a picture of each tab in the folder.

    Returns:
        What was wrong on the way, a line each: a chart that shows nothing, an answer that refuses, a host elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        wrong = [line for language in LANGUAGES for line in _dashboard(browser, superset, language, folder)]
        browser.close()
    return wrong


def _dashboard(browser: Browser, superset: Superset, language: Language, folder: Path) -> Iterator[str]:
    page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    page.set_default_timeout(_PATIENCE_MS)
    wrong: list[str] = []

    def went_out(request: Request) -> None:
        if urlsplit(request.url).hostname not in {urlsplit(superset.address).hostname, None}:
            wrong.append(f"{request.url} is not on this machine, and was asked")

    def came_back(response: Response) -> None:
        if response.status >= _REFUSED:
            wrong.append(f"{response.url} was answered with {response.status}")

    page.on("requestfinished", went_out)
    page.on("response", came_back)
    _log_in(page, superset, language)
    for tab in TABS:
        page.goto("about:blank")  # a link to another tab of the same page opens nothing anew
        page.goto(f"{superset.address}/superset/dashboard/syncer-{language}/?standalone=1#TAB-{tab.key}")
        try:
            page.wait_for_function(_ALL_DRAWN)
        except TimeoutError:
            wrong.append(
                f"{tab.key}-{language}: a chart was not drawn in {_PATIENCE_MS // 1000} s, as the picture shows"
            )
        page.wait_for_timeout(_ANIMATION_MS)
        wrong += [f"{tab.key}-{language}: this chart shows nothing: {text}" for text in page.evaluate(_EMPTY)]
        height = min(page.evaluate(_BOTTOM) + 24, _HEIGHT)
        page.screenshot(
            path=folder / f"{tab.key}-{language}.png", clip={"x": 0, "y": 0, "width": _WIDTH, "height": height}
        )
    page.close()
    yield from wrong


def _log_in(page: Page, superset: Superset, language: Language) -> None:
    page.goto(f"{superset.address}/login/")
    page.fill("input[id=username]", USER)
    page.fill("input[id=password]", superset.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/login" not in url)
    page.goto(f"{superset.address}/lang/{language}")
