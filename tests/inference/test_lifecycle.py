"""How the service starts, says that it is ready, fails and ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segue.bundle import MODEL
from tests.support.running_service import running
from tests.support.tiny_bundle import write_tiny_bundle

_ROOT = Path(__file__).parents[2]


def serve(*options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, which comes only where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    command = [sys.executable, "-m", "inference", "serve", *options]
    environment = {**kept, "PORT": "0", "SEGUE_LOG_LEVEL": "error", **settings}
    return subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_ready_falls_first_and_requests_under_way_are_answered(bundle_path: Path, tmp_path: Path) -> None:
    """After SIGTERM /ready says no while the port still answers, and a half-sent request gets its continuation."""
    with running(bundle_path, tmp_path / "log", SEGUE_DRAIN_SECONDS="1") as service:
        body = b'{"name": "jazz", "k": 1}'
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            slow.sendall(head.encode() + b"\r\n\r\n" + body[:5])
            assert service.status("/ready") == 200
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert (service.status("/ready"), service.status("/health")) == (503, 200)
            _wait_until_closed(service.url)
            slow.sendall(body[5:])
            answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"tiny:track:1" in answer
        assert service.process.wait(30) == 0
        assert not [line for line in service.lines() if line["level"] in ("error", "critical")]


def _wait_until_closed(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("the port stayed open after the drain")


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    """One changed byte ends the service with one sentence and exit code 1."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work")
    data = bytearray(bundle.file(MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    bundle.file(MODEL).write_bytes(data)
    run = serve("--bundle", str(bundle.path))
    assert run.returncode == 1
    assert run.stderr == f"The file {MODEL} of the bundle at {bundle.path} is damaged; fetch the bundle again.\n"


@pytest.mark.parametrize(
    "settings,sentence",
    [
        ({}, "The setting SEGUE_BUNDLE is missing: Folder of the bundle to serve."),
        ({"SEGUE_BUNDLE": "{bundle}", "SEGUE_BUNDLE_DIGEST": f"sha256:{'a' * 64}"}, f"not sha256:{'a' * 64} as asked"),
        ({"SEGUE_BUNDLE": "{bundle}", "SEGUE_BUNDLE_DIGEST": "abc"}, "The setting SEGUE_BUNDLE_DIGEST is 'abc', which"),
        ({"SEGUE_BUNDLE": "{bundle}", "PORT": "70000"}, "The setting PORT is '70000', which cannot be used"),
        ({"SEGUE_BUNDLE": "{bundle}", "PORT": "{taken}"}, "choose another with PORT and SEGUE_HOST."),
        ({"SEGUE_BUNDLE": "{bundle}", "SEGUE_LOG_LEVEL": "loud"}, "The setting SEGUE_LOG_LEVEL is 'loud', which"),
        ({"SEGUE_BUNDLE": "nowhere"}, "No bundle can be read at nowhere"),
    ],
    ids=["missing", "another", "digest", "port", "taken", "level", "nowhere"],
)
def test_wrong_settings_end_in_one_sentence(bundle_path: Path, settings: dict[str, str], sentence: str) -> None:
    """A service that cannot serve what it is told to serve says why and ends with 1, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = serve(**{name: value.format(bundle=bundle_path, taken=port) for name, value in settings.items()})
    assert run.returncode == 1
    assert sentence in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_port_of_kubernetes_is_not_taken_for_a_setting(bundle_path: Path, tmp_path: Path) -> None:
    """Kubernetes sets SEGUE_PORT=tcp://… beside a service named segue, and that must not keep it from starting."""
    with running(bundle_path, tmp_path / "log", SEGUE_PORT="tcp://10.0.0.1:80") as service:
        assert service.status("/ready") == 200
        assert service.stop() == 0
