"""Made-up graphs of playlists and tracks with the shape of the Million Playlist Dataset."""

import numpy as np

from train.interactions import Interactions

MEAN_LENGTH = 66.3
"""Tracks of a playlist, of the real set's million."""
_TRACKS = {1_000: 45_000, 10_000: 250_000, 100_000: 900_000, 1_000_000: 2_262_292}
"""Distinct tracks of as many playlists: of slices like the real ones, and of the real set at the end."""


def tracks_of(playlists: int) -> int:
    """Return how many distinct tracks so many playlists hold, between the sizes that are known by a straight line."""
    return int(np.interp(playlists, list(_TRACKS), list(_TRACKS.values())))


def made_up(playlists: int, tracks: int, seed: int) -> Interactions:
    """Return a graph: lengths drawn from a gamma distribution between 5 and 250, tracks by a long tail.

    Args:
        playlists: Number of playlists.
        tracks: Number of tracks; the track of rank r is drawn in proportion to (r + 30)^-0.9.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(1.5, MEAN_LENGTH / 1.5, playlists), 5, 250).astype(np.int64)
    popular = np.cumsum((np.arange(tracks) + 30.0) ** -0.9)
    drawn = np.searchsorted(popular, rng.random(int(lengths.sum())) * popular[-1])
    users = np.repeat(np.arange(playlists), lengths)
    return Interactions.of(users, np.minimum(drawn, tracks - 1), playlists, tracks)
