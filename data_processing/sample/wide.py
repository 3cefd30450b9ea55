"""Writes the slices of a wide world, a million playlists of two million tracks, on several processes in little memory.

What stands on the tracks' sleeves is written once, as the text that it will be in the slices, and mapped by every
process; each slice has its own luck, from the seed and its number, so it is the same whichever process writes it.
"""

import gzip
import json
import mmap
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_processing.processes import working
from data_processing.sample.playlists import DAY_ZERO, Theme, draw_theme, followers
from data_processing.sample.sleeves import artist_names, sleeves
from data_processing.sample.titles import draw_title
from data_processing.sample.wide_draws import draw_slice, running_totals
from data_processing.sample.words import Buffered, Names
from data_processing.sample.world import World

Ints = NDArray[np.int64]
_PATIENCE = 3  # names of 300,000 artists collide; numbering them early saves minutes
_MOST_DEALT = 0.05  # of a slice's places
_MEAN_LENGTH = 67
_json = json.JSONEncoder(ensure_ascii=False).encode
_TEXT, _ENDS, _DURATIONS, _ARTISTS = "sleeves.txt", "ends.npy", "durations.npy", "artists.json"


def write_wide(
    world: World, places: Mapping[Path, range], seed: int, random: np.random.Generator, processes: int
) -> None:
    """Write each of ``places``, file to the numbers of its playlists, on ``processes`` processes.

    Every track stands in one playlist at least, where there are playlists enough: the catalogue is dealt out once, as a
    deck of cards, beside what is drawn.
    """
    folder = next(iter(places)).parent / ".sleeves"
    folder.mkdir()
    _write_sleeves(folder, world, seed, random)
    deck = random.permutation(len(world.track_fame))
    last = max(numbers[-1] for numbers in places.values()) + 1
    slices = []
    for path, numbers in places.items():
        most = int(_MOST_DEALT * _MEAN_LENGTH * len(numbers))
        low, high = (len(deck) * number // last for number in (numbers[0], numbers[-1] + 1))
        slices.append((path, numbers, deck[low:high][:most]))
    with working(processes, partial(_open_shelf, folder, world, seed)) as work:
        for _ in work.each(_write_slice, slices):
            pass
    shutil.rmtree(folder)


def _write_sleeves(folder: Path, world: World, seed: int, random: np.random.Generator) -> None:
    names = Names(Buffered(random), _PATIENCE)
    artists = artist_names(world, names)
    ends = np.zeros(len(world.track_fame) + 1, np.int64)
    durations = np.zeros(len(world.track_fame), np.int64)
    with (folder / _TEXT).open("wb") as stream:
        for track, sleeve in enumerate(sleeves(world, artists, seed, names, random)):
            ends[track + 1] = ends[track] + stream.write(_fields(sleeve, 20).encode())
            durations[track] = sleeve["duration_ms"]
    np.save(folder / _ENDS, ends)
    np.save(folder / _DURATIONS, durations)
    (folder / _ARTISTS).write_text(json.dumps(artists), encoding="utf-8")


def _fields(values: Mapping[str, Any], indent: int) -> str:
    """Return an object's fields as the Million Playlist Dataset has them: one a line, indented."""
    gap = f",\n{' ' * indent}"
    return gap.join([f'"{name}": {_json(value)}' for name, value in values.items()])


class _Shelf:
    """What a process needs to write slices."""

    def __init__(self, folder: Path, world: World, seed: int) -> None:
        self.world, self.seed, self.totals = world, seed, running_totals(world)
        self.ends, self.durations = np.load(folder / _ENDS), np.load(folder / _DURATIONS)
        self.artists = json.loads((folder / _ARTISTS).read_text(encoding="utf-8"))
        with (folder / _TEXT).open("rb") as stream:
            self.text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def slice_text(self, numbers: range, dealt: Ints) -> bytes:
        random = np.random.default_rng([self.seed, numbers[0]])
        themes = [draw_theme(self.world, random) for _ in numbers]
        titles = [draw_title(self.world, theme, self.artists, random) for theme in themes]
        playlist, track = draw_slice(self.world, self.totals, themes, dealt, random)
        bounds = np.searchsorted(playlist, np.arange(len(themes) + 1)).tolist()
        info = {"slice": f"{numbers[0]}-{numbers[-1]}", "version": "v1", "synthetic": True, "seed": self.seed}
        parts = [f'{{\n    "info": {{\n        {_fields(info, 8)}\n    }},\n    "playlists": ['.encode()]
        for i, number in enumerate(numbers):
            chosen = track[bounds[i] : bounds[i + 1]]
            head = self._head(number, titles[i], themes[i], chosen, random)
            parts.append(f'{"," if i else ""}\n        {{\n            {head},\n            "tracks": ['.encode())
            parts += self._tracks(chosen)
            parts.append(b"\n            ]\n        }")
        return b"".join([*parts, b"\n    ]\n}\n"])

    def _head(self, number: int, title: str, theme: Theme, tracks: Ints, random: np.random.Generator) -> str:
        fields = {
            "name": title,
            "collaborative": "true" if random.random() < 0.02 else "false",
            "pid": number,
            "modified_at": DAY_ZERO + 86_400 * int(random.integers(365)),
            "num_tracks": theme.length,
            "num_albums": len(set(self.world.track_album[tracks].tolist())),
            "num_artists": len(set(self.world.track_artist[tracks].tolist())),
            "num_followers": followers(random),
            "num_edits": int(random.integers(1, theme.length + 1)),
            "duration_ms": int(self.durations[tracks].sum()),
        }
        return _fields(fields, 12)

    def _tracks(self, tracks: Ints) -> Sequence[bytes]:
        gap, parts = b"\n                ", []
        bounds = zip(self.ends[tracks].tolist(), self.ends[tracks + 1].tolist(), strict=True)
        for pos, (begin, end) in enumerate(bounds):
            parts += [
                b'%s%s{%s    "pos": %d,%s    ' % (b"," if pos else b"", gap, gap, pos, gap),
                self.text[begin:end],
                gap,
                b"}",
            ]
        return parts


_shelf: _Shelf | None = None  # of this working process


def _open_shelf(folder: Path, world: World, seed: int) -> None:
    global _shelf
    _shelf = _Shelf(folder, world, seed)


def _write_slice(work: tuple[Path, range, Ints]) -> None:
    path, numbers, dealt = work
    assert _shelf is not None  # noqa: S101 - opened when the process began
    path.write_bytes(gzip.compress(_shelf.slice_text(numbers, dealt), compresslevel=5, mtime=0))
