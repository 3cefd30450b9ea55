"""What is broken on purpose while listeners ask: bundles in the store, a model."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from segue.bundle import MODEL, SIGNATURE
from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import Machines, conditions, wait
from tests.cluster.promotions import Listeners, Registry, commits, place
from tests.cluster.workflows import submit

WORSE = {
    "lightgcn": "start=xavier epochs=1",
    "text": "",
    "projector": "epochs=1",
    "llara": "skeleton.epochs=1 llara.epochs=1",
    "export": "",
}
"""Hardly trained at all."""


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
    assert [one for one in load.answers(began) if one.status != 200] == []


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
    assert [one for one in load.answers(began) if one.status != 200] == []


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


def test_a_worse_model_stops_at_the_gate(
    machines: Machines, repository: Repository, registry: Registry, load: Listeners, figures: Figures
) -> None:
    """Hardly trained, it is judged against what stands in production, and comes to no environment."""
    before = {name: commits(repository, name)[-1].pin for name in ("staging", "canary", "production")}
    began = time.monotonic()
    profiles = json.dumps({"quick": WORSE})
    workflow = submit(machines, "train-model", model_version="0", profile="quick", profiles=profiles)
    assert workflow.end(1200) == "Succeeded", workflow.log()
    figures.keep("seconds of a training that the gate stops", time.monotonic() - began)
    outputs = workflow.outputs()
    assert outputs["verdict"] == "fail", outputs
    refused = submit(machines, "promote-model", model_version=outputs["version"])
    assert refused.end(300) == "Failed"
    assert "pass" in refused.log()
    assert {name: commits(repository, name)[-1].pin for name in before} == before
