"""What the service says of itself: readiness, the model, metrics, logs, headers; and what it hides."""

import asyncio
import json
import logging
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference.app import create_app
from inference.logs import configure_logs
from inference.metrics import Metrics
from inference.model import Judgement, Model, read_judgement
from inference.ranker import Ranker
from inference.service import Service
from inference.settings import read_settings
from segue.bundle import REPORT
from segue.errors import BundleError
from segue.files import sha256_bytes
from tests.support.running_service import Running
from tests.support.tiny_bundle import write_tiny_bundle


def ask(service: Service, *paths: str) -> list[httpx.Response]:
    """Return the answers of an application that has not been started, so that nothing is loaded by itself."""

    async def gets() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(gets())


def new_service(bundle: Path) -> Service:
    return Service(read_settings(bundle=bundle, threads=1), Metrics())


def test_nothing_is_ready_before_the_bundle_is_verified_and_warm(bundle_path: Path) -> None:
    """Until then /ready, /tracks and /model say 503 and when to come again, and /health says alive."""
    service = new_service(bundle_path)
    *waiting, health = ask(service, "/ready", "/tracks", "/model", "/health")
    assert [response.status_code for response in waiting] == [503, 503, 503]
    assert all(response.headers["retry-after"] == "1" for response in waiting)
    assert health.json() == {"status": "alive"}
    asyncio.run(service.load())
    assert [response.status_code for response in ask(service, "/ready", "/tracks", "/model")] == [200, 200, 200]


def test_a_service_that_stops_is_not_ready_and_still_answers(bundle_path: Path) -> None:
    """Requests that are on their way when it stops are answered."""
    service = new_service(bundle_path)
    asyncio.run(service.load())
    service.stop()
    assert [response.status_code for response in ask(service, "/ready", "/tracks")] == [503, 200]


def test_a_bundle_that_does_not_verify_is_a_failure(tmp_path: Path) -> None:
    """The service keeps the reason, and is never ready."""
    service = new_service(tmp_path)
    asyncio.run(service.load())
    assert isinstance(service.failure, BundleError)
    assert not service.ready


def test_the_model_names_itself(client: httpx.Client, ranker: Ranker) -> None:
    """Digest, version, environment, verdict, data and origin are told; nothing is judged without a report."""
    model = client.get("/model").json()
    assert model["digest"] == ranker.bundle.digest
    assert (model["version"], model["environment"], model["tracks"], model["synthetic"]) == ("3", "test", 30, True)
    assert (model["verdict"], model["reason"], model["report"]) == (None, None, None)
    assert model["lineage"]["run"] == "tiny"


def _report(bundle: str, verdict: str = "pass") -> bytes:
    return json.dumps({"bundle": bundle, "verdict": verdict, "reason": "It is better than iALS."}).encode()


@pytest.mark.parametrize(
    "content,judged",
    [
        (lambda digest: _report(digest), True),
        (lambda digest: _report(f"sha256:{'0' * 64}"), False),
        (lambda digest: _report(digest, "passed"), False),
        (lambda digest: b"{", False),
        (lambda digest: b"[]", False),
    ],
    ids=["own", "of another", "no verdict", "damaged", "no object"],
)
def test_only_a_whole_report_of_this_bundle_is_a_verdict(
    tmp_path: Path, content: Callable[[str], bytes], judged: bool
) -> None:
    """A pass that belongs to another bundle, or that cannot be read, is no pass."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work")
    report = content(bundle.digest)
    bundle.file(REPORT).write_bytes(report)
    passed = Judgement("pass", "It is better than iALS.", f"sha256:{sha256_bytes(report)}")
    assert read_judgement(bundle) == (passed if judged else Judgement())


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return metrics by name and label values."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_metrics_count_requests_and_matches(client: httpx.Client, ranker: Ranker) -> None:
    """One request adds one to its route and status, to the latency's count, and to each way of matching."""
    before = samples(client.get("/metrics").text)
    tracks = [{"track_uri": "tiny:track:1"}, {"track_name": "Rock Song 0"}, {"track_name": "?"}, {"track_uri": "x"}]
    assert client.post("/predict", json={"tracks": tracks}).status_code == 200
    after = samples(client.get("/metrics").text)
    added = {key: after[key] - before.get(key, 0) for key in after}
    assert added["segue_requests_total", ("POST", "/predict", "200")] == 1
    assert added["segue_request_seconds_count", ("POST", "/predict")] == 1
    assert added["segue_draws_total", ()] == 1
    assert {how: added["segue_tracks_total", (how,)] for how in ("uri", "name", "text", "none")} == dict.fromkeys(
        ("uri", "name", "text", "none"), 1
    )
    assert after["segue_ready", ()] == 1
    assert any(name == "segue_model_info" and ranker.bundle.digest in labels for name, labels in after)


def test_who_comes_back_is_not_drawn_again(client: httpx.Client) -> None:
    """The gateway's cookie keeps a listener with a model; other cookies say nothing, and probes are nobody's."""

    def draws() -> float:
        return samples(client.get("/metrics").text)["segue_draws_total", ()]

    before = draws()
    for cookie in ("segue-model=8a3f", "theme=dark; segue-model=8a3f"):
        client.post("/predict", json={"name": "rock"}, headers={"Cookie": cookie})
    client.get("/health")
    assert draws() == before
    client.post("/predict", json={"name": "rock"}, headers={"Cookie": "theme=segue-model=1"})
    assert draws() == before + 1


def test_a_client_cannot_grow_the_metrics(client: httpx.Client) -> None:
    """Made-up paths, methods and texts all fall into series that exist."""
    client.get("/first")
    client.request("FIRST", "/predict")
    before = samples(client.get("/metrics").text)
    for i in range(20):
        client.get(f"/made/up/{i}")
        client.get(f"/page/{i}")
        client.request(f"MADE{i}", "/predict")
    assert set(samples(client.get("/metrics").text)) == set(before)


def test_a_request_keeps_its_id_into_the_log(service: Running, client: httpx.Client) -> None:
    """An id handed in is answered with and logged; a missing or forged one is replaced."""
    assert client.get("/model", headers={"X-Request-ID": "trace-7.a"}).headers["x-request-id"] == "trace-7.a"
    forged = client.get("/model", headers={"X-Request-ID": 'a", "level": "x'}).headers["x-request-id"]
    assert forged.isalnum()
    assert len(forged) == 32
    for request_id in ("trace-7.a", forged):
        line = service.line(request_id)
        assert line["request_id"] == request_id
        assert (line["event"], line["route"], line["status"]) == ("request", "/model", 200)


def test_answers_are_sent_at_once(client: httpx.Client) -> None:
    """A small answer on an open connection does not wait 40 ms for the client's delayed acknowledgement."""
    assert min(client.get("/health").elapsed.total_seconds() for _ in range(20)) < 0.03


def test_every_answer_is_fenced(client: httpx.Client) -> None:
    """No page may run foreign or inline code, be framed, or guess types."""
    for path in ("/", "/model", "/nowhere", "/page/app.js"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    "method,path,body",
    [
        ("GET", "/nowhere", None),
        ("GET", "/predict", None),
        ("GET", "/page/../../etc/passwd", None),
        ("GET", "/tracks?limit=x", None),
        ("POST", "/predict", b"{"),
        ("POST", "/predict", b'{"name": 5, "k": "x", "tracks": {"a": 1}}'),
        ("POST", "/predict", b'{"tracks": [null]}'),
        ("POST", "/feedback", b'{"events": [{}]}'),
        ("GET", "/metrics", None),
        ("GET", "/openapi.json", None),
    ],
)
def test_no_answer_tells_what_the_service_is_made_of(
    service: Running, client: httpx.Client, method: str, path: str, body: bytes | None
) -> None:
    """Neither libraries with their versions, nor code, nor where anything lies on our disk."""
    response = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    told = (response.text + repr(response.headers)).lower()
    for word in (
        "uvicorn",
        "starlette",
        "pydantic",
        "onnxruntime",
        "sqlalchemy",
        "sqlite",
        "traceback",
        ".py",
        "python",
    ):
        assert word not in told
    assert str(service.log.parent) not in told


class _Broken:
    """A ranker with a fault inside."""

    @property
    def catalogue(self) -> Any:
        raise RuntimeError("secret of the house")


def test_a_fault_of_ours_tells_nothing_and_is_logged(bundle_path: Path) -> None:
    """The answer is a problem with an id; the log has the traceback under that id."""
    service, stream, root = new_service(bundle_path), StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    service._model = Model(cast(Ranker, _Broken()), None, Judgement())
    configure_logs("info", stream)
    try:
        (response,) = ask(service, "/tracks")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    failed = next(line for line in lines if line["event"] == "request failed")
    assert failed["request_id"] == response.headers["x-request-id"]
    assert "secret of the house" in failed["traceback"]
    assert [line["status"] for line in lines if line["event"] == "request"] == [500]
