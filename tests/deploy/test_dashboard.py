"""What watches the daemon, run against a daemon: every expression means a series that is there."""

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


async def test_the_dashboard_and_the_alerts_name_metrics_and_labels_that_a_daemon_has(database: str) -> None:
    async with polling_daemon(database) as registry:
        told = generate_latest(registry).decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    watched = [expression for _, expression in expressions(DASHBOARD["panels"])]

    for expression in watched:
        assert names_in(expression) <= labels.keys(), expression
        known = {label for name in names_in(expression) for label in labels[name]} | ADDED_BY_PROMETHEUS
        assert labels_in(expression) <= known, expression
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    assert names_in(rules) <= labels.keys()
    ours = {name for name in labels if name.startswith("syncer_")}
    assert ours - names_in(" ".join(watched)) - names_in(rules) == set(), "a metric that nobody looks at"
    described = dict(re.findall(r"^\| `(syncer_\w+)(?:{([a-z_,]+)})?` \|", PAGE, flags=re.MULTILINE))
    assert described == {
        family.name + "_total" * (family.type == "counter"): ",".join(
            sorted(set().union(*(sample.labels for sample in family.samples)) - {"le"})
        )
        for family in text_string_to_metric_families(told)
        if family.name.startswith("syncer_")
    }


def test_the_page_for_operators_names_every_alert_and_every_log_line() -> None:
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    alerts = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", rules))
    assert dict(re.findall(r"^\| `(Syncer\w+)` \| (\w+) \|", PAGE, flags=re.MULTILINE)) == alerts
    sources = "".join(path.read_text() for path in (DEPLOY.parent / "syncer").rglob("*.py"))
    events = re.findall(r'(?:log|bound)\.(?:log\(level, |(?:debug|info|warning|error|exception)\()"(\w+)"', sources)
    told = {
        name for row in re.findall(r"^\| (`.*?) \| \w+.*\|", LOGS, flags=re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert set(events) - told == set()


def test_every_panel_says_what_it_shows_and_asks_the_chosen_prometheus() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "account"]


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + column, at["y"] + line) for column in range(at["w"]) for line in range(at["h"])}
        assert max(column for column, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


async def test_a_daemon_tells_how_late_each_poll_began_and_that_it_is_not_ready_while_its_database_is_gone(
    server: EmbeddedServer, database: str
) -> None:
    name = database.rpartition("/")[2]
    beside = await connect(server.url)
    async with polling_daemon(database) as registry:
        account = {"account": "default"}
        late = registry.get_sample_value("syncer_poll_lateness_seconds_count", account)
        assert late == registry.get_sample_value("syncer_run_duration_seconds_count", account)
        assert registry.get_sample_value("syncer_poll_lateness_seconds_sum", account)
        assert registry.get_sample_value("syncer_ready") == 1
        await beside.execute(f"alter database {name} allow_connections false")
        await beside.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        await wait_until(lambda: registry.get_sample_value("syncer_ready") == 0)

        await beside.execute(f"alter database {name} allow_connections true")
        await wait_until(lambda: registry.get_sample_value("syncer_ready") == 1)
    await beside.close()


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed: Debian has a package of that name")
async def test_prometheus_scrapes_a_daemon_and_has_an_answer_to_every_panel_and_no_alert(
    database: str, tmp_path: Path
) -> None:
    async with polling_daemon(database) as registry, served(registry) as target, prometheus(target, tmp_path) as asked:
        left = list(expressions(DASHBOARD["panels"]))

        async def are_all_answered() -> bool:
            left[:] = [one for one in left if not await asked.query(one[1])]
            return not left

        with suppress(AssertionError):
            await wait_until(are_all_answered, within=20)
        assert left == []
        assert await asked.ask("label/account/values") == ["default"]
        (group,) = (await asked.ask("rules"))["groups"]
        assert {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]} == {
            rule["name"]: ("ok", "inactive") for rule in group["rules"]
        }
        assert len(group["rules"]) == 10
