"""What the templates call: each `python3 -m <room> <verb> …` in their scripts, as the shell would read it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
_CALL = re.compile(r"python3 -m (\w+) (\w+)")


@dataclass(frozen=True, slots=True)
class Command:
    """One call in one template: its room, its verb, and the words after them."""

    template: str
    room: str
    verb: str
    words: tuple[str, ...]

    @property
    def options(self) -> set[str]:
        """Return the options that it is given."""
        return {word for word in self.words if word.startswith("--") and word != "--"}

    @property
    def settings(self) -> dict[str, str]:
        """Return the ``name=value`` words."""
        return dict(word.split("=", 1) for word in self.words if "=" in word and not word.startswith("-"))


def templates() -> dict[str, dict[str, Any]]:
    """Return every WorkflowTemplate by its name."""
    found = [yaml.safe_load(file.read_text()) for file in sorted(WORKFLOWS.glob("*-*.yaml"))]
    return {one["metadata"]["name"]: one for one in found if one["kind"] == "WorkflowTemplate"}


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every template that runs a container, with its name, what `templateDefaults` says filled in."""
    for name, workflow in templates().items():
        defaults = workflow["spec"].get("templateDefaults", {}).get("container", {})
        for template in workflow["spec"]["templates"]:
            if "container" in template:
                yield f"{name}/{template['name']}", {**template, "container": {**defaults, **template["container"]}}


def commands() -> list[Command]:
    """Return every call of a room. Words that `set --` collected belong to the call that says "$@"."""
    found = []
    for name, template in steps():
        collected: list[str] = []
        for line in template["container"]["args"][0].splitlines():
            if "set -- " in line:
                collected += shlex.split(line.split("set -- ", 1)[1].split(";")[0])
            if call := _CALL.search(line):
                words = [word for word in shlex.split(line[call.end() :].split(" >")[0]) if word not in ("||", "&&")]
                if "$@" in words:
                    words += collected
                found.append(Command(name, call[1], call[2], tuple(words)))
    return found
