"""Counts of both arms from Prometheus: whole numbers, and nothing where there is a gap."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from delivery.policy import Policy
from delivery.prometheus import Prometheus
from delivery.watching import WatchError
from segue.bundle import Bundle
from tests.delivery.prometheus_api import Api, Samples, serving
from tests.support.broken_server import BROKEN_OFF, ECHO, broken_server
from tests.support.running_service import running

POLICY = Policy(look_seconds=15, gap_seconds=60, budget_seconds=0.1)
BEGIN, END = 1000.0, 1300.0


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


def every(value: Callable[[int], float], start: int = 940, end: int = 1300) -> Samples:
    """Return a sample every 15 s."""
    return [(float(t), value(t)) for t in range(start, end + 1, 15)]


def never(_: int) -> bool:
    return False


def arms(api: Api, skipped: Callable[[int], bool] = never, missed: Callable[[int], bool] = never) -> None:
    """Lay down an hour of two arms: 2 and 1 answers a second, one of ten of the canary's failed, half of them slow."""
    for environment, rate in (("production", 2), ("canary", 1)):
        own = {"environment": environment, "instance": f"{environment}:8000"}
        route = {**own, "route": "/predict", "method": "POST"}

        def total(t: int, rate: int = rate) -> float:
            return 5000.0 + rate * t

        kept = [t for t, _ in every(lambda t: t) if not {"canary": skipped, "production": missed}[environment](int(t))]
        api.add("up", [(t, 1.0) for t in kept], **own)
        api.add("segue_ready", [(t, 1.0) for t in kept], **own)
        api.add("segue_requests_total", [(t, total(int(t))) for t in kept], status="200", **route)
        api.add("segue_draws_total", [(t, 7.0 + total(int(t)) // 5) for t in kept], **own)
        api.add("segue_request_seconds_count", [(t, total(int(t))) for t in kept], **route)
        api.add("segue_request_seconds_bucket", [(t, total(int(t)) // 2) for t in kept], le="0.1", **route)
    api.add("up", every(lambda _: 1.0), environment="staging", instance="staging:8000")


def test_counts_are_those_of_the_span_alone(api: Api) -> None:
    """What a counter had before is not counted, and other environments are not looked at."""
    arms(api)
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert (found.span.start, found.span.blocks, found.trouble, found.restarts) == (1000.0, 20, "", 0)
    errors, slow = found.blocks["errors"], found.blocks["slow"]
    assert (errors.control.sum(), errors.canary.sum()) == (600.0, 300.0)
    assert (errors.control_bad.sum(), errors.canary_bad.sum()) == (0.0, 0.0)
    assert slow.canary_bad.sum() == pytest.approx(150, abs=1)


def test_a_failure_that_appears_is_counted_whole(api: Api) -> None:
    """A status has no series before its first answer: what it shows first came since then."""
    arms(api)
    route = {"environment": "canary", "route": "/predict", "method": "POST", "instance": "canary:8000"}
    api.add("segue_requests_total", every(lambda _: 3.0, start=1090), status="500", **route)
    errors = Prometheus(api.url).read(BEGIN, END, POLICY).blocks["errors"]
    assert (errors.canary_bad.sum(), errors.canary.sum()) == (3.0, 303.0)
    assert errors.canary_bad[5] == 3.0


def test_a_counter_that_was_reset_goes_on(api: Api) -> None:
    """A pod was started anew at 1150: what it has counted since then is added."""
    arms(api)
    route = {"environment": "canary", "route": "/predict", "method": "POST", "instance": "other:8000"}
    values = every(lambda t: 7000.0 + t if t < 1150 else float(t - 1150))
    api.add("segue_requests_total", values, status="200", **route)
    errors = Prometheus(api.url).read(BEGIN, END, POLICY).blocks["errors"]
    assert errors.canary.sum() == 300.0 + (1135 - 1000) + (1300 - 1150)


def test_after_a_gap_the_counting_begins_anew(api: Api) -> None:
    """What was answered meanwhile may have been lost with a pod."""
    arms(api, skipped=lambda t: 1060 < t < 1150)
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert (found.restarts, found.trouble) == (1, "")
    assert 1150 < found.span.start < 1180
    assert found.blocks["errors"].canary.sum() == 15 * found.span.blocks


def test_gaps_of_both_arms_are_counted_each(api: Api) -> None:
    """Every one lets the counting begin anew, whoever's it is; where they overlap it does so once."""
    arms(api, skipped=lambda t: 1030 < t < 1120, missed=lambda t: 1150 < t < 1240)
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert (found.restarts, found.trouble) == (2, "")
    api.series.clear()
    arms(api, skipped=lambda t: 1030 < t < 1120, missed=lambda t: 1050 < t < 1150)
    assert Prometheus(api.url).read(BEGIN, END, POLICY).restarts == 1


def test_draws_are_those_between_two_moments(api: Api) -> None:
    """One request of five comes without a cookie; the others go where their listener went before."""
    arms(api)
    assert Prometheus(api.url).draws(BEGIN, END, POLICY) == (120.0, 60.0)
    assert Prometheus(api.url).draws(1150.0, END, POLICY) == (60.0, 30.0)


def test_a_canary_whose_pods_are_gone_is_seen(api: Api) -> None:
    """Theirs are errors that only the gateway answers; a gap of a few looks is none."""
    arms(api, skipped=lambda t: t > 1200)
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert "has scraped no pod of canary for 105 s" in found.trouble
    assert "No pod of the canary has been ready for 105 s" in found.gone
    assert Prometheus(api.url).read(BEGIN, 1225.0, POLICY).gone == ""
    api.series = [one for one in api.series if one[1]["environment"] != "canary"]
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert "has scraped no pod of canary since" in found.trouble
    assert "No pod of the canary has been ready for 300 s" in found.gone
    assert found.blocks == {}


def test_a_canary_that_runs_and_is_not_ready_is_gone(api: Api) -> None:
    """The gateway sends nobody to it, though Prometheus can ask it."""
    arms(api)
    api.series = [one for one in api.series if (one[0], one[1]["environment"]) != ("segue_ready", "canary")]
    ready = every(lambda t: float(t < 1200))
    api.add("segue_ready", ready, environment="canary", instance="canary:8000")
    found = Prometheus(api.url).read(BEGIN, END, POLICY)
    assert found.trouble == ""
    assert "No pod of the canary has been ready for 105 s" in found.gone


def test_where_nothing_is_scraped_nobody_is_gone(api: Api) -> None:
    """It is Prometheus that saw nothing."""
    arms(api)
    found = Prometheus(api.url).read(BEGIN, END + 100, POLICY)
    assert "has scraped no pod of production for 100 s" in found.trouble
    assert found.gone == ""


def test_a_budget_that_is_no_bucket_is_trouble(api: Api) -> None:
    """Answers in time would else be none at all."""
    arms(api)
    found = Prometheus(api.url).read(BEGIN, END, Policy(budget_seconds=0.3))
    assert "no bucket of 0.3 s" in found.trouble


@pytest.mark.parametrize("status", [400, 503])
def test_a_prometheus_that_refuses_is_said(api: Api, status: int) -> None:
    """With its own words."""
    api.status = status
    with pytest.raises(WatchError, match=f"refuses \\({status}"):
        Prometheus(api.url).read(BEGIN, END, POLICY)


def test_a_prometheus_that_is_away_is_said() -> None:
    """Nothing listens at port 1."""
    with pytest.raises(WatchError, match="does not answer"):
        Prometheus("http://127.0.0.1:1").read(BEGIN, END, POLICY)


@pytest.mark.parametrize("answer", [ECHO, BROKEN_OFF], ids=["echo", "broken off"])
def test_a_prometheus_that_gives_no_whole_answer_is_said(answer: bytes) -> None:
    """As where it is away."""
    with broken_server(answer) as url, pytest.raises(WatchError, match="does not answer"):
        Prometheus(url).read(BEGIN, END, POLICY)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
def test_a_real_prometheus_says_the_same_of_real_services(bundles: list[Bundle], tmp_path: Path) -> None:
    """Two services are asked 30 and 12 times; the counts are 30 and 12."""
    if shutil.which("prometheus") is None:
        pytest.skip("There is no prometheus command; make airgap builds it into build/airgap/tools.")
    with (
        running(bundles[0].path, tmp_path / "production.log") as production,
        running(bundles[1].path, tmp_path / "canary.log") as canary,
    ):
        services = {"production": (production, 30), "canary": (canary, 12)}
        targets = [
            {"targets": [service.url.removeprefix("http://")], "labels": {"environment": name}}
            for name, (service, _) in services.items()
        ]
        scraping = {"job_name": "pods", "scrape_interval": "1s", "static_configs": targets}
        scraping["metric_relabel_configs"] = [{"regex": "exported_environment", "action": "labeldrop"}]
        (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scraping]}))
        address = f"127.0.0.1:{free_port()}"
        command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--web.listen-address={address}"]
        command.append(f"--storage.tsdb.path={tmp_path}/data")
        with (tmp_path / "prometheus.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                source, policy = Prometheus(f"http://{address}"), Policy(look_seconds=2, gap_seconds=30)
                begin = scraped(source, policy)
                for service, count in services.values():
                    for _ in range(count):
                        assert httpx.post(f"{service.url}/predict", json={"name": "rock"}).status_code == 200
                deadline = time.time() + 60
                found = source.read(begin, time.time(), policy)
                while not (found.blocks and found.blocks["slow"].canary.sum() >= 12) and time.time() < deadline:
                    time.sleep(1)
                    found = source.read(begin, time.time(), policy)
                draws = source.draws(begin, time.time(), policy)
            finally:
                process.terminate()
    assert (draws, found.trouble, found.restarts) == ((30.0, 12.0), "", 0)
    assert found.blocks["errors"].control.sum() == 30
    assert found.blocks["errors"].canary_bad.sum() == 0
    assert found.blocks["slow"].canary.sum() == 12


def scraped(source: Prometheus, policy: Policy) -> float:
    """Wait until both services were scraped; return a moment after that."""
    deadline = time.time() + 60
    while time.time() < deadline:
        try:
            if not source.read(time.time() - 5, time.time(), policy).trouble:
                time.sleep(2)
                return time.time()
        except WatchError:
            pass
        time.sleep(0.5)
    raise AssertionError("Prometheus never scraped both services.")
