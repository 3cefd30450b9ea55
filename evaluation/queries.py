"""Held-out playlists as questions: the first tracks are shown, the others are what a good continuation brings back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.dataset import Playlist
from segue.text import normalise_title

SLICES = ("title", "1", "5", "10", "25")
"""Seeds shown: none but the title, or the first 1, 5, 10 or 25 tracks beside the title."""
ALL = "all"
LEAST_HELD_OUT = 5
"""A playlist is asked about only where as many tracks stay hidden: below, one lucky hit would decide its score."""


def shown(name: str) -> str:
    """Return how people read the name of a slice, or `ALL`."""
    words = {"title": "title only", ALL: "all queries", "1": "1 seed"}
    return words.get(name, f"{name} seeds")


@dataclass(frozen=True, slots=True)
class Question:
    """One playlist, partly hidden.

    Attributes:
        playlist: The playlist's number; questions of one playlist belong together.
        slice: Which of `SLICES`, or which category, it is.
        seeds: Track numbers shown, in order.
        title: The playlist's title, or "".
        relevant: Track numbers hidden, in order, none of them a seed.
        ordered: Whether the seeds are the playlist's first tracks, and so stand in the order in which they were added.
    """

    playlist: int
    slice: str
    seeds: tuple[int, ...]
    title: str
    relevant: tuple[int, ...]
    ordered: bool = True


def ask(playlists: Sequence[Playlist]) -> list[Question]:
    """Return a question for each playlist and slice that it is long enough for, slice by slice."""
    questions = (_first(playlist, name) for name in SLICES for playlist in playlists)
    return [question for question in questions if question is not None]


def _first(playlist: Playlist, name: str) -> Question | None:
    if name == "title":
        return hide(playlist, name, 0, with_title=True) if normalise_title(playlist.name) else None
    return hide(playlist, name, int(name), with_title=True)


def hide(
    playlist: Playlist,
    name: str,
    seeds: int,
    with_title: bool,
    least: int = LEAST_HELD_OUT,
    choose: Callable[[int, int], Sequence[int]] | None = None,
) -> Question | None:
    """Return the question that shows ``seeds`` tracks of a playlist, or None where fewer than ``least`` stay hidden.

    Args:
        playlist: The whole playlist.
        name: The slice's name.
        seeds: How many tracks to show.
        with_title: Whether to show the title.
        least: How many tracks have to stay hidden.
        choose: Positions to show, from the number of tracks and of seeds; the first ones without it.
    """
    tracks = tuple(dict.fromkeys(playlist.tracks))
    if len(tracks) - seeds < least:
        return None
    shown = sorted(choose(len(tracks), seeds)) if choose else range(seeds)
    visible = set(shown)
    return Question(
        playlist.number,
        name,
        tuple(tracks[i] for i in shown),
        playlist.name if with_title else "",
        tuple(track for i, track in enumerate(tracks) if i not in visible),
        choose is None,
    )


def sample_playlists(playlists: Sequence[Playlist], most: int | None, seed: int) -> list[Playlist]:
    """Return ``most`` of the playlists, drawn with the seed and in their order; all of them without a limit."""
    if most is None or most >= len(playlists):
        return list(playlists)
    drawn = np.random.default_rng(seed).choice(len(playlists), most, replace=False)
    return [playlists[i] for i in sorted(drawn.tolist())]
