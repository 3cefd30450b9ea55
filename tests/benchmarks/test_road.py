"""The benchmark of the road: its figures say what was measured, and growth is told from them alone."""

from pathlib import Path
from typing import Any

import pytest

import benchmarks.road.__main__ as road
from benchmarks.measured import Measured
from delivery.stages import profile


def took(size: int, power: float) -> dict[str, Any]:
    return {
        "cpu_seconds": 2 * size**power,
        "seconds": 1.0,
        "peak_mb": 500.0,
        "written_mb": 3 * size**power,
        "load": 0.1,
    }


def test_an_exponent_is_the_slope_of_what_grows() -> None:
    """In proportion 1, as the square 2, and of what stays as it is 0."""
    sizes = [10, 100, 1000]
    for power in (0.0, 1.0, 2.0):
        assert road.exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


def test_the_table_has_a_row_a_stage_and_size_and_a_slope_a_stage() -> None:
    """By entries, of CPU, memory and bytes."""
    figures: road.Figures = {
        str(size): {stage: took(size, 1.5) for stage in road.STAGES} | {"counts": {"entries": size, "tracks": 5}}
        for size in (100, 1000)
    }
    lines = road.table(figures).splitlines()
    assert f"| llara | 1,000 | 1,000 | 5 | {2 * 1000**1.5:,.0f} | 1 | 500 | {3 * 1000**1.5:,.1f} |" in lines
    assert "| llara | 1.50 | 0.00 | 1.50 |" in lines
    assert len([line for line in lines if line.startswith("| llara |")]) == 3


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends in the middle goes on with the stage that it was at, in the folders of before."""
    ran: list[str] = []

    def measure(command: list[str], folder: Path) -> Measured:
        stage = next(word for word in command if word in road.STAGES)
        ran.append(stage)
        (folder / {"sample": "data", "ingest": "dataset"}.get(stage, stage)).mkdir(exist_ok=True)
        if stage == "ingest":
            (folder / "dataset" / "manifest.json").write_text('{"counts": {"entries": 9, "tracks": 3}}')
        return Measured(int(stage == broken), 1.0, 1.0, 1.0)

    monkeypatch.setattr(road, "measure", measure)
    broken, settings = "text", profile("quick", own=False)
    with pytest.raises(SystemExit, match="Stage text of 100 playlists ended with 1"):
        road.go(tmp_path, [100], 600, settings)
    broken = ""
    figures = road.go(tmp_path, [100], 600, settings)
    assert ran == ["sample", "ingest", "lightgcn", "text", "text", "projector", "llara", "export"]
    assert set(figures["100"]) == {*road.STAGES, "counts"}
    for tracks, other in ((700, settings), (600, profile("sample", own=False))):
        with pytest.raises(SystemExit, match="are of another --tracks or --profile; name another folder"):
            road.go(tmp_path, [100], tracks, other)
    assert len(ran) == 8
