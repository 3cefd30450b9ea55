"""The process: uvicorn, one worker, that says no on /ready first when it is asked to stop."""

import logging
import socket
import time
from types import FrameType

import uvicorn

from inference.app import create_app
from inference.following import Source
from inference.http_protocol import HttpProtocol
from inference.logs import configure_logs
from inference.metrics import Metrics
from inference.service import Service
from inference.settings import Settings, unusable_address

_LOG = logging.getLogger("segue.server")
# Longer than a gateway keeps an idle connection (Traefik: 90 s): were we the first to close, it would send a request
# into a connection that just went, and answer its client 502.
_IDLE_SECONDS = 120
_GRACE_SECONDS = 15  # for requests under way; with the drain it ends before a container is killed (20 to 30 s)


class _Server(uvicorn.Server):
    """Uvicorn, but that a first signal only takes `/ready` down, and the port closes after the drain.

    What balances the load needs that time to learn that it should look elsewhere; requests are answered until then.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._leave_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop at the first signal, and stop waiting at the second."""
        if self._leave_at is not None:
            self.should_exit = self.force_exit = True
            return
        self._service.stop()
        self._leave_at = time.monotonic() + self._service.settings.drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end: ten times a second."""
        drained = self._leave_at is not None and time.monotonic() >= self._leave_at
        if drained or self._service.failure is not None:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(settings: Settings, source: Source | None = None) -> None:
    """Serve until a signal ends it: what ``source`` says, or without one what the settings say.

    Raises:
        InputError: The port is taken or not allowed, or a setting cannot be used.
        BundleError: The bundle does not verify or cannot be run.
    """
    service = Service(settings, Metrics(), source)  # which says what is wrong with the settings, if anything is
    configure_logs(settings.log_level)
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    _LOG.info("listening", extra={"host": host, "port": port, "environment": settings.environment})
    config = uvicorn.Config(
        create_app(service),
        http=HttpProtocol,
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who asks, as the gateway says it; as anybody else says it, it is not believed.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    _Server(config, service).run([listener])
    if service.failure is not None:
        raise service.failure


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # By its name: asyncio sends without delay (TCP_NODELAY) only where it is told that this is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise unusable_address(settings.host, settings.port, error) from error
    return listener
