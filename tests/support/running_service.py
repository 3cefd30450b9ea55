"""A real service in a process of its own, on a free port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).parents[2]
_PATIENCE = 240.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service that runs.

    Attributes:
        url: Where it listens.
        process: Its process.
        log: The file with its log.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return its log, a JSON object a line; a line that is none fails."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        """Return the log line of a request, which is written just after its answer."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for text in self.log.read_text().splitlines(keepends=True):
                if request_id in text and text.endswith("\n"):
                    line: dict[str, Any] = json.loads(text)
                    return line
            time.sleep(0.02)
        raise AssertionError(f"The log never spoke of the request {request_id}.")

    def status(self, path: str) -> int:
        """Return the status of a GET on a connection of its own, 0 where nothing listens any more."""
        try:
            return httpx.get(self.url + path, timeout=10).status_code
        except httpx.TransportError:
            return 0

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)


@contextmanager
def running(bundle: Path, log: Path, **settings: str) -> Iterator[Running]:
    """Yield a service over ``bundle`` that is ready; ``settings`` are environment variables."""
    with running_until(lambda service: service.status("/ready") == 200, bundle, log, **settings) as service:
        yield service


@contextmanager
def running_until(until: Callable[[Running], bool], bundle: Path, log: Path, **settings: str) -> Iterator[Running]:
    """Yield a service over ``bundle`` that has come as far as ``until`` asks, ready or not."""
    given = {
        "PORT": "0",
        "SEGUE_BUNDLE": str(bundle),
        "SEGUE_THREADS": "1",
        "SEGUE_DRAIN_SECONDS": "0",
        "SEGUE_DATABASE_URL": f"sqlite:///{log.with_suffix('.sqlite')}",
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    command = [sys.executable, "-m", "inference", "serve"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=_ROOT, env=kept | given, stderr=stream, stdout=stream)
    try:
        service = Running(_address(process, log), process, log)
        _wait(lambda: until(service), process, log)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(_PATIENCE)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    _wait(lambda: b'"listening"' in log.read_bytes(), process, log)
    line = next(line for line in log.read_text().splitlines() if '"listening"' in line)
    return f"http://127.0.0.1:{json.loads(line)['port']}"


def _wait(condition: Any, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"The service did not come up; its log:\n{log.read_text()}")
        time.sleep(0.05)
