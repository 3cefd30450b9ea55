"""Draws sample playlists: what a playlist is about, and which tracks go into it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_processing.sample.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_ZERO = 1_500_000_000  # seconds; a sample has no clock
# Tuned on seed 0 until popularity, item-kNN, iALS and title-kNN reached the NDCG that they have on real playlists;
# tests/data_processing/test_sample.py holds them there.
_FOCUS = (3.5, 7.0)
_WANDER = (1.4, 7.0)  # of a beta distribution: a sixth of a playlist's tracks on average
WANDER_FAME = 0.3  # what has nothing to do with a playlist is seldom a hit: it cannot be predicted by popularity
ERA_YEARS, ENERGY_WIDTH = 12.0, 1.6
_ABOUT_ONE_ARTIST, _OF_THAT_ARTIST = 0.04, 4.5
_TYPICAL_FIRST = 0.2  # people begin with what the playlist is about
RUNS = 0.45  # share of a playlist's artists whose tracks stand together
_MEDIAN_LENGTH, _SPREAD, _SHORTEST, _LONGEST = 49, 0.85, 5, 250  # those of the Million Playlist Dataset


@dataclass(frozen=True, slots=True)
class Theme:
    """What a playlist is about; its title speaks of some of it.

    Attributes:
        scenes: The scenes that it draws from, the main one first.
        shares: How much of each, sums to 1.
        focus: How strictly it keeps to them.
        wander: Share of its tracks that have nothing to do with it.
        year: The middle of its era, None for all times.
        energy: What it is for, None for anything.
        artist: The artist whom it is about, None for most.
        length: How many tracks.
    """

    scenes: tuple[int, ...]
    shares: tuple[float, ...]
    focus: float
    wander: float
    year: int | None
    energy: float | None
    artist: int | None
    length: int


def draw_theme(world: World, random: np.random.Generator) -> Theme:
    """Return what one playlist is about."""
    count = int(random.choice((1, 2, 3, 5), p=(0.42, 0.3, 0.18, 0.1)))
    main = int(random.choice(len(world.scene_weight), p=world.scene_weight))
    scenes = [main]
    near = world.scene_weight * np.exp(4.0 * world.scene_vector @ world.scene_vector[main])
    scenes += random.choice(len(near), count - 1, replace=False, p=near / near.sum()).tolist()
    shares = np.sort(random.dirichlet(np.full(count, 1.5)))[::-1]
    length = int(np.clip(round(_MEDIAN_LENGTH * random.lognormal(0, _SPREAD)), _SHORTEST, _LONGEST))
    era = random.random() < 0.3
    year = int(random.choice(world.scene_years[main])) if era else None
    energy = float(random.choice((-1.6, -0.8, 0.8, 1.6))) if random.random() < 0.3 else None
    focus = float(random.uniform(*_FOCUS))
    wander = float(random.beta(*_WANDER))
    artist = _star(world, main, random) if random.random() < _ABOUT_ONE_ARTIST else None
    return Theme(tuple(scenes), tuple(shares.tolist()), focus, wander, year, energy, artist, length)


def _star(world: World, scene: int, random: np.random.Generator) -> int:
    """Return an artist of the scene, famous ones more often."""
    inside = world.scene_artists[scene]
    chance = np.exp(world.artist_fame[inside])
    return int(random.choice(inside, p=chance / chance.sum()))


def draw_tracks(world: World, theme: Theme, random: np.random.Generator) -> Ints:
    """Return the playlist's distinct tracks in order, shape (length,).

    Tracks are drawn without replacement by their log-weights with Gumbel noise (Kool et al. 2019).
    """
    weights = log_weights(world, theme)
    keys = weights + random.gumbel(size=len(weights))
    chosen = np.argpartition(-keys, theme.length)[: theme.length]
    chosen = chosen[np.argsort(-keys[chosen])]
    typical = np.argsort(np.argsort((world.track_vector @ world.scene_vector[theme.scenes[0]])[chosen])) / len(chosen)
    return _ordered(world, chosen, random.random(len(chosen)) - _TYPICAL_FIRST * typical, random)


def log_weights(world: World, theme: Theme) -> Floats:
    """Return how much each track is wanted, shape (tracks,)."""
    centre = np.asarray(theme.shares)
    near = np.exp(theme.focus * (world.track_vector @ world.scene_vector[list(theme.scenes)].T - 1)) @ centre
    weights = world.track_fame + np.log(near)
    if theme.year is not None:
        weights = weights - 0.5 * ((world.track_year - theme.year) / ERA_YEARS) ** 2
    if theme.energy is not None:
        weights = weights - 0.5 * ((world.track_energy - theme.energy) / ENERGY_WIDTH) ** 2
    if theme.artist is not None:
        weights = weights + _OF_THAT_ARTIST * (world.track_artist == theme.artist)
    about = _softmax(weights)
    return np.asarray(
        np.log((1 - theme.wander) * about + theme.wander * _softmax(WANDER_FAME * world.track_fame)), np.float64
    )


def _softmax(weights: Floats) -> Floats:
    raised = np.exp(weights - weights.max())
    return np.asarray(raised / raised.sum(), np.float64)


def _ordered(world: World, chosen: Ints, arrival: Floats, random: np.random.Generator) -> Ints:
    """Return the tracks as people add them: some artists in a run, the rest by ``arrival``."""
    artist = world.track_artist[chosen]
    runs = random.random(len(world.artist_fame)) < RUNS
    first = np.ones(len(world.artist_fame))
    np.minimum.at(first, artist, arrival)
    return chosen[np.argsort(np.where(runs[artist], first[artist], arrival), kind="stable")]


def followers(random: np.random.Generator) -> int:
    """Return a playlist's followers: most have one, a handful have thousands (Zipf)."""
    return int(min(random.zipf(2.4), 50_000))
