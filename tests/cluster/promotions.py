"""Promotions as whoever asks for one sees them: bundles are published, commits are made, listeners are counted."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segue.bundle import REPORT, Bundle
from tests.cluster.gitops import Repository
from tests.cluster.machines import ROOT, Machines
from tests.cluster.port_forward import forward
from tests.cluster.variants import variant

GATEWAY = "http://10.250.0.12:30000"
_TRACKING = 5001
RATE = 20.0
"""Requests a second, of all listeners together."""


@dataclass(frozen=True)
class Commit:
    """One commit of a pin.

    Attributes:
        at: When, in seconds since 1970.
        subject: Its first line, without the digest.
        pin: What stands in the environment since.
    """

    at: float
    subject: str
    pin: dict[str, Any]


class Registry:
    """The project's own command line, beside the cluster's store and registry."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self._machines, self._folder = machines, folder

    def fetch(self, version: int) -> tuple[Bundle, dict[str, Any]]:
        """Return a version's bundle and how it was judged."""
        folder = self._folder / f"version-{version}"
        self._call("fetch", "--version", str(version), "--output", str(folder))
        bundle = Bundle.open(folder)
        return bundle, json.loads(self._machines.get_object(f"{place(bundle.digest)}/{REPORT}"))

    def publish(self, bundle: Bundle, report: dict[str, Any]) -> int:
        """Publish a bundle with a report and return its version."""
        file = bundle.path.with_suffix(".json")
        file.write_text(json.dumps({**report, "bundle": bundle.digest}))
        said = self._call("publish", "--bundle", str(bundle.path), "--report", str(file))
        return int(said.split()[1])  # version N

    def publish_variants(self, faults: dict[str, str]) -> dict[str, tuple[int, str]]:
        """Publish variants of the first model, by their names, and return their versions and digests."""
        bundle, report = self.fetch(1)
        made = {name: variant(bundle, fault, self._folder / name) for name, fault in faults.items()}
        return {name: (self.publish(one, report), one.digest) for name, one in made.items()}

    def sign(self, version: int) -> None:
        """Sign a version's bundle by the key of the cluster."""
        self._call("sign", "--version", str(version))

    def _call(self, *arguments: str) -> str:
        address = self._machines.kubectl("get", "service", "s3", "-n", "objects", "-o", "jsonpath={.spec.clusterIP}")
        access, secret = self._machines.secret("objects", "segue-store-writer", "access-key", "secret-key")
        key = self._folder / "key.pem"
        key.touch(mode=0o600)
        key.write_text(self._machines.secret("workflows", "segue-signing-key", "key.pem")[0])
        environment = {
            **os.environ,
            "SEGUE_SIGNING_KEY": str(key),
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "SEGUE_STORE": "s3://segue/store",
            "SEGUE_S3_ENDPOINT": f"http://{address}:9000",
            "SEGUE_WORKSPACE": str(self._folder / "workspace"),
            "MLFLOW_TRACKING_URI": f"http://localhost:{_TRACKING}",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "no_proxy": "*",
        }
        command = [*self._machines.in_network_of("node1"), sys.executable, "-m", "delivery", *arguments]
        with forward(self._machines, "mlflow", "service/mlflow", _TRACKING, 5000):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, preexec_fn=_step_back
            )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout


def _step_back() -> None:
    """Leave the cores to the cluster: what stands for somebody else's machine shares them with what is measured.

    Linux shares them out by sessions first (sched(7), "The autogroup feature"), so that nice alone would not do.
    """
    os.setsid()
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("19")


def place(digest: str) -> str:
    """Return where the store has a bundle."""
    return f"store/bundles/{digest.replace(':', '/')}"


def commits(repository: Repository, environment: str, since: float = 0.0) -> list[Commit]:
    """Return the commits that changed an environment's pin from a moment on, the first one first."""
    repository.pull()
    path = f"k8s/environments/{environment}/bundle.yaml"
    lines = [line.split(" ", 2) for line in reversed(repository.log("%H %ct %s", path))]
    return [
        Commit(float(at), subject, yaml.safe_load(repository.show(digest, path)))
        for digest, at, subject in lines
        if float(at) >= since
    ]


@dataclass(frozen=True)
class Answer:
    """A line of the listeners' log."""

    at: float
    listener: int
    path: str
    status: int
    digest: str
    seconds: float
    note: str


class Listeners:
    """A crowd that asks through the gateway while it is there."""

    def __init__(self, folder: Path) -> None:
        self.log, self.disliked = folder / "answers.jsonl", folder / "disliked"

    @contextmanager
    def there(self, machines: Machines, rate: float = RATE) -> Iterator[None]:
        """Let them come, and go at the end."""
        command = [*machines.in_network_of("node1"), sys.executable, "-m", "tests.cluster.listeners"]
        command += ["--address", GATEWAY, "--rate", str(rate), "--log", str(self.log), "--disliked", str(self.disliked)]
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "no_proxy": "*"}) as process:
            try:
                time.sleep(5)
                assert process.poll() is None, "The listeners did not come."
                yield
            finally:
                process.terminate()

    def answers(self, since: float = 0.0, until: float = float("inf"), path: str = "/predict") -> list[Answer]:
        """Return what they were answered to `POST /predict`, or to another path, between two moments.

        Raises:
            AssertionError: They asked less than half of what they were to ask, and so few would prove nothing.
        """
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        read = [Answer(**json.loads(line)) for line in lines if line.endswith("}")]
        found = [one for one in read if since <= one.at < until and one.path == path]
        until = min(until, time.time())
        assert len(found) >= 0.5 * RATE * (until - since) - RATE, f"{len(found)} requests in {until - since:.0f} s"
        return found

    def failed(self, since: float, until: float = float("inf")) -> list[Answer]:
        """Return what was answered with anything but success between two moments, feedback included."""
        asked = [*self.answers(since, until), *self.answers(since, until, "/feedback")]
        return [one for one in asked if not 200 <= one.status < 300]
