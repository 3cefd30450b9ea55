"""What the pods ask for fits on one worker of two cores, as the trial's cluster has it, with room for a promotion."""

from typing import Any

from tests.k8s.pods import Renders, pods
from tests.workflows.commands import steps

CORES = 2000  # thousandths, of the worker
COREDNS = 200  # its two pods ask for a tenth of a core each
EXECUTOR = 10  # what waits beside each step of a workflow (k8s/platform/argo-workflows/controller-config.yaml)
ABSENT = ("grafana", "seaweedfs", "Job")  # not on that cluster, or gone once it is up


def asks(pod: dict[str, Any]) -> int:
    """Return the thousandths of a core that a pod asks for, as the scheduler counts them."""

    def of(container: dict[str, Any]) -> int:
        asked = str(container.get("resources", {}).get("requests", {}).get("cpu", "0m"))
        return int(asked.removesuffix("m")) if asked.endswith("m") else int(float(asked) * 1000)

    most = max([0, *(of(one) for one in pod.get("initContainers", []))])
    return max(most, sum(of(one) for one in pod["containers"]))


def replicas(rendered: Renders, where: str) -> int:
    """Return how many pods there are of what is called ``where`` (`tests.k8s.pods.pods`)."""
    folder, kind, name = where.split()
    one = next(one for one in rendered[folder] if (one["kind"], one["metadata"]["name"]) == (kind, name))
    scaler = next((o for o in rendered[folder] if o["kind"] == "HorizontalPodAutoscaler"), None)
    if scaler is not None and scaler["spec"]["scaleTargetRef"]["name"] == name:
        return int(scaler["spec"]["minReplicas"])
    return int(one["spec"].get("replicas", 1))


def test_a_promotion_fits_on_one_worker(rendered: Renders) -> None:
    """All of the platform, Ray and three environments, one pod more than they have, and the pod that promotes."""
    standing = {
        (number, where): asks(pod) * replicas(rendered, where)
        for number, (where, _, pod) in enumerate(pods(rendered))
        if not any(name in where for name in ABSENT)
    }
    surge = max(asks(pod) for where, _, pod in pods(rendered) if where.startswith("k8s/environments/"))
    promote = asks({"containers": [dict(steps())["promote-model/promote"]["container"]]}) + EXECUTOR
    assert sum(standing.values()) + surge + promote <= CORES - COREDNS
