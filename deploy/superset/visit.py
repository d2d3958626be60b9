"""Opens every tab of a dashboard in Chromium, keeps what its charts received, and takes screenshots."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import TimeoutError, sync_playwright  # noqa: A004 - Playwright's name

from deploy.superset.server import USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request, Response

    from deploy.superset.server import Superset

_WIDTH: Final = 1366  # of a small laptop: what fits there fits everywhere
_HEIGHT: Final = 3200  # more than the longest tab: Superset draws a chart only when it is visible
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

_REGION_FILTER: Final = (
    "(NATIVE_FILTER-region:(extraFormData:(filters:!((col:region,op:IN,val:!('%s')))),"
    "filterState:(value:!('%s')),id:NATIVE_FILTER-region,ownState:()))"
)


class Drawn(NamedTuple):
    """What a chart asked Superset for and what it received."""

    title: str
    """The chart's title."""
    form: dict[str, Any]
    """The chart's parameters with the dashboard's filters."""
    results: list[dict[str, Any]]
    """The results of its queries."""


class Visitor:
    """A browser that is logged in to Superset.

    Attributes:
        problems: Charts that show nothing, responses with an error status, and requests to other hosts.
    """

    def __init__(self, page: Page, superset: Superset) -> None:
        self.problems: list[str] = []
        self._page = page
        self._superset = superset
        self._data: list[Response] = []
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("requestfinished", self._check_host)
        page.on("response", self._check_response)

    def log_in(self, language: str) -> None:
        """Logs in and selects a language."""
        page = self._page
        page.goto(f"{self._superset.address}/login/")
        page.fill("input[id=username]", USER)
        page.fill("input[id=password]", self._superset.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{self._superset.address}/lang/{language}")

    def open_tab(self, dashboard: str, tab: str, picture: Path, region: str | None = None) -> list[Drawn]:
        """Opens a tab, saves a screenshot, and returns what its charts received.

        Args:
            dashboard: The dashboard's name in addresses.
            tab: The tab's identifier.
            picture: Where to save the screenshot.
            region: The region to select in the dashboard's filter; charts may then show nothing.
        """
        page = self._page
        self._data.clear()
        page.goto("about:blank")  # a link to another tab of the same page does not reload it
        query = {"standalone": 1} | ({} if region is None else {"native_filters": _REGION_FILTER % (region, region)})
        page.goto(f"{self._superset.address}/superset/dashboard/{dashboard}/?{urlencode(query)}#{tab}")
        try:
            page.wait_for_function(_ALL_DRAWN)
        except TimeoutError:
            self.problems.append(f"{dashboard} {tab}: a chart was not drawn in {_TIMEOUT_MS // 1000} s")
        page.wait_for_timeout(_ANIMATION_MS)
        empty = page.evaluate(_EMPTY) if region is None else []
        self.problems += [f"{dashboard} {tab}: this chart shows nothing: {text}" for text in empty]
        height = min(page.evaluate(_BOTTOM) + 24, _HEIGHT)
        page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": _WIDTH, "height": height})
        return [self._read(response) for response in self._data if response.ok]

    def _read(self, response: Response) -> Drawn:
        form = _form_of(response.request)
        chart = self._page.request.get(f"{self._superset.address}/api/v1/chart/{form['slice_id']}").json()["result"]
        return Drawn(chart["slice_name"], form, response.json()["result"])

    def _check_host(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in {urlsplit(self._superset.address).hostname, None}:
            self.problems.append(f"the page requested {request.url}, which is not on this machine")

    def _check_response(self, response: Response) -> None:
        if response.status >= _FIRST_ERROR_STATUS:
            self.problems.append(f"{response.url} responded with {response.status}")
        # The filters ask for their values in the same way.
        if "/api/v1/chart/data" in response.url and "slice_id" in _form_of(response.request):
            self._data.append(response)


def _form_of(request: Request) -> dict[str, Any]:
    """The chart's parameters in a request for its data."""
    body: dict[str, Any] = request.post_data_json or {}
    form: dict[str, Any] = body.get("form_data", {})
    return form


@contextmanager
def visitor(superset: Superset, language: str) -> Iterator[Visitor]:
    """Opens a browser inside the `with` block."""
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        visiting = Visitor(browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}), superset)
        visiting.log_in(language)
        yield visiting
        browser.close()
