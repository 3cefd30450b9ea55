"""Bare machines become a Kubernetes with Argo CD, by one playbook."""

import subprocess
import time
from typing import Any

from tests.cluster.figures import Figures
from tests.cluster.gitops import URL
from tests.cluster.machines import Machines, conditions, wait
from tests.cluster.playbooks import play


def test_bare_machines_become_a_cluster(machines: Machines, bare: dict[str, Any], figures: Figures) -> None:
    """One playbook leads from bare machines to Argo CD; every node and every pod is ready."""
    began = time.monotonic()
    assert play("site.yml") > 0
    nodes = machines.items("nodes")
    assert {node["metadata"]["name"] for node in nodes} == set(bare)
    assert all(conditions(node)["Ready"] == "True" for node in nodes)
    wait(lambda: all(conditions(pod).get("Ready") == "True" for pod in machines.items("pods", "-A")), 180, 2)
    figures.keep("seconds from bare machines to everything ready", time.monotonic() - began)
    figures.keep("pods after site.yml", len(machines.items("pods", "-A")))


def test_a_second_run_changes_nothing(machines: Machines, figures: Figures) -> None:
    """The playbook describes a state, and the cluster is in it."""
    began = time.monotonic()
    assert play("site.yml") == 0
    figures.keep("seconds of a run that changes nothing", time.monotonic() - began)


def test_pods_reach_each_other_across_nodes(machines: Machines) -> None:
    """A pod on the second node finds a service on the first by its name."""
    image = ("--image=docker.io/library/debian:bookworm-slim", "--image-pull-policy=IfNotPresent")
    on_node2 = '--overrides={"spec":{"nodeName":"node2"}}'
    read = "import urllib.request as u; print(u.urlopen('http://git.git.svc.cluster.local/healthz', timeout=5).read())"
    machines.kubectl("run", "probe", *image, "--restart=Never", on_node2, "--", "python3", "-c", read)
    machines.kubectl("wait", "pod/probe", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert machines.kubectl("logs", "probe").strip() == r"b'ok\n'"
    machines.kubectl("delete", "pod", "probe")


def test_secrets_are_made_once(machines: Machines) -> None:
    """Each has a value that nobody chose, and namespaces that share one have the same."""
    namespaces = ("objects", "mlflow", "workflows")
    keys = {machines.secret(namespace, "segue-store-writer", "secret-key")[0] for namespace in namespaces}
    assert len(keys) == 1
    assert len(keys.pop()) >= 32


def test_one_secret_can_hold_an_address_with_anothers_password(machines: Machines) -> None:
    """MLflow's database is named with the password that Postgres was given."""
    (password,) = machines.secret("postgres", "postgres", "mlflow-password")
    (address,) = machines.secret("mlflow", "mlflow-database", "uri")
    assert f":{password}@postgres.postgres.svc" in address


def test_only_who_has_the_password_may_push(machines: Machines) -> None:
    """Git decides what runs, so a pod that can reach the server may read and not write."""
    status = ["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}"]
    asked = [*machines.in_network_of("node1"), *status, f"{URL}/info/refs?service=git-receive-pack"]
    assert subprocess.run(asked, stdout=subprocess.PIPE, text=True).stdout == "401"
