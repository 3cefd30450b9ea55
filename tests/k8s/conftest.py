"""What the tests of k8s/ share: every render, made once."""

from pathlib import Path
from typing import Any

import pytest

from tests.k8s.rendering import MISSING, command, folders, lay_out, objects, render


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each folder renders to, in YAML."""
    if command() is None:
        pytest.skip(MISSING)
    copy = lay_out(tmp_path_factory.mktemp("renders"))
    return {name: render(copy / name) for name in folders()}


@pytest.fixture(scope="session")
def rendered(renders: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the objects that each folder renders to."""
    return {name: objects(text) for name, text in renders.items()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of k8s/ that a test may change."""
    if command() is None:
        pytest.skip(MISSING)
    return lay_out(tmp_path / "repository")
