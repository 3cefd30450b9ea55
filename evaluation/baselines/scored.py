"""What the baselines share that score the whole catalogue: lists from scores, and votes of training playlists."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from evaluation.baselines.popularity import by_popularity
from evaluation.models import NOTHING
from evaluation.queries import Question

Floats = NDArray[np.float32]
_CELLS = 2**24
"""Scores held at once: 64 MB."""
_GROUPS = 8
"""Groups of scores for each place of a list."""


class Scored(ABC):
    """A baseline that scores every track; level ones stand by popularity, and so does all where it knows nothing.

    Inside, tracks go by their place in the order of popularity, so that the first of level ones is the best known.

    Attributes:
        held: The training playlists, (playlists, tracks by place), ones.
    """

    def __init__(self, user_items: csr_matrix, label: str) -> None:
        """Put the tracks of ``user_items`` (playlists, tracks) in order; ``label`` names progress, "" shows none."""
        self._label = label
        self._order = by_popularity(user_items)
        self._places = np.argsort(self._order)
        self.held = csr_matrix(user_items)[:, self._order]

    @abstractmethod
    def _scores(self, questions: Sequence[Question]) -> Floats:
        """Return (n, tracks by place) fresh scores; all 0 for a question that says nothing to this baseline."""

    def scores(self, questions: Sequence[Question]) -> Floats:
        """Return (n, tracks) the score of each track by number, all at once: for few tracks or few questions."""
        return self._scores(questions)[:, self._places]

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """See `evaluation.models.Model.rank`."""
        found = np.full((len(questions), k), NOTHING, np.int64)
        batch = max(1, _CELLS // max(self.held.shape))
        bar = tqdm(total=len(questions), desc=f"ranking {self._label}", file=sys.stderr, disable=not self._label)
        with threadpool_limits(1, "blas"), bar:
            for start in range(0, len(questions), batch):
                part = questions[start : start + batch]
                for row, scores, question in zip(found[start:], self._scores(part), part, strict=False):
                    best = _best(scores, self._places[list(question.seeds)], k)
                    row[: len(best)] = self._order[best]
                bar.update(len(part))
        return found

    def _shown(self, questions: Sequence[Question]) -> csr_matrix:
        """Return the seeds as a matrix of ones, (n, tracks by place)."""
        ends = np.cumsum([0, *(len(question.seeds) for question in questions)])
        places = self._places[[seed for question in questions for seed in question.seeds]]
        shape = (len(questions), self.held.shape[1])
        return csr_matrix((np.ones(len(places), np.float32), places, ends), shape=shape)


class Votes(Scored):
    """A baseline in which training playlists vote for what they hold; a track's score is its votes times its worth.

    Attributes:
        worth: What a vote for each track counts, (tracks by place,).
    """

    def __init__(self, user_items: csr_matrix, label: str) -> None:
        """See `Scored`; every track is worth the same until the baseline says otherwise."""
        super().__init__(user_items, label)
        self.worth: Floats = np.ones(user_items.shape[1], np.float32)
        self._holders = self.held.T.tocsr()

    @abstractmethod
    def _votes(self, questions: Sequence[Question]) -> Floats:
        """Return (n, playlists): how much each training playlist has to say."""

    def _scores(self, questions: Sequence[Question]) -> Floats:
        votes = self._holders @ np.ascontiguousarray(self._votes(questions).T)  # (tracks, n)
        return np.ascontiguousarray(votes.T) * self.worth


def _best(scores: Floats, seeds: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the places of the ``k`` highest scores, best first, level ones in their order, no seeds."""
    scores[seeds] = -np.inf
    k = min(k, len(scores) - len(np.unique(seeds)))
    if k <= 0:
        return np.empty(0, np.int64)
    # Each group's best is no seed's and k groups have one: the k-th of them is a bar that k scores reach. Looking for
    # it among all scores takes twenty times as long.
    group = max(1, len(scores) // (_GROUPS * k))
    bar = _kth(scores[: len(scores) // group * group].reshape(group, -1).max(axis=0), k)
    above = np.flatnonzero(scores > bar)
    level = np.flatnonzero(scores == bar)
    if len(above) > k:
        near = scores[above]
        bar = _kth(near, k)
        above, level = above[near > bar], above[near == bar]
    chosen = np.concatenate([above, level[: k - len(above)]])
    return chosen[np.lexsort((chosen, -scores[chosen]))]


def _kth(values: Floats, k: int) -> np.float32:
    """Return the ``k``-th highest value."""
    return np.float32(np.partition(values, len(values) - k)[len(values) - k])
