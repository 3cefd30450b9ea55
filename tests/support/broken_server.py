"""A server that gives no whole answer."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ECHO = b""
"""As a client that is connected to itself hears it: its own request."""
BROKEN_OFF = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status": '
"""As of a server that was killed while it answered."""


@contextmanager
def broken_server(answer: bytes) -> Iterator[str]:
    """Yield the address of one that sends these bytes, or what it was sent, and closes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked = self.request.recv(1 << 16)
            self.request.sendall(answer or asked)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
