"""What the service should serve, read again and again: a newly promoted bundle takes over without a break."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segue.errors import InputError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bundle to serve.

    Attributes:
        bundle: Its folder.
        digest: The digest that it must have; None takes any.
        version: Its version in the registry, where known.
    """

    bundle: Path
    digest: str | None = None
    version: str | None = None


Source = Callable[[], Wanted]
"""Says what to serve now. Called in a thread; raises a `SegueError` where it cannot tell."""


def read_wanted(path: Path) -> Wanted:
    """Return what a file says: ``{"bundle": "/path", "digest": "sha256:…", "version": "3"}``.

    Who writes the file replaces it as a whole (write another, then rename it).

    Raises:
        InputError: The file cannot be read, or does not say it.
    """
    try:
        told = json.loads(path.read_bytes())
        wanted = Wanted(Path(told["bundle"]), told["digest"], told.get("version"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The file {path} does not say which bundle to serve ({error!r}); see SEGUE_FOLLOW."
        ) from error
    if not isinstance(wanted.digest, str) or not isinstance(wanted.version, str | None):
        raise InputError(f"The file {path} has to name the bundle's digest and version as texts; see SEGUE_FOLLOW.")
    return wanted
