"""Several workers by a real Ray on this machine: one worker's figures, through kills, and a search that goes on."""

import csv
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

import data_processing.__main__ as data_command
import train.__main__ as train_command
from segue.errors import InputError
from tests.support.tiny_bert import write_tiny_bert
from train import ray_session
from train.workers import failure_of

pytestmark = pytest.mark.timeout(900)  # Ray starts a dozen processes, which takes its time on a busy machine
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="There is no Ray; requirements/ray.txt brings it.")
LIGHTGCN = (
    *("dimension=16", "batch=32", "start=xavier", "rate=0.01", "regularisation=0.0001"),
    *("patience=0", "gram_buckets=512"),
)
RANKER = (
    *("projector_hidden=32", "mix_hidden=16", "gram_buckets=512", "negatives=200", "backbone_layers=1"),
    *("skeleton.epochs=2", "skeleton.batch=32", "llara.epochs=1", "llara.batch=32"),
    *("second.epochs=1", "second.batch=32", "second_dimension=16"),
)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small dataset, as working folder."""
    folder = tmp_path_factory.mktemp("workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.chdir(folder)
        sizes = ["--playlists", "200", "--tracks", "500", "--seed", "3"]
        assert data_command.main(["sample", "--output", "data", *sizes]) == 0
        assert data_command.main(["ingest", "data", "--output", "dataset", "--validation", "0.1"]) == 0
        mlflow.set_experiment("segue")  # makes the database before two workers could do so at once
        yield folder


@pytest.fixture(scope="module")
def ray(road: Path) -> Iterator[None]:
    """One session for all tests: its start costs ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        with ray_session.session("The tests", cpus=2):
            yield


@pytest.fixture(scope="module")
def two(ray: None) -> str:
    """What two workers learned that were left alone."""
    assert learn("lightgcn", "two", "epochs=80", *LIGHTGCN, "--workers", "2") == 0
    return "two"


def learn(verb: str, output: str, *words: str) -> int:
    """Run a stage on the dataset with one thread a worker and return its exit code."""
    return train_command.main([verb, "dataset=dataset", f"output={output}", "threads=1", *words])


def vectors(output: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(Path(output).glob("*.npy"))}


def ndcg(output: str) -> float:
    return float(json.loads(Path(output, "metrics.json").read_text())["ndcg"])


def training_workers() -> list[psutil.Process]:
    """Return the processes that train, as Ray names them."""
    below = psutil.Process().children(recursive=True)
    return [process for process in below if "RayTrainWorker" in " ".join(process.cmdline())]


@with_ray
@pytest.mark.slow
def test_two_workers_learn_what_one_learns(two: str) -> None:
    """LightGCN's figure within 0.001, its vectors within 0.001; and nothing of the work is left behind."""
    assert learn("lightgcn", "one", "epochs=80", *LIGHTGCN) == 0
    assert ndcg("two") == pytest.approx(ndcg("one"), abs=1e-3)
    for name in ("tracks.npy", "playlists.npy"):
        np.testing.assert_allclose(np.load(f"two/{name}"), np.load(f"one/{name}"), atol=1e-3)
    assert not Path("two.checkpoints").exists()


@with_ray
@pytest.mark.slow
def test_a_killed_worker_costs_no_more_than_the_way_from_the_checkpoint(two: str) -> None:
    """One of two is killed in mid-training: all start again, where the checkpoint is, and end with the same bytes."""
    words = ["epochs=80", *LIGHTGCN, "--workers", "2"]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(learn("lightgcn", "killed", *words)))
    thread.start()
    checkpoint = _second_checkpoint(Path("killed.checkpoints"))
    victim = training_workers()[-1]
    victim.send_signal(signal.SIGKILL)
    assert not Path("killed").exists(), "The training was over before its worker could be killed."
    thread.join(timeout=600)
    assert codes == [0]
    assert vectors("killed") == vectors(two)
    assert not checkpoint.exists()
    steps = [m.step for m in mlflow.MlflowClient().get_metric_history(_newest_run(), "ndcg")]
    assert min(steps) > 2, "It began from the start and not from the checkpoint."


def _second_checkpoint(folder: Path) -> Path:
    """Wait until training has gone on from its first checkpoint to another, and return the file."""
    first, until = 0.0, time.monotonic() + 600
    while time.monotonic() < until:
        for file in folder.glob("*-2-workers.pt"):
            written = file.stat().st_mtime
            first = first or written
            if written > first:
                return file
        time.sleep(0.005)
    raise AssertionError(f"No second checkpoint came to {folder}.")


def _newest_run() -> str:
    runs = mlflow.search_runs(output_format="list", order_by=["start_time DESC"], max_results=1)
    return str(runs[0].info.run_id)


@with_ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_two_workers_train_the_ranker_that_one_trains(road: Path) -> None:
    """LLaRA's figures within 0.001 after both phases, its weights within 0.0001."""
    encoder = f"encoder={write_tiny_bert(road / 'bert')}"
    assert learn("lightgcn", "lightgcn", "epochs=2", "dimension=16", "gram_buckets=512") == 0
    assert learn("text", "text", encoder) == 0
    assert learn("projector", "projector", "lightgcn=lightgcn", "text=text", "epochs=1", "hidden=32", "batch=64") == 0
    needs = ["lightgcn=lightgcn", "text=text", "projector=projector", encoder, *RANKER]
    assert learn("llara", "ranker-one", *needs) == 0
    assert learn("llara", "ranker-two", *needs, "--workers", "2") == 0
    one, two = (json.loads(Path(f"ranker-{n}", "metrics.json").read_text())[-1] for n in ("one", "two"))
    assert one["phase"] == two["phase"] == "llara"
    for name in one:
        if name.startswith("ndcg"):
            assert two[name] == pytest.approx(one[name], abs=1e-3)
    weights, others = (load_file(f"ranker-{n}/ranker.safetensors") for n in ("one", "two"))
    for name, weight in weights.items():
        np.testing.assert_allclose(others[name], weight, atol=1e-4, err_msg=name)


@with_ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_a_search_goes_on_where_it_was() -> None:
    """Asked for more trials it keeps those that are known, byte for byte, and the first are the stage's defaults."""
    space = 'space=["rate=tag(log, interval(0.001, 0.05))","layers=choice(1, 2)"]'
    words = [space, 'settings=["dimension=16","epochs=2","batch=32","start=xavier"]']
    assert learn("search", "found", "trials=2", *words) == 0
    known = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in Path("found/trials").iterdir()}
    assert learn("search", "found", "trials=3", *words) == 0
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in Path("found/trials").iterdir()}
    assert len(known) == 2
    assert len(after) == 3
    assert known.items() <= after.items()
    rows = list(csv.DictReader(Path("found/trials.csv").read_text().splitlines()))
    assert [float(row["ndcg"]) for row in rows] == sorted((float(row["ndcg"]) for row in rows), reverse=True)
    assert {"trial": "1", "rate": "0.002", "layers": "2"} in [
        {name: row[name] for name in ("trial", "rate", "layers")} for row in rows
    ]


@with_ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_what_a_trial_refuses_ends_the_search_in_its_own_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not tried again, nor are the trials after it begun."""
    words = ["stage=llara", 'settings=["lightgcn=gone","text=gone","projector=gone"]', "trials=3"]
    assert learn("search", "refused", *words, 'space=["title_kept=interval(0.3, 0.9)"]') == 1
    assert "gone" in capsys.readouterr().err.splitlines()[-1]
    assert len(list(Path("refused/trials").iterdir())) == 1


def test_what_workers_die_of_is_one_sentence() -> None:
    """The stage's own where it has one, and not the traceback of somebody else's framework."""
    own = "Traceback:\n  File x\nsegue.errors.DatasetError: The dataset is gone.\n\nRay says more."
    assert failure_of(own, "Training") == "The dataset is gone."
    assert failure_of("Traceback:\nOSError: disk full\n", "Training") == (
        "Training failed; the last error was: OSError: disk full"
    )


def test_settings_are_refused_before_anything_is_started(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the stage's own sentence."""
    assert learn("lightgcn", "never", "epochs=1", "loss=none", "--workers", "2") == 1
    assert "LightGCN's loss is softmax or bpr, and not 'none'; set loss=softmax." in capsys.readouterr().err
    assert not Path("never").exists()


@with_ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_ray_listens_to_this_machine_alone() -> None:
    """Every port of every process of the session is on the loopback interface."""
    below = psutil.Process().children(recursive=True)
    ports = [link.laddr.ip for one in below for link in one.net_connections("tcp") if link.status == "LISTEN"]
    assert ports
    assert {ip.removeprefix("::ffff:") for ip in ports} == {"127.0.0.1"}


def test_more_workers_than_cpus_are_refused() -> None:
    """They would wait for each other for ever."""
    found = ray_session.Session(cpus=2)
    assert found.threads(workers=2, wished=0) == 1
    with pytest.raises(InputError, match="3 workers with 2 threads each need 6 CPUs, and Ray counts 2"):
        found.threads(workers=3, wished=2)


def test_without_ray_one_sentence_says_what_to_install(
    road: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One worker needs none, and never imports it."""
    monkeypatch.setattr(ray_session, "find_spec", lambda name: None)
    assert learn("lightgcn", "unmade", "epochs=1", *LIGHTGCN, "--workers", "2") == 1
    error = capsys.readouterr().err
    assert "--workers 2 needs Ray, which is not installed" in error
    assert "requirements/ray.txt" in error
    assert learn("lightgcn", "alone", "epochs=1", *LIGHTGCN, "--workers", "1") == 0
    shutil.rmtree("alone")


def test_a_cluster_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is made anew comes back within a minute or two; after a while, nobody waits any longer."""
    asked: list[str] = []

    def init(address: str, **_: object) -> None:
        asked.append(address)
        if len(asked) < 3:
            raise ConnectionError("Nobody is there.")

    ray = SimpleNamespace(init=init, shutdown=lambda: None, LoggingConfig=lambda **_: None)
    monkeypatch.setattr(ray_session, "_PAUSE", 0.0)
    ray_session._connect(ray, "ray://head:10001")
    assert asked == ["ray://head:10001"] * 3
    asked.clear()
    monkeypatch.setattr(ray_session, "_PATIENCE", -1)
    with pytest.raises(InputError, match=r"The Ray cluster at ray://head:10001 .* cannot be used: Nobody is there"):
        ray_session._connect(ray, "ray://head:10001")
    assert len(asked) == 1


def test_a_number_of_workers_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """No worker at all is wrong usage."""
    with pytest.raises(SystemExit) as ended:
        train_command.main(["lightgcn", "--workers", "0"])
    assert ended.value.code == 2
    assert "'0' is no number of workers" in capsys.readouterr().err
