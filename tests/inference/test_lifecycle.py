"""How the service starts, says that it is ready, fails and ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference.__main__ import main
from segue.bundle import MODEL
from tests.support.running_service import running
from tests.support.tiny_bundle import write_tiny_bundle

_ROOT = Path(__file__).parents[2]


def serve(*options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, which comes only where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    command = [sys.executable, "-m", "inference", "serve", *options]
    environment = {**kept, "PORT": "0", "SEGUE_LOG_LEVEL": "error", **settings}
    return subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=240)


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
        ({"SEGUE_BUNDLE": "b", "SEGUE_BUNDLE_DIGEST": "abc"}, "The setting SEGUE_BUNDLE_DIGEST is 'abc', which cannot"),
        ({"SEGUE_BUNDLE": "b", "PORT": "70000"}, "The setting PORT is '70000', which cannot be used"),
        ({"SEGUE_BUNDLE": "b", "SEGUE_LOG_LEVEL": "loud"}, "The setting SEGUE_LOG_LEVEL is 'loud', which cannot"),
        ({"SEGUE_BUNDLE": "b", "SEGUE_DATABASE_URL": "mysql://a/b"}, "SEGUE_DATABASE_URL has to be sqlite:///path"),
        (
            {"SEGUE_BUNDLE": "b", "SEGUE_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.0/33"},
            "The setting SEGUE_TRUSTED_PROXIES is '10.0.0.1, 10.0.0.0/33', which cannot be used: '10.0.0.0/33' does",
        ),
    ],
    ids=["missing", "digest", "port", "level", "database", "proxies"],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str], sentence: str
) -> None:
    """Settings are checked before anything else, and the sentence says which variable to mend."""
    for name in [name for name in os.environ if name.startswith("SEGUE_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert main(["serve"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert error.count("\n") == 1


def test_another_bundle_than_asked_for_is_refused(bundle_path: Path) -> None:
    """A service that is told a digest serves that bundle or none."""
    run = serve("--bundle", str(bundle_path), "--digest", f"sha256:{'a' * 64}")
    assert run.returncode == 1
    assert f"not sha256:{'a' * 64} as asked" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_taken_port_is_named(bundle_path: Path) -> None:
    """Who starts a second service learns which port is taken, and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = serve("--bundle", str(bundle_path), "--port", str(port))
    assert run.returncode == 1
    assert run.stderr.startswith(f"Nothing can listen on 127.0.0.1 port {port} (")
    assert run.stderr.endswith("choose another with PORT and SEGUE_HOST.\n")


def test_a_port_of_kubernetes_is_not_taken_for_a_setting(bundle_path: Path, tmp_path: Path) -> None:
    """Kubernetes sets SEGUE_PORT=tcp://… beside a service named segue, and that must not keep it from starting."""
    with running(bundle_path, tmp_path / "log", SEGUE_PORT="tcp://10.0.0.1:80") as service:
        assert service.status("/ready") == 200
        assert service.stop() == 0
