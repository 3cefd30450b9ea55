"""What a pod says while its bundle is refused: unready, with the reason in its log and its metrics, until it is mended.

A container that ended instead would be started anew by Kubernetes, but nothing would listen where Prometheus asks.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST

from inference.logs import configure_logs
from inference.settings import unusable_address
from segue.bundle import Bundle
from segue.errors import BundleError

if TYPE_CHECKING:
    from inference.metrics import Metrics

_LOG = logging.getLogger("segue.fetch")
_AGAIN_SECONDS = 10.0


def fetch_in_the_end(
    attempt: Callable[[], Bundle], host: str, port: int, sleep: Callable[[float], None] = time.sleep
) -> Bundle:
    """Return what ``attempt`` fetches, trying again for as long as the bundle is refused.

    Args:
        attempt: Fetches the bundle.
        host: Where to answer meanwhile.
        port: The same.
        sleep: Waits between attempts.

    Raises:
        SegueError: Whatever ``attempt`` raises but a BundleError, such as that the store is away.
        InputError: Nothing can listen there.
    """
    with ExitStack() as stack:
        metrics, said = None, ""
        while True:
            try:
                return attempt()
            except BundleError as error:
                if metrics is None:
                    from inference.metrics import (
                        Metrics,  # brings all that serves, which a good bundle need not wait for
                    )

                    metrics = Metrics()
                    stack.enter_context(_door(host, port, metrics))
                    configure_logs("info")
                metrics.observe_refusal(error)
                if said != str(error):
                    _LOG.error("the wanted bundle is not served", extra={"reason": str(error)})
                said = str(error)
            sleep(_AGAIN_SECONDS)


@contextmanager
def _door(host: str, port: int, metrics: "Metrics") -> Iterator[None]:
    """Answer at a port: that the process lives, that it serves nothing, and why."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = {"/health": (HTTPStatus.OK, b""), "/metrics": (HTTPStatus.OK, metrics.text())}
            status, body = told.get(self.path, (HTTPStatus.SERVICE_UNAVAILABLE, b""))
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of probes and scrapes."""

    class Listener(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET

    try:
        listener = Listener((host, port), Door)
    except OSError as error:
        raise unusable_address(host, port, error) from error
    with listener as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
