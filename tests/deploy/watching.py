"""A polling daemon whose metrics are served, and a Prometheus that scrapes them."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, web
from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr

from syncer.config.accounts import load_accounts
from syncer.daemon.scheduler import Daemon
from syncer.database import Database
from syncer.emulator import Emulator, faults
from syncer.endpoint.client import Source
from syncer.poll import Poller
from tests.builders import settings_for
from tests.integration.test_notices import file_with
from tests.receiver import Receiver
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from prometheus_client import CollectorRegistry

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")

_NAME = re.compile(r"\b(?:syncer|process)_[a-z_]+\b")
_MATCHER_LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)")
_GROUPING_LABELS = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    return set(_NAME.findall(expression))


def labels_in(expression: str) -> set[str]:
    """The labels that a PromQL expression names."""
    matched = {label for block in re.findall(r"\{([^}]*)\}", expression) for label in _MATCHER_LABEL.findall(block)}
    grouped = {label.strip() for block in _GROUPING_LABELS.findall(expression) for label in block.split(",")}
    return (matched | grouped) - {""}


@asynccontextmanager
async def polling_daemon(database_url: str) -> AsyncIterator[CollectorRegistry]:
    """Yields the metrics of a restarted daemon with a channel and names: polls with all outcomes but `superseded`."""
    async with Emulator(numbers=50, seed=1) as emulator, Receiver() as receiver:
        settings = settings_for(
            emulator,
            database_url=SecretStr(database_url),
            poll_interval=timedelta(seconds=1),
            names=("employees", "groups", "scenarios"),
        )
        accounts = load_accounts(settings)
        stop = asyncio.Event()
        with Database(settings) as database:
            async with Source(settings) as source:
                await Poller(database.engine, source, settings).poll(accounts[0], "command")
                emulator.queue(faults.Healthy(requests=1), faults.Status(status=500, requests=1))
                poller = Poller(database.engine, source, settings)
                running = asyncio.create_task(Daemon(database, poller, accounts, file_with(receiver)).run(stop))
                registry = poller.metrics.registry

                def has_polled() -> bool:
                    counts = [
                        registry.get_sample_value("syncer_runs_total", {"account": "default", "outcome": outcome})
                        for outcome in ("unchanged", "failed")
                    ]
                    channels = registry.get_sample_value("syncer_notices_waiting", {"channel": "duty"})
                    names = registry.get_sample_value(
                        "syncer_names_last_success_timestamp_seconds", {"account": "default", "list": "employees"}
                    )
                    return (
                        all(counts)
                        and channels == 0
                        and bool(names)
                        and bool(registry.get_sample_value("syncer_ready"))
                    )

                try:
                    await wait_until(has_polled)
                    yield registry
                finally:
                    stop.set()
                    await running
            await database.dispose()


@asynccontextmanager
async def served(registry: CollectorRegistry) -> AsyncIterator[str]:
    """Serves metrics in the format that the client accepts, and yields the host and port."""

    async def serve(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Prometheus:
    """The HTTP API of a running Prometheus."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def get(self, path: str, **parameters: str) -> Any:
        """Returns the `data` of a response."""
        async with self._session.get(f"{self._url}/api/v1/{path}", params=parameters) as response:
            content = await response.json()
            assert content["status"] == "success", content
            return content["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluates an expression and returns its series."""
        series: list[dict[str, Any]] = (await self.get("query", query=expression))["result"]
        return series

    async def is_ready(self) -> bool:
        """Whether it is up and has scraped its target."""
        try:
            async with self._session.get(f"{self._url}/-/ready") as response:
                return response.ok and bool(await self.query('up{job="syncer"} == 1'))
        except OSError:
            return False


@asynccontextmanager
async def prometheus(target: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Runs Prometheus with the example configuration, except for the target and a short scrape interval."""
    assert PROMETHEUS is not None
    example = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    changes = {"127.0.0.1:8080": target, "- alerts.yml": f"- {DEPLOY / 'prometheus' / 'alerts.yml'}"}
    changes |= {"interval: 30s": "interval: 250ms", "timeout: 25s": "timeout: 250ms"}
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    (folder / "prometheus.yml").write_text(example)
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with ClientSession() as session:
            running = Prometheus(session, f"http://127.0.0.1:{port}")
            await wait_until(running.is_ready)
            yield running
    finally:
        process.terminate()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def expressions(panels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yields each expression with the title of its panel, for all accounts and with a short range."""
    for panel in panels:
        for target in panel.get("targets", []):
            yield (
                panel["title"],
                target["expr"].replace("$account", ".*").replace("$__rate_interval", "10s").replace("[1h]", "[10s]"),
            )
