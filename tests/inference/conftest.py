"""What the tests of serving share: the tiny bundle, and a ranker that has it open."""

from pathlib import Path

import pytest

from inference.ranker import Ranker
from tests.support.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle on disk; tests that change a bundle write their own."""
    work = tmp_path_factory.mktemp("bundle")
    return write_tiny_bundle(work / "bundle", work / "scratch").path


@pytest.fixture(scope="session")
def ranker(bundle_path: Path) -> Ranker:
    return Ranker.open(bundle_path, threads=1)
