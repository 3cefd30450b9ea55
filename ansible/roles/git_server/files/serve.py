"""Serve bare Git repositories over HTTP: anyone in the cluster may read, who has the password may push.

Git's own `http-backend` does the work (https://git-scm.com/docs/git-http-backend); this hands requests to it. After a
push it asks Argo CD to look now, by the annotation that `argocd app get --refresh` sets, too: without an API server of
its own Argo CD hears no webhooks, and listeners of a bad model would wait until it looks by itself.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

ROOT = Path("/srv/git")
LARGEST = 256 * 2**20  # bytes of one push
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REFRESH = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}


class Handler(BaseHTTPRequestHandler):
    """One request, answered by one `git http-backend`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a reader, or a probe."""
        if self.path == "/healthz":
            self._answer(200, [("Content-Type", "text/plain")], b"ok\n")
        else:
            self._serve(b"")

    def do_POST(self) -> None:
        """Answer a reader's or a pusher's second request, whose body says what it has and wants."""
        body = self._body()
        if body is None:
            self._answer(413, [("Connection", "close")], b"A push of that size is refused.\n")
        else:
            self._serve(body)

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        pushing = "git-receive-pack" in unquote(self.path)
        if pushing and not self._may_push():
            challenge = ("WWW-Authenticate", 'Basic realm="push"')
            self._answer(401, [challenge], b"Pushing needs the user and the password of the Secret git-push.\n")
            return
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/tmp",  # noqa: S108 - the only place it may write to, and nothing of it is trusted
            "GIT_PROJECT_ROOT": str(ROOT),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
            **({"REMOTE_USER": os.environ["GIT_PUSH_USER"]} if pushing else {}),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE)
        self._relay(done.stdout)
        if self.command == "POST" and path.endswith("/git-receive-pack"):
            refresh(path.removesuffix("/git-receive-pack"))

    def _may_push(self) -> bool:
        expected = f"{os.environ['GIT_PUSH_USER']}:{os.environ['GIT_PUSH_PASSWORD']}".encode()
        given = self.headers.get("Authorization", "").removeprefix("Basic ").encode()
        return hmac.compare_digest(given, base64.b64encode(expected))

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length) if length <= LARGEST else None
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            if len(body) + size > LARGEST:
                return None
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _relay(self, response: bytes) -> None:
        head, _, body = response.partition(b"\r\n\r\n")
        headers = [(name, value) for line in head.decode().splitlines() for name, _, value in [line.partition(": ")]]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._answer(status, [header for header in headers if header[0] != "Status"], body)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def refresh(repository: str) -> None:
    """Ask Argo CD to look at its applications of ``repository`` (``/segue.git``) now; if that fails, it looks later."""
    api = os.environ.get("ARGO_CD_APPLICATIONS", "")
    if not api:
        return
    try:
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")) if api.startswith("https:") else None
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        head = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
        with opener.open(Request(api, headers=head), timeout=10) as answer:  # noqa: S310 - the cluster's own
            applications = json.load(answer)["items"]
        head["Content-Type"] = "application/merge-patch+json"
        for application in applications:
            if application["spec"].get("source", {}).get("repoURL", "").endswith(repository):
                name = application["metadata"]["name"]
                patch = Request(f"{api}/{name}", json.dumps(REFRESH).encode(), head, method="PATCH")  # noqa: S310
                opener.open(patch, timeout=10).close()
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"Argo CD was not asked to look at {repository}: {error!r}\n")


if __name__ == "__main__":
    for name in os.environ["GIT_REPOSITORIES"].split():
        if not (ROOT / name).exists():
            subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(ROOT / name)], check=True)
            subprocess.run(["git", "-C", str(ROOT / name), "config", "http.receivepack", "true"], check=True)
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
