"""The Grafana dashboard and the alerts, checked against a running daemon: every expression names existing series."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import connect
from tests.deploy.watching import (
    DEPLOY,
    PROMETHEUS,
    expressions,
    labels_in,
    names_in,
    polling_daemon,
    prometheus,
    served,
)
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.embedded import EmbeddedServer

PAGE = (DEPLOY.parent / "docs" / "watching.md").read_text()
LOGS = PAGE.partition("## Log lines")[2]
DASHBOARD = json.loads((DEPLOY / "grafana" / "syncer.json").read_text())
ADDED_BY_PROMETHEUS = {"job", "instance"}


async def test_the_dashboard_and_the_alerts_use_metrics_and_labels_that_a_daemon_exports(database: str) -> None:
    async with polling_daemon(database) as registry:
        exported = generate_latest(registry).decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exported):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    shown = [expression for _, expression in expressions(DASHBOARD["panels"])]

    for expression in shown:
        assert names_in(expression) <= labels.keys(), expression
        known = {label for name in names_in(expression) for label in labels[name]} | ADDED_BY_PROMETHEUS
        assert labels_in(expression) <= known, expression
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    assert names_in(rules) <= labels.keys()
    ours = {name for name in labels if name.startswith("syncer_")}
    assert ours - names_in(" ".join(shown)) - names_in(rules) == set(), "a metric that no panel or alert uses"
    described = dict(re.findall(r"^\| `(syncer_\w+)(?:{([a-z_,]+)})?` \|", PAGE, flags=re.MULTILINE))
    assert described == {
        family.name + "_total" * (family.type == "counter"): ",".join(
            sorted(set().union(*(sample.labels for sample in family.samples)) - {"le"})
        )
        for family in text_string_to_metric_families(exported)
        if family.name.startswith("syncer_")
    }


def test_the_page_for_operators_lists_every_alert_and_every_log_event() -> None:
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    alerts = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", rules))
    assert dict(re.findall(r"^\| `(Syncer\w+)` \| (\w+) \|", PAGE, flags=re.MULTILINE)) == alerts
    sources = "".join(path.read_text() for path in (DEPLOY.parent / "syncer").rglob("*.py"))
    events = re.findall(r'(?:log|bound)\.(?:log\(level, |(?:debug|info|warning|error|exception)\()"(\w+)"', sources)
    documented = {
        name for row in re.findall(r"^\| (`.*?) \| \w+.*\|", LOGS, flags=re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert set(events) - documented == set()


def test_every_panel_has_a_description_and_queries_the_selected_data_source() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "account"]


def test_no_panel_overlaps_another() -> None:
    occupied: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {(grid["x"] + column, grid["y"] + row) for column in range(grid["w"]) for row in range(grid["h"])}
        assert max(column for column, _ in cells) < 24
        assert not cells & occupied, panel["title"]
        occupied |= cells


async def test_a_daemon_exports_the_lateness_of_each_poll_and_is_not_ready_while_its_database_is_gone(
    server: EmbeddedServer, database: str
) -> None:
    name = database.rpartition("/")[2]
    administrator = await connect(server.url)
    async with polling_daemon(database) as registry:
        account = {"account": "default"}
        lateness_count = registry.get_sample_value("syncer_poll_lateness_seconds_count", account)
        assert lateness_count == registry.get_sample_value("syncer_run_duration_seconds_count", account)
        assert registry.get_sample_value("syncer_poll_lateness_seconds_sum", account)
        assert registry.get_sample_value("syncer_ready") == 1
        await administrator.execute(f"alter database {name} allow_connections false")
        await administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        await wait_until(lambda: registry.get_sample_value("syncer_ready") == 0)

        await administrator.execute(f"alter database {name} allow_connections true")
        await wait_until(lambda: registry.get_sample_value("syncer_ready") == 1)
    await administrator.close()


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed: Debian has a package of that name")
async def test_prometheus_scrapes_a_daemon_and_has_data_for_every_panel_and_no_alert(
    database: str, tmp_path: Path
) -> None:
    async with (
        polling_daemon(database) as registry,
        served(registry) as target,
        prometheus(target, tmp_path) as api,
    ):
        without_data = list(expressions(DASHBOARD["panels"]))

        async def all_have_data() -> bool:
            without_data[:] = [item for item in without_data if not await api.query(item[1])]
            return not without_data

        with suppress(AssertionError):
            await wait_until(all_have_data, within=20)
        assert without_data == []
        assert await api.get("label/account/values") == ["default"]
        (group,) = (await api.get("rules"))["groups"]
        assert {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]} == {
            rule["name"]: ("ok", "inactive") for rule in group["rules"]
        }
        assert len(group["rules"]) == 12
