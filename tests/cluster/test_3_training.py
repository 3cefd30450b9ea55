"""A workflow trains a model, judges it and commits it; the cluster serves it."""

import gzip
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_processing.sample.slices import write_sample
from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import Machines, wait
from tests.cluster.port_forward import forward
from tests.cluster.test_2_platform import is_true_to_git
from tests.cluster.workflows import Workflow, submit
from tests.k8s.test_monitoring import panels


def _an_artist() -> str:
    """Return an artist of the playlists that the run makes up."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), playlists=3000, seed=0)
        made = json.loads(gzip.decompress((Path(folder) / "mpd.slice.0-999.json.gz").read_bytes()))
    names = (track["artist_name"] for playlist in made["playlists"] for track in playlist["tracks"])
    return str(next(name for name in names if name.isascii() and '"' not in name))


@pytest.fixture(scope="module")
def trained(machines: Machines, figures: Figures) -> Workflow:
    """The run that the README's command starts, with a table of one artist's genres to join."""
    machines.put_object("tables/artists.csv", f'artist,genres\n"{_an_artist()}",rock\n')
    began = time.monotonic()
    workflow = submit(machines, "train-model", model_version="0", features="tables/artists.csv")
    workflow.reaches("ingest", 600)
    told = workflow.log()  # read before its pods are tidied away
    assert re.search(r"joined: features of [1-9][0-9]* of [0-9,]+ tracks", told), told
    workflow.end(1500)
    figures.keep("seconds from argo submit to the end", time.monotonic() - began)
    return workflow


def test_the_model_passes(trained: Workflow) -> None:
    """Data is made up, a model trained, judged and published, and all of it is said at the end."""
    assert trained.phase == "Succeeded", trained.log()
    outputs = trained.outputs()
    assert outputs["verdict"] == "pass"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", outputs["digest"])
    assert outputs["version"] == "1"
    assert outputs["report"].startswith("http://mlflow.segue.internal/")


def test_the_registry_has_it(machines: Machines, trained: Workflow) -> None:
    """MLflow tells of the model and of its run, through the gateway."""

    def ask(path: str) -> dict[str, Any]:
        api = "http://10.250.0.12:30000/api/2.0/mlflow"
        answer: dict[str, Any] = json.loads(machines.curl("--header", "Host: mlflow.segue.internal", f"{api}/{path}"))
        return answer

    version = ask("model-versions/get?name=segue&version=1")["model_version"]
    assert trained.outputs()["digest"] in json.dumps(version)
    assert ask(f"runs/get?run_id={version['run_id']}")["run"]["info"]["status"] == "FINISHED"


def test_git_says_that_it_stands_in_staging(trained: Workflow, repository: Repository) -> None:
    """The last step was a commit."""
    repository.pull()
    pin = (repository.tree / "k8s/environments/staging/bundle.yaml").read_text()
    assert trained.outputs()["digest"] in pin


def test_staging_serves_it(machines: Machines, repository: Repository, figures: Figures, trained: Workflow) -> None:
    """Argo CD makes the environment of the pin, and its pods verify the bundle and answer."""

    def stands() -> bool:
        made = machines.items("applications", "-n", "argocd", "--field-selector=metadata.name=segue-staging")
        return bool(made) and is_true_to_git(made[0])

    wait(stands, 180)
    repository.pull()
    committed = repository.log("%ct", "k8s/environments/staging/bundle.yaml")[0]
    pods = machines.items("pods", "-n", "segue-staging")
    ready = max(
        condition["lastTransitionTime"]
        for pod in pods
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    )
    at = time.mktime(time.strptime(ready, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    figures.keep("seconds from commit to serving", at - float(committed))
    assert at - float(committed) <= 60


@pytest.fixture(scope="module")
def staging(machines: Machines) -> Iterator[Callable[..., dict[str, Any]]]:
    """Ask staging's `POST /predict`, by kubectl port-forward, as the README says."""

    def predict(**question: object) -> dict[str, Any]:
        said = ("--header", "Content-Type: application/json", "--data", json.dumps(question))
        answer: dict[str, Any] = json.loads(machines.curl(*said, "http://127.0.0.1:8080/predict"))
        return answer

    with forward(machines, "segue-staging", "service/segue", 8080, 80):
        yield predict


def test_a_playlist_is_continued(machines: Machines, trained: Workflow, staging: Callable[..., dict[str, Any]]) -> None:
    """By the tracks that it has and by its title, and by its title alone."""
    known = json.loads(machines.curl("http://127.0.0.1:8080/tracks?q=a"))["tracks"][:3]
    questions: list[list[dict[str, str]]] = [known, []]
    for tracks in questions:
        answer = staging(tracks=tracks, name="road trip", k=5)
        assert len(answer["recommended_tracks"]) == 5
        assert answer["model"]["digest"] == trained.outputs()["digest"]


def test_what_listeners_do_is_kept(machines: Machines, staging: Callable[..., dict[str, Any]]) -> None:
    """In the one Postgres of all pods, so that a canary can be judged by it."""
    answer = staging(name="road trip", k=3)
    event = {
        "impression_id": answer["impression_id"],
        "track_uri": answer["recommended_tracks"][0]["track_uri"],
        "event": "play",
    }
    said = ("--header", "Content-Type: application/json", "--header", "Idempotency-Key: story-1")
    kept = machines.curl(*said, "--data", json.dumps({"events": [event]}), "http://127.0.0.1:8080/feedback")
    assert json.loads(kept) == {"kept": 1, "again": False}
    assert "play" in machines.postgres("segue", "SELECT * FROM feedback_events")


def test_prometheus_hears_of_it(machines: Machines, trained: Workflow, staging: Callable[..., dict[str, Any]]) -> None:
    """Every query of every dashboard has data once listeners have asked; the canary's wait for a canary."""
    known = json.loads(machines.curl("http://127.0.0.1:8080/tracks?q=a"))["tracks"][:3]
    with forward(machines, "monitoring", "service/prometheus", 9091, 9090):

        def ask(query: str) -> list[object]:
            said = machines.curl("--get", "--data-urlencode", f"query={query}", "http://127.0.0.1:9091/api/v1/query")
            result: list[object] = json.loads(said)["data"]["result"]
            return result

        def has_heard() -> bool:
            staging(tracks=known, k=5)
            return bool(ask("segue:matched:ratio_rate1h") and ask("segue:errors:ratio_rate5m"))

        wait(has_heard, 120)  # a rate takes two looks
        empty = [target["expr"] for panel in panels() for target in panel["targets"] if not ask(target["expr"])]
    assert [query for query in empty if "canary" not in query] == []
