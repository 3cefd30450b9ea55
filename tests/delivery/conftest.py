"""What the tests of delivery share: tiny bundles, a road on a temporary folder, MLflow's empty database."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.gitops import Repository
from delivery.objects import FolderObjects
from delivery.publication import Publication, publish
from delivery.registry import MlflowRegistry
from delivery.road import Road, lay_out
from delivery.settings import Settings
from delivery.store import BundleStore
from segue.bundle import Bundle
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.reports import write_report
from tests.support.tiny_bundle import write_tiny_bundle

Publish = Callable[..., Publication]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings and the Git identity of whoever runs the tests out of them."""
    for name in [*Settings.model_fields, "host"]:
        monkeypatch.delenv(f"SEGUE_{name.upper()}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no.gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Four bundles that differ in nothing but their digest; tests that change one copy it."""
    work = tmp_path_factory.mktemp("bundles")
    return [write_tiny_bundle(work / str(seed), work / "scratch", seed=seed) for seed in range(4)]


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def road(tmp_path: Path, registry: MemoryRegistry) -> Road:
    """A road of real files and real Git, with nothing published and nothing pinned."""
    repository = Repository(tmp_path / "gitops")
    lay_out(repository)
    return Road(BundleStore(FolderObjects(tmp_path / "store")), registry, repository, tmp_path / "cache")


@pytest.fixture
def publish_bundle(road: Road, tmp_path: Path) -> Publish:
    """Publish a bundle with a verdict: ``publish_bundle(bundle, "pass")``."""

    def call(bundle: Bundle, verdict: str = "pass", **other: Any) -> Publication:
        return publish(road, bundle.path, write_report(tmp_path / "report.json", bundle.digest, verdict, **other))

    return call


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database as it makes it; that takes seconds, so tests copy it."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    assert MlflowRegistry(f"sqlite:///{file}").newest() is None
    return file


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path) -> Path:
    """A work folder in which MLflow's database is made already."""
    home = tmp_path / "var"
    home.mkdir()
    shutil.copyfile(empty_database, home / "mlflow.db")
    return home
