"""The service against its own OpenAPI description: examples, boundary cases and a few hundred generated requests."""

import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.running_service import Running


def test_generated_requests_get_what_the_description_promises(service: Running, tmp_path: Path) -> None:
    """Valid requests are accepted, invalid ones refused, and no answer is undescribed or a server's error."""
    only = ["--include-path-regex", "^/(predict|tracks)$"]  # the others take no input
    options = ["--checks", "all", "--max-examples", "40", "--seed", "7", "--no-color", *only]
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def test_problems_are_described_by_their_media_type(client: httpx.Client) -> None:
    """What goes wrong is described as a problem document, and every way in has an example."""
    schema = client.get("/openapi.json").json()
    operation = schema["paths"]["/predict"]["post"]
    assert set(operation["responses"]) == {"200", "400", "413", "415", "422", "503"}
    assert set(operation["responses"]["422"]["content"]) == {"application/problem+json"}
    assert schema["components"]["schemas"]["PredictRequest"]["examples"]
    assert {"/predict", "/tracks", "/model", "/health", "/ready", "/metrics"} == set(schema["paths"])


def test_the_description_s_example_is_answered(client: httpx.Client) -> None:
    """Who copies the example out of the description gets a continuation of three tracks."""
    schema = client.get("/openapi.json").json()
    example = schema["components"]["schemas"]["PredictRequest"]["examples"][0]
    assert len(client.post("/predict", json=example).json()["recommended_tracks"]) == example["k"] == 3
