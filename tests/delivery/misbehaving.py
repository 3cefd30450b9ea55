"""A service that answers one after another as the real one behind it does, and otherwise as soon as two ask at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

HELD_SECONDS = 0.015


@dataclass
class Front:
    """How it behaves where at least two are being answered.

    Attributes:
        url: Where it listens.
        status: What it answers with.
        seconds: After how long.
    """

    url: str = ""
    status: int = 200
    seconds: float = 0.0


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


@contextmanager
def misbehaving(behind: str) -> Iterator[Front]:
    """Yield one that sends on to the service at an address."""
    front, going, lock = Front(), 0, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal going
            with lock:
                going += 1
                busy = going > 1
            try:
                status, answer = self._answer(self.rfile.read(int(self.headers["Content-Length"])), busy)
            finally:
                with lock:
                    going -= 1  # before its answer leaves: who asks one after another is never two
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _answer(self, question: bytes, busy: bool) -> tuple[int, bytes]:
            time.sleep(max(HELD_SECONDS, front.seconds if busy else 0))
            if busy and front.status != 200:
                return front.status, b"{}"
            headers = {"Content-Type": "application/json"}
            return 200, ask.post(behind + self.path, content=question, headers=headers).content

        def log_message(self, *_: object) -> None:
            pass

    with httpx.Client(timeout=60) as ask, _Server(("127.0.0.1", 0), Handler) as server:
        front.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield front
        finally:
            server.shutdown()
            thread.join()
