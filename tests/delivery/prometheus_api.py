"""Prometheus's HTTP API as its documentation has it, over samples that a test lays down."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

Samples = list[tuple[float, float]]


@dataclass
class Api:
    """What is stored, and how the server behaves.

    Attributes:
        series: Name and labels to samples.
        url: Where it listens.
        status: What it answers with instead of 200.
    """

    series: list[tuple[str, dict[str, str], Samples]] = field(default_factory=list)
    url: str = ""
    status: int = 200

    def add(self, name: str, samples: Samples, **labels: str) -> None:
        """Store a series."""
        self.series.append((name, labels, samples))

    def answer(self, query: str, moment: float) -> dict[str, object]:
        """Return the samples of a range selector."""
        found = re.fullmatch(r"(\w+)\{(.*)\}\[(\d+)s\]", query)
        assert found, query
        wanted = re.findall(r'(\w+)(=~|=)"([^"]*)"', found[2])
        result: list[dict[str, object]] = []
        for name, labels, samples in self.series:
            kept = [(t, str(v)) for t, v in samples if moment - int(found[3]) < t <= moment]
            matches = all(
                re.fullmatch(value if sign == "=~" else re.escape(value), labels.get(label, ""))
                for label, sign, value in wanted
            )
            if name == found[1] and matches and kept:
                metric = {"__name__": name} | labels
                result.append({"metric": metric, "values": kept})
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


@contextmanager
def serving() -> Iterator[Api]:
    """Yield an API that listens."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = json.dumps(api.answer(form["query"][0], float(form["time"][0]))).encode()
            self.send_response(api.status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
