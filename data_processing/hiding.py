"""Tracks that training never sees, drawn by lot: on them one measures how a ranker finds what nobody has played yet."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_processing.clean import FEWEST_TRACKS, Cleaned
from data_processing.split import TRAIN, draw


def hide(cleaned: Cleaned, sides: NDArray[np.str_], seed: int, share: float) -> tuple[Cleaned, NDArray[np.str_]]:
    """Take tracks out of the playlists that teach; those that tune and judge keep them, and so does the catalogue.

    A track is drawn by a hash of the seed and its URI, so it stays drawn when others come. A training playlist that has
    fewer than two tracks left is left out.

    Args:
        cleaned: The playlists.
        sides: Each one's side, shape (playlists,).
        seed: Another seed, other tracks.
        share: Of the catalogue's tracks.

    Returns:
        The playlists that are left, and their sides.
    """
    hidden = np.zeros(len(cleaned.uris), bool)
    drawn = [draw(uri, seed) < share for uri in cleaned.uris.take(pa.array(cleaned.catalogue)).to_pylist()]
    hidden[cleaned.catalogue[drawn]] = True
    playlist = np.repeat(np.arange(len(sides)), np.diff(cleaned.starts))
    shown = ~(hidden[cleaned.tracks] & (sides == TRAIN)[playlist])
    lengths = np.bincount(playlist[shown], minlength=len(sides))
    left = lengths >= FEWEST_TRACKS
    counts = {
        "tracks_hidden_from_training": int(hidden.sum()),
        "entries_hidden_from_training": int((~shown).sum()),
        "playlists_too_short_without_hidden_tracks": int((~left).sum()),
    }
    return (
        replace(
            cleaned,
            playlists=cleaned.playlists[left],
            starts=np.concatenate([[0], np.cumsum(lengths[left])]),
            tracks=cleaned.tracks[shown & left[playlist]],
            counts={**cleaned.counts, **counts},
        ),
        sides[left],
    )
