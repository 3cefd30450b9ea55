"""The rooms of this repository, as an image has them."""

from __future__ import annotations

import subprocess
import tomllib

from airgap.components import HERE

ROOT = HERE.parent


def version() -> str:
    """Return the version of Segue, which is the tag of its images."""
    stated: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return stated


def files(rooms: list[str]) -> list[str]:
    """Return the paths of all files of `rooms` that Git knows or would take, from the repository's root."""
    if not rooms:
        return []
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *rooms]
    listed = subprocess.run(listing, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())
