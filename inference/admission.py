"""Refuse what there is no place for before reading it as JSON: that costs more than the answer that turns it away.

The body is taken from the connection all the same. A server that answers and closes while its client still sends makes
the client's system throw the answer away (RFC 9112, section 9.6).
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from inference.problems import too_much
from inference.service import Service
from inference.work import Overloaded

_MOST_BYTES = 1 << 20  # as much as `inference.body_limit` lets in
WORKING_PATHS = ("/predict", "/tracks")


class Admission:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] in WORKING_PATHS:
            try:
                self._service.work.check()
            except Overloaded as full:
                self._service.metrics.refusals.labels("overload").inc()
                await _discard(receive)
                await too_much(full.retry_after)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _discard(receive: Receive) -> None:
    left, more = _MOST_BYTES, True
    while more and left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        more = bool(message.get("more_body", False))
