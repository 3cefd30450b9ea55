"""Reads the lock files: what is pinned, by which hashes."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock file: its normalised name, its version and how many hashes it is held to."""

    name: str
    version: str
    hashes: int


def read_lock(purpose: str) -> dict[str, Pin]:
    """Return the packages of ``requirements/<purpose>.txt`` by name."""
    text = (REQUIREMENTS / f"{purpose}.txt").read_text()
    starts = list(_PIN.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    pins = {}
    for match, end in zip(starts, ends, strict=True):
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        pins[name] = Pin(name, match["version"], text[match.start() : end].count("--hash=sha256:"))
    return pins
