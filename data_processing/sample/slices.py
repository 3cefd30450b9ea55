"""Writes a sample as slices of the Million Playlist Dataset's shape, marked as synthetic."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.ingest import refuse_foreign
from data_processing.sample.genres import GENRES
from data_processing.sample.playlists import draw_theme, draw_tracks
from data_processing.sample.titles import draw_title
from data_processing.sample.words import Names
from data_processing.sample.world import World, make_world
from segue.errors import InputError
from segue.files import whole_directory

_A_SLICE = 1000
_FEWEST_TRACKS = 500
_DAY_ZERO = 1_500_000_000  # seconds; a sample has no clock
_VARIANT = 0.03
_VARIANTS = (" - Remastered 2011", " - Radio Edit", " (Deluxe Edition Remaster)", " - 2009 Remaster")


def write_sample(output: Path, playlists: int = 3000, tracks: int = 8000, seed: int = 0) -> int:
    """Write made-up playlists to ``mpd.slice.*.json.gz`` under ``output``, whole or not at all; return the slices.

    The same arguments give the same bytes. Each slice's ``info`` says ``"synthetic": true``.

    Raises:
        InputError: The numbers are too small, or ``output`` holds something else or cannot be written.
    """
    if playlists < 1 or tracks < _FEWEST_TRACKS:
        raise InputError(f"A sample needs at least one playlist and {_FEWEST_TRACKS} tracks to choose from.")
    refuse_foreign(output, _slice_name(0, min(playlists, _A_SLICE)))
    random = np.random.default_rng(seed)
    world = make_world(tracks, random)
    sleeve = _sleeves(world, seed, random)
    starts = range(0, playlists, _A_SLICE)
    try:
        with whole_directory(output) as staging:
            for start in starts:
                stop = min(start + _A_SLICE, playlists)
                rows = list(_playlists(world, sleeve, range(start, stop), random))
                _write_slice(staging / _slice_name(start, stop), start, stop, seed, rows)
    except OSError as error:
        raise InputError(f"The sample cannot be written to {output} ({error.strerror or error}).") from error
    return len(starts)


def _slice_name(start: int, stop: int) -> str:
    return f"mpd.slice.{start}-{stop - 1}.json.gz"


def _write_slice(path: Path, start: int, stop: int, seed: int, playlists: list[dict[str, Any]]) -> None:
    info = {"slice": f"{start}-{stop - 1}", "version": "v1", "synthetic": True, "seed": seed}
    text = json.dumps({"info": info, "playlists": playlists}, ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=5, mtime=0))


def _sleeves(world: World, seed: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Return what stands on each track's sleeve: its names, URIs and duration, in MPD's words."""
    names = Names(random)
    languages = [GENRES[int(world.scene_genre[scene])].language for scene in world.artist_scene]
    artists = [names.artist(language) for language in languages]
    taken: dict[int, set[str]] = {}
    albums: dict[int, str] = {}
    sleeves: list[dict[str, Any]] = []
    for track in range(len(world.track_artist)):
        artist, album = int(world.track_artist[track]), int(world.track_album[track])
        own = taken.setdefault(artist, set())
        if album not in albums:
            albums[album] = names.title(languages[artist], own)
        variant = sleeves and sleeves[-1]["artist_name"] == artists[artist] and random.random() < _VARIANT
        title = names.title(languages[artist], own)
        if variant:
            title = sleeves[-1]["track_name"].partition(" - ")[0] + str(random.choice(_VARIANTS))
        sleeves.append(
            {
                "artist_name": artists[artist],
                "track_uri": _uri("track", seed, track),
                "artist_uri": _uri("artist", seed, artist),
                "track_name": title,
                "album_uri": _uri("album", seed, album),
                "duration_ms": int(np.clip(random.normal(225_000, 55_000), 60_000, 720_000)),
                "album_name": albums[album],
            }
        )
    return sleeves


def _uri(kind: str, seed: int, number: int) -> str:
    """Return a URI that no streaming service has, and no sample of another seed."""
    return f"sample:{kind}:{hashlib.sha256(f'{seed}:{kind}:{number}'.encode()).hexdigest()[:22]}"


def _playlists(
    world: World, sleeves: list[dict[str, Any]], numbers: range, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    artists = _artist_names(world, sleeves)
    for pid in numbers:
        theme = draw_theme(world, random)
        title = draw_title(world, theme, artists, random)
        tracks = [
            {"pos": pos, **sleeves[track]} for pos, track in enumerate(draw_tracks(world, theme, random).tolist())
        ]
        yield {
            "name": title,
            "collaborative": "true" if random.random() < 0.02 else "false",
            "pid": pid,
            "modified_at": _DAY_ZERO + 86_400 * int(random.integers(365)),
            "num_tracks": len(tracks),
            "num_albums": len({track["album_uri"] for track in tracks}),
            "num_artists": len({track["artist_uri"] for track in tracks}),
            "num_followers": _followers(random),
            "num_edits": int(random.integers(1, len(tracks) + 1)),
            "duration_ms": sum(track["duration_ms"] for track in tracks),
            "tracks": tracks,
        }


def _artist_names(world: World, sleeves: list[dict[str, Any]]) -> list[str]:
    names = [""] * len(world.artist_scene)
    for artist, sleeve in zip(world.track_artist.tolist(), sleeves, strict=True):
        names[artist] = sleeve["artist_name"]
    return names


def _followers(random: np.random.Generator) -> int:
    """Return a playlist's followers: most have one, a handful have thousands (Zipf)."""
    return int(min(random.zipf(2.4), 50_000))
