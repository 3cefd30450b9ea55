"""The whole road, with stages that take no time (stand_in.yaml); Git, DVC, MLflow and the service are real."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from delivery import service as services
from delivery.gitops import Change
from delivery.policy import POLICY
from delivery.road import open_road
from delivery.rollback import roll_back
from delivery.run import PRODUCTION, Outcome, RunError, run
from delivery.service import ServiceError
from delivery.settings import Settings, read_settings
from delivery.stages import Inputs, StageError
from delivery.status import Standing
from delivery.summary import summary
from tests.support.broken_server import BROKEN_OFF, ECHO, broken_server

PIPELINE = Path(__file__).parent / "stand_in.yaml"
ROOT = Path(__file__).parents[2]
Go = Callable[..., Outcome]
_RUN = """
import sys
from pathlib import Path
from delivery.run import run
from delivery.settings import read_settings
from delivery.stages import Inputs
home, playlists, pipeline = map(Path, sys.argv[1:])
run(read_settings(workspace=home), Inputs((playlists,), pipeline=pipeline), None, lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A work folder in which a first run on made-up playlists ended with a pass; tests copy it."""
    home = tmp_path_factory.mktemp("run") / "var"
    home.mkdir()
    shutil.copyfile(empty_database, home / "mlflow.db")
    assert run(read_settings(workspace=home), Inputs(pipeline=PIPELINE), None, lambda _: None).exit_code == 0
    hurry = Change({POLICY: b"load_seconds: 0.3"}, "Load for a moment")
    open_road(read_settings(workspace=home)).repository.change(lambda _: hurry)
    return home


@pytest.fixture
def settings(passed: Path, tmp_path: Path) -> Settings:
    return read_settings(workspace=shutil.copytree(passed, tmp_path / "var"))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def go(settings: Settings, said: list[str], tmp_path: Path) -> Iterator[Go]:
    """Run on playlists that lead to a verdict: ``go("pass", seed=1)``; what was started is stopped in the end."""

    def call(word: str = "", seed: int = 0, port: int | None = None, **asked: Any) -> Outcome:
        said.clear()
        playlists: tuple[Path, ...] = ()
        if word:
            (tmp_path / "playlists").write_text(word)
            playlists = (tmp_path / "playlists",)
        return run(settings, Inputs(playlists, seed=seed, pipeline=PIPELINE, **asked), port, said.append)

    yield call
    if running := services.find(settings.home):
        services.stop(running)


def test_who_gives_no_whole_answer_is_no_service(settings: Settings) -> None:
    """Nor is who is connected to itself, as can happen while nothing listens yet."""
    standing = Standing(PRODUCTION, digest="sha256:" + "0" * 64)
    for answer in (ECHO, BROKEN_OFF):
        with broken_server(answer) as url:
            port = int(url.rpartition(":")[2])
            other = services.Service(1, 0, "127.0.0.1", port, PRODUCTION, standing.digest, 1)
            with pytest.raises(ServiceError, match="does not answer POST /predict"):
                services.predict(other, ["spotify:track:0"])
            with pytest.raises(ServiceError, match="does not go over"):
                services.follow(settings.home, other, standing)
            if answer == ECHO:
                with pytest.raises(ServiceError, match="ended at once"):
                    services.start(settings, standing, port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def digests(outcome: Outcome) -> list[str]:
    return [one.digest for one in outcome.standings]


def test_a_pass_is_pinned_and_served_and_again_nothing_is_done(go: Go, said: list[str], settings: Settings) -> None:
    """A run with nothing changed judges nothing against itself, makes no commit and keeps the process that serves."""
    head, port = open_road(settings).repository.head(), free_port()
    first = go(port=port)
    assert len(set(digests(first))) == 1
    assert first.service is not None
    assert (first.service.port, first.service.digest) == (port, first.standings[-1].digest)
    assert len(first.answer["recommended_tracks"]) == 3
    second = go(port=port)
    assert (second.service, second.report, second.exit_code) == (first.service, first.report, 0)
    assert said[:3] == [f"── {stage} stands, nothing changed" for stage in ("sample", "ingest", "export")]
    assert "stands in production already, and keeps its verdict" in said[3]
    assert open_road(settings).repository.head() == head
    _check_summary(summary(second), port)


def _check_summary(text: str, port: int) -> None:
    """What a newcomer needs: counts, figures against baselines, verdict, environments, address, how to stop."""
    assert "1,200 playlists, 30 tracks, 6,000 entries (synthetic" in text
    assert "candidate  popularity    ials" in text
    assert "recall@10" in text
    assert "verdict     pass: Better than the best baseline." in text
    assert "production  version 1" in text
    assert f"http://127.0.0.1:{port}/predict" in text
    assert "make stop" in text


def test_a_better_bundle_takes_over_and_a_worse_one_does_not(go: Go, settings: Settings, said: list[str]) -> None:
    """The incumbent is what production pins; after a fail or a doubt it stays, and an exit code says so."""
    first = open_road(settings).pin(open_road(settings).repository.head(), "production").digest
    better = go("pass", seed=1)
    assert better.report.content.incumbent == first
    assert [line.split(" took")[0] for line in said if " took " in line] == ["   ingest", "   export", "   gate"]
    assert [one.version for one in better.standings] == [2, 2, 2]
    for word, code in (("fail", 1), ("inconclusive", 2)):
        other = go(word, seed=2)
        assert (other.exit_code, digests(other)) == (code, digests(better))
        assert other.report.content.incumbent == better.standings[-1].digest
        assert f"verdict     {word}: The gate says {word}." in summary(other)
        assert "Nothing was promoted; production keeps version 2." in summary(other)


def test_the_gate_is_told_what_may_be_lost_and_where_its_report_leads(go: Go, settings: Settings) -> None:
    """Nothing may be lost, and the dataset's own page is beside it, unless somebody says more."""

    def asked() -> Any:
        return json.loads((settings.home / "report" / "asked.json").read_text())

    assert asked() == {"margin": 0, "links": {"dataset": "../dataset/validation.html"}}
    runs = "https://mlflow.example/#/experiments/1/runs?searchFilter=params.trained_by='{}'&$(touch harm)"
    go("pass", seed=1, margin=0.01, links={"run": runs})
    assert asked() == {"margin": 0.01, "links": {"dataset": "../dataset/validation.html", "run": runs}}


def test_a_bundle_that_was_rolled_back_does_not_come_back_by_running_again(go: Go, settings: Settings) -> None:
    """The same playlists give the same bundle, which stays quarantined."""
    second = go("pass", seed=1)
    roll_back(open_road(settings), "production", "too loud")
    third = go("pass", seed=1)
    assert (third.exit_code, third.standings[-1].version) == (1, 1)
    assert "too loud" in summary(third)
    assert second.standings[-1].digest in third.refusal


def test_what_does_not_pass_is_never_served(workspace: Path, tmp_path: Path) -> None:
    """A stage that fails and a gate that cannot measure end the run; a first bundle that fails stands nowhere."""
    settings, playlists = read_settings(workspace=workspace), tmp_path / "playlists"
    tables = [tmp_path / "numbers.csv", tmp_path / "artists.csv"]
    for table in tables:
        table.touch()
    joined = [("features", table) for table in tables]
    for word, stage in (("broken", "ingest"), ("blind", "gate")):
        playlists.write_text(word)
        with pytest.raises(StageError, match=f"The stage {stage} failed; its own message stands above"):
            run(settings, Inputs((playlists,), pipeline=PIPELINE, ingest=joined), None, lambda _: None)
    parameters = yaml.safe_load((settings.home / "params.yaml").read_text())
    assert parameters["ingest"] == f"--features {tables[0]} --features {tables[1]}"
    playlists.write_text("fail")
    outcome = run(settings, Inputs((playlists,), pipeline=PIPELINE), free_port(), lambda _: None)
    assert (outcome.exit_code, outcome.service, set(digests(outcome))) == (1, None, {""})
    assert "Nothing was promoted; nothing stands in production." in summary(outcome)


def test_a_taken_port_is_left_to_its_owner(go: Go, said: list[str]) -> None:
    """The next free one is used, and that is said."""
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        taken = owner.getsockname()[1]
        outcome = go(port=taken)
    assert outcome.service is not None
    assert outcome.service.port > taken
    assert f"port {taken} is taken by something else; serving on {outcome.service.port}" in "\n".join(said)


def _start(settings: Settings, word: str, folder: Path) -> "subprocess.Popen[str]":
    (folder / "playlists").write_text(word)
    command = [sys.executable, "-c", _RUN, str(settings.workspace), str(folder / "playlists"), str(PIPELINE)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    for line in process.stdout or ():
        if text in line:
            return
    raise AssertionError(f"{text!r} was never said")


def test_an_interrupted_or_killed_run_is_gone_on_with(go: Go, settings: Settings, tmp_path: Path) -> None:
    """Ctrl-C ends the stages too. A killed run holds its folder until they ended, for two of a kind would clash."""
    with _start(settings, "slow", tmp_path) as process:
        _wait_for(process, "sleeping")
        with pytest.raises(RunError, match=rf"Another segue run \(process {process.pid}\).* still works"):
            go("pass")
        process.send_signal(signal.SIGINT)
        assert process.wait(120) != 0  # a busy machine takes long to end a tree of processes
    with _start(settings, "slow", tmp_path) as process:
        _wait_for(process, "sleeping")
        process.kill()
        process.wait()
        with pytest.raises(RunError, match="or a stage that it left behind"):
            go("pass")
        _end_orphans(settings.home)
    assert go("pass").exit_code == 0


def _end_orphans(home: Path) -> None:
    """End the processes that work in a folder, which only this test's do, and wait until they are gone.

    DVC takes a lock for held as long as the process that took it is in the system's list.
    """
    ended = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).resolve() == home:
                process.kill()
                ended.append(process)
        except (psutil.Error, OSError):
            continue
    _, left = psutil.wait_procs(ended, timeout=60)
    assert not left


def test_a_run_moves_its_service_without_a_break(go: Go) -> None:
    """The process that serves follows the pin: every request is answered, first by one model and then by the other."""
    first, done = go(port=free_port()), threading.Event()
    assert first.service is not None

    def ask() -> list[str]:
        answers = []
        with httpx.Client(base_url=first.service.url if first.service else "", timeout=60) as client:
            while not done.is_set():
                response = client.post("/predict", json={"name": "rock"})
                assert response.status_code == 200, response.text
                answers.append(response.json()["model"]["digest"])
        return answers

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        second = go("pass", seed=1, port=first.service.port)
        done.set()
        answers = asking.result()
    assert second.service is not None
    assert second.service.pid == first.service.pid
    assert (first.load, second.load is None) == (None, False)  # only what was promoted is loaded
    assert "under load  " in summary(second)
    assert list(dict.fromkeys(answers)) == [first.service.digest, second.service.digest]


def test_serve_and_stop(go: Go, settings: Settings) -> None:
    """segue serve is the service on what an environment pins, in the foreground; segue stop ends it."""
    outcome = go()
    port, base = free_port(), [sys.executable, "-m", "delivery"]
    where = ["--workspace", str(settings.workspace)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*base, "serve", *where, "--environment", "canary", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        answer = _answer(f"http://127.0.0.1:{port}/predict")
        assert answer["model"] == {"digest": outcome.standings[1].digest, "version": "1"}
        stopped = subprocess.run([*base, "stop", *where], env=environment, capture_output=True, text=True, check=True)
        assert f"http://127.0.0.1:{port} has ended" in stopped.stdout
        assert process.wait(10) == 0
    assert services.find(settings.home) is None


def _answer(url: str) -> dict[str, dict[str, str]]:
    for _ in range(300):
        try:
            response = httpx.post(url, json={"name": "rock"}, timeout=30)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if response.status_code == 200:  # it answers 503 while it loads
            answer: dict[str, dict[str, str]] = response.json()
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
