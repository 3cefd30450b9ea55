"""docs/api.md and docs/serving.md are true: examples are run, and tables are held against the code."""

import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import sync_playwright
from prometheus_client.parser import text_string_to_metric_families

from inference.settings import Settings, variable
from tests.support.running_service import Running
from tests.support.shoot_page import CHROMIUM, launch

_DOCS = Path(__file__).parents[2] / "docs"
_API, _OPERATION = (_DOCS / "api.md").read_text(), (_DOCS / "serving.md").read_text()
_ADDRESS = "http://127.0.0.1:8000"


def examples(language: str) -> list[tuple[str, str]]:
    """Return each block of a language with the block of output that follows it."""
    return re.findall(rf"```{language}\n(.*?)```\n+```(?:json|text)\n(.*?)```", _API, re.DOTALL)


def shortened(value: Any) -> Any:
    """Return an answer as the page shows it: three decimals of a score, no digits of a digest."""
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    return "sha256:…" if isinstance(value, str) and value.startswith("sha256:") else value


def unnamed(answer: Any) -> Any:
    """Return an answer with the name, which is another one each time, as the page shows it."""
    return {**answer, "impression_id": "…"} if "impression_id" in answer else answer


@pytest.mark.parametrize("command,answer", examples("sh"))
def test_the_curl_examples_give_their_answers(client: httpx.Client, command: str, answer: str) -> None:
    """Each curl command, understood as a shell would, is answered as the page says."""
    program, _, url, *options = shlex.split(command)
    assert program == "curl"
    headers = dict(text.split(": ", 1) for flag, text in pairwise(options) if flag == "-H")
    data = next((text for flag, text in pairwise(options) if flag == "-d"), None)
    if data is not None and "(from an answer)" in data:
        name = client.post("/predict", json={"name": "rock"}).json()["impression_id"]
        data = data.replace("(from an answer)", name)
    response = client.request(
        "GET" if data is None else "POST", url.removeprefix(_ADDRESS), content=data, headers=headers
    )
    assert shortened(unnamed(response.json())) == json.loads(answer)


def test_there_are_curl_examples() -> None:
    """A search that finds no block would prove nothing."""
    assert len(examples("sh")) == 5


def test_the_python_example_prints_what_it_says(service: Running) -> None:
    """It runs with the standard library alone."""
    ((code, output),) = examples("python")
    run = subprocess.run(
        [sys.executable, "-I", "-c", code.replace(_ADDRESS, service.url)], capture_output=True, text=True, timeout=60
    )
    assert run.stderr == ""
    assert run.stdout == output


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"There is no {CHROMIUM}; apt-get install chromium brings it.")
def test_the_javascript_example_prints_what_it_says(service: Running) -> None:
    """It runs in a browser."""
    ((code, output),) = examples("js")
    printed: list[str] = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        page = browser.new_page()
        page.goto(f"{service.url}/health")
        page.on("console", lambda message: printed.append(message.text) if message.type == "log" else None)
        page.evaluate(f"async () => {{ {code.replace(_ADDRESS, service.url)} }}")
    assert printed == output.splitlines()


def rows(heading: str) -> dict[str, str]:
    """Return a table's rows under a heading, by the code word of their first column."""
    section = _OPERATION.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \|(.*)$", section, re.MULTILINE))


def test_every_setting_has_its_line() -> None:
    """No more and no fewer settings than the service reads, each with its default."""
    described = rows("Settings")
    assert set(described) == {variable(name) for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, str | int | float) and field.default != "":
            assert f"`{field.default}`" in described[variable(name)], name


def test_every_metric_has_its_line_with_its_labels(client: httpx.Client) -> None:
    """No more and no fewer metrics than the service gives, and the labels that they have."""
    answer = client.post("/predict", json={"name": "rock"}).json()
    event = {"impression_id": answer["impression_id"], "track_uri": "x", "event": "play"}
    client.post("/feedback", json={"events": [event]}, headers={"Idempotency-Key": answer["impression_id"][:20]})
    given: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = "process_*" if family.name.startswith("process_") else family.name
        counted = f"{name}_total" if family.type == "counter" and name != "process_*" else name
        given.setdefault(counted, set()).update(label for s in family.samples for label in s.labels if label != "le")
    described = {name: set(re.findall(r"`(\w+)`", row.split("|")[0])) for name, row in rows("Metrics").items()}
    assert described == given


def test_every_path_is_told(client: httpx.Client) -> None:
    """What the service describes stands on the page, too."""
    for path in client.get("/openapi.json").json()["paths"]:
        assert re.search(rf"[ `0]{path}[`?\s]", _API + _OPERATION), path
