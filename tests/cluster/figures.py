"""Figures of a trial: printed, and kept as a file."""

import json
from pathlib import Path

FILE = Path(__file__).parents[2] / "build/cluster/figures.json"


class Figures:
    """Names and values, written at once, so that a trial that fails leaves those that it has reached."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._values: dict[str, float] = {}

    def keep(self, name: str, value: float) -> None:
        """Print a figure and keep it."""
        self._values[name] = round(value, 2)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._values, indent=1) + "\n")
        print(f"\n  {name}: {self._values[name]}", end="", flush=True)
