"""The cluster's own Git server: who may push, and whom it tells."""

import importlib.util
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "ansible/roles/git_server/files/serve.py"
URLS = {"segue": "http://git.git.svc/segue.git", "traefik": "http://git.git.svc/traefik.git"}


class Api(BaseHTTPRequestHandler):
    """As much of the Kubernetes API as the server asks of."""

    patched: list[tuple[str, str, Any]]
    broken: bool

    def do_GET(self) -> None:
        """List one application of each repository, and one that has several sources."""
        items = [{"metadata": {"name": name}, "spec": {"source": {"repoURL": url}}} for name, url in URLS.items()]
        items.append({"metadata": {"name": "several"}, "spec": {"source": {}}})
        self._answer(500 if self.broken else 200, {"items": items})

    def do_PATCH(self) -> None:
        """Note what is asked."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.patched.append((self.path, self.headers["Authorization"], body))
        self._answer(200, {})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Api]]]:
    """The address of a server with one repository, and the API that it tells."""
    api = type("Api", (Api,), {"patched": [], "broken": False})
    serve = _load(tmp_path, monkeypatch)
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (serve.Handler, api)]
    monkeypatch.setenv("ARGO_CD_APPLICATIONS", f"http://127.0.0.1:{servers[1].server_port}/applications")
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{servers[0].server_port}/segue.git", api
    for server in servers:
        server.shutdown()
        server.server_close()


def _load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text("a-token")
    monkeypatch.setattr(module, "ROOT", folder / "git")
    monkeypatch.setattr(module, "ACCOUNT", account)
    monkeypatch.setenv("GIT_PUSH_USER", "push")
    monkeypatch.setenv("GIT_PUSH_PASSWORD", "a-password")
    bare = folder / "git" / "segue.git"
    for command in (["init", "--quiet", "--bare", str(bare)], ["-C", str(bare), "config", "http.receivepack", "true"]):
        subprocess.run(["git", *command], check=True)
    return module


def _push(folder: Path, address: str, user: str) -> int:
    """Return git's exit code for a first commit, pushed."""
    tree = folder / "tree"
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    commit = [*identity, "commit", "--quiet", "--allow-empty", "--message", "Begin"]
    for command in (commit, ["push", "--quiet", f"http://{user}@{address}", "HEAD:main"]):
        plain = ["git", "-c", "http.proxy=", "-c", "credential.helper=", "-C", str(tree), *command]
        done = subprocess.run(plain, env={"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0"}, capture_output=True)
    return done.returncode


def test_argo_cd_is_told_of_a_push(tmp_path: Path, served: tuple[str, type[Api]]) -> None:
    """Each application of what was pushed is asked to look again, and nothing else is changed."""
    address, api = served
    assert _push(tmp_path, address, "push:a-password") == 0
    for _ in range(100):  # who pushes does not wait for it
        if api.patched:
            break
        time.sleep(0.05)
    refresh = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}
    assert api.patched == [("/applications/segue", "Bearer a-token", refresh)]


def test_a_push_holds_where_argo_cd_cannot_be_told(tmp_path: Path, served: tuple[str, type[Api]]) -> None:
    """It looks by itself later."""
    address, api = served
    api.broken = True
    assert _push(tmp_path, address, "push:a-password") == 0
    assert api.patched == []


def test_who_has_no_password_pushes_and_tells_nothing(tmp_path: Path, served: tuple[str, type[Api]]) -> None:
    """Reading is for everybody."""
    address, api = served
    assert _push(tmp_path, address, "push:another") != 0
    assert api.patched == []
    read = ["git", "-c", "http.proxy=", "ls-remote", f"http://{address}"]
    assert subprocess.run(read, capture_output=True).returncode == 0
