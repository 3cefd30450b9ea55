"""Rules and dashboards ask for figures that somebody gives."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.metrics import Metrics
from tests.k8s.rendering import ROOT

MONITORING = ROOT / "k8s" / "platform" / "monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yaml"))
DASHBOARDS = sorted((ROOT / "k8s" / "platform" / "grafana" / "dashboards").glob("*.json"))
# What others give: Prometheus itself, the kubelet, Argo Workflows, Traefik, MinIO or SeaweedFS.
OTHERS = {
    "up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes", "container_oom_events_total",
    "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "argo_workflows_total_count",
    "argo_workflows_gauge", "traefik_service_requests_total", "minio_cluster_usage_total_bytes",
    "minio_cluster_capacity_usable_total_bytes", "SeaweedFS_s3_bucket_physical_size_bytes",
    "SeaweedFS_volumeServer_resource", "process_cpu_seconds_total",
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for file in DASHBOARDS for panel in json.loads(file.read_text())["panels"]]


def metrics_in(query: str) -> set[str]:
    """Return the names of figures in a query: what is left without labels, functions and keywords."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"|\b(by|on|without)\s*\([^)]*\)", " ", query)
    words = re.findall(r"\b[a-z_][a-z0-9_:]*\b(?!\s*\()", bare)
    return set(words) - {"or", "and", "unless", "bool"}


def given() -> set[str]:
    ours = set(re.findall(r"^# TYPE (\S+) (\w+)$", Metrics().text().decode(), re.MULTILINE))
    names = {f"{name}_bucket" if kind == "histogram" else name for name, kind in ours}
    return names | OTHERS | {rule["record"] for rule in rules() if "record" in rule}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_is_given(rule: dict[str, Any]) -> None:
    """A figure that nobody gives would make an alert that never comes."""
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) <= given()


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_given(panel: dict[str, Any]) -> None:
    """Of the one data source that is provisioned."""
    assert panel["datasource"]["uid"] == "prometheus"
    for target in panel["targets"]:
        assert metrics_in(target["expr"])
        assert metrics_in(target["expr"]) <= given()


@pytest.mark.parametrize("rule", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    """In sentences, and whether somebody has to get up for it."""
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_rule_file_is_read() -> None:
    """One that Prometheus is not told of does nothing."""
    config = yaml.safe_load((MONITORING / "prometheus-config.yaml").read_text())
    assert {Path(file).name for file in config["rule_files"]} == {file.name for file in RULES}
    mounted = yaml.safe_load((MONITORING / "kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
    assert {name for name in mounted if name.startswith("rules/")} == {f"rules/{file.name}" for file in RULES}


def test_alerts_come_when_they_should() -> None:
    """Prometheus' own test of the rules over made-up figures."""
    if shutil.which("promtool") is None:
        pytest.skip("There is no promtool command, so the alerts' own test was not run; make airgap builds it.")
    done = subprocess.run(
        ["promtool", "test", "rules", Path(__file__).with_name("alerts.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
