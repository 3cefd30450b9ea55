"""The rule of the stairs covers every room."""

import sys
import tomllib
from typing import Any

import grimp

from tests.ground.locks import ROOT


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def rooms() -> set[str]:
    """Return the top-level packages of the repository, but for the tests."""
    return {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}


def test_the_layers_are_exhaustive() -> None:
    """A new room has to take its place on the stairs before it can be committed."""
    linter = _project()["tool"]["importlinter"]
    stairs = next(contract for contract in linter["contracts"] if contract["id"] == "stairs")
    layered = {room.strip() for layer in stairs["layers"] for room in layer.split("|")}
    assert layered == rooms()
    assert set(linter["root_packages"]) == rooms()


def test_types_and_coverage_are_checked_in_every_room() -> None:
    """No room is left out of mypy or of coverage."""
    tool = _project()["tool"]
    assert set(tool["mypy"]["packages"]) == rooms() | {"airgap", "tests"}
    assert set(tool["coverage"]["run"]["source"]) == rooms()


def test_shared_words_need_only_numpy_and_the_standard_library() -> None:
    """Any room, and any image, can import segue/ without installing more than numpy."""
    graph = grimp.build_graph("segue", include_external_packages=True, cache_dir=None)
    imported = {name for module in graph.modules for name in graph.find_modules_directly_imported_by(module)}
    outside = {name.split(".")[0] for name in imported} - {"segue", *sys.stdlib_module_names}
    assert outside == {"numpy"}
