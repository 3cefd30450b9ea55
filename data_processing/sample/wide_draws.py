"""Draws the tracks of a slice's playlists at once, scene by scene, where a world is too wide to weigh every track.

The cost of a track does not depend on how many there are: a scene is drawn by how near it is to what the playlist is
about, and a track of it by fame, from running totals (inverse transform sampling). What does not fit the playlist's era
or energy is rejected, and so is what stands in it already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_processing.sample.playlists import ENERGY_WIDTH, ERA_YEARS, RUNS, WANDER_FAME, Theme
from data_processing.sample.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_AGAIN = 0.3  # share of tracks that are by an artist who was drawn for the playlist before
_OF_THE_STAR = 0.6
_MORE, _ROUNDS = 2, 12  # candidates for each track that is missing; after so many rounds anything fits


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals of the tracks' weights, in the order that draws need.

    Attributes:
        by_scene: The tracks in the order of their scenes, shape (tracks,).
        of_scenes: Running total of their weights, shape (tracks + 1,).
        scene_ends: Where each scene begins and ends in it, shape (scenes + 1,).
        of_artists: Running total of the weights of all tracks, which stand by artist, shape (tracks + 1,).
        artist_ends: Where each artist begins and ends in it, shape (artists + 1,).
        of_anything: Running total of what fame counts where a track has nothing to do with a playlist.
    """

    by_scene: Ints
    of_scenes: Floats
    scene_ends: Ints
    of_artists: Floats
    artist_ends: Ints
    of_anything: Floats


def running_totals(world: World) -> Totals:
    """Return the totals of a world."""
    scene = world.artist_scene[world.track_artist]
    by_scene = np.argsort(scene, kind="stable")
    weight = np.exp(world.track_fame)
    return Totals(
        by_scene,
        _running(weight[by_scene]),
        np.searchsorted(scene[by_scene], np.arange(len(world.scene_weight) + 1)),
        _running(weight),
        np.searchsorted(world.track_artist, np.arange(len(world.artist_scene) + 1)),
        _running(np.exp(WANDER_FAME * world.track_fame)),
    )


def draw_slice(
    world: World, totals: Totals, themes: Sequence[Theme], dealt: Ints, random: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return (playlist, track) of every entry, playlists rising, tracks in order and distinct within a playlist.

    Args:
        world: What to choose from.
        totals: Its running totals.
        themes: What each playlist is about.
        dealt: Tracks that must be in one of the playlists, whichever: fewer than there are places.
        random: Where luck comes from.
    """
    length = np.array([theme.length for theme in themes])
    places = np.repeat(np.arange(len(themes)), length)
    playlist = np.sort(places[random.choice(len(places), len(dealt), replace=False)])
    chance = _scene_chances(world, totals, themes)
    track, rounds = dealt, 0
    while (missing := length - np.bincount(playlist, minlength=len(themes))).any():
        rounds += 1
        more = np.repeat(np.arange(len(themes)), _MORE * missing)
        found = _candidates(world, totals, themes, chance, more, rounds > _ROUNDS, random)
        playlist, track = _distinct(
            np.concatenate([playlist, more[found >= 0]]), np.concatenate([track, found[found >= 0]]), length
        )
    return playlist, track[_order(world.track_artist[track], playlist, random)]


def _distinct(playlist: Ints, track: Ints, length: Ints) -> tuple[Ints, Ints]:
    """Return each playlist's first ``length`` distinct tracks, playlists rising."""
    _, first = np.unique(playlist * (track.max() + 1) + track, return_index=True)
    first = np.sort(first)
    first = first[np.argsort(playlist[first], kind="stable")]
    playlist = playlist[first]
    place = np.arange(len(first)) - np.searchsorted(playlist, playlist)
    kept = place < length[playlist]
    return playlist[kept], track[first[kept]]


def _candidates(
    world: World,
    totals: Totals,
    themes: Sequence[Theme],
    chance: Floats,
    playlist: Ints,
    anything: bool,
    random: np.random.Generator,
) -> Ints:
    """Return a track for each element of ``playlist``, -1 where luck or the theme said no."""
    size = len(playlist)
    scene = np.searchsorted(chance.ravel(), playlist + random.random(size), side="right") % chance.shape[1]
    track = totals.by_scene[
        _pick(totals.of_scenes, totals.scene_ends[scene], totals.scene_ends[scene + 1], random.random(size))
    ]
    begins = np.searchsorted(playlist, playlist)
    earlier = begins + ((np.arange(size) - begins) * random.random(size)).astype(np.int64)
    artist = np.where(random.random(size) < _AGAIN, world.track_artist[track[earlier]], -1)
    star = np.array([-1 if theme.artist is None else theme.artist for theme in themes])[playlist]
    artist = np.where((star >= 0) & (random.random(size) < _OF_THE_STAR), star, artist)
    theirs = _pick(totals.of_artists, totals.artist_ends[artist], totals.artist_ends[artist + 1], random.random(size))
    track = np.where(artist >= 0, theirs, track)
    fits = random.random(size) < _fit(world, themes, playlist, track)
    wanders = random.random(size) < (1.0 if anything else np.array([theme.wander for theme in themes])[playlist])
    anywhere = _pick(totals.of_anything, np.zeros(1, np.int64), len(world.track_fame), random.random(size))
    return np.where(wanders, anywhere, np.where(fits, track, -1))


def _scene_chances(world: World, totals: Totals, themes: Sequence[Theme]) -> Floats:
    """Return each theme's number plus the running chance of each scene, shape (themes, scenes): rising throughout."""
    alike = world.scene_vector @ world.scene_vector.T  # (scenes, scenes)
    mass = np.diff(totals.of_scenes[totals.scene_ends])
    chance = np.cumsum(
        [np.asarray(t.shares) @ np.exp(t.focus * (alike[list(t.scenes)] - 1)) * mass for t in themes], axis=1
    )
    chance /= chance[:, -1:]
    chance[:, -1] += 1e-9  # rounding must not lead into the next theme's scenes
    return np.asarray(chance + np.arange(len(themes))[:, None], np.float64)


def _fit(world: World, themes: Sequence[Theme], playlist: Ints, track: Ints) -> Floats:
    """Return the chance that a track stays, by the theme's era and energy."""
    year = np.array([np.nan if theme.year is None else theme.year for theme in themes])[playlist]
    energy = np.array([np.nan if theme.energy is None else theme.energy for theme in themes])[playlist]
    off = np.nan_to_num((world.track_year[track] - year) / ERA_YEARS) ** 2
    off += np.nan_to_num((world.track_energy[track] - energy) / ENERGY_WIDTH) ** 2
    return np.asarray(np.exp(-0.5 * off), np.float64)


def _pick(totals: Floats, low: Ints, high: Ints | int, luck: Floats) -> Ints:
    """Return one of the elements of each ``[low, high)`` by their share of the total."""
    found = np.searchsorted(totals, totals[low] + luck * (totals[high] - totals[low]), side="right") - 1
    return np.clip(found, low, high - 1)


def _running(weights: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(weights)])


def _order(artist: Ints, playlist: Ints, random: np.random.Generator) -> Ints:
    """Return the order in which people add tracks: some artists in a run, the rest as they come."""
    arrival = random.random(len(artist))
    _, pair = np.unique(playlist * (artist.max() + 1) + artist, return_inverse=True)
    first = np.ones(pair.max() + 1)
    np.minimum.at(first, pair, arrival)
    runs = random.random(len(first)) < RUNS
    return np.lexsort((np.where(runs[pair], first[pair], arrival), playlist))
