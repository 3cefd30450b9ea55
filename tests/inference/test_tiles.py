"""Vectors in tiles: what goes in as rows comes out as rows, wherever it stands."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.tiles import GROUP, TILE, Tiles

Rows = NDArray[np.uint8]


def random_rows(tracks: int, length: int) -> Rows:
    """Return vectors that differ from each other."""
    return np.random.default_rng(tracks).integers(0, 256, (tracks, length), dtype=np.uint8)


@pytest.mark.parametrize("tracks", [1, 63, 64, 65, 512 * 64, 512 * 64 + 70])
@pytest.mark.parametrize("length", [1, 4, 30, 128])
def test_rows_come_back(tmp_path: Path, tracks: int, length: int) -> None:
    """Made of rows, or read from a file that holds something before and behind them."""
    rows = random_rows(tracks, length)
    (tmp_path / "model.onnx").write_bytes(b"before" + rows.tobytes() + b"behind")
    read = Tiles.read(tmp_path / "model.onnx", {"offset": 6, "shape": [tracks, length]})
    made = Tiles.of(rows)
    assert read.tiles.tobytes() == made.tiles.tobytes()
    assert (read.rows(np.arange(tracks)) == rows).all()
    chosen = np.array([tracks - 1, 0, tracks // 2])
    assert (made.directions(chosen) == rows[chosen].astype(np.float32) - 128).all()


def test_a_tile_holds_four_numbers_of_each_track_side_by_side() -> None:
    """In the order in which they are multiplied; what fills the last tile up is zero."""
    rows = random_rows(70, 6)
    tiles = Tiles.of(rows).tiles
    assert tiles.shape == (2, 2, TILE, GROUP)
    assert tiles[0, 0, 63].tolist() == rows[63, :4].tolist()
    assert tiles[1, 1, 5].tolist() == [*rows[69, 4:].tolist(), 128, 128]
    assert (tiles[1, :, 6:] == 128).all()


@pytest.mark.parametrize(
    "place",
    [
        {"offset": 0, "shape": [9, 5]},
        {"offset": 6, "shape": [9, 4]},
        {"offset": -1, "shape": [9, 4]},
        {"offset": 0, "shape": [0, 4]},
        {"offset": 0, "shape": [36]},
    ],
)
def test_rows_that_are_not_there_are_refused(tmp_path: Path, place: dict[str, object]) -> None:
    """No file is read beyond its end, and no other shape than that of rows."""
    (tmp_path / "model.onnx").write_bytes(bytes(36))
    with pytest.raises(ValueError, match=r"cannot reshape|no place of an array|values to unpack"):
        Tiles.read(tmp_path / "model.onnx", place)


@pytest.mark.parametrize("tracks", [1, 100, 40_000])
def test_tiles_begin_where_a_processor_reads_at_once(tracks: int) -> None:
    """At a multiple of 64 bytes, which all tiles behind the first one then do, too."""
    assert Tiles.of(random_rows(tracks, 16)).tiles.ctypes.data % 64 == 0
