"""The service against its own OpenAPI description: examples, boundary cases and thousands of generated requests."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.running_service import Running


def test_generated_requests_get_what_the_description_promises(service: Running, tmp_path: Path) -> None:
    """Valid requests are accepted, invalid ones refused, and no answer is undescribed or a server's error."""
    # The others take no input, or, as feedback does, what only an earlier answer can give.
    only = ["--include-path-regex", "^/(predict|tracks)$"]
    options = ["--checks", "all", "--max-examples", "25", "--seed", "7", "--no-color", *only]
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_that_a_client_sends_ends_in_a_servers_error(service: Running, tmp_path: Path) -> None:
    """At least 2,000 generated requests, right and wrong: each answer is described, and none has a status of 5xx."""
    checks = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    only = ["--include-path-regex", "^/(predict|tracks|feedback)$"]
    # One worker: Hypothesis draws from one state, which two threads would share in the order that the machine gives.
    fast = ["--workers", "1", "--no-shrink", "--generation-database", "none"]
    options = ["--checks", ",".join(checks), "--max-examples", "650", "--seed", "11", "--no-color", *only, *fast]
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1100,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    (generated,) = re.findall(r"(\d+) generated", run.stdout)
    assert int(generated) >= 2000, run.stdout[-4000:]
    counted = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert not re.search(r'route="(?!/ready)[^"]*",status="5', counted)  # before it is warm, readiness says so


def test_problems_are_described_by_their_media_type(client: httpx.Client) -> None:
    """What goes wrong is described as a problem document, and every way in has an example."""
    schema = client.get("/openapi.json").json()
    operation = schema["paths"]["/predict"]["post"]
    assert set(operation["responses"]) == {"200", "400", "401", "413", "415", "422", "429", "503"}
    assert set(operation["responses"]["422"]["content"]) == {"application/problem+json"}
    assert schema["components"]["schemas"]["PredictRequest"]["examples"]
    assert {"/predict", "/tracks", "/feedback", "/model", "/health", "/ready", "/metrics"} == set(schema["paths"])


def test_the_description_s_example_is_answered(client: httpx.Client) -> None:
    """Who copies the example out of the description gets a continuation of three tracks."""
    schema = client.get("/openapi.json").json()
    example = schema["components"]["schemas"]["PredictRequest"]["examples"][0]
    assert len(client.post("/predict", json=example).json()["recommended_tracks"]) == example["k"] == 3
