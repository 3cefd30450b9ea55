"""Refuse what there is no place for before reading it: a body costs more than the answer that turns it away."""

from starlette.types import ASGIApp, Receive, Scope, Send

from inference.problems import too_much
from inference.service import Service
from inference.work import Overloaded

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
                await too_much(full)(scope, receive, send)
                return
        await self._app(scope, receive, send)
