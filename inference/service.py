"""What a running service holds: its settings, its metrics, and the one model that it answers with."""

import asyncio
import logging
import time

from inference.metrics import Metrics
from inference.model import Model
from inference.settings import Settings
from segue.errors import SegueError

_LOG = logging.getLogger("segue.service")


class Service:
    """The state of one process.

    Attributes:
        settings: What it was started with.
        metrics: What it counts.
        failure: Why it cannot serve, once that is known; it then ends.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.failure: SegueError | None = None
        self._model: Model | None = None
        self._stopping = False

    @property
    def model(self) -> Model | None:
        """The model that answers now; None until one is verified and warm.

        A request reads it once and keeps what it read, so that an exchange in between changes nothing for it.
        """
        return self._model

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: a model is warm, and nobody has asked to stop."""
        return self._model is not None and not self._stopping

    @property
    def stopping(self) -> bool:
        """Whether the process has been asked to stop."""
        return self._stopping

    async def load(self) -> None:
        """Verify, load and warm the bundle of the settings off the event loop, then answer with it."""
        settings, start = self.settings, time.perf_counter()
        try:
            model = await asyncio.to_thread(
                Model.load, settings.bundle, settings.bundle_digest, settings.bundle_version, settings.threads
            )
        except SegueError as error:
            self.failure = error
            return
        except Exception as error:
            _LOG.exception("loading failed")
            self.failure = SegueError(f"The bundle at {settings.bundle} could not be loaded ({type(error).__name__}).")
            return
        seconds = time.perf_counter() - start
        self._model = model
        self.metrics.observe_model(model, settings.environment, seconds)
        self.metrics.ready.set(int(self.ready))
        _LOG.info("ready", extra={"digest": model.digest, "tracks": len(model.ranker.catalogue), "seconds": seconds})

    def stop(self) -> None:
        """Ask that no more requests be sent here; those that come are still answered."""
        self._stopping = True
        self.metrics.ready.set(0)
