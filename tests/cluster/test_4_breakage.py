"""Things break, and the cluster and the training go on."""

import json
import time

from tests.cluster.figures import Figures
from tests.cluster.machines import Machines, conditions, wait
from tests.cluster.port_forward import forward
from tests.cluster.workflows import submit

STORES = (("statefulset/minio", "objects"), ("deployment/mlflow", "mlflow"))


def test_a_bad_dataset_ends_at_validation(machines: Machines) -> None:
    """Data that cannot be used is refused with its sentence, once: nothing is tried again."""
    machines.put_object("playlists/bad/broken.json", '{"playlists": [{"pid": 1, "tracks": "none"}]}')
    workflow = submit(machines, "train-model", model_version="0", playlists="playlists/bad")
    assert workflow.end(300) == "Failed"
    assert len(workflow.steps("ingest")) == 1
    assert "broken.json" in workflow.log()


def test_a_training_outlives_its_pod_and_its_stores(machines: Machines, figures: Figures) -> None:
    """A pod of LightGCN is killed in the middle; MinIO and MLflow are away for a minute. The run ends all the same."""
    small = {"sample_playlists": "1000", "profile": "quick", "seed": "1"}
    workflow = submit(machines, "train-model", model_version="0", **small)
    wait(lambda: "epoch" in workflow.log(), 300)
    (first,) = workflow.pods("lightgcn")
    machines.kubectl("delete", "pod", first, "-n", "workflows", "--grace-period=0", "--force")
    # Argo CD would bring them back within seconds, so it looks away from them for that minute.
    for target, namespace in STORES:
        machines.kubectl("annotate", target, "-n", namespace, "argocd.argoproj.io/skip-reconcile=true")
        machines.kubectl("scale", target, "-n", namespace, "--replicas=0")
    time.sleep(60)
    for target, namespace in STORES:
        machines.kubectl("scale", target, "-n", namespace, "--replicas=1")
    assert workflow.end(1200) == "Succeeded"
    assert len(workflow.steps("lightgcn")) == 2
    assert "resumed" in workflow.log()


def test_kubelet_and_containerd_may_restart(machines: Machines) -> None:
    """Pods run on while what started them starts anew."""
    before = {pod["metadata"]["uid"] for pod in machines.items("pods", "-n", "segue-staging")}
    machines.enter("node2", "sv", "restart", "containerd")
    machines.enter("node2", "sv", "restart", "kubelet")
    with forward(machines, "segue-staging", "service/segue", 8081, 80):
        assert json.loads(machines.curl("http://127.0.0.1:8081/ready"))
    wait(lambda: all(conditions(node)["Ready"] == "True" for node in machines.items("nodes")), 60)
    assert {pod["metadata"]["uid"] for pod in machines.items("pods", "-n", "segue-staging")} == before
