"""The bundle's ingredients, as components.toml names them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "modules"


@dataclass(frozen=True)
class GoComponent:
    """Programs that are compiled from one published Go module at one version.

    Attributes:
        name: Folder under modules/ that holds its go.mod and go.sum.
        module: Import path of the module.
        version: Its exact version.
        commands: Name of a program → its package, as a path inside the module.
        tags: Build tags.
        stamps: Variables that the linker sets, such as the version that a program prints.
        replace: Modules that upstream takes from its own folders → the published version in their place.
        staging: Version that stands in for every such module that `replace` does not name.
        copy: Files to put into the module's tree → the file of that tree to copy.
        write: Files to put into the module's tree → their text.
    """

    name: str
    module: str
    version: str
    commands: dict[str, str]
    tags: list[str] = field(default_factory=list)
    stamps: dict[str, str] = field(default_factory=dict)
    replace: dict[str, str] = field(default_factory=dict)
    staging: str = ""
    copy: dict[str, str] = field(default_factory=dict)
    write: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum stand."""
        return MODULES / self.name

    @property
    def patched(self) -> bool:
        """Whether it is compiled from a copy of its tree, with files put in."""
        return bool(self.copy or self.write)


def read(path: Path = HERE / "components.toml") -> dict[str, GoComponent]:
    """Return the Go components by name, in the order of the file."""
    tables = tomllib.loads(path.read_text())["go"]
    return {name: GoComponent(name=name, **table) for name, table in tables.items()}
