"""The service in a process of its own, to be measured."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Measured:
    """A service that is ready.

    Attributes:
        host: Where it listens.
        port: The same.
        process: Its process.
        ready_seconds: From its start to its first yes on /ready.
    """

    host: str
    port: int
    process: psutil.Process
    ready_seconds: float

    def get(self, path: str) -> bytes:
        """Return what it answers."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=60) as answer:
            data: bytes = answer.read()
            return data

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 1e6

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def measured(log: Path, **settings: str) -> Iterator[Measured]:
    """Yield a service with these settings; it is stopped in the end."""
    environment = {**os.environ, "PORT": "0", "SEGUE_DRAIN_SECONDS": "0", "SEGUE_LOG_LEVEL": "warning", **settings}
    environment["SEGUE_DATABASE_URL"] = f"sqlite:///{log.with_suffix('.sqlite')}"
    environment["SEGUE_LOG_LEVEL"] = "info"
    command = [sys.executable, "-m", "inference", "serve"]
    start = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=stream)  # noqa: S603 - our own
    try:
        port = _wait_ready(process, log)
        yield Measured("127.0.0.1", port, psutil.Process(process.pid), time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait(60)


def _wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> int:
    while process.poll() is None:
        lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if any(line["event"] == "ready" for line in lines):
            return int(next(line["port"] for line in lines if line["event"] == "listening"))
        time.sleep(0.01)
    raise SystemExit(log.read_text())
