"""A folder of finished things, each named by a digest of what it was made of."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


class Cache:
    """Makes a thing once and keeps it; a thing that was broken off is made again from the start."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)
        self._used: set[Path] = set()

    def make(self, name: str, digest: str, work: Callable[[Path], None]) -> Path:
        """Return the folder of `name` at this digest; `work` fills an empty one if there is none."""
        folder = self.root / f"{name}-{digest[:16]}"
        self._used.add(folder)
        if folder.is_dir():
            say(f"{name}: as it is kept")
            return folder
        began, unfinished = time.monotonic(), self.root / f"{name}.unfinished"
        say(f"{name}: …")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        work(unfinished)
        unfinished.rename(folder)
        say(f"{name}: made in {time.monotonic() - began:.0f} s")
        return folder

    def forget_unused(self) -> None:
        """Remove what nobody has asked for since this object was made."""
        for folder in set(self.root.iterdir()) - self._used:
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def digest_of(*parts: object) -> str:
    """Return the sha256 of all parts: a path stands for the bytes of its file, anything else for its JSON."""
    sha = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else json.dumps(part, sort_keys=True).encode()
        sha.update(len(content).to_bytes(8, "big") + content)
    return sha.hexdigest()


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
