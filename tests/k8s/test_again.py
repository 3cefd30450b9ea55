"""What the gateway does when a pod is killed: real Traefik with the route's own retry, and processes for pods."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

TRAFFIC = Path(__file__).parents[2] / "k8s/traffic"
POD = Path(__file__).with_name("pod_of_again.py")


class Gateway:
    """Traefik before two pods of production, and one of staging that the mirror shows the questions."""

    def __init__(self, program: str, folder: Path) -> None:
        self.ports = _free_ports(4)
        self.folder = folder
        self.pods = {port: self._pod(port) for port in self.ports[1:]}
        settings = folder / "dynamic.yaml"
        settings.write_text(yaml.safe_dump({"http": self._settings()}))
        quiet = ["--log.level=ERROR", "--global.checknewversion=false", "--global.sendanonymoususage=false"]
        entry = f"--entrypoints.web.address=127.0.0.1:{self.ports[0]}"
        with (folder / "log").open("wb") as log:
            arguments = [program, entry, f"--providers.file.filename={settings}", *quiet]
            self.process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)

    def _pod(self, port: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, POD, str(port), self.folder / str(port)])

    def _settings(self) -> dict[str, Any]:
        """The manifests' own retry, mirror and stickiness, for the provider that needs no cluster."""
        mirroring, weighted, retry = (
            yaml.safe_load((TRAFFIC / name).read_text())["spec"][kind]
            for name, kind in (("shadow.yaml", "mirroring"), ("models.yaml", "weighted"), ("again.yaml", "retry"))
        )
        kept = {key: mirroring[key] for key in ("mirrorBody", "maxBodySize")}
        mirrors = [{"name": "staging", "percent": 100}]
        models = {"services": [{"name": "production", "weight": 100}], "sticky": weighted["sticky"]}
        return {
            "routers": {"segue": {"rule": "PathPrefix(`/`)", "service": "shadow", "middlewares": ["again"]}},
            "middlewares": {"again": {"retry": retry}},
            "services": {
                "shadow": {"mirroring": {"service": "models", "mirrors": mirrors, **kept}},
                "models": {"weighted": models},
                "production": _balanced(self.ports[1:3]),
                "staging": _balanced(self.ports[3:]),
            },
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/predict"

    def ask(self, **said: object) -> httpx.Response:
        return httpx.post(self.url, json=said, timeout=30, trust_env=False)

    def asked(self, port: int) -> int:
        """How many questions a pod has read."""
        log = self.folder / str(port)
        return len(log.read_bytes()) if log.exists() else 0

    def kill(self, port: int) -> None:
        self.pods[port].kill()
        self.pods[port].wait(10)

    def stop(self) -> None:
        for process in (self.process, *self.pods.values()):
            process.kill()
            process.wait(10)


def _balanced(ports: list[int]) -> dict[str, Any]:
    return {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"} for port in ports]}}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    program = shutil.which("traefik")
    if program is None:
        pytest.skip("There is no Traefik here; make airgap fetches it (build/airgap/tools/traefik).")
    found = Gateway(program, tmp_path)
    try:
        _wait(lambda: all(_answers(f"http://127.0.0.1:{port}") for port in found.ports))
        yield found
    finally:
        found.stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _wait(done: Any) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "What was waited for did not come within half a minute."
        time.sleep(0.02)


def test_a_question_that_a_killed_pod_had_read_is_answered_by_another(gateway: Gateway) -> None:
    """Its body goes to the second pod whole, although the mirror has read it as well."""
    one, other = gateway.ports[1:3]
    with subprocess.Popen(
        [sys.executable, POD, "ask", gateway.url, json.dumps({"wait": 2, "name": "road trip"})], stdout=subprocess.PIPE
    ) as client:
        _wait(lambda: gateway.asked(one) + gateway.asked(other))
        reading = one if gateway.asked(one) else other
        gateway.kill(reading)
        said, _ = client.communicate(timeout=30)
    status, answer = json.loads(said)
    assert (status, answer["port"]) == (200, one + other - reading)
    assert answer["asked"] == {"wait": 2, "name": "road trip"}


def test_questions_that_meet_a_dead_pod_are_answered_by_another(gateway: Gateway) -> None:
    """Until its endpoint is gone, a killed pod is still in the gateway's list."""
    one, other = gateway.ports[1:3]
    for _ in range(4):  # connections to both are open, and kept
        assert gateway.ask().status_code == 200
    gateway.kill(one)
    answers = [gateway.ask(number=number) for number in range(12)]
    assert [(answer.status_code, answer.json()["port"]) for answer in answers] == [(200, other)] * 12
    assert [answer.json()["asked"]["number"] for answer in answers] == list(range(12))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_a_pod_says_is_passed_on_and_not_asked_again(gateway: Gateway, status: int) -> None:
    """A model that errs is to be seen erring, and one with too much to do is not to be asked twenty times."""
    before = [gateway.asked(port) for port in gateway.ports[1:3]]
    assert gateway.ask(status=status).status_code == status
    assert sum(gateway.asked(port) for port in gateway.ports[1:3]) == sum(before) + 1
