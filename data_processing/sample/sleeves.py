"""What stands on each track's sleeve: its names, URIs and duration, in the words of the Million Playlist Dataset."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_processing.sample.genres import GENRES
from data_processing.sample.words import Names
from data_processing.sample.world import World

_VARIANT = 0.03
_VARIANTS = (" - Remastered 2011", " - Radio Edit", " (Deluxe Edition Remaster)", " - 2009 Remaster")


def artist_names(world: World, names: Names) -> list[str]:
    """Return a name for each artist, shape (artists,)."""
    return [names.artist(language) for language in _languages(world)]


def sleeves(
    world: World, artists: Sequence[str], seed: int, names: Names, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield the sleeve of each track in order; only the names of the artist at hand are kept in memory."""
    languages = _languages(world)
    before, album_before, album_name = -1, -1, ""
    taken: set[str] = set()
    title = ""
    for track, (artist, album) in enumerate(zip(world.track_artist.tolist(), world.track_album.tolist(), strict=True)):
        if artist != before:
            taken = set()
        if album != album_before:
            album_name = names.title(languages[artist], taken)
        variant = artist == before and random.random() < _VARIANT
        fresh = names.title(languages[artist], taken)
        title = title.partition(" - ")[0] + str(random.choice(_VARIANTS)) if variant else fresh
        before, album_before = artist, album
        yield {
            "artist_name": artists[artist],
            "track_uri": _uri("track", seed, track),
            "artist_uri": _uri("artist", seed, artist),
            "track_name": title,
            "album_uri": _uri("album", seed, album),
            "duration_ms": int(np.clip(random.normal(225_000, 55_000), 60_000, 720_000)),
            "album_name": album_name,
        }


def _languages(world: World) -> list[str]:
    return [GENRES[int(world.scene_genre[scene])].language for scene in world.artist_scene]


def _uri(kind: str, seed: int, number: int) -> str:
    """Return a URI that no streaming service has, and no sample of another seed."""
    return f"sample:{kind}:{hashlib.sha256(f'{seed}:{kind}:{number}'.encode()).hexdigest()[:22]}"
