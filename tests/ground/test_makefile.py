"""The front door: make explains itself, and says what is missing in one sentence."""

import re
import subprocess
from pathlib import Path

from tests.ground.locks import ROOT


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_make_help_explains_every_target() -> None:
    """Each target stands in the output of make help with an explanation."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    explained = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert set(explained) == _targets()
    assert {"setup", "run", "stop", "serve", "test"} <= set(explained)


def test_every_target_is_phony() -> None:
    """A file that happens to be called like a target does not keep make from running it."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == _targets()


def test_setup_without_a_fitting_python_says_what_to_do(tmp_path: Path) -> None:
    """On a machine without Python 3.11 or 3.12, setup ends with one sentence that names the cure, and makes nothing."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "Segue needs Python 3.11 or 3.12" in done.stderr
    assert "apt-get install python3.11" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv").exists()
