"""Python environments for images, from the lock files of requirements/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from airgap.cache import Cache, digest_of
from airgap.components import HERE

REQUIREMENTS = HERE.parent / "requirements"
# Debian's, in every image that has an environment, and its minor version.
INTERPRETER, VERSION = "/usr/bin/python3", (3, 11)


def environment(name: str, locks: list[str], cache: Cache) -> Path:
    """Return a folder with `opt/segue/`: a virtual environment with what the lock files name, hashes checked.

    Raises:
        SystemExit: If a package cannot be had; the sentence is uv's.
    """
    paths = [REQUIREMENTS / lock for lock in locks]
    return cache.make(f"python-{name}", digest_of(VERSION, *paths), lambda folder: _install(paths, folder))


def _install(locks: list[Path], folder: Path) -> None:
    if sys.version_info[:2] != VERSION:
        raise SystemExit("The images have Debian's Python 3.11 and this is another; call it with Python 3.11.")
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if not uv:
        raise SystemExit("uv is missing and environments are made with it; make setup brings it into .venv/bin.")
    home = folder / "opt/segue"
    settings = {**os.environ, **_index()}
    _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(home)], settings)
    wanted = [word for lock in locks for word in ("--requirement", str(lock))]
    install = [uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "--no-deps", "--require-hashes"]
    _run([*install, *wanted], settings)
    # Held to its source by content and not by time, a compiled file is the same bytes on every machine.
    compile_all = ["-m", "compileall", "-q", "-j0", "--invalidation-mode=checked-hash", "-s", str(folder), str(home)]
    # Some packages bring templates that end in .py and are no Python; they are left as they are.
    subprocess.run([str(home / "bin/python"), *compile_all], env=settings, stdout=subprocess.DEVNULL)
    _move_to(INTERPRETER, home)


def _move_to(interpreter: str, home: Path) -> None:
    """Let the environment stand on the image's Python, which is of the same minor version."""
    link = home / "bin/python"
    link.unlink()
    link.symlink_to(interpreter)
    settings = home / "pyvenv.cfg"
    settings.write_text(re.sub(r"(?m)^home = .*$", f"home = {Path(interpreter).parent}", settings.read_text()))


def _index() -> dict[str, str]:
    """Return the package index that pip is set to, which uv does not read of itself."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return {}
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True).stdout
    named = re.findall(r"(?m)^[^=]*\.index-url='(.*)'$", listed)
    return {"UV_DEFAULT_INDEX": named[-1]} if named else {}


def _run(command: list[str], settings: dict[str, str]) -> None:
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}")
