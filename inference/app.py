"""The service's HTTP face: every route in one function, over a `Service`."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST

from inference import problems
from inference.body_limit import BodyLimit
from inference.continuation import Continuation, continue_playlist
from inference.matching import Match, Wanted
from inference.model import Model
from inference.observing import Observing
from inference.problems import described
from inference.service import Service
from inference.wire import (
    MatchedTrack,
    ModelAnswer,
    ModelName,
    PredictAnswer,
    PredictRequest,
    RecommendedTrack,
    RequestedTrack,
    StatusAnswer,
    TrackAnswer,
    TracksAnswer,
)
from segue.catalogue import Catalogue
from segue.track import Track

_PAGE = Path(__file__).parent / "page"
_NOT_READY = {"Retry-After": "1"}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


def _model(service: ServiceDep) -> Model:
    if service.model is None:
        raise HTTPException(503, "The model is still being verified and loaded.", _NOT_READY)
    return service.model


ModelDep = Annotated[Model, Depends(_model)]


def _json_only(request: Request) -> None:
    """Refuse a body that does not say that it is JSON, before it is taken for a malformed one."""
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    kind = message.get_content_type()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, "Content-Type: it has to be application/json.")


JsonOnly = Depends(_json_only)


def create_app(service: Service) -> FastAPI:
    """Return the ASGI application; it loads the model of ``service`` when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Ranking takes all of a core: a bounded pool of threads keeps the event loop free and the memory in hand.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(service.settings.concurrency, "ranking"))
        loading = asyncio.create_task(service.load())
        yield
        loading.cancel()

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
    app.add_middleware(Observing, metrics=service.metrics)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    @app.post("/predict", responses=described(400, 413, 415, 422, 503), dependencies=[JsonOnly], tags=["playlists"])
    async def predict(request: PredictRequest, model: ModelDep, service: ServiceDep) -> PredictAnswer:
        """Continue a playlist by its tracks, its title, or both."""
        wanted = [_wanted(track) for track in request.tracks]
        found = await asyncio.to_thread(continue_playlist, model.ranker, wanted, request.name or "", request.k)
        service.metrics.observe_matches(found.matched.matches)
        return _answer(found, model)

    @app.get("/tracks", responses=described(422, 503), tags=["playlists"])
    async def tracks(
        model: ModelDep,
        q: Annotated[str, Query(max_length=200, description="Words of a title or artist, the last may be begun.")] = "",
        limit: Annotated[int, Query(ge=1, le=50, description="How many at most.")] = 10,
    ) -> TracksAnswer:
        """Search the catalogue as one types; without words, its most popular tracks."""
        found = await asyncio.to_thread(_search, model.ranker.catalogue, q, limit)
        return TracksAnswer(tracks=[_track(track) for track in found])

    @app.get("/model", responses=described(503), tags=["operations"])
    async def model(model: ModelDep, service: ServiceDep) -> ModelAnswer:
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
    async def ready(service: ServiceDep) -> StatusAnswer:
        """Say whether to send requests here: not before the model is verified and warm, nor while it stops."""
        if service.stopping:
            raise HTTPException(503, "The service is stopping.")
        if not service.ready:
            raise HTTPException(503, "The model is still being verified and loaded.", _NOT_READY)
        return StatusAnswer(status="ready")

    @app.get("/metrics", response_class=Response, tags=["operations"])
    async def metrics(service: ServiceDep) -> Response:
        """Give the metrics in Prometheus's text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=_PAGE))


def _wanted(track: RequestedTrack) -> Wanted:
    return Wanted(track.track_uri or "", track.track_name or "", track.artist_name or "")


def _search(catalogue: Catalogue, text: str, limit: int) -> list[Track]:
    if not text.strip():
        return catalogue.tracks(range(min(limit, len(catalogue))))
    return [track for _, track in catalogue.search(text, limit)]


def _track(track: Track) -> TrackAnswer:
    return TrackAnswer(track_name=track.title, artist_name=track.artist, track_uri=track.uri)


def _matched(match: Match) -> MatchedTrack:
    wanted = match.wanted
    named = {"track_uri": wanted.uri, "track_name": wanted.title, "artist_name": wanted.artist}
    requested = {name: text for name, text in named.items() if text}
    return MatchedTrack(requested=requested, track=_track(match.track) if match.track else None, how=match.how)


def _answer(found: Continuation, model: Model) -> PredictAnswer:
    recommended = [RecommendedTrack(**_track(track).model_dump(), score=score) for track, score in found.tracks]
    return PredictAnswer(
        recommended_tracks=recommended,
        matched=[_matched(match) for match in found.matched.matches],
        model=ModelName(digest=model.digest, version=model.version),
    )
