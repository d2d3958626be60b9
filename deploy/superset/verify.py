"""Requests the data of every chart from a running Superset, as the page of the chart does."""

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
    """Requests the data of every chart.

    Returns:
        The number of charts.

    Raises:
        SupersetError: Superset returned an error, or no data for a chart.
    """
    async with aiohttp.ClientSession(superset.address) as client:
        login = {"username": USER, "password": superset.password, "provider": "db"}
        token = (await _json(client.post("/api/v1/security/login", json=login)))["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        columns = json.dumps({"page_size": 1000, "columns": ["slice_name", "datasource_id", "params"]})
        charts = (await _json(client.get("/api/v1/chart/", params={"q": columns})))["result"]
        for chart in charts:
            request = {
                "datasource": {"id": chart["datasource_id"], "type": "table"},
                "queries": [query_of(json.loads(chart["params"])).as_request()],
            }
            data = await _json(client.post("/api/v1/chart/data", json=request))
            if not data["result"][0]["rowcount"]:
                raise SupersetError(f"Superset has no data for the chart {chart['slice_name']}")
    return len(charts)


async def _json(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Yaml:
    async with request as response:
        if not response.ok:
            raise SupersetError(f"Superset responded to {response.url} with {response.status}: {await response.text()}")
        content: Yaml = await response.json()
        return content
