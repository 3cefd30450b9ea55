"""Kubernetes goes to the version after its own, node by node, while listeners ask."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.cluster.figures import Figures
from tests.cluster.machines import BUNDLE, Machines, conditions, wait
from tests.cluster.playbooks import play
from tests.cluster.promotions import GATEWAY, Answer, Listeners
from tests.cluster.test_2_platform import is_true_to_git

NEXT = BUNDLE / "next"


@dataclass(frozen=True)
class Upgrade:
    """What was seen of one.

    Attributes:
        version: Where it went.
        pods: Of production, by their ids, before it began.
        answers: What listeners were told meanwhile; None where nothing was served.
    """

    version: str
    pods: set[str]
    answers: list[Answer] | None


@pytest.fixture(scope="module")
def version() -> str:
    """The version that the bundle has beside its own."""
    bill = NEXT / "bill.json"
    if not bill.exists():
        pytest.skip("The bundle has no next version of Kubernetes to go to; python3 -m airgap build makes it.")
    module: str = json.loads(bill.read_text())["modules"]["kubernetes"]
    return module.rpartition("@v")[2]


@pytest.fixture(scope="module")
def upgrade(machines: Machines, version: str, figures: Figures, tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    """The playbook, with twenty requests a second where a model is in production."""
    crowd, began = Listeners(tmp_path_factory.mktemp("listeners")), time.time()
    pods, serves = _pods_of_production(machines), _production_serves(machines)
    with ExitStack() as stack:
        if serves:
            stack.enter_context(crowd.there(machines))
        assert _upgrade_to(version) > 0
        figures.keep("seconds of an upgrade of both nodes", time.time() - began)
        time.sleep(30)  # what comes late: kube-proxy, leases of controllers, probes
    return Upgrade(version, pods, crowd.answers(began) if serves else None)


def _upgrade_to(version: str) -> int:
    return play("upgrade.yml", kubernetes_version=version, airgap_bundle=str(NEXT), airgap_mounted="/bundle/next")


def _pods_of_production(machines: Machines) -> set[str]:
    return {pod["metadata"]["uid"] for pod in machines.items("pods", "-n", "segue-production")}


def _production_serves(machines: Machines) -> bool:
    try:
        machines.curl(
            "--header", "Content-Type: application/json", "--data", '{"name": "road trip"}', f"{GATEWAY}/predict"
        )
    except AssertionError:
        return False
    return True


def test_every_node_is_the_new_version(machines: Machines, upgrade: Upgrade) -> None:
    """Kubelets and the API's server say it themselves; every node is ready and takes pods."""
    nodes = machines.items("nodes")
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {f"v{upgrade.version}"}
    assert all(conditions(node)["Ready"] == "True" for node in nodes)
    assert not any(node["spec"].get("unschedulable") for node in nodes)
    assert json.loads(machines.kubectl("get", "--raw", "/version"))["gitVersion"] == f"v{upgrade.version}"


def test_what_kubeadm_runs_is_the_new_version(machines: Machines, upgrade: Upgrade) -> None:
    """The control plane's own pods and kube-proxy on every node; CoreDNS and etcd are not Kubernetes'."""
    for pod in machines.items("pods", "-n", "kube-system"):
        for container in pod["spec"]["containers"]:
            name, _, tag = container["image"].rpartition(":")
            if name.startswith("registry.k8s.io/kube-"):
                assert tag == f"v{upgrade.version}", pod["metadata"]["name"]


def test_every_request_was_answered(upgrade: Upgrade, figures: Figures) -> None:
    """The API goes away for a moment, and the gateway, the pods and their network do without it."""
    if upgrade.answers is None:
        pytest.skip("No model is in production, so nobody asked; tests/cluster/test_5_promotion.py brings one there.")
    figures.keep("requests during an upgrade", len(upgrade.answers))
    assert len(upgrade.answers) > 100
    assert [one for one in upgrade.answers if one.status != 200] == []


def test_pods_that_had_nowhere_to_go_ran_on(machines: Machines, upgrade: Upgrade) -> None:
    """With one worker nothing is moved: as many pods of before are there as production has at least."""
    if not upgrade.pods:
        pytest.skip("No model is in production, so it has no pods; tests/cluster/test_5_promotion.py brings one there.")
    assert len(upgrade.pods & _pods_of_production(machines)) >= 2


def test_the_platform_is_well_afterwards(machines: Machines, upgrade: Upgrade) -> None:
    """Every application is Synced and Healthy again."""
    wait(lambda: all(map(is_true_to_git, machines.items("applications", "-n", "argocd"))), 300, 2)


def test_a_second_upgrade_changes_nothing(upgrade: Upgrade, figures: Figures) -> None:
    """A node that is there already is left alone."""
    began = time.monotonic()
    assert _upgrade_to(upgrade.version) == 0
    figures.keep("seconds of an upgrade that changes nothing", time.monotonic() - began)
