"""Titles as hurried fingers write them: one letter left out, doubled, changed or swapped with the next."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evaluation.dataset import Playlist

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_DRAW = 1
"""Keeps these draws apart from others of the same seed and playlist."""


def mistype_some(playlists: Sequence[Playlist], share: float, seed: int) -> list[Playlist]:
    """Return the playlists, with one typo in the titles of a share of them.

    Who is drawn and what becomes of a title depends on ``seed`` and the playlist's number alone.
    """
    return [_mistyped(playlist, share, np.random.default_rng([seed, playlist.number, _DRAW])) for playlist in playlists]


def _mistyped(playlist: Playlist, share: float, generator: np.random.Generator) -> Playlist:
    if generator.random() >= share:
        return playlist
    return replace(playlist, name=mistype(playlist.name, generator))


def mistype(title: str, generator: np.random.Generator) -> str:
    """Return ``title`` with one letter left out, doubled, changed or, where it can be, swapped with the next.

    Four of five typos are of these kinds (Damerau 1964). A title of fewer than two letters stays as it is: it would be
    another one, or none.
    """
    letters = [place for place, sign in enumerate(title) if sign.isalpha()]
    if len(letters) < 2:
        return title
    place = int(generator.choice(letters))
    before, letter, after = title[:place], title[place], title[place + 1 :]
    changed = str(generator.choice([sign for sign in _ALPHABET if sign != letter.lower()]))
    slips = [after, letter * 2 + after, changed + after]
    if after[:1].isalpha() and after[0].lower() != letter.lower():
        slips.append(after[0] + letter + after[1:])
    return before + slips[int(generator.integers(len(slips)))]
