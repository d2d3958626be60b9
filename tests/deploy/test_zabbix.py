"""The template for Zabbix, checked against a running daemon: each item reads a metric that is exported."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from syncer.config.settings import Settings
from tests.deploy.watching import DEPLOY, polling_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPORT: Final = yaml.safe_load((DEPLOY / "zabbix" / "syncer.yaml").read_text())["zabbix_export"]
(TEMPLATE,) = EXPORT["templates"]
RULES: Final = TEMPLATE["discovery_rules"]
MASTER: Final = TEMPLATE["items"][0]
DEPENDENT: Final = [*TEMPLATE["items"][1:], *(item for rule in RULES for item in rule["item_prototypes"])]
PROMETHEUS: Final = {"PROMETHEUS_PATTERN", "PROMETHEUS_TO_JSON"}


def everything(node: Any) -> Iterator[dict[str, Any]]:
    """Yields each object of the template."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything(child)


def patterns_of(node: dict[str, Any]) -> list[str]:
    return [step["parameters"][0] for step in node["preprocessing"] if step["type"] in PROMETHEUS]


def test_the_template_has_the_structure_that_an_import_needs() -> None:
    ids = [one["uuid"] for one in everything(EXPORT) if "uuid" in one]
    keys = [item["key"] for item in [MASTER, *DEPENDENT]]
    expressions = [one["expression"] for one in everything(EXPORT) if "expression" in one]

    assert (EXPORT["version"], len(ids)) == ("6.0", len(set(ids)))
    assert {uuid.UUID(one).version for one in ids} == {4}
    assert len(keys) == len(set(keys))
    assert {one["master_item"]["key"] for one in [*DEPENDENT, *RULES]} == {MASTER["key"]}
    assert len(expressions) == 9
    named = {
        key for expression in expressions for key in re.findall(r"/syncer/(syncer\.\w+(?:\[[^]]+\])?)", expression)
    }
    assert named <= set(keys)


def test_the_template_asks_the_address_that_the_daemon_listens_on() -> None:
    (macro,) = TEMPLATE["macros"]
    host, port = Settings.model_fields["http_listen"].default

    assert (macro["macro"], macro["value"]) == ("{$SYNCER.URL}", f"http://{host}:{port}")
    assert (MASTER["type"], MASTER["url"]) == ("HTTP_AGENT", "{$SYNCER.URL}/metrics")


async def test_every_item_finds_its_metric_in_what_a_daemon_exports(database: str) -> None:
    async with polling_daemon(database) as registry:
        exported = generate_latest(registry).decode()
    samples = [sample for family in text_string_to_metric_families(exported) for sample in family.samples]

    def find(pattern: str, macros: dict[str, str]) -> list[dict[str, str]]:
        """Returns the labels of the series that a pattern of Zabbix selects."""
        for macro, value in macros.items():
            pattern = pattern.replace(macro, value)
        match = re.fullmatch(r'(\w+)(?:\{((?:\w+="[^"]*",?)+)\})?', pattern)
        assert match is not None, pattern
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        return [dict(one.labels) for one in samples if one.name == match[1] and wanted.items() <= one.labels.items()]

    for item in TEMPLATE["items"][1:]:
        (pattern,) = patterns_of(item)
        assert len(find(pattern, {})) == 1, item["key"]
    assert find("syncer_build_info", {})[0].keys() == {"version"}  # the item `syncer.version` reads it
    for rule in RULES:
        (pattern,) = patterns_of(rule)
        discovered = find(pattern, {})
        assert discovered, rule["key"]
        for labels in discovered:
            paths = {one["lld_macro"]: one["path"] for one in rule["lld_macro_paths"]}
            macros = {
                macro: labels[path.removeprefix("$.labels['").removesuffix("']")] for macro, path in paths.items()
            }
            for item in rule["item_prototypes"]:
                (pattern,) = patterns_of(item)
                assert find(pattern, macros), item["key"]


def test_timestamps_and_rates_are_stored_as_numbers_with_a_fraction() -> None:
    """The others are counts, which Zabbix stores as integers by default."""
    fractions = {item["key"].partition("[")[0] for item in DEPENDENT if item.get("value_type") == "FLOAT"}

    assert fractions == {
        "syncer.clock_behind",
        "syncer.oldest_prunable_run_age",
        "syncer.notices_oldest_waiting",
        "syncer.stale_from",
        "syncer.last_success",
        "syncer.runs",
        "syncer.failed_runs",
    }
