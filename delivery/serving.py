"""Serve what an environment pins: a commit that moves the pin moves the service, without a break."""

from pathlib import Path

from delivery.road import Road, open_road
from delivery.run import check_passed
from delivery.settings import Settings
from delivery.status import Standing, standing
from inference.following import Wanted
from inference.server import serve
from inference.settings import read_settings
from segue.errors import InputError

FEEDBACK = "feedback.sqlite"
_LOCAL_SECONDS, _REMOTE_SECONDS = 2.0, 10.0  # each look asks Git, and Git its remote where there is one


class Pinned:
    """Says what an environment pins; asks Git each time, and the store only after a new commit."""

    def __init__(self, road: Road, environment: str, now: Standing) -> None:
        """Begin with what stands ``now`` in ``environment``."""
        self._road, self._environment = road, environment
        self._commit = ""
        self._wanted = _wanted(now)

    def __call__(self) -> Wanted:
        """Return what is pinned now, its bundle fetched and verified.

        Raises:
            SegueError: Nothing that may be served is pinned, or it cannot be had.
        """
        commit = self._road.repository.head()
        if commit != self._commit:
            self._wanted = _wanted(pinned(self._road, self._environment))
            self._commit = commit
        return self._wanted


def pinned(road: Road, environment: str) -> Standing:
    """Return what stands in an environment and may be served.

    Raises:
        InputError: Nothing is pinned.
        SegueError: What is pinned did not pass, or cannot be trusted.
    """
    found = standing(road, environment)
    if not found.digest:
        raise InputError(f"Nothing is pinned in {environment}; make run trains, judges and pins something.")
    check_passed(found)
    return found


def serve_pinned(settings: Settings, now: Standing, port: int) -> None:
    """Serve what stands ``now`` in its environment, and from then on whatever is pinned there, until a signal ends it.

    Raises:
        SegueError: It cannot be served.
    """
    chosen = read_settings(bundle=Path(now.path), bundle_digest=now.digest, environment=now.environment, port=port)
    own: dict[str, object] = {
        "database_url": f"sqlite:///{settings.home / FEEDBACK}",
        "follow_seconds": _REMOTE_SECONDS if settings.gitops_remote else _LOCAL_SECONDS,
    }
    left_open = {name: value for name, value in own.items() if name not in chosen.model_fields_set}
    chosen = chosen.model_copy(update=left_open)
    serve(chosen, Pinned(open_road(settings), now.environment, now))


def _wanted(found: Standing) -> Wanted:
    return Wanted(Path(found.path), found.digest, str(found.version))
