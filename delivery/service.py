"""The service on this machine: one process in the background, known by a small file in the work folder."""

import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from delivery.code import ROOT
from delivery.settings import Settings
from delivery.status import Standing
from segue.errors import NO_ANSWER, InputError, SegueError
from segue.files import canonical_json, write_whole

RECORD = "serve.json"
LOG = "serve.log"
_READY_SECONDS = 120
_STOP_SECONDS = 30
_PORTS = 50
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands between us and ourselves


class ServiceError(SegueError):
    """The service does not start, answer or stop."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was started.

    Attributes:
        pid: Of its process, which leads a group of its own.
        started: When it started, in the kernel's clock ticks: a pid alone may by now be somebody else's.
        host: Where it listens.
        port: The same.
        environment: Whose pin it follows.
        digest: The bundle that it serves.
        version: That bundle's version.
    """

    pid: int
    started: int
    host: str
    port: int
    environment: str
    digest: str
    version: int

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return _started(self.pid) == self.started


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which `segue serve` finds the same workspace, store and pins as we do."""
    return {
        **os.environ,
        "SEGUE_WORKSPACE": str(settings.home),
        "SEGUE_STORE": settings.store_address,
        "SEGUE_GITOPS": str(settings.repository),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def find(home: Path) -> Service | None:
    """Return the service that was started from a work folder, if it still runs."""
    try:
        service = Service(**json.loads((home / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return service if service.alive else None


def record(home: Path, pid: int, port: int, standing: Standing) -> Service:
    """Note a service that was started, so that `find` finds it."""
    service = Service(pid, _started(pid) or 0, _host(), port, standing.environment, standing.digest, standing.version)
    write_whole(home / RECORD, canonical_json(asdict(service)))
    return service


def start(settings: Settings, standing: Standing, port: int) -> Service:
    """Serve what stands in an environment, and follow its pin, in the background; wait until it is ready.

    Raises:
        ServiceError: It ended, or is not ready in time.
    """
    home, environment = settings.home, _environment(settings)
    command = [sys.executable, "-m", "delivery", "serve", "--environment", standing.environment, "--port", str(port)]
    log = str(home / LOG)
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Spawned, not a subprocess.Popen: it is meant to live on after this process, and Python warns where one does.
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=files, setsid=True)
    service = record(home, pid, port, standing)
    try:
        _wait_ready(service, home / LOG)
    except BaseException:
        stop(service)
        raise
    return service


def follow(home: Path, service: Service, standing: Standing) -> Service:
    """Wait until a service that follows its environment's pin answers with what stands there; return it as it is then.

    Raises:
        ServiceError: It ended, or goes on with another bundle.
    """
    until = time.monotonic() + _READY_SECONDS
    while _served(service) != standing.digest:
        if not service.alive or time.monotonic() > until:
            raise ServiceError(f"The service at {service.url} does not go over to {standing.digest}; see {home / LOG}.")
        time.sleep(0.1)
    return record(home, service.pid, service.port, standing)


def _served(service: Service) -> str:
    """Return the digest of the bundle that a service answers with, "" where it does not say."""
    try:
        with _OPENER.open(f"{service.url}/model", timeout=2) as response:
            return str(json.load(response)["digest"])
    except (*NO_ANSWER, ValueError, KeyError, TypeError):
        return ""


def stop(service: Service) -> None:
    """Ask a service to end, wait until it has, and make it end where it does not."""
    for sign, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5)):
        try:
            os.kill(service.pid, sign)
        except ProcessLookupError:
            return
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not service.alive:
                return
            time.sleep(0.05)
    raise ServiceError(f"The service (process {service.pid}) does not end; end it with kill -9 {service.pid}.")


def free_port(wanted: int) -> int:
    """Return ``wanted``, or the next port above it that nothing listens on.

    Raises:
        InputError: There is none near it.
    """
    if not 0 < wanted <= 65535:
        raise InputError(f"The port {wanted} is not one from 1 to 65535.")
    for port in range(wanted, min(wanted + _PORTS, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in _host() else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_host(), port))
                return port
            except OSError:
                continue
    raise InputError(f"Nothing can listen on the ports {wanted} to {wanted + _PORTS - 1}; name another with --port.")


def predict(service: Service, tracks: Sequence[str], k: int = 3) -> Mapping[str, Any]:
    """Ask a service to continue the playlist of these URIs and return its answer.

    Raises:
        ServiceError: It does not answer, or answers with another bundle than it was started for.
    """
    body = json.dumps({"tracks": [{"track_uri": uri} for uri in tracks], "k": k}).encode()
    request = urllib.request.Request(  # noqa: S310 - the URL is our own
        f"{service.url}/predict", body, {"Content-Type": "application/json"}
    )
    try:
        with _OPENER.open(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
    except (*NO_ANSWER, ValueError) as error:
        raise ServiceError(f"The service at {service.url} does not answer POST /predict ({error}).") from error
    if (served := answer.get("model", {}).get("digest")) != service.digest:
        raise ServiceError(f"The service at {service.url} answers with {served}, not {service.digest} as pinned.")
    return answer


def _wait_ready(service: Service, log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if not service.alive:
            raise ServiceError(f"The service ended at once: {_last_line(log)} All of it stands in {log}.")
        try:
            with _OPENER.open(f"{service.url}/ready", timeout=2):
                return
        except NO_ANSWER:
            time.sleep(0.1)
    raise ServiceError(f"The service is not ready after {_READY_SECONDS} s; {log} may tell why.")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."


def _started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _host() -> str:
    return os.environ.get("SEGUE_HOST") or "127.0.0.1"
