"""What the service counts and measures, in a registry of its own.

Labels hold only what the code itself names (routes, methods, status codes) and the digests of models that answered:
nothing of a client's text, so that no client can grow the number of series.
"""

from collections import Counter as Counts
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from inference.feedback import Event
from inference.matching import Match
from inference.model import Model
from segue.errors import REFUSALS, BundleError

# From a small catalogue's two milliseconds to what no listener waits for.
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
_ARM = ["digest", "environment"]  # of signed impressions alone, so that no client can make one up


class Metrics:
    """The service's metrics."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell nothing that a scrape does not know
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._seconds = Histogram(
            "segue_request_seconds",
            "Time from a request's arrival to the end of its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = Counter(
            "segue_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.draws = Counter(
            "segue_draws",
            "Requests without the gateway's cookie: which model they met was drawn for them.",
            registry=self.registry,
        )
        self.in_flight = Gauge("segue_requests_in_flight", "Requests being answered.", registry=self.registry)
        self._tracks = Counter(
            "segue_tracks", "Requested tracks, by how the catalogue knew them.", ["how"], registry=self.registry
        )
        self.ready = Gauge("segue_ready", "Whether the service takes requests.", registry=self.registry)
        self._impressions = Counter("segue_impressions", "Answers to /predict, by model.", _ARM, registry=self.registry)
        self._feedback = Counter(
            "segue_feedback_events",
            "Events that were kept, by the model they are about.",
            [*_ARM, "event"],
            registry=self.registry,
        )
        self.feedback_ready = Gauge("segue_feedback_ready", "Whether feedback can be kept.", registry=self.registry)
        self.refusals = Counter(
            "segue_refusals", "Requests refused before any work was done.", ["reason"], registry=self.registry
        )
        self.swaps = Counter("segue_swaps", "Other bundles that were wanted.", ["outcome"], registry=self.registry)
        self._refused = Gauge(
            "segue_bundle_refused", "Whether the wanted bundle is refused, by why.", ["reason"], registry=self.registry
        )
        self.working = Gauge("segue_work_taken", "Requests that are worked on or wait for it.", registry=self.registry)
        self.cpu_limit = Gauge("segue_cpu_limit_cores", "Cores that may be kept busy.", registry=self.registry)
        self.load_seconds = Gauge(
            "segue_model_load_seconds", "Time to verify, load and warm it.", registry=self.registry
        )
        self._model = Info("segue_model", "The model that is served.", registry=self.registry)
        for how in ("uri", "name", "text", "none"):
            self._tracks.labels(how)
        for reason in ("overload", "rate", "access"):
            self.refusals.labels(reason)
        for outcome in ("done", "refused"):
            self.swaps.labels(outcome)
        self.observe_refusal(None)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def observe_matches(self, matches: Sequence[Match]) -> None:
        """Count a playlist's tracks by how the catalogue knew them."""
        for how, count in Counts(match.how for match in matches).items():
            self._tracks.labels(how).inc(count)

    def observe_impression(self, digest: str, environment: str) -> None:
        """Count one answer of a model."""
        self._impressions.labels(digest, environment).inc()

    def observe_feedback(self, events: Sequence[Event]) -> None:
        """Count events that are durable now."""
        for event in events:
            self._feedback.labels(event.impression.digest, event.impression.environment, event.event).inc()

    def observe_model(self, model: Model, environment: str) -> None:
        """Name the model that is served from now on."""
        self._impressions.labels(model.digest, environment)
        self._model.info(
            {
                "digest": model.digest,
                "version": model.version or "",
                "verdict": model.judgement.verdict or "",
                "environment": environment,
                "ranked_by": model.ranker.kind,
                "synthetic": str(model.ranker.bundle.manifest.synthetic).lower(),
            }
        )

    def observe_refusal(self, error: BundleError | None) -> None:
        """Say why the wanted bundle is refused; None once it is not."""
        for reason in REFUSALS:
            self._refused.labels(reason).set(int(error is not None and reason == error.reason))

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
