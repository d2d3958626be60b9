"""Asks a running Superset for the data of every chart, as the chart's own page does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from deploy.superset.queries import query_of
from deploy.superset.server import USER, Superset, SupersetError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

Yaml = dict[str, Any]


async def verify(superset: Superset) -> int:
    """Asks for the data of every chart.

    Returns:
        How many charts there are.

    Raises:
        SupersetError: It refuses, or has no data for one of them.
    """
    async with aiohttp.ClientSession(superset.address) as client:
        login = {"username": USER, "password": superset.password, "provider": "db"}
        token = (await _answer(client.post("/api/v1/security/login", json=login)))["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        wanted = json.dumps({"page_size": 1000, "columns": ["slice_name", "datasource_id", "params"]})
        charts = (await _answer(client.get("/api/v1/chart/", params={"q": wanted})))["result"]
        for chart in charts:
            asked = {
                "datasource": {"id": chart["datasource_id"], "type": "table"},
                "queries": [query_of(json.loads(chart["params"])).as_superset_asks()],
            }
            told = await _answer(client.post("/api/v1/chart/data", json=asked))
            if not told["result"][0]["rowcount"]:
                raise SupersetError(f"Superset has no data for the chart {chart['slice_name']}")
    return len(charts)


async def _answer(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Yaml:
    async with request as response:
        if not response.ok:
            raise SupersetError(f"Superset answered {response.url} with {response.status}: {await response.text()}")
        answer: Yaml = await response.json()
        return answer
