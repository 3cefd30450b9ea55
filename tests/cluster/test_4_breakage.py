"""Things break, and the cluster and the training go on."""

import json
import re
import time

from tests.cluster.figures import Figures
from tests.cluster.machines import ADDRESSES, Machines, conditions, wait
from tests.cluster.playbooks import play
from tests.cluster.workflows import submit

# A small training, whose LightGCN takes long enough to be met in the middle.
SMALL = {
    "sample_playlists": "1000",
    "profile": "quick",
    "profiles": json.dumps(
        {
            "quick": {
                "lightgcn": "start=xavier epochs=30",
                "text": "",
                "projector": "epochs=4",
                "llara": "skeleton.epochs=2 second.epochs=0 llara.epochs=1",
                "export": "",
            }
        }
    ),
}
HAS_LEARNED = re.compile(r"lightgcn: +[1-9]\d?%")


def test_a_bad_dataset_ends_at_validation(machines: Machines) -> None:
    """Data that cannot be used is refused with its sentence, once: nothing is tried again."""
    machines.put_object("playlists/bad/broken.json", '{"playlists": [{"pid": 1, "tracks": "none"}]}')
    workflow = submit(machines, "train-model", model_version="0", playlists="playlists/bad")
    assert workflow.end(300) == "Failed"
    assert len(workflow.steps("ingest")) == 1
    assert "No playlist with two usable tracks is left" in workflow.log()


def test_two_workers_train_on_ray_and_one_is_killed(machines: Machines, figures: Figures) -> None:
    """KubeRay's cluster trains LightGCN and LLaRA data-parallel, and the pod of one of its workers goes meanwhile.

    What comes after LLaRA knows nothing of Ray and is told by other runs: this one is stopped there.
    """
    wait(lambda: machines.items("pods", "-n", "workflows", "-l", "ray.io/node-type=worker"), 120)
    began = time.monotonic()
    workflow = submit(machines, "train-model", model_version="0", seed="2", workers="2", **SMALL)
    wait(lambda: HAS_LEARNED.search(workflow.log()), 400, 1)
    machines.kubectl("delete", "pod", "-n", "workflows", "-l", "ray.io/node-type=worker", "--grace-period=0", "--force")
    assert workflow.reaches("llara", 1500), workflow.log()
    figures.keep(
        "seconds until two workers, one of them killed, have trained LightGCN and LLaRA", time.monotonic() - began
    )
    machines.argo("stop", workflow.name)
    workflow.end(300)  # the next training waits for this one's end


def test_kubelet_and_containerd_may_restart(machines: Machines) -> None:
    """Pods answer while what started them starts anew, and are the same pods afterwards."""
    before = {pod["metadata"]["uid"] for pod in machines.items("pods", "-n", "segue-staging")}
    address = machines.kubectl("get", "service", "segue", "-n", "segue-staging", "-o", "jsonpath={.spec.clusterIP}")
    for service in ("containerd", "kubelet"):
        machines.enter("node2", "sv", "restart", service)
        for _ in range(10):
            machines.curl(f"http://{address}/ready")
            time.sleep(0.5)
    wait(lambda: all(conditions(node)["Ready"] == "True" for node in machines.items("nodes")), 60)
    assert {pod["metadata"]["uid"] for pod in machines.items("pods", "-n", "segue-staging")} == before


def test_services_are_found_after_kube_proxy_starts_anew(machines: Machines) -> None:
    """It finds its own rules as they should be, and leaves them."""
    machines.kubectl("rollout", "restart", "daemonset/kube-proxy", "-n", "kube-system")
    machines.kubectl("rollout", "status", "daemonset/kube-proxy", "-n", "kube-system", "--timeout=120s")
    time.sleep(5)
    address = machines.kubectl("get", "service", "segue", "-n", "segue-staging", "-o", "jsonpath={.spec.clusterIP}")
    for node in ADDRESSES:
        machines.curl(f"http://{address}/ready", node=node)


def test_what_was_kept_comes_back(machines: Machines, figures: Figures) -> None:
    """A model that is gone from MLflow, and an object that was spoilt, are as they were after restore.yml."""

    def models() -> str:
        host = ("--header", "Host: mlflow.segue.internal")
        return machines.curl(*host, "http://10.250.0.12:30000/api/2.0/mlflow/registered-models/search")

    machines.put_object("playlists/kept.json", '{"kept": true}')
    began = time.monotonic()
    play("backup.yml", backup_folder="/var/tmp/backup")
    figures.keep("seconds of a backup", time.monotonic() - began)
    machines.postgres(
        "mlflow", "DELETE FROM model_version_tags; DELETE FROM model_versions; DELETE FROM registered_models"
    )
    machines.put_object("playlists/kept.json", "spoilt")
    assert '"segue"' not in models()
    began = time.monotonic()
    play("restore.yml", backup_folder="/var/tmp/backup")
    figures.keep("seconds of a restore", time.monotonic() - began)
    wait(lambda: '"segue"' in models(), 60)
    assert machines.get_object("playlists/kept.json") == '{"kept": true}'
