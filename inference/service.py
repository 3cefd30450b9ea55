"""What a running service holds: its settings and metrics, its places to work in, and the model that answers."""

import asyncio
import ctypes
import gc
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from inference.access import ApiKeys, Principal, Refused
from inference.following import Source, Wanted
from inference.impressions import Impressions
from inference.intake import Intake
from inference.metrics import Metrics
from inference.model import Model
from inference.rate_limit import RateLimit
from inference.settings import Settings
from inference.work import Work
from segue.cpu_limit import cpu_limit
from segue.errors import BundleError, SegueError

if TYPE_CHECKING:
    from inference.tokens import Tokens

_LOG = logging.getLogger("segue.service")
_DATABASE_SECONDS = 1.0  # that the first answer may wait for the database
_REFUSED_SECONDS = 30.0  # after which a bundle that was refused is tried again: what was damaged may have been mended
_AT_ONCE, _AT_ONCE_OF_MANY, _MANY = 2, 4, 1_000_000
"""Requests a core, and with more tracks than that: those that are ranked at once share the reading of the catalogue.
The longer that takes the more is gained; but the more threads there are, the longer a refusal takes."""
_VERIFYING, _UNVERIFIED = 2, 100  # tokens that are verified at once, and that wait for it
_LET_GO_SECONDS = 0.5  # in which requests that began with the model before are answered, and let go of it


class Service:
    """The state of one process.

    Attributes:
        settings: What it was started with.
        metrics: What it counts.
        failure: Why it cannot serve, once that is known; it then ends.
        threads: CPU threads of one ranking.
        work: Where rankings and searches are done.
        impressions: Makes and reads the ids of answers.
        intake: Takes feedback in.
        rate: How often one client may ask.
    """

    def __init__(self, settings: Settings, metrics: Metrics, source: Source | None = None) -> None:
        """Serve what ``source`` says, or without one what the settings say."""
        self.settings = settings
        self.metrics = metrics
        self.failure: SegueError | None = None
        cores = cpu_limit()
        self.threads = settings.threads or 1
        whole = max(1, round(cores))
        self._cores = whole
        self.work = Work(settings.concurrency or _AT_ONCE_OF_MANY * whole, settings.queue, settings.patience, whole)
        self.impressions = Impressions()
        self.intake = Intake(
            settings.database_url, self.impressions, lambda ready: metrics.feedback_ready.set(int(ready))
        )
        self._keys = ApiKeys.read(settings.api_keys) if settings.api_keys else ApiKeys({})
        self._tokens = _tokens(settings)
        # Not where feedback is kept and bundles are loaded: a provider that hangs must hold nobody else up.
        self._verifying = Work(_VERIFYING, _UNVERIFIED)
        self.rate = RateLimit(settings.rate_limit, settings.rate_burst)
        metrics.cpu_limit.set(cores)
        metrics.working.set_function(lambda: self.work.taken)
        self._source = source or settings.source
        self._follows = source is not None or settings.follow is not None
        self._model: Model | None = None
        self._stopping = False
        self._refused: Wanted | None = None
        self._again_at = 0.0
        self._complaint = ""

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

    async def recognise(self, secret: str) -> Principal:
        """Return whose API key or token this is.

        Raises:
            Refused: Nobody's.
            UnverifiableError: The provider of tokens cannot be asked now.
            Overloaded: Too many tokens wait to be verified already.
        """
        principal = self._keys.recognise(secret)  # one hash, which is not worth a thread
        if principal is None and self._tokens is not None and self._tokens.has_form(secret):
            principal = await self._verifying.do(partial(self._tokens.recognise, secret))
        if principal is None:
            raise Refused
        return principal

    async def load(self) -> None:
        """Verify, load and warm the first bundle off the event loop, then answer with it; without one, fail."""
        opened = asyncio.create_task(self.intake.open())
        try:
            wanted = await asyncio.to_thread(self._source)
            model = await self._load(wanted)
            # Others can read the ids of our answers from the first one on, unless the database is away.
            await asyncio.wait({opened}, timeout=_DATABASE_SECONDS)
        except SegueError as error:
            if isinstance(error, BundleError) and self.settings.trusted_keys is not None:
                self._complain(error)  # and stay, so that whoever watches can read why; `_follow` tries again
            else:
                self.failure = error
            return
        except Exception as error:
            _LOG.exception("loading failed")
            self.failure = SegueError(f"The bundle could not be loaded ({type(error).__name__}); the log tells why.")
            return
        await asyncio.to_thread(_settle)
        self._exchange(model)
        _LOG.info("ready", extra={"digest": model.digest, "tracks": len(model.ranker.catalogue)})

    async def run(self) -> None:
        """Load, then keep the database of feedback open and follow what is wanted, until cancelled."""
        await self.load()
        if self.failure is None:
            await asyncio.gather(self.intake.keep_open(), self._follow())

    async def follow_once(self) -> None:
        """Look what is wanted now; where it is another bundle, load it beside the one that answers, then exchange them.

        A bundle that cannot be served changes nothing but the log and the metrics: the model before goes on answering.
        """
        try:
            wanted = await asyncio.to_thread(self._source)
            if self._served(wanted):
                self._content()
                return
            if wanted == self._refused and time.monotonic() < self._again_at:
                return
            self._refused, self._again_at = wanted, time.monotonic() + _REFUSED_SECONDS
            model = await self._load(wanted)
        except Exception as error:  # whatever it is, what is served goes on
            self._complain(error)
            return
        before = self._model
        self._content()
        self._exchange(model)
        self.metrics.swaps.labels("done").inc()
        _LOG.info("swapped", extra={"digest": model.digest, "before": before.digest if before else ""})
        del before
        await asyncio.sleep(_LET_GO_SECONDS)
        await asyncio.to_thread(_settle)

    def _complain(self, error: Exception) -> None:
        """Say and count why what is wanted is not served; once, and not again every second."""
        reason = str(error) if isinstance(error, SegueError) else repr(error)
        if isinstance(error, BundleError):
            self.metrics.observe_refusal(error)
        if reason != self._complaint:
            self.metrics.swaps.labels("refused").inc()
            _LOG.error("the wanted bundle is not served", extra={"reason": reason})
        self._complaint = reason

    def _content(self) -> None:
        """Note that what is wanted is served."""
        self._refused, self._complaint = None, ""
        self.metrics.observe_refusal(None)

    def stop(self) -> None:
        """Ask that no more requests be sent here; those that come are still answered."""
        self._stopping = True
        self.metrics.ready.set(0)

    async def close(self) -> None:
        """Write what waits to be written, and let go."""
        await self.intake.close()
        self.work.close()
        self._verifying.close()

    async def _follow(self) -> None:
        while self._follows or self._model is None:
            await asyncio.sleep(self.settings.follow_seconds)
            await self.follow_once()

    def _served(self, wanted: Wanted) -> bool:
        model = self._model
        return model is not None and (wanted.digest, wanted.version) in (
            (model.digest, model.version),
            (None, model.version),
        )

    async def _load(self, wanted: Wanted) -> Model:
        start = time.perf_counter()
        trusted = self.settings.trusted_keys
        model = await asyncio.to_thread(Model.load, wanted.bundle, wanted.digest, wanted.version, self.threads, trusted)
        self.metrics.load_seconds.set(time.perf_counter() - start)
        return model

    def _exchange(self, model: Model) -> None:
        """Answer with ``model`` from the next request on; those under way keep the one that they began with."""
        self._model = model
        many = len(model.ranker.catalogue) > _MANY
        self.work.allow(self.settings.concurrency or (_AT_ONCE_OF_MANY if many else _AT_ONCE) * self._cores)
        self.metrics.observe_model(model, self.settings.environment)
        self.metrics.ready.set(int(self.ready))


def _tokens(settings: Settings) -> "Tokens | None":
    if not settings.oidc_issuer:
        return None
    from inference.tokens import Tokens  # cryptography takes its time to load, and most need none of it

    return Tokens(settings.oidc_issuer, settings.oidc_audience)


def _settle() -> None:
    """Put what stays out of the collector's sight, and let the allocator return what the model before held.

    A full collection goes through every object of every library and stops all threads meanwhile: measured, 60 ms, often
    enough to be what a twentieth of the requests waited for. And glibc keeps freed memory for itself unless told.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except OSError:  # another libc
        return
