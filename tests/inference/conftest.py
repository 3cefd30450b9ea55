"""What the tests of serving share: the tiny bundle, a ranker that has it open, and a real service over it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from inference.ranker import Ranker
from tests.inference.databases import Databases, databases_of
from tests.support.postgres import why_not
from tests.support.running_service import Running, running
from tests.support.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle on disk; tests that change a bundle write their own."""
    work = tmp_path_factory.mktemp("bundle")
    return write_tiny_bundle(work / "bundle", work / "scratch").path


@pytest.fixture(scope="session")
def ranker(bundle_path: Path) -> Ranker:
    return Ranker.open(bundle_path, threads=1)


@pytest.fixture(scope="session")
def service(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that all tests share; those that stop one start their own."""
    log = tmp_path_factory.mktemp("service") / "log"
    with running(bundle_path, log, SEGUE_BUNDLE_VERSION="3", SEGUE_ENVIRONMENT="test") as service:
        yield service


@pytest.fixture(scope="session")
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Databases of feedback, of each kind that can be had here."""
    if request.param == "postgres" and (reason := why_not()):
        pytest.skip(reason)
    with databases_of(request.param, tmp_path_factory.mktemp("databases")) as databases:
        yield databases
