"""Nothing that Segue runs tells its maker about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segue.privacy import SILENT, keep_quiet
from tests.support.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[2]
_RANK = """
import sys, inference, onnxruntime
onnxruntime.InferenceSession(sys.argv[1])
"""


def _run(home: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "room", ["segue", "data_processing", "train", "inference", "evaluation", "delivery", "inference.ranker"]
)
def test_every_room_silences_its_libraries_first(room: str, tmp_path: Path) -> None:
    """Whatever of Segue a process imports first, the variables stand; onnxruntime reads its own only once."""
    printed = _run(tmp_path, f"import {room}, os\nfor n in {list(SILENT)}: print(n, os.environ.get(n))")
    assert dict(line.split(" ") for line in printed.splitlines()) == SILENT


def test_ranking_leaves_no_identifier_at_home(tmp_path: Path) -> None:
    """Where its telemetry is on, onnxruntime writes a device id under the home folder; with Segue it does not."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work")
    (tmp_path / "home").mkdir()
    _run(tmp_path / "home", _RANK, str(bundle.file("model.onnx")))
    assert list((tmp_path / "home").rglob("*")) == []


def test_a_choice_of_the_user_stands() -> None:
    """Who wants to report can: a variable that is set is left alone."""
    environment = {"DO_NOT_TRACK": "false"}
    keep_quiet(environment)
    assert environment == {**SILENT, "DO_NOT_TRACK": "false"}
