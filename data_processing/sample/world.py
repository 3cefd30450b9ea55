"""The made-up music that sample playlists choose from: genres with scenes, artists with albums, tracks with a year.

What makes real playlists predictable, and hard, is laid in on purpose: people listen to scenes finer than genres, an
artist's tracks go together, hits go with everything, and most of a catalogue is hardly ever chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_processing.sample.genres import GENRES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIMENSIONS = 24
SCENES_A_GENRE = 4
WIDE = 50_000
"""Worlds of more tracks are wide: too many to weigh each one for each playlist, so they are drawn scene by scene."""
_TRACKS_AN_ARTIST, _TRACKS_A_WIDE_ARTIST = 5.0, 7.65  # of the Million Playlist Dataset: 2,262,292 over 295,860
# Log-popularity falls evenly from the best known artist and track on: a head without one outlier, and a long tail.
_ARTIST_FAME, _TRACK_FAME = 0.9, 0.9
# In a wide world it falls as in the Million Playlist Dataset, whose tracks are in about
# 46,600 * (1 + rank / 570) ** -1.4 playlists: the first in 46,574, half of all in one.
_ZIPF_EXPONENT, _ZIPF_HEAD = 1.4, 570
# Spread of log-tracks between artists: a few have made thousands.
_DILIGENCE, _WIDE_DILIGENCE = 0.4, 1.2
# How far scenes lie from their genre, artists from their scene and tracks from their artist, which is 1 long.
_SCENE_NOISE, _ARTIST_NOISE, _TRACK_NOISE = 0.3, 0.2, 0.1
_FIRST_YEAR, _LAST_YEAR = 1956, 2017


@dataclass(frozen=True, slots=True)
class World:
    """Everything that can be put in a playlist. Tracks are columns of one length, as are artists and scenes.

    Attributes:
        scene_genre: Each scene's genre, an index of `GENRES`, shape (scenes,).
        scene_vector: Where each scene stands in the space of taste, shape (scenes, DIMENSIONS).
        scene_weight: How much each scene is listened to, shape (scenes,), sums to 1.
        artist_scene: Each artist's scene, shape (artists,).
        scene_artists: Each scene's artists, rising.
        scene_years: The years of each scene's tracks.
        artist_vector: Where each artist stands, shape (artists, DIMENSIONS); empty in a wide world.
        artist_fame: Log-popularity of each artist, shape (artists,).
        track_artist: Each track's artist, rising, shape (tracks,).
        track_album: Each track's album, counted through all artists, shape (tracks,).
        track_vector: Where each track stands, shape (tracks, DIMENSIONS); empty in a wide world.
        track_fame: Log-popularity of each track, shape (tracks,).
        track_year: When each track came out, shape (tracks,).
        track_energy: From -2 (to sleep) to 2 (to run), shape (tracks,).
    """

    scene_genre: Ints
    scene_vector: Floats
    scene_weight: Floats
    artist_scene: Ints
    scene_artists: Sequence[Ints]
    scene_years: Sequence[Ints]
    artist_vector: Floats
    artist_fame: Floats
    track_artist: Ints
    track_album: Ints
    track_vector: Floats
    track_fame: Floats
    track_year: Ints
    track_energy: Floats


def make_world(tracks: int, random: np.random.Generator) -> World:
    """Return a world of this many tracks, of which most will hardly ever be chosen."""
    wide = tracks > WIDE
    scene_genre, scene_vector, scene_weight = _scenes(random)
    artists = max(len(scene_genre), round(tracks / (_TRACKS_A_WIDE_ARTIST if wide else _TRACKS_AN_ARTIST)))
    artist_scene = _artist_scenes(artists, scene_weight, random)
    nowhere = np.empty((0, DIMENSIONS))
    artist_vector = nowhere if wide else _unit(scene_vector[artist_scene] + _ARTIST_NOISE * _noise(random, artists))
    artist_fame = _ARTIST_FAME * np.log(random.random(artists))
    track_artist = _track_artists(tracks, artist_fame, _WIDE_DILIGENCE if wide else _DILIGENCE, random)
    track_album = _albums(track_artist, random)
    track_scene = artist_scene[track_artist]
    track_vector = nowhere if wide else _unit(artist_vector[track_artist] + _TRACK_NOISE * _noise(random, tracks))
    track_fame = artist_fame[track_artist] + _TRACK_FAME * np.log(random.random(tracks))
    track_year = _years(artist_scene, scene_genre, track_artist, track_album, random)
    energy = np.array([genre.energy for genre in GENRES])
    return World(
        scene_genre=scene_genre,
        scene_vector=scene_vector,
        scene_weight=scene_weight,
        artist_scene=artist_scene,
        scene_artists=_by_scene(artist_scene, len(scene_genre), np.arange(artists)),
        scene_years=_by_scene(track_scene, len(scene_genre), track_year),
        artist_vector=artist_vector,
        artist_fame=artist_fame,
        track_artist=track_artist,
        track_album=track_album,
        track_vector=track_vector,
        track_fame=_zipf(track_fame) if wide else track_fame,
        track_year=track_year,
        track_energy=energy[scene_genre[track_scene]] + 0.7 * random.standard_normal(tracks),
    )


def _by_scene(scene: Ints, scenes: int, values: Ints) -> list[Ints]:
    """Return the values of each scene, in order; ``scene`` and ``values`` have one length."""
    order = np.argsort(scene, kind="stable")
    return np.split(values[order], np.searchsorted(scene[order], np.arange(1, scenes)))


def _zipf(fame: Floats) -> Floats:
    """Return log-popularity in the same order that falls with the rank as Zipf and Mandelbrot have it."""
    rank = np.empty(len(fame))
    rank[np.argsort(-fame, kind="stable")] = np.arange(len(fame))
    return np.asarray(-_ZIPF_EXPONENT * np.log1p(rank / _ZIPF_HEAD), np.float64)


def _noise(random: np.random.Generator, rows: int) -> Floats:
    return np.asarray(random.standard_normal((rows, DIMENSIONS)) / np.sqrt(DIMENSIONS), np.float64)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)


def _scenes(random: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    """Return scenes around genres, and genres around families, so that neighbours overlap."""
    families = {genre.family: _noise(random, 1)[0] for genre in GENRES}
    genre_vector = np.array([0.8 * families[genre.family] for genre in GENRES]) + _noise(random, len(GENRES))
    scene_genre = np.repeat(np.arange(len(GENRES)), SCENES_A_GENRE)
    vectors = _unit(genre_vector[scene_genre] + _SCENE_NOISE * _noise(random, len(scene_genre)))
    weight = np.array([GENRES[g].weight for g in scene_genre]) * random.lognormal(0, 0.5, len(scene_genre))
    return scene_genre, vectors, weight / weight.sum()


def _artist_scenes(artists: int, weight: Floats, random: np.random.Generator) -> Ints:
    """Return each artist's scene: one each, the rest where people listen."""
    more = random.choice(len(weight), artists - len(weight), p=weight)
    return np.concatenate([np.arange(len(weight)), more])


def _track_artists(tracks: int, fame: Floats, diligence: float, random: np.random.Generator) -> Ints:
    """Return each track's artist: one each, the rest to the famous, who have made more."""
    share = np.exp(0.5 * fame) * random.lognormal(0, diligence, len(fame))
    more = random.choice(len(fame), max(tracks - len(fame), 0), p=share / share.sum())
    return np.sort(np.concatenate([np.arange(len(fame)), more]))[:tracks]


def _albums(track_artist: Ints, random: np.random.Generator) -> Ints:
    """Return each track's album: an artist's tracks are cut into albums of one to a dozen."""
    fresh = np.concatenate([[True], track_artist[1:] != track_artist[:-1]]) | (random.random(len(track_artist)) < 0.16)
    return np.asarray(np.cumsum(fresh) - 1, np.int64)


def _years(scene: Ints, genre: Ints, artist: Ints, album: Ints, random: np.random.Generator) -> Ints:
    """Return years: a genre has its time, an artist a part of it, an album one year."""
    heyday = np.array([GENRES[g].year for g in genre[scene]]) + 7 * random.standard_normal(len(scene))
    shift = 3.5 * random.standard_normal(album[-1] + 1)
    years = np.clip(np.round(heyday[artist] + shift[album]), _FIRST_YEAR, _LAST_YEAR)
    return np.asarray(years, np.int64)
