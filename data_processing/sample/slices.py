"""Writes a sample as slices of the Million Playlist Dataset's shape, marked as synthetic."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.ingest import refuse_foreign
from data_processing.processes import cores, refuse_none
from data_processing.readers.open_file import first_bytes
from data_processing.sample.playlists import DAY_ZERO, draw_theme, draw_tracks, followers
from data_processing.sample.sleeves import artist_names, sleeves
from data_processing.sample.titles import draw_title
from data_processing.sample.wide import write_wide
from data_processing.sample.words import Names
from data_processing.sample.world import WIDE, World, make_world
from segue.errors import InputError
from segue.files import whole_directory

_A_SLICE = 1000
_NAME = re.compile(r"mpd\.slice\.\d+-\d+\.json\.gz")
_MADE_UP = re.compile(rb'\s*\{\s*"info":\s*\{[^{}]*"synthetic":\s*true')
_HEAD = 1 << 10  # bytes; a slice begins with its info
_FEWEST_TRACKS = 500


def write_sample(
    output: Path, playlists: int = 3000, tracks: int = 8000, seed: int = 0, processes: int | None = None
) -> int:
    """Write made-up playlists to ``mpd.slice.*.json.gz`` under ``output``, whole or not at all; return the slices.

    The same arguments give the same bytes, whatever the number of processes. Each slice's ``info`` says
    ``"synthetic": true``.

    Args:
        output: The folder of the slices.
        playlists: How many.
        tracks: How many there are to choose from.
        seed: Another seed, another world.
        processes: How many work at a wide world (`world.WIDE`), all cores if None; a smaller one needs only this.

    Raises:
        InputError: The numbers are too small, the seed is negative, or ``output`` holds something else or cannot be
            written.
    """
    if playlists < 1 or tracks < _FEWEST_TRACKS:
        raise InputError(f"A sample needs at least one playlist and {_FEWEST_TRACKS} tracks to choose from.")
    if seed < 0:
        raise InputError("--seed is a whole number that is not negative; name another.")
    refuse_none(processes)
    slices = [range(start, min(start + _A_SLICE, playlists)) for start in range(0, playlists, _A_SLICE)]
    refuse_foreign(output, _holds_only_a_sample)
    random = np.random.default_rng(seed)
    world = make_world(tracks, random)
    try:
        with whole_directory(output) as staging:
            places = {staging / _slice_name(numbers): numbers for numbers in slices}
            if tracks > WIDE:
                write_wide(world, places, seed, random, processes or cores())
            else:
                _write_slices(world, places, seed, random)
    except OSError as error:
        raise InputError(f"The sample cannot be written to {output} ({error.strerror or error}).") from error
    return len(slices)


def _write_slices(world: World, places: Mapping[Path, range], seed: int, random: np.random.Generator) -> None:
    names = Names(random)
    artists = artist_names(world, names)
    sleeve = list(sleeves(world, artists, seed, names, random))
    for path, numbers in places.items():
        info = {"slice": f"{numbers[0]}-{numbers[-1]}", "version": "v1", "synthetic": True, "seed": seed}
        rows = list(_playlists(world, artists, sleeve, numbers, random))
        text = json.dumps({"info": info, "playlists": rows}, ensure_ascii=False)
        path.write_bytes(gzip.compress(text.encode(), compresslevel=5, mtime=0))


def _holds_only_a_sample(folder: Path) -> bool:
    """Return whether every file is a slice that says of itself that it was made up: the real set has the same names."""
    return all(_NAME.fullmatch(path.name) and _is_made_up(path) for path in folder.iterdir())


def _is_made_up(path: Path) -> bool:
    try:
        return _MADE_UP.match(first_bytes(path, _HEAD)) is not None
    except InputError:  # a damaged slice could be anybody's
        return False


def _slice_name(numbers: range) -> str:
    return f"mpd.slice.{numbers[0]}-{numbers[-1]}.json.gz"


def _playlists(
    world: World,
    artists: list[str],
    sleeve: Sequence[dict[str, Any]],
    numbers: range,
    random: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    for pid in numbers:
        theme = draw_theme(world, random)
        title = draw_title(world, theme, artists, random)
        tracks = [{"pos": pos, **sleeve[track]} for pos, track in enumerate(draw_tracks(world, theme, random).tolist())]
        yield {
            "name": title,
            "collaborative": "true" if random.random() < 0.02 else "false",
            "pid": pid,
            "modified_at": DAY_ZERO + 86_400 * int(random.integers(365)),
            "num_tracks": len(tracks),
            "num_albums": len({track["album_uri"] for track in tracks}),
            "num_artists": len({track["artist_uri"] for track in tracks}),
            "num_followers": followers(random),
            "num_edits": int(random.integers(1, len(tracks) + 1)),
            "duration_ms": sum(track["duration_ms"] for track in tracks),
            "tracks": tracks,
        }
