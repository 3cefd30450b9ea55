"""What is broken on purpose while listeners ask: a training and its model, and bundles in the store."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from segue.bundle import MODEL, SIGNATURE
from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import STORE, Machines, conditions, wait
from tests.cluster.promotions import Listeners, Registry, commits, place
from tests.cluster.test_4_breakage import HAS_LEARNED
from tests.cluster.workflows import submit

WORSE = {
    "lightgcn": "start=xavier rate=0.000001 epochs=20 patience=0",
    "text": "",
    "projector": "epochs=1",
    "llara": "skeleton.epochs=1 second.epochs=0 llara.epochs=1",
    "export": "word_steps=100 onnx_tolerance=1 int8_tolerance=1",
}
"""Hardly trained at all, by a LightGCN that takes long enough over learning nothing to be met in the middle.

Of so little, a hundredth is soon lost by chance: it is not to be the export that stops it."""
STORES = {"objects": f"statefulset/{STORE}", "mlflow": "deployment/mlflow"}  # application, also namespace → what runs


def test_a_worse_model_stops_at_the_gate(
    machines: Machines, repository: Repository, load: Listeners, figures: Figures
) -> None:
    """Hardly trained, it is judged against what stands in production, and comes to no environment.

    Its training is also the one that things happen to: the pod of LightGCN is killed in the middle, and MinIO and
    MLflow are away for a minute. It goes on from its checkpoint, and comes to its end all the same.
    """
    before = {name: commits(repository, name)[-1].pin for name in ("staging", "canary", "production")}
    asked, began = time.time(), time.monotonic()
    profiles = json.dumps({"quick": WORSE})
    workflow = submit(machines, "train-model", model_version="0", profile="quick", profiles=profiles)
    wait(lambda: HAS_LEARNED.search(workflow.log()), 400, 1)
    (first,) = workflow.pods("lightgcn")
    machines.kubectl("delete", "pod", first, "-n", "workflows", "--grace-period=0", "--force")
    _take_the_stores_away_for_a_minute(machines)
    wait(lambda: "lightgcn: going on after epoch" in workflow.log(), 400, 2)  # read before its pods are tidied away
    assert workflow.end(1200) == "Succeeded", workflow.log()
    figures.keep("seconds of a training that is broken into and that the gate stops", time.monotonic() - began)
    outputs = workflow.outputs()
    assert outputs["verdict"] == "fail", outputs
    refused = submit(machines, "promote-model", model_version=outputs["version"])
    wait(lambda: any(pod["phase"] == "Failed" for pod in refused.steps("promote")), 300, 2)
    assert "pass" in refused.log()
    machines.argo("stop", refused.name)  # by itself it asks three times more, with growing pauses, and is told the same
    assert refused.end(300) == "Failed"
    assert {name: commits(repository, name)[-1].pin for name in before} == before
    assert load.failed(asked) == []


def _take_the_stores_away_for_a_minute(machines: Machines) -> None:
    """Stop MinIO and MLflow; Argo CD would bring them back within seconds, so it looks away from them for that time."""
    look_away = "argocd.argoproj.io/skip-reconcile"
    for name, target in STORES.items():
        machines.kubectl("annotate", "application", name, "-n", "argocd", f"{look_away}=true")
        machines.kubectl("scale", target, "-n", name, "--replicas=0")
    time.sleep(60)
    for name, target in STORES.items():
        machines.kubectl("scale", target, "-n", name, "--replicas=1")
        machines.kubectl("annotate", "application", name, "-n", "argocd", f"{look_away}-")


@pytest.fixture(scope="module")
def load(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """Twenty requests a second."""
    crowd = Listeners(tmp_path_factory.mktemp("listeners"))
    with crowd.there(machines):
        yield crowd


def test_an_altered_bundle_is_not_loaded(machines: Machines, repository: Repository, load: Listeners) -> None:
    """One bit of the store's copy is another: a new pod stays unready and says why, and the others answer."""
    stands = commits(repository, "production")[-1].pin["digest"]
    began = time.time()
    machines.flip_object(f"{place(stands)}/{MODEL}")
    try:
        new = _replace_a_pod(machines)
        wait(lambda: _refusal(machines, new) == "altered", 120)
        assert f"{MODEL} of the bundle" in machines.kubectl("logs", new, "-n", "segue-production", "--container=fetch")
        assert not _is_ready(machines, new)
    finally:
        machines.flip_object(f"{place(stands)}/{MODEL}")
    wait(lambda: _is_ready(machines, new), 120)
    assert load.failed(began) == []


def test_an_unsigned_bundle_is_not_loaded(
    machines: Machines, repository: Repository, registry: Registry, load: Listeners
) -> None:
    """Without its signature a new pod stays unready and says why; `segue sign` mends it."""
    pin = commits(repository, "production")[-1].pin
    began = time.time()
    machines.delete_object(f"{place(pin['digest'])}/{SIGNATURE}")
    new = _replace_a_pod(machines)
    wait(lambda: _refusal(machines, new) == "unsigned", 120)
    assert not _is_ready(machines, new)
    registry.sign(pin["version"])
    wait(lambda: _is_ready(machines, new), 120)
    assert load.failed(began) == []


def _replace_a_pod(machines: Machines) -> str:
    """Take a pod of production away and return the name of the one that comes in its place."""
    before = {pod["metadata"]["name"] for pod in machines.items("pods", "-n", "segue-production")}
    machines.kubectl("delete", "pod", sorted(before)[0], "-n", "segue-production", "--wait=false")
    found: list[str] = []

    def came() -> bool:
        found[:] = [pod["metadata"]["name"] for pod in machines.items("pods", "-n", "segue-production")]
        return bool(set(found) - before)

    wait(came, 60)
    return min(set(found) - before)


def _status(machines: Machines, name: str) -> dict[str, Any]:
    found = json.loads(machines.kubectl("get", "pod", name, "-n", "segue-production", "-o", "json"))
    status: dict[str, Any] = found["status"]
    return status


def _is_ready(machines: Machines, name: str) -> bool:
    return conditions({"status": _status(machines, name)}).get("Ready") == "True"


def _refusal(machines: Machines, name: str) -> str:
    """Return why a pod that fetches its bundle does not take it, as it tells Prometheus; "" while it does not say."""
    address = _status(machines, name).get("podIP", "")
    try:
        said = machines.curl(f"http://{address}:8000/metrics")
    except AssertionError:  # it has no address yet, or is not that far
        return ""
    return next(iter(re.findall(r'^segue_bundle_refused\{reason="(\w+)"\} 1.0$', said, re.MULTILINE)), "")
