"""What a room imports is asked for by name in the set that the room runs with."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.ground.locks import REQUIREMENTS, ROOT
from tests.ground.test_rooms import rooms

SETS = {"segue": ("serve",), "inference": ("serve",), "tests": ("serve", "train", "dev")}
APART = {"train/search_draws.py": ("ray",)}
"""Files that nothing imports where a set that is installed apart is missing."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted(sets: tuple[str, ...]) -> set[str]:
    texts = [(REQUIREMENTS / f"{name}.in").read_text() for name in sets]
    return {_normal(name) for text in texts for name in re.findall(r"^([A-Za-z0-9._-]+)", text, re.MULTILINE)}


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the top-level packages that are imported when the code runs; what only types need is left out."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield node.module.split(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


@cache
def _distributions() -> dict[str, set[str]]:
    return {package: {_normal(name) for name in names} for package, names in packages_distributions().items()}


@pytest.mark.parametrize("room", sorted(rooms() | {"tests"}))
def test_a_room_asks_for_what_it_imports(room: str) -> None:
    """Nothing works only because another package happens to bring it along."""
    ours = {*sys.stdlib_module_names, *rooms(), "airgap", "benchmarks", "tests"}
    sets = SETS.get(room, ("serve", "train"))
    for file in sorted((ROOT / room).rglob("*.py")):
        wanted = _wanted(sets + APART.get(str(file.relative_to(ROOT)), ()))
        for package in set(_imports(ast.parse(file.read_text()))) - ours:
            names = _distributions().get(package, {package})
            assert names & wanted, f"{file.relative_to(ROOT)} imports {package}, and no requirements file asks for it."
