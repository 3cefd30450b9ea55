"""The whole road on one machine: playlists in, a judged bundle pinned by Git and served out.

Every step can be done again: what stands is kept, what was cut off is finished.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery import service as services
from delivery.load import Load
from delivery.pins import ENVIRONMENTS, Pin
from delivery.position import read_policy
from delivery.probing import HttpServices, questions
from delivery.promotion import Order, promote
from delivery.publication import publish
from delivery.registry import MlflowRegistry
from delivery.report import Report
from delivery.road import Road, lay_out, open_road
from delivery.service import Service
from delivery.settings import Settings
from delivery.stages import Inputs, Say, Stages
from delivery.status import Standing, fetch, judgement, standing
from delivery.under_load import measured
from segue.bundle import CATALOGUE, Bundle
from segue.catalogue import Catalogue
from segue.errors import PromotionError, SegueError

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}
PRODUCTION = "production"
_LOAD_SECONDS = 5.0
"""Enough for a figure, and little of the minutes that a run takes."""


class RunError(SegueError):
    """The run cannot begin or go on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        dataset: The dataset's manifest.
        report: How the candidate was judged.
        refusal: Why nothing was promoted, or "".
        standings: What stands in each environment.
        service: What answers now, if anything.
        answer: Its answer to a first question.
        report_page: The report for people.
        load: How what was promoted stood a load, if it is served; nothing hangs on it.
    """

    dataset: dict[str, Any]
    report: Report
    refusal: str
    standings: tuple[Standing, ...]
    service: Service | None
    answer: dict[str, Any]
    report_page: Path
    load: Load | None = None

    @property
    def exit_code(self) -> int:
        """0 where the candidate stands in production; else its verdict's, and 1 for a pass that was refused."""
        return max(EXIT_CODES[self.report.content.verdict], int(bool(self.refusal)))


def run(settings: Settings, inputs: Inputs, port: int | None, say: Say) -> Outcome:
    """Go the whole road and return what came of it.

    Args:
        settings: Where everything is.
        inputs: What to run on.
        port: Where to serve, or the next free one; None not to serve.
        say: Told what happens, a line at a time.

    Raises:
        SegueError: A step failed; calling this again goes on from there.
    """
    home, road = settings.home, open_road(settings)
    with _alone(home) as lock:
        lay_out(road.repository)
        _prepare_tracking(settings, say)
        stages = Stages(home, inputs, {"MLFLOW_TRACKING_URI": settings.tracking}, say)
        stages.run("export", keep_open=[lock])
        before = road.pin(road.repository.head(), PRODUCTION).digest
        report, refusal = _carry(road, stages, settings, lock, say)
        standings = tuple(standing(road, environment) for environment in ENVIRONMENTS)
        service, answer = _serve(settings, standings[-1], port, say)
        load = _under_load(road, service, standings[-1], say) if service and service.digest != before else None
        dataset = json.loads((home / "dataset" / "manifest.json").read_bytes())
        return Outcome(dataset, report, refusal, standings, service, answer, home / "report" / "report.html", load)


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Hold the work folder's lock; yield its file descriptor.

    Raises:
        RunError: Another run holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"Another segue run (process {file.read().strip() or 'unknown'}) or a stage that it left behind still "
                f"works in {home}; wait for it or stop it, or take another folder with --workspace."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _prepare_tracking(settings: Settings, say: Say) -> None:
    """Make MLflow's files before the stages log to them: the first time takes it some ten seconds."""
    if settings.tracking_uri or (settings.home / "mlflow.db").is_file():
        return
    say("── tracking: MLflow makes its database")
    MlflowRegistry(settings.tracking, settings.artifacts).prepare()


def _carry(road: Road, stages: Stages, settings: Settings, lock: int, say: Say) -> tuple[Report, str]:
    """Judge, publish and promote the candidate; return its report and why it was not promoted, or ""."""
    home, production = settings.home, road.pin(road.repository.head(), PRODUCTION)
    candidate = Bundle.open(home / "bundle").digest
    if candidate == production.digest:
        say(f"── gate: version {production.version} stands in production already, and keeps its verdict")
        return judgement(road, production), ""
    stages.run("gate", _against(road, production, home), alone=True, keep_open=[lock])
    published = publish(road, home / "bundle", home / "report" / "report.json", settings.signing_key)
    verb = "published" if published.new else "was published already"
    signed = "signed" if published.signer else "not signed"
    say(f"── version {published.version.number} {verb}, {signed}: {candidate}")
    if published.report.content.verdict != "pass":
        return published.report, published.report.content.reason
    return published.report, _promote_all(road, candidate, say)


def _against(road: Road, production: Pin, home: Path) -> list[str]:
    """Return the gate's option for what runs today."""
    if not production:
        return []
    incumbent = fetch(road, production, judgement(road, production)).path
    place = incumbent.relative_to(home) if incumbent.is_relative_to(home) else incumbent
    return ["--incumbent", str(place)]


def _promote_all(road: Road, digest: str, say: Say) -> str:
    """Promote through every environment; return the rule that forbids it, or ""."""
    try:
        for environment in ENVIRONMENTS:
            move = promote(road, Order(environment, digest))
            say(f"── {environment} has version {move.pin.version} (commit {move.commit[:10]})")
            for note in move.notes:
                say(f"   {note}")
    except PromotionError as error:
        return str(error)
    return ""


def _serve(settings: Settings, wanted: Standing, port: int | None, say: Say) -> tuple[Service | None, dict[str, Any]]:
    """Serve what stands in production and ask it once; a service that runs already goes over to it."""
    if port is None or not wanted.digest:
        return None, {}
    check_passed(wanted)
    home = settings.home
    service = services.find(home)
    if service is not None and service.port == port and service.environment == wanted.environment:
        service = services.follow(home, service, wanted)
    else:
        if service is not None:
            services.stop(service)
        free = services.free_port(port)
        if free != port:
            say(f"── port {port} is taken by something else; serving on {free}")
        service = services.start(settings, wanted, free)
    return service, dict(services.predict(service, _first_tracks(Path(wanted.path))))


def _under_load(road: Road, service: Service, wanted: Standing, say: Say) -> Load | None:
    """Ask what was promoted at the policy's rate for some seconds; where there are no listeners, it is only shown."""
    try:
        policy = read_policy(road, road.repository.head())
        policy = policy.model_copy(update={"load_seconds": min(policy.load_seconds, _LOAD_SECONDS)})
        if not policy.load_seconds:
            return None
        say(f"── load: {policy.load_rate:g} requests/s for {policy.load_seconds:g} s")
        asked = questions(Bundle.open(Path(wanted.path)), policy.smoke_playlists)
        by = HttpServices(service.url)
        load = by.load(wanted.environment, wanted.digest, asked, policy.load_rate, policy.load_seconds)
        road.registry.measured(wanted.version, "load on this machine", measured(load, policy, "`make run` asked it."))
    except SegueError as error:
        say(f"   not measured, or not kept: {error}")
        return None
    return load


def check_passed(wanted: Standing) -> None:
    """Raise unless what stands in an environment passed the gate: a pin can be written by hand, too.

    Raises:
        PromotionError: It did not.
    """
    if wanted.verdict != "pass":
        raise PromotionError(
            f"{wanted.environment} pins {wanted.digest} with the verdict {wanted.verdict}, which is not served; "
            f"segue rollback --environment {wanted.environment} goes back to what passed."
        )


def _first_tracks(bundle: Path) -> list[str]:
    """Return the URIs of the two most popular tracks."""
    catalogue = Catalogue(bundle / CATALOGUE)
    return [track.uri for track in catalogue.tracks(range(min(2, len(catalogue))))]
