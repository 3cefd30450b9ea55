"""What `test_again.py` runs beside itself: `PORT LOG` is a pod that does as it is told, `ask URL JSON` asks once."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx


class _Pod(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Path(sys.argv[2]).open("ab") as log:
            log.write(b".")
        time.sleep(asked.get("wait", 0))
        self._say(asked.get("status", 200), {"port": int(sys.argv[1]), "asked": asked})

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        answered = httpx.post(sys.argv[2], content=sys.argv[3], timeout=30, trust_env=False)
        print(json.dumps([answered.status_code, answered.json() if answered.status_code == 200 else None]))
    else:
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Pod).serve_forever()
