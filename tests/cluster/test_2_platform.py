"""Argo CD brings the platform up from Git, and keeps it."""

import time
from typing import Any

import pytest

from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import Machines, wait
from tests.cluster.playbooks import play


def is_true_to_git(application: dict[str, Any]) -> bool:
    """Whether the cluster is what Git says, and that is well."""
    status = application.get("status", {})
    return bool(
        status.get("sync", {}).get("status") == "Synced" and status.get("health", {}).get("status") == "Healthy"
    )


def test_the_platform_comes_up(machines: Machines, repository: Repository, figures: Figures) -> None:
    """One playbook; Argo CD does the rest, wave by wave."""
    repository.pull()
    repository.take_over_project()
    repository.push("Begin")
    began = time.monotonic()
    assert play("platform.yml") > 0
    wait(lambda: all(map(is_true_to_git, machines.items("applications", "-n", "argocd"))), 600, 2)
    figures.keep("seconds from platform.yml to Synced and Healthy", time.monotonic() - began)
    names = {application["metadata"]["name"] for application in machines.items("applications", "-n", "argocd")}
    assert names >= {
        "traefik",
        "objects",
        "postgres",
        "mlflow",
        "argo-workflows",
        "monitoring",
        "metrics-server",
        "kuberay",
    }


def test_the_training_templates_come_up(machines: Machines, figures: Figures) -> None:
    """The second playbook hands Segue itself to Argo CD; no environment is there before its first pin."""
    began = time.monotonic()
    assert play("app.yml") > 0
    wait(lambda: all(map(is_true_to_git, machines.items("applications", "-n", "argocd"))), 300, 2)
    figures.keep("seconds from app.yml to Synced and Healthy", time.monotonic() - began)
    templates = {template["metadata"]["name"] for template in machines.items("workflowtemplates", "-n", "workflows")}
    assert templates >= {"train-model", "promote-model", "rollback-model", "build-images"}
    assert not any(a["metadata"]["name"].startswith("segue-") for a in machines.items("applications", "-n", "argocd"))


def test_a_second_run_of_both_changes_nothing(machines: Machines) -> None:
    """The root applications are as the playbooks say."""
    assert play("platform.yml") == 0
    assert play("app.yml") == 0


def test_mlflow_answers_through_the_gateway(machines: Machines) -> None:
    """Its page opens at its host name."""
    page = machines.curl("--header", "Host: mlflow.segue.internal", "http://10.250.0.12:30000/")
    assert "MLflow" in page


def test_the_git_server_may_ask_for_a_look_and_for_nothing_else(machines: Machines) -> None:
    """What a push is followed by changes no application; whoever broke into the server could not, either."""
    patch = ("patch", "application", "segue", "-n", "argocd", "--as=system:serviceaccount:git:git", "--type=merge")
    look = '{"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}'
    machines.kubectl(*patch, "-p", look)
    for change in (
        '{"spec": {"source": {"targetRevision": "another"}}}',
        '{"operation": {"sync": {"revision": "another"}}}',
        '{"metadata": {"annotations": {"argocd.argoproj.io/compare-options": "IgnoreExtraneous"}}}',
        '{"metadata": {"finalizers": []}}',
    ):
        with pytest.raises(AssertionError, match="asks applications to look again"):
            machines.kubectl(*patch, "-p", change)


def test_what_is_deleted_comes_back(machines: Machines, figures: Figures) -> None:
    """Argo CD heals what a person breaks by hand."""
    machines.kubectl("delete", "deployment", "argo-server", "-n", "workflows")
    exists = ("get", "deployment", "argo-server", "-n", "workflows", "--ignore-not-found", "-o", "name")
    figures.keep("seconds until a deleted Deployment is back", wait(lambda: machines.kubectl(*exists).strip(), 60))
