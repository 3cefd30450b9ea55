"""Commits carry models to listeners and back, under a steady load through the gateway."""

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from delivery.pins import QUARANTINE
from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import STORE, Machines, wait
from tests.cluster.promotions import Answer, Listeners, Registry, commits
from tests.cluster.workflows import Workflow, submit

SHARES = [0, 1, 5, 25, 50]
FAULTS = {"better": "alike", "errs": "errs", "slow": "slow", "skipped": "alike"}
"""What is promoted after the first model, and what is wrong with each: that it is skipped is the listeners' doing."""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Listeners:
    return Listeners(tmp_path_factory.mktemp("listeners"))


@pytest.fixture(scope="module")
def first(machines: Machines, repository: Repository) -> Workflow:
    """The first model's promotion, from staging to production."""
    repository.pull()
    shutil.copy(Path(__file__).with_name("promotion.yaml"), repository.tree / "k8s/promotion.yaml")
    repository.push("Promote in a hurry")
    return submit(machines, "promote-model", model_version="1")


def test_the_first_model_comes_to_production(
    machines: Machines, repository: Repository, registry: Registry, first: Workflow, figures: Figures
) -> None:
    """There are no listeners yet to be careful with: staging, canary at 0 %, production."""
    began = time.time()
    assert first.end(600) == "Succeeded", first.log()
    figures.keep("seconds of the first model from staging to production", time.time() - began)
    bundle, _ = registry.fetch(1)
    assert commits(repository, "production")[-1].pin["digest"] == bundle.digest
    wait(lambda: _answers_with(machines) == bundle.digest, 60)  # the gateway hears of its first route


def _answers_with(machines: Machines) -> str:
    said = ("--header", "Content-Type: application/json", "--data", '{"name": "road trip"}')
    try:
        digest: str = json.loads(machines.curl(*said, "http://10.250.0.12:30000/predict"))["model"]["digest"]
    except AssertionError:
        return ""
    return digest


@pytest.fixture(scope="module")
def published(registry: Registry, first: Workflow) -> dict[str, tuple[int, str]]:
    """Versions and digests of all that follow the first; before listeners come, so that it takes no core from them."""
    return registry.publish_variants(FAULTS)


@pytest.fixture(scope="module")
def load(machines: Machines, published: dict[str, tuple[int, str]], crowd: Listeners) -> Iterator[Listeners]:
    """Twenty requests a second."""
    with crowd.there(machines):
        yield crowd


def test_a_better_model_goes_all_the_way(
    machines: Machines,
    repository: Repository,
    published: dict[str, tuple[int, str]],
    load: Listeners,
    figures: Figures,
) -> None:
    """Through shadow and every share; no request fails, and nobody meets two models within one share.

    On its way, at 5 %, a pod of the canary is killed and somebody else pushes a commit.
    """
    version, digest = published["better"]
    began = time.time()
    workflow = submit(machines, "promote-model", model_version=str(version))
    wait(lambda: _weights(machines)[1] == 5, 600, 3)
    time.sleep(10)
    killed = time.time()
    machines.kill_pod(machines.items("pods", "-n", "segue-canary")[0]["metadata"]["uid"])
    repository.pull()
    (repository.tree / "NOTES").write_text("Somebody else was here.\n")
    repository.push("Push while a model is on its way")
    assert workflow.end(1200) == "Succeeded", workflow.log()
    made = [one for one in commits(repository, "canary", began) if one.pin["digest"] == digest]
    assert [one.pin["weight"] for one in made] == [*SHARES, 0]
    landed = commits(repository, "production", began)
    assert [one.pin["digest"] for one in landed] == [digest]
    assert (repository.tree / "NOTES").exists()
    figures.keep("seconds from publish to production", landed[0].at - began)
    assert landed[0].at - began <= 600
    met, failed = load.answers(began), load.failed(began)
    figures.keep("requests during a promotion", len(met))
    figures.keep("requests that failed meanwhile", len(failed))
    figures.keep("requests that failed since a pod of the canary was killed", sum(one.at >= killed for one in failed))
    two = _met_two(met, [*(one.at for one in made[:-1]), landed[0].at])
    figures.keep("listeners who met two models within one step of the canary", two)
    assert failed == []
    assert two == 0


@pytest.mark.parametrize("fault", ["errs", "slow", "skipped"])
def test_a_bad_model_is_caught_at_the_canary(
    machines: Machines,
    repository: Repository,
    published: dict[str, tuple[int, str]],
    load: Listeners,
    figures: Figures,
    fault: str,
) -> None:
    """It comes with the report of the first model and passes before listeners; they tell.

    It is off all traffic within two minutes of its commit, and quarantined.
    """
    version, digest = published[fault]
    if fault == "skipped":
        load.disliked.write_text(f"{digest}\n")
    stands = commits(repository, "production")[-1].pin["digest"]
    began = time.time()
    workflow = submit(machines, "promote-model", model_version=str(version))
    workflow.end(900)
    made = commits(repository, "canary", began)
    shares = [one for one in made if one.pin["digest"] == digest and one.pin["weight"]]
    assert shares, workflow.log()
    assert made[-1].pin["weight"] == 0
    assert made[-1].pin["digest"] == stands
    assert commits(repository, "production")[-1].pin["digest"] == stands
    assert digest in (repository.tree / QUARANTINE).read_text()
    time.sleep(20)
    assert load.failed(began, shares[0].at) == []
    met = [one for one in load.answers(shares[0].at) if one.digest == digest or one.status != 200]
    begin, end = min(one.at for one in met), max(one.at for one in met)
    figures.keep(f"seconds from the commit until nobody met a model that is {fault}", end - shares[0].at)
    figures.keep(f"seconds that listeners met a model that is {fault}", end - begin)
    assert end - shares[0].at <= 120
    share = len(met) / len(load.answers(shares[0].at, end))
    figures.keep(f"percent of requests that met a model that is {fault}", 100 * share)
    assert share <= shares[-1].pin["weight"] / 100 + 0.05


def test_a_rollback_outlasts_a_refresh(machines: Machines, repository: Repository) -> None:
    """What is quarantined in Git is not brought back by any sync."""
    production = commits(repository, "production")[-1].pin["digest"]
    for name in ("segue", "segue-canary", "segue-production"):
        machines.kubectl("annotate", "application", name, "-n", "argocd", "argocd.argoproj.io/refresh=hard")
    wait(lambda: not _waits_for_a_refresh(machines), 60)
    time.sleep(10)  # what it had to change would be changed by then
    assert commits(repository, "canary")[-1].pin["weight"] == 0
    assert {_answers_with(machines) for _ in range(20)} == {production}


def _waits_for_a_refresh(machines: Machines) -> bool:
    """Whether Argo CD, which takes the request away once it has looked, has yet to look."""
    asked = machines.items("applications", "-n", "argocd")
    return any("argocd.argoproj.io/refresh" in one["metadata"].get("annotations", {}) for one in asked)


def test_production_outlives_what_breaks(
    machines: Machines, repository: Repository, load: Listeners, figures: Figures
) -> None:
    """A killed pod, a weight set by hand, stores and Git and Argo CD and Prometheus away, a kubelet that restarts."""
    began = time.time()
    machines.kill_pod(machines.items("pods", "-n", "segue-production")[0]["metadata"]["uid"])
    time.sleep(15)
    by_hand = '[{"op": "replace", "path": "/spec/weighted/services/1/weight", "value": 50}]'
    machines.kubectl("patch", "traefikservice", "models", "-n", "segue-traffic", "--type=json", "-p", by_hand)
    figures.keep("seconds until a weight set by hand is back", wait(lambda: _weights(machines)[1] == 0, 60))
    away = {
        "objects": f"statefulset/{STORE}",
        "mlflow": "deployment/mlflow",
        "monitoring": "statefulset/prometheus",
        "argocd": "statefulset/argocd-application-controller",
        "git": "deployment/git",
    }
    machines.kubectl("scale", away["argocd"], "-n", "argocd", "--replicas=0")  # first, or it brings the others back
    for namespace, target in away.items():
        machines.kubectl("scale", target, "-n", namespace, "--replicas=0")
    time.sleep(30)
    for namespace, target in away.items():
        machines.kubectl("scale", target, "-n", namespace, "--replicas=1")
    machines.enter("node2", "sv", "restart", "kubelet")
    time.sleep(30)
    failed = load.failed(began)
    figures.keep("requests that failed while things broke", len(failed))
    assert failed == []


def _weights(machines: Machines) -> list[int]:
    form = "jsonpath={.spec.weighted.services[*].weight}"
    return [
        int(one)
        for one in machines.kubectl("get", "traefikservice", "models", "-n", "segue-traffic", "-o", form).split()
    ]


def _met_two(answers: list[Answer], changes: list[float]) -> int:
    """Return how many listeners met two models between two neighbouring changes, each some seconds to be heard of."""
    found = 0
    for begin, end in pairwise(changes):
        met = defaultdict(set)
        for one in answers:
            if begin + 20 <= one.at < end and one.digest:
                met[one.listener].add(one.digest)
        found += sum(len(digests) > 1 for digests in met.values())
    return found
