"""Staging under a steady load, over real HTTP: what stands it goes on with its figures, and nothing else does."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from delivery.advance import Promoter, Step, follow
from delivery.gitops import Change
from delivery.load import Load, drive
from delivery.policy import POLICY, Policy
from delivery.probing import HttpServices, questions
from delivery.promotion import Order, promote
from delivery.registry import Evidence, MlflowRegistry
from delivery.road import Road
from delivery.status import audit
from delivery.under_load import under_load
from delivery.watching import Sources, WatchError
from segue.bundle import Bundle
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.misbehaving import Front, misbehaving
from tests.delivery.world import World
from tests.support.broken_server import BROKEN_OFF, ECHO, broken_server
from tests.support.running_service import Running, running

RULE: dict[str, Any] = {
    "alpha": 0.4, "smoke_playlists": 16, "budget_seconds": 60, "settle_seconds": 0,
    "load_rate": 100, "load_seconds": 0.2, "load_p95_seconds": 60,
}  # fmt: skip
"""Little is asked and all is allowed, for the machine that tests is not measured here."""
Go = Callable[..., Step]


@pytest.fixture(scope="module")
def service(bundles: list[Bundle], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with the first bundle."""
    with running(bundles[0].path, tmp_path_factory.mktemp("service") / "log") as service:
        yield service


@pytest.fixture
def front(service: Running) -> Iterator[Front]:
    with misbehaving(service.url) as front:
        yield front


@pytest.fixture
def go(road: Road, bundles: list[Bundle], publish_bundle: Publish) -> Go:
    """Promote the first bundle from staging, whose service is somewhere: ``go(url, load_errors=0.1)``."""

    def call(url: str, over: Road = road, **rule: Any) -> Step:
        data = Policy(**{**RULE, **rule}).model_dump_json().encode()  # JSON is YAML
        over.repository.change(lambda _: Change({POLICY: data}, "Say how to promote"))
        promote(over, Order("staging", bundles[0].digest))
        promoter = Promoter(over, HttpServices(url), Sources(), time.time)
        return follow(promoter, lambda _: None, lambda _: time.sleep(0.05))

    publish_bundle(bundles[0])
    return call


def last(road: Road) -> dict[str, str]:
    """Return what the last commit says."""
    return road.repository.describe(road.repository.head())


def test_who_stands_the_load_goes_on_with_figures_in_the_commit_and_in_mlflow(
    go: Go, road: Road, bundles: list[Bundle], service: Running, workspace: Path, registry: MemoryRegistry
) -> None:
    """As a run below the version's own, with the percentiles, what failed, what was asked and what it took."""
    address = f"sqlite:///{workspace / 'mlflow.db'}"
    mlflow = MlflowRegistry(address, str(workspace / "mlartifacts"))
    mlflow.register(registry.versions[0].entry, Evidence())
    assert go(service.url, replace(road, registry=mlflow)).arrived
    staged = next(one for one in reversed(audit(road)) if one.judged == "staging: pass")
    assert staged.evidence["Load"].startswith("pass n=")
    assert "failed=0 refused=0 limits=60000ms,0.01" in staged.evidence["Load"]
    assert "load: pass" not in audit(road)[0].to_text()  # no other step is asked so
    client = MlflowClient(address)
    published = client.get_model_version("segue", "1").run_id
    found = client.search_runs(["1"], f"tags.mlflow.parentRunId = '{published}'")
    assert [one.info.run_name for one in found] == ["load staging"]
    told = found[0].data
    assert (told.tags["version"], told.tags["digest"]) == ("1", bundles[0].digest)
    assert told.params == {"rate": "100", "seconds": "0.2", "p95_limit_seconds": "60", "errors_limit": "0.01"}
    figures = told.metrics
    assert figures["n"] == int(staged.evidence["Load"].split("n=")[1].split()[0]) > 5
    assert 0 < figures["milliseconds.p50"] <= figures["milliseconds.p95"] <= figures["milliseconds.p99"]
    assert (figures["failed"], figures["refused"]) == (0, 0)
    assert figures["answers_a_second"] > 0
    assert 20 < figures["resident_megabytes"] < 2000
    assert figures["service_cores"] > 0


def test_who_is_slow_only_under_load_is_taken_back(go: Go, road: Road, front: Front, bundles: list[Bundle]) -> None:
    """Three times, so that no neighbour on the machine takes a bundle back."""
    front.seconds = 1.0
    step = go(front.url, load_p95_seconds=0.5)
    assert step.outcome == "rolled back"
    assert "It is too slow: under 100 requests/s for 0.2 s the 95th percentile of" in step.reason
    assert "in the last of 3 tries, and load_p95_seconds allows 500 ms." in step.reason
    assert road.quarantine(road.repository.head()).find(bundles[0].digest)
    assert last(road)["Segue-Load"].startswith("fail n=")


def test_who_fails_only_under_load_is_taken_back(
    go: Go, road: Road, front: Front, bundles: list[Bundle], registry: MemoryRegistry
) -> None:
    """At once, and the registry has that too."""
    front.status = 500
    step = go(front.url)
    assert step.outcome == "rolled back"
    assert "staging fails under 100 requests/s for 0.2 s: " in step.reason
    assert "requests (500: " in step.reason
    [(version, name, evidence)] = registry.runs
    assert (version, name) == (1, "load staging")
    assert evidence.metrics["failed"] > 0
    assert evidence.note.startswith("**fail**: ")


def test_who_cannot_be_measured_goes_nowhere_and_is_no_bad_bundle(
    go: Go, road: Road, front: Front, bundles: list[Bundle]
) -> None:
    """A limit of rate, or pods that are not ready: it waits, and goes back undecided."""
    front.status = 429
    step = go(front.url, deadline_seconds=2)
    assert step.outcome == "went back"
    assert "staging could not be measured under 100 requests/s for 0.2 s: " in step.reason
    assert "keep load_rate in k8s/promotion.yaml below it" in step.reason
    assert road.quarantine(road.repository.head()).entries == ()
    assert not road.pin(road.repository.head(), "canary")
    assert last(road)["Segue-Load"].startswith("inconclusive n=")


def test_nobody_and_somebody_else_are_no_measurement(bundles: list[Bundle], service: Running) -> None:
    """What does not listen; what answers with another bundle, as an old pod does."""
    policy, asked = Policy(**RULE), questions(bundles[0], 5)
    finding, load = under_load(HttpServices("http://127.0.0.1:9"), "staging", bundles[0].digest, asked, policy)
    assert finding.word == "inconclusive"
    assert f"{load.sent} of {load.sent} requests were turned away or not answered (no answer: {load.sent})" in (
        finding.reason
    )
    finding, load = under_load(HttpServices(service.url), "staging", bundles[1].digest, asked, policy)
    assert finding.word == "inconclusive"
    assert f"{load.sent} of {load.sent} answers were another bundle's" in finding.reason
    nothing, _ = under_load(HttpServices(service.url), "staging", "", asked, Policy(load_rate=1, load_seconds=0.001))
    assert (nothing.word, nothing.reason) == ("inconclusive", "1 requests/s for 0.001 s are too few to be a load.")


@pytest.mark.parametrize("answer", [ECHO, BROKEN_OFF], ids=["echo", "broken off"])
def test_who_gives_no_whole_answer_is_asked_again_later(answer: bytes) -> None:
    """A pod that is killed while it answers is no reason to end the watch with an error of the library's."""
    with broken_server(answer) as url, pytest.raises(WatchError, match="Nobody answers"):
        HttpServices(url).ask("staging", {"tracks": []})


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"model": 3}', b'{"model": {"digest": "x"}}'])
def test_an_answer_of_another_program_is_none(body: bytes) -> None:
    """It may be the next one's that gets the port; who watches a promotion does not end by it."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with broken_server(answer) as url, pytest.raises(WatchError, match="is no service of Segue; see SEGUE_SERVICES"):
        HttpServices(url).ask("staging", {"tracks": []})


@pytest.mark.parametrize("late, word", [(0.001, "fail"), (0.2, "inconclusive")])
def test_slowness_of_our_own_is_no_proof(world: World, bundles: list[Bundle], late: float, word: str) -> None:
    """Where the requests themselves left late, this machine was too busy to tell."""

    class Slow(World):
        def load(self, *_: object) -> Load:
            return Load(1.0, [0.4] * 20, [late] * 20, statuses=Counter({200: 20}))

    finding, _ = under_load(Slow(world.road, world.patch), "staging", "", [{}], Policy())
    assert finding.word == word
    assert ("too busy to tell" in finding.reason) == (word == "inconclusive")


@pytest.fixture
def world(road: Road, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(road, monkeypatch)


def test_a_registry_that_is_away_holds_nobody_up_and_a_policy_may(
    world: World, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """The commit has the figures, and says what is missing; what is held is not asked at every look."""
    publish_bundle(bundles[0])
    promote(world.road, Order("staging", bundles[0].digest))
    world.rule(hold="the party is on")
    assert "requests/s" not in world.advance().reason
    world.rule()
    registry.away = True
    step = world.advance()
    assert step.outcome == "moved"
    assert "The registry does not have these figures: The registry does not answer." in step.reason
    assert last(world.road)["Segue-Load"].startswith("pass n=300 ")


def test_a_load_of_no_seconds_is_none(world: World, bundles: list[Bundle], publish_bundle: Publish) -> None:
    """Whoever takes it out does so by a commit, and the next one shows it."""
    publish_bundle(bundles[0])
    promote(world.road, Order("staging", bundles[0].digest))
    world.rule(load_seconds=0)
    assert world.advance().outcome == "moved"
    assert "Segue-Load" not in last(world.road)


def test_all_forms_of_an_answer_are_read() -> None:
    """With a length, in chunks, on a connection that is closed after it or before it; what is no answer counts as 0."""
    forms = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsegue!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nseg\r\n2\r\nue\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Full\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold",
        b"not HTTP\r\n\r\n",
        b"",
    ]
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            assert b"POST /a/predict HTTP/1.1" in head
            await reader.readexactly(2)
            form, asked = forms[asked % len(forms)], asked + 1
            writer.write(form)
            if not form or b"close" in form or b"not" in form:
                break
        writer.close()

    async def scenario() -> Load:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            load = await drive("127.0.0.1", port, [b"{}"], 200, 0.3, path="/a/predict", expected=b"segue")
            await asyncio.sleep(0.1)  # the server hears that its connections are closed
            return load

    load = asyncio.run(scenario())
    assert load.sent == asked > 12
    rounds, left = divmod(asked, len(forms))
    wanted = Counter({200: 3 * rounds, 503: rounds, 0: 2 * rounds})
    wanted += Counter([200, 200, 503, 200, 0, 0][:left])
    assert load.statuses == wanted
    assert len(load.latencies) == wanted[200]
    assert len(load.refused) == wanted[503]
    assert load.strange == sum(number % len(forms) == 3 for number in range(asked))


def test_the_benchmark_logs_the_same_figures(
    bundles: list[Bundle], workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what was asked, and the bundle's digest."""
    from benchmarks.serving import __main__ as benchmark

    address = f"sqlite:///{workspace / 'mlflow.db'}"
    monkeypatch.chdir(workspace)  # MLflow keeps files below the working folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")  # it sets that, and does not take it back
    command = ["serving", "load", "--bundle", str(bundles[0].path), "--rate", "30", "--seconds", "0.5"]
    monkeypatch.setattr(sys, "argv", command)
    benchmark.main()
    printed = json.loads(capsys.readouterr().out)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("segue-serving")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.tags["digest"] == bundles[0].digest
    assert run.data.params == {
        "tracks": "30",
        "rate": "30.0",
        "seconds": "0.5",
        "playlists": "500",
        "seed": "0",
        "diversity": "0.0",
        "real": "False",
    }
    assert {f"milliseconds.p{place}" for place in (50, 90, 95, 99)} <= set(run.data.metrics)
    for name in ("answers_a_second", "failed", "refused", "service_cores", "resident_megabytes", "n"):
        assert run.data.metrics[name] == pytest.approx(printed[name])
