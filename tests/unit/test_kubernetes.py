"""The manifests for Kubernetes are valid, and consistent with the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from syncer import __version__
from syncer.config.hosts import ListenAddress
from syncer.config.settings import Settings, load_settings
from syncer.telemetry.metrics import Metrics
from syncer.web.site import READY_TIMEOUT_SECONDS, Site

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION: Final = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: Final[list[dict[str, Any]]] = [
    manifest for name in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
VALUES: Final = dict(
    line.split("=", 1) for line in (FOLDER / "settings.env").read_text().splitlines() if not line.startswith("#")
)
# The first release in which every field that the manifests use is stable, and the newest that the package knows.
RELEASES: Final = ("1.31", kubernetes_validate.latest_version().removesuffix(".0"))


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


DAEMON: Final = manifest("Deployment", "syncer")["spec"]["template"]
MIGRATION: Final = manifest("Job", "syncer-migrate")["spec"]["template"]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def rendered(tmp_path: Path) -> list[dict[str, Any]]:
    """Returns what is applied, by the kustomize of kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl renders the manifests, and is not installed")
    folder = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("secrets"))
    (folder / "secrets").mkdir()
    for name in ("api_token", "database_url", "owner_url"):
        (folder / "secrets" / name).write_text(f"{name}\n")
    output = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(output))


@pytest.mark.parametrize("release", RELEASES)
def test_every_manifest_is_valid(release: str) -> None:
    assert [kubernetes_validate.validate(one, release, strict=True) for one in MANIFESTS] == [release] * len(MANIFESTS)


@pytest.mark.parametrize("release", RELEASES)
def test_what_kustomize_renders_is_valid(rendered: list[dict[str, Any]], release: str) -> None:
    assert {kubernetes_validate.validate(one, release, strict=True) for one in rendered} == {release}


def test_what_kustomize_renders_has_the_settings_the_secrets_and_the_image(rendered: list[dict[str, Any]]) -> None:
    names = {
        (one["kind"], re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"])): one["metadata"]["name"]
        for one in rendered
    }
    pods = {one["kind"]: one["spec"]["template"] for one in rendered if one["kind"] in {"Deployment", "Job"}}
    mounted = {kind: pod["spec"]["volumes"][0]["secret"]["secretName"] for kind, pod in pods.items()}

    assert mounted == {"Deployment": names["Secret", "syncer"], "Job": names["Secret", "syncer-owner"]}
    assert container(pods["Deployment"])["envFrom"] == [{"configMapRef": {"name": names["ConfigMap", "syncer"]}}]
    assert {container(pod)["image"] for pod in pods.values()} == {f"registry.example.org/syncer:{__version__}"}
    assert {one["metadata"].get("namespace") for one in rendered if one["kind"] != "Namespace"} == {"syncer"}


def test_every_variable_that_is_set_is_a_setting() -> None:
    named = {match for path in FOLDER.glob("*.*") for match in re.findall(r"\bSYNCER_[A-Z_]+", path.read_text())}

    assert named > set(VALUES)
    assert {name for name in named if name.removeprefix("SYNCER_").lower() not in Settings.model_fields} == set()


def test_the_settings_are_valid_and_name_the_files_that_are_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mount,) = {one["mountPath"] for pod in (DAEMON, MIGRATION) for one in container(pod)["volumeMounts"]}
    generated = {one["name"]: [Path(file).name for file in one["files"]] for one in KUSTOMIZATION["secretGenerator"]}
    (owner_variable,) = [one for one in container(MIGRATION)["env"] if "value" in one]
    for name in list(os.environ):
        if name.upper().startswith("SYNCER_"):
            monkeypatch.delenv(name)
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value.replace(mount, str(tmp_path)))
    for name in generated["syncer"]:
        (tmp_path / name).write_text("postgresql://poller@db.example.org/syncer\n")

    assert [pod["spec"]["volumes"][0]["secret"]["secretName"] for pod in (DAEMON, MIGRATION)] == list(generated)
    assert sorted(value for name, value in VALUES.items() if name.endswith("_FILE")) == sorted(
        f"{mount}/{name}" for name in generated["syncer"]
    )
    assert owner_variable == {
        "name": "SYNCER_MIGRATE_DATABASE_URL_FILE",
        "value": f"{mount}/{generated['syncer-owner'][0]}",
    }
    assert load_settings().migrate_on_start is False
    assert load_settings().http_hosts == (manifest("Service", "syncer")["metadata"]["name"],)


def test_the_pods_have_the_time_that_the_program_takes() -> None:
    probes = container(DAEMON)
    shutdown = timedelta(seconds=int(VALUES["SYNCER_SHUTDOWN_TIMEOUT"].removesuffix("s")))

    assert DAEMON["spec"]["terminationGracePeriodSeconds"] > shutdown.total_seconds()
    assert probes["readinessProbe"]["timeoutSeconds"] > READY_TIMEOUT_SECONDS
    assert probes["startupProbe"]["periodSeconds"] * probes["startupProbe"]["failureThreshold"] >= 60


async def test_the_probes_ask_for_paths_that_the_program_answers_on_the_port_of_the_image() -> None:
    site = Site(
        load_settings(),
        ListenAddress("127.0.0.1", 0),
        lambda: "postgresql://nobody@127.0.0.1:1/none",
        Metrics(),
        is_live=lambda: True,
        configured=list,
    )
    ((scheme, port),) = re.findall(r"SYNCER_HTTP_LISTEN=([\d.]+):(\d+)", (ROOT / "Dockerfile").read_text())
    probes = [container(DAEMON)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    annotations = {name.rpartition("/")[2]: value for name, value in DAEMON["metadata"]["annotations"].items()}

    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/livez", "http"),
        ("/livez", "http"),
        ("/readyz", "http"),
    ]
    assert {probe["path"] for probe in probes} | {annotations["path"]} <= set(site.paths)
    assert container(DAEMON)["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert (scheme, annotations["port"], annotations["scrape"]) == ("0.0.0.0", port, "true")  # noqa: S104 - the image's
    (service_port,) = manifest("Service", "syncer")["spec"]["ports"]
    assert (service_port["port"], service_port["targetPort"]) == (int(port), "http")


@pytest.mark.parametrize("pod", [DAEMON, MIGRATION], ids=["daemon", "migration"])
def test_the_pods_run_without_rights_as_the_user_of_the_image(pod: dict[str, Any]) -> None:
    ((user, group),) = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(group),
        "fsGroup": int(group),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["volumes"][0]["secret"]["defaultMode"] == 0o400
    assert container(pod)["volumeMounts"][0]["readOnly"] is True


def test_the_migration_is_tried_again_unless_a_setting_is_wrong() -> None:
    job = manifest("Job", "syncer-migrate")["spec"]

    assert (job["backoffLimit"], MIGRATION["spec"]["restartPolicy"]) == (10, "Never")
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": container(MIGRATION)["name"], "operator": "In", "values": [2]},
    }


def test_the_policies_admit_http_to_the_daemon_and_nothing_else_but_what_the_pods_need() -> None:
    by_name = {one["metadata"]["name"]: one["spec"] for one in MANIFESTS if one["kind"] == "NetworkPolicy"}

    def ports(rules: list[dict[str, Any]]) -> list[tuple[object, str]]:
        assert all(set(rule) == {"ports"} for rule in rules)
        return [(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]]

    of_all, of_the_daemon = by_name["syncer"], by_name["syncer-daemon"]
    both = [DAEMON["metadata"]["labels"], MIGRATION["metadata"]["labels"]]
    assert all(of_all["podSelector"]["matchLabels"].items() <= labels.items() for labels in both)
    assert [of_the_daemon["podSelector"]["matchLabels"].items() <= labels.items() for labels in both] == [True, False]
    assert (ports(of_all["ingress"]), ports(of_all["egress"])) == ([], [(53, "UDP"), (53, "TCP"), (5432, "TCP")])
    assert (ports(of_the_daemon["ingress"]), ports(of_the_daemon["egress"])) == ([("http", "TCP")], [(443, "TCP")])
    assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in by_name.values())
