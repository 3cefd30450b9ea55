"""The road of a bundle with all that it passes. This is the one place where adapters are chosen."""

from dataclasses import dataclass
from pathlib import Path

from delivery.gitops import Change, Repository
from delivery.objects import open_objects
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, Quarantine, pin_path
from delivery.registry import MlflowRegistry, Registry
from delivery.settings import Settings
from delivery.store import BundleStore


@dataclass(frozen=True, slots=True)
class Road:
    """Where bundles are kept, listed and pinned.

    Attributes:
        store: Bundles and reports.
        registry: Their versions.
        repository: The pins.
        cache: Folder of the bundles that were fetched to this machine.
    """

    store: BundleStore
    registry: Registry
    repository: Repository
    cache: Path

    def pin(self, commit: str, environment: str) -> Pin:
        """Return what stands in an environment as of a commit."""
        path = pin_path(environment)
        return Pin.from_yaml(self.repository.read(commit, path), path)

    def quarantine(self, commit: str) -> Quarantine:
        """Return what is quarantined as of a commit."""
        return Quarantine.from_yaml(self.repository.read(commit, QUARANTINE), QUARANTINE)


def open_road(settings: Settings) -> Road:
    """Return the road that the settings describe; nothing is read or written yet."""
    return Road(
        store=BundleStore(open_objects(settings.store_address, settings.s3_endpoint)),
        registry=MlflowRegistry(settings.tracking, settings.artifacts),
        repository=Repository(settings.repository, settings.gitops_remote, settings.git_name, settings.git_email),
        cache=settings.cache,
    )


def lay_out(repository: Repository) -> None:
    """Make the repository of pins where there is none, with nothing pinned anywhere."""
    files = {pin_path(environment): Pin().to_yaml(environment) for environment in ENVIRONMENTS}
    files[QUARANTINE] = Quarantine().to_yaml()
    repository.create(Change(files, "Lay out the environments", trailers={"Segue-Action": "lay out"}))
