"""Vectors of tracks in 8 bits, in the order in which they are multiplied: tile by tile of 64 tracks, four numbers each.

A processor multiplies four numbers of sixteen tracks at once and adds up what belongs to each, so that no sum has to be
gathered from a row afterwards; and one reading of a tile serves several playlists. A model's file has rows, as ONNX
Runtime wants them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILE, GROUP = 64, 4  # as in _scan.c
_ZERO = 128  # what is added to each number
_LINE = 64  # bytes that a processor reads at once where they begin at a multiple of it, and in two steps elsewhere
_AT_A_TIME = 512  # tiles that are turned around at once, in the processor's cache: measured, 16 took twice as long

Rows = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tiles:
    """The vectors of a catalogue.

    Attributes:
        tiles: (T, G, 64, 4) uint8: of tile t the numbers 4 g to 4 g + 3 of its 64 tracks; what is too much is zero.
        tracks: How many there are.
        length: Numbers of a vector.
    """

    tiles: NDArray[np.uint8]
    tracks: int
    length: int

    @classmethod
    def of(cls, rows: Rows) -> "Tiles":
        """Return rows (N, D), 128 added to each number, as tiles."""
        found = cls._empty(*rows.shape)
        for start in range(0, len(rows), _AT_A_TIME * TILE):
            found._put(start, rows[start : start + _AT_A_TIME * TILE])
        return found

    @classmethod
    def read(cls, model: Path, place: Mapping[str, Any]) -> "Tiles":
        """Read rows out of a file.

        Args:
            model: The file.
            place: Their ``offset`` in bytes, and their ``shape``.

        Raises:
            OSError: It cannot be read.
            KeyError, TypeError, ValueError: There are no rows at this place.
        """
        tracks, length = shape_at(place)
        found = cls._empty(tracks, length)
        # Read and not mapped: a copy has large pages, and nobody can change it under the service.
        with model.open("rb") as file:
            file.seek(int(place["offset"]))
            for start in range(0, tracks, _AT_A_TIME * TILE):
                count = min(_AT_A_TIME * TILE, tracks - start)
                found._put(start, np.fromfile(file, np.uint8, count * length).reshape(count, length))
        return found

    def __len__(self) -> int:
        """Return how many tracks there are."""
        return self.tracks

    def rows(self, tracks: NDArray[np.int64]) -> Rows:
        """Return the vectors (n, D) of tracks (n,), 128 added to each number."""
        found: Rows = self.tiles[tracks // TILE, :, tracks % TILE].reshape(len(tracks), -1)[:, : self.length]
        return found

    def directions(self, tracks: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (n, D) of the tracks (n,): where they point, and not how far."""
        return self.rows(tracks).astype(np.float32) - _ZERO

    @classmethod
    def _empty(cls, tracks: int, length: int) -> "Tiles":
        shape = -(-tracks // TILE), -(-length // GROUP), TILE, GROUP
        room = np.empty(int(np.prod(shape)) + _LINE, np.uint8)
        start = -room.ctypes.data % _LINE
        return cls(room[start : start - _LINE].reshape(shape), tracks, length)

    def _put(self, start: int, rows: Rows) -> None:
        """Put the rows of some tracks, from ``start`` on, where they belong; the last tile is filled up."""
        missing = -len(rows) % TILE, -rows.shape[1] % GROUP
        if any(missing):
            rows = np.pad(rows, ((0, missing[0]), (0, missing[1])), constant_values=_ZERO)
        groups = np.ascontiguousarray(rows).view(np.uint32).reshape(-1, TILE, rows.shape[1] // GROUP)
        first = start // TILE
        self.tiles[first : first + len(groups)].view(np.uint32)[..., 0] = groups.transpose(0, 2, 1)


def shape_at(place: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of an array that stands in a file.

    Raises:
        KeyError, TypeError, ValueError: ``place`` has none, or one that no array has.
    """
    shape = tuple(int(size) for size in place["shape"])
    if min(shape, default=0) < 1 or int(place["offset"]) < 0:
        raise ValueError(f"{place} is no place of an array")
    return shape
