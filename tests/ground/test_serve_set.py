"""The serve set on its own: what a serving image installs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ground.locks import REQUIREMENTS, ROOT

MOST_MEGABYTES = 500
_SERVED = ("segue", "inference")
_IMPORT_ALL = """
import importlib, pkgutil, sys
for room in ("segue", "inference"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if not module.name.endswith(("__main__", "_scan")):  # _scan is a library, and no module of Python's
            importlib.import_module(module.name)
heavy = {"torch", "torch_geometric", "transformers", "mlflow", "pandas"} & set(sys.modules)
sys.exit(f"The service imports {sorted(heavy)}." if heavy else 0)
"""


@pytest.fixture(scope="module")
def serve_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a fresh virtual environment that holds the serve set and nothing else."""
    home = tmp_path_factory.mktemp("serve")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "venv")], check=True)
    python = home / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", str(REQUIREMENTS / "serve.txt")], check=True)
    return python


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


@pytest.mark.slow
def test_the_serve_set_is_small_and_runs_the_service(serve_python: Path, tmp_path: Path) -> None:
    """With hash checking, the serve set installs to under 500 MB, and every module of the service imports with it."""
    megabytes = _bytes(serve_python.parents[1]) / 1e6
    assert megabytes < MOST_MEGABYTES, f"The serve set weighs {megabytes:.0f} MB."
    for room in _SERVED:
        (tmp_path / room).symlink_to(ROOT / room)
    command = [str(serve_python), "-P", "-c", _IMPORT_ALL]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
