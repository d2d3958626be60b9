"""The alert rules and the example configuration in deploy/prometheus."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.deploy.watching import DEPLOY, PROMTOOL

FOLDER = DEPLOY / "prometheus"

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: it comes with Prometheus")


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    completed = subprocess.run([PROMTOOL, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


@needs_promtool
def test_the_rules_and_the_example_configuration_are_valid() -> None:
    assert "12 rules found" in promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_each_alert_fires_in_its_case_and_none_in_normal_operation_or_at_a_restart() -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    rules, cases = ((FOLDER / name).read_text() for name in ("alerts.yml", "tests.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) == len(set(alerts)) == 12
    assert {*re.findall(r'ALERTS{[^}]*alertname="(\w+)"[^}]*alertstate="firing"', cases)} == set(alerts)
    for part in ("severity:", "summary:", "description:"):
        assert rules.count(part) == len(alerts)
