"""What is installed is what stands in the tree."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.ground.locks import ROOT
from tests.ground.test_rooms import rooms

_DATA = {".py", ".html", ".css", ".js", ".svg", ".yaml"}
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the distribution's wheel, built from a copy of the tree."""
    work = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns("__pycache__", ".*", "var", "build", "*.egg-info")
    shutil.copytree(ROOT, work / "tree", ignore=skip)
    built = subprocess.run(
        [*_PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(work / "tree")],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return next(work.glob("*.whl"))


def test_the_wheel_holds_every_room_with_its_data(wheel: Path) -> None:
    """Pages, styles, scripts and settings travel with the code, and tests do not."""
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = (file for room in rooms() for file in (ROOT / room).rglob("*") if file.suffix in _DATA)
    expected = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}
    assert expected - packed == set()
    assert [name for name in packed if name.startswith("tests/")] == []


def test_the_wheel_installs_the_segue_command(wheel: Path) -> None:
    """The distribution's one console script is the operator's command."""
    with ZipFile(wheel) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "segue = delivery.__main__:main" in archive.read(entry).decode()
