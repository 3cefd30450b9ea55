"""Around every request: an id, a log line, metrics, security headers, and an end for whatever goes wrong inside."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.logs import request_id
from inference.metrics import Metrics
from inference.problems import problem

_LOG = logging.getLogger("segue.request")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# An id that a proxy hands in is kept, if nothing in it can forge a log line or fill a disk.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_INTERNAL = ("/health", "/ready", "/metrics")
_REFUSED_EARLY = frozenset({"/predict", "/tracks", "/feedback"})
"""Routes of which a request may be refused before it is routed; that it is refused has to count as theirs."""
STICKY = "segue-model"
"""The cookie of the gateway (k8s/traffic/models.yaml) that keeps a listener with the model that was drawn."""
_SECURITY = (
    # Everything of the page is our own: no inline code, no other host, no frame around it.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Observing:
    """ASGI middleware; the outermost one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, new_id: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._app = app
        self._metrics = metrics
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        token = request_id.set(given if _ID.fullmatch(given) else self._new_id())
        try:
            with self._metrics.in_flight.track_inprogress():
                await self._answer(scope, receive, send)
        finally:
            request_id.reset(token)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, start = 0, time.perf_counter()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.get().encode()), *_SECURITY]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            _LOG.exception("request failed")
            if status:  # the answer has begun, and only cutting the connection can tell that it is not whole
                raise
            failed = problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault; it is logged under the X-Request-ID."
            )
            await failed(scope, receive, send_marked)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        unrouted = scope["path"] if scope["path"] in _REFUSED_EARLY else "unmatched"
        route = getattr(scope.get("route"), "path", None) or ("/page" if status < 400 else unrouted)
        self._metrics.observe_request(method, route, status, seconds)
        if route not in _INTERNAL and STICKY not in cookie_parser(Headers(scope=scope).get("cookie", "")):
            self._metrics.draws.inc()
        level = logging.DEBUG if route in _INTERNAL else logging.INFO
        milliseconds = round(seconds * 1000, 2)
        _LOG.log(
            level, "request", extra={"method": method, "route": route, "status": status, "milliseconds": milliseconds}
        )
