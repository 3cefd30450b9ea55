"""The service's HTTP face: every route in one function, over a `Service`."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST

from inference import problems
from inference.admission import Admission
from inference.answer import predict_answer
from inference.body_limit import BodyLimit
from inference.continuation import continue_playlist
from inference.entrance import Caller, IdempotencyKey, JsonOnly, Listener, ModelDep, unknown_caller
from inference.feedback import Batch, Event, FeedbackError, Kept
from inference.impressions import Impressions
from inference.intake import Intake
from inference.matching import Matched, Wanted
from inference.observing import Observing
from inference.problems import described
from inference.service import Service
from inference.wire import (
    FeedbackAnswer,
    FeedbackEvent,
    FeedbackRequest,
    ModelAnswer,
    PredictAnswer,
    PredictRequest,
    RequestedTrack,
    StatusAnswer,
    TrackAnswer,
    TracksAnswer,
)
from segue.catalogue import Catalogue
from segue.track import Track

_PAGE = Path(__file__).parent / "page"
_NOT_READY = {"Retry-After": "1"}


def create_app(service: Service) -> FastAPI:
    """Return the ASGI application; it loads the model of ``service`` when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(service.run())
        yield
        running.cancel()
        await service.close()

    # Swagger's and ReDoc's pages come from other hosts, which our content security policy rightly refuses.
    app = FastAPI(
        title="Segue",
        summary="Continues playlists.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the client claims to have asked
        lifespan=lifespan,
    )
    app.state.service = service
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission, service=service)
    app.add_middleware(Observing, metrics=service.metrics)
    _add_routes(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        response_model=PredictAnswer,
        responses=described(400, 401, 413, 415, 422, 429, 503),
        dependencies=[JsonOnly, Listener],
        tags=["playlists"],
    )
    async def predict(request: PredictRequest, model: ModelDep) -> Response:
        """Continue a playlist by its tracks, its title, or both."""
        wanted = [_wanted(track) for track in request.tracks]
        environment = service.settings.environment

        def work() -> tuple[Matched, bytes]:
            title, order = request.name or "", request.ordered
            found = continue_playlist(model.ranker, wanted, title, request.k, request.diversity, order)
            return found.matched, predict_answer(found, model, service.impressions.new(model.digest, environment))

        matched, body = await service.work.do(work)
        service.metrics.observe_matches(matched.matches)
        service.metrics.observe_impression(model.digest, environment)
        return Response(body, media_type="application/json")

    @app.get("/tracks", responses=described(401, 422, 429, 503), dependencies=[Listener], tags=["playlists"])
    async def tracks(
        model: ModelDep,
        q: Annotated[str, Query(max_length=200, description="Words of a title or artist, the last may be begun.")] = "",
        limit: Annotated[int, Query(ge=1, le=50, description="How many at most.")] = 10,
    ) -> TracksAnswer:
        """Search the catalogue as one types; without words, its most popular tracks."""
        found = await service.work.do(partial(_search, model.ranker.catalogue, q, limit))
        return TracksAnswer(tracks=[_track(track) for track in found])

    @app.post(
        "/feedback",
        status_code=202,
        responses=described(400, 401, 413, 415, 422, 429, 503),
        dependencies=[JsonOnly],
        tags=["playlists"],
    )
    async def feedback(request: FeedbackRequest, key: IdempotencyKey, principal: Caller) -> FeedbackAnswer:
        """Keep what listeners did with answers. 202 says that it is durable; sent again under its key, it counts once.

        Anybody may send one event, about an answer that they got; more than one need an API key or a token.
        """
        if len(request.events) > 1 and principal is None:
            raise unknown_caller(service)
        events = await _events(request.events, service.impressions, service.intake)
        batch = Batch(principal.name if principal else "", key, events, int(time.time()))
        kept = await service.intake.take(batch)
        if kept is Kept.ANOTHER:
            raise HTTPException(422, "Idempotency-Key: another request was kept under this key; name each anew.")
        if kept is Kept.NEW:
            service.metrics.observe_feedback(events)
        return FeedbackAnswer(kept=len(events), again=kept is Kept.AGAIN)

    @app.get("/model", responses=described(503), tags=["operations"])
    async def model(model: ModelDep) -> ModelAnswer:
        """Say what is served, how it was judged and where it comes from."""
        manifest, judgement = model.ranker.bundle.manifest, model.judgement
        return ModelAnswer(
            digest=model.digest,
            version=model.version,
            environment=service.settings.environment,
            verdict=judgement.verdict,
            reason=judgement.reason,
            report=judgement.report,
            synthetic=manifest.synthetic,
            tracks=len(model.ranker.catalogue),
            lineage=dict(manifest.lineage),
        )

    @app.get("/health", tags=["operations"])
    async def health() -> StatusAnswer:
        """Say that the process is alive; restart it where this fails."""
        return StatusAnswer(status="alive")

    @app.get("/ready", responses=described(503), tags=["operations"])
    async def ready() -> StatusAnswer:
        """Say whether to send requests here: not before the model is verified and warm, nor while it stops."""
        if service.stopping:
            raise HTTPException(503, "The service is stopping.")
        if not service.ready:
            raise HTTPException(503, "The model is still being verified and loaded.", _NOT_READY)
        return StatusAnswer(status="ready")

    @app.get("/metrics", response_class=Response, tags=["operations"])
    async def metrics() -> Response:
        """Give the metrics in Prometheus's text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=_PAGE))


def _wanted(track: RequestedTrack) -> Wanted:
    return Wanted(track.track_uri or "", track.track_name or "", track.artist_name or "")


async def _events(events: Sequence[FeedbackEvent], impressions: Impressions, intake: Intake) -> tuple[Event, ...]:
    """Return what is to be kept; an impression that is certainly none of ours is named as any wrong field is.

    Raises:
        RequestValidationError: There is such an impression.
        FeedbackError: Whether one is ours cannot be told yet: its key is not known, and may still be laid down.
    """
    if missing := {key for one in events if (key := impressions.missing_key(one.impression_id))}:
        await intake.learn(missing)
    found, undecided = [], False
    for place, event in enumerate(events):
        if impression := impressions.read(event.impression_id):
            found.append(Event(event.event, event.track_uri, impression))
        elif impressions.may_turn_out_true(event.impression_id):
            undecided = True
        else:
            wrong = {
                "type": "impression",
                "loc": ("body", "events", place, "impression_id"),
                "msg": "this service gave no answer of this name",
                "input": event.impression_id,
            }
            raise RequestValidationError([wrong])
    if undecided:
        raise FeedbackError("An impression is signed with a key that is not in the database yet.")
    return tuple(found)


def _search(catalogue: Catalogue, text: str, limit: int) -> list[Track]:
    if not text.strip():
        return catalogue.tracks(range(min(limit, len(catalogue))))
    return [track for _, track in catalogue.search(text, limit)]


def _track(track: Track) -> TrackAnswer:
    return TrackAnswer(track_name=track.title, artist_name=track.artist, track_uri=track.uri)
