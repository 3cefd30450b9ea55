"""Training examples: playlists cut into seeds and what follows, from no seed at all to many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segue.query import Query

SEED_COUNTS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 35, 50)
SEED_WEIGHTS = (3.5, 3.0, 1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 1.0, 1.5, 0.7, 0.5)
"""How often each number of seeds is drawn: title-only and one-track playlists are the ones that matter most."""

UNORDERED = -1
"""Stands for a number of seeds where examples have any 25 of a playlist's tracks, and say that they have no order."""
CATEGORIES = ("title", "title+1", "title+5", "5", "title+10", "10", "title+25", "title+25random", "title+100")


@dataclass(frozen=True, slots=True)
class Playlists:
    """Playlists of one split.

    Attributes:
        tracks: For each playlist its track ids in order, int64.
        titles: For each playlist its title as given, "" where none.
        words: For each track of the catalogue its words (`segue.track.track_words`).
    """

    tracks: Sequence[NDArray[np.int64]]
    titles: Sequence[str]
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.tracks)


@dataclass(frozen=True, slots=True)
class Example:
    """A playlist to continue and the tracks that do, (n,) int64, n >= 1."""

    query: Query
    targets: NDArray[np.int64]


def cut(playlists: Playlists, row: int, chosen: NDArray[np.int64], title: bool, ordered: bool = True) -> Example:
    """Return the example whose seeds are the positions ``chosen`` of a playlist, its title kept or not."""
    tracks = playlists.tracks[row]
    rest = np.ones(len(tracks), bool)
    rest[chosen] = False
    seeds = tuple(tracks[chosen].tolist())
    words = tuple(playlists.words[seed] for seed in seeds[-8:])
    query = Query(seeds, playlists.titles[row] if title else "", (), words, ordered=ordered)
    return Example(query, tracks[rest])


def draw(playlists: Playlists, row: int, rng: np.random.Generator, title_kept: float) -> Example | None:
    """Return a random example of a playlist, or None where nothing would be left to predict or to go by.

    Half of the examples take the first tracks as seeds, half any tracks in their order. Without seeds the title is
    always kept.
    """
    tracks, has_title = playlists.tracks[row], bool(playlists.titles[row])
    weights = np.array(SEED_WEIGHTS) * (np.array(SEED_COUNTS) < len(tracks))
    if not has_title:
        weights[0] = 0
    if weights.sum() == 0:
        return None
    count = int(rng.choice(SEED_COUNTS, p=weights / weights.sum()))
    first = rng.random() < 0.5
    chosen = np.arange(count) if first else np.sort(rng.choice(len(tracks), count, replace=False))
    return cut(playlists, row, chosen.astype(np.int64), count == 0 or rng.random() < title_kept)


def epoch(playlists: Playlists, batch: int, rng: np.random.Generator, title_kept: float) -> Iterator[list[Example]]:
    """Yield every playlist once, in a random order, as batches of random examples."""
    order = rng.permutation(len(playlists))
    for start in range(0, len(order), batch):
        drawn = (draw(playlists, int(row), rng, title_kept) for row in order[start : start + batch])
        examples = [example for example in drawn if example is not None]
        if examples:
            yield examples


def validation(
    playlists: Playlists, counts: Sequence[int] = (0, 1, 5, 10, 25), most: int | None = None
) -> dict[int, list[Example]]:
    """Return, by number of seeds, the examples that judge an epoch: the first tracks and the title.

    ``most`` bounds the playlists.
    """
    return {
        count: [
            cut(playlists, row, np.arange(count), title=True)
            for row, tracks in enumerate(playlists.tracks[:most])
            if len(tracks) > count and (count or playlists.titles[row])
        ]
        for count in counts
    }


def weighing(playlists: Playlists, most: int | None = None, seed: int = 0) -> dict[int, list[Example]]:
    """Return, by number of seeds, the examples by which a ranker's weights are chosen.

    The first tracks and the title, as `validation`, and at 25 as many examples again with any tracks: who shows a
    long playlist may have shuffled it. These come once more under `UNORDERED`, as where who shows them says so.

    Args:
        playlists: The playlists.
        most: Bounds them.
        seed: Draws which tracks, with a playlist's row.
    """
    examples = validation(playlists, (0, 1, 5, 10, 25, 50), most)
    unordered = _of_category(playlists, "title+25random", most, seed)
    examples[25] += [Example(replace(each.query, ordered=True), each.targets) for each in unordered]
    return examples | {UNORDERED: unordered}


def by_category(playlists: Playlists, most: int | None = None, seed: int = 0) -> dict[str, list[Example]]:
    """Return the examples of each category of the RecSys Challenge 2018, by its name in `evaluation measure`.

    Where any tracks are shown, it is said that they have no order: the challenge tells their places in the playlist.

    Args:
        playlists: The playlists; each takes part where it is longer than what is shown.
        most: Bounds the playlists.
        seed: Draws, with a playlist's row, which 25 tracks ``title+25random`` shows.
    """
    return {name: _of_category(playlists, name, most, seed) for name in CATEGORIES}


def _of_category(playlists: Playlists, name: str, most: int | None, seed: int) -> list[Example]:
    title, shown = name.startswith("title"), name.removeprefix("title").removeprefix("+")
    count = int(shown.removesuffix("random") or 0)
    asked = []
    for row, tracks in enumerate(playlists.tracks[:most]):
        if len(tracks) > count and (count or playlists.titles[row]):
            order = np.random.default_rng([seed, row]).permutation(len(tracks))
            first = not shown.endswith("random")
            chosen = np.arange(count) if first else np.sort(order[:count])
            asked.append(cut(playlists, row, chosen, title, ordered=first))
    return asked
