"""Playlist-kNN and title-kNN: what the nearest training playlists hold, near by their tracks or by their titles."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from evaluation.baselines.scored import Floats, Votes
from evaluation.queries import Question
from segue.text import title_grams

_BUCKETS = 2**20
_MOST_GRAMS = 256


@dataclass(frozen=True, slots=True)
class Nearness:
    """Which playlists are asked, and how much the nearer ones have to say.

    Attributes:
        neighbours: How many vote; those as near as the last of them vote too.
        power: Exponent of the similarity that is a playlist's vote.
    """

    neighbours: int = 300
    power: float = 2


class Nearest(Votes):
    """The playlists with the most similar features vote: cosine of sets, each feature weighed by its rarity."""

    def __init__(self, user_items: csr_matrix, features: csr_matrix, setting: Nearness, label: str) -> None:
        """Learn from playlists and what they are known by.

        Args:
            user_items: Training playlists as a matrix of ones, (playlists, tracks).
            features: The same playlists as sets of features, (playlists, features), ones.
            setting: See `Nearness`.
            label: Names progress; "" shows none.
        """
        super().__init__(user_items, label)
        self._setting = setting
        counts = np.asarray(features.sum(axis=0)).ravel()
        self._rarity = np.log1p(features.shape[0] / np.maximum(counts, 1)).astype(np.float32)
        self._known = self._unit(features).T.tocsr()

    def _unit(self, features: csr_matrix) -> csr_matrix:
        """Return the rows weighed by rarity and of length 1; an empty row stays empty."""
        weighed = csr_matrix(features.multiply(self._rarity), dtype=np.float32)
        norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
        return csr_matrix(diags(1 / np.where(norms > 0, norms, 1)) @ weighed, dtype=np.float32)

    @abstractmethod
    def _features(self, questions: Sequence[Question]) -> csr_matrix:
        """Return the questions as sets of features, (n, features), ones."""

    def _votes(self, questions: Sequence[Question]) -> Floats:
        near = np.asarray((self._unit(self._features(questions)) @ self._known).toarray(), np.float32)
        least = max(0, near.shape[1] - self._setting.neighbours)
        bar = np.partition(near, least, axis=1)[:, [least]]
        return np.where(near >= bar, near**self._setting.power, np.float32(0))


class PlaylistKNN(Nearest):
    """The training playlists that share the most of the seeds (user-based collaborative filtering)."""

    def __init__(self, user_items: csr_matrix, setting: Nearness = Nearness(), label: str = "playlist-kNN") -> None:
        """Learn from ``user_items`` (playlists, tracks), a matrix of ones."""
        matrix = csr_matrix(user_items)
        super().__init__(matrix, matrix, setting, label)

    def _features(self, questions: Sequence[Question]) -> csr_matrix:
        return _sets([question.seeds for question in questions], self._known.shape[0])


class TitleKNN(Nearest):
    """The training playlists with the most similar titles, by words and hashed character 3- to 5-grams."""

    def __init__(
        self,
        user_items: csr_matrix,
        titles: Sequence[str],
        setting: Nearness = Nearness(400),
        label: str = "title-kNN",
    ) -> None:
        """Learn from ``user_items`` (playlists, tracks), a matrix of ones, and the playlists' titles, "" for none."""
        super().__init__(user_items, _grams(titles), setting, label)

    def _features(self, questions: Sequence[Question]) -> csr_matrix:
        return _grams([question.title for question in questions])


def _grams(titles: Sequence[str]) -> csr_matrix:
    return _sets([title_grams(title, _BUCKETS, _MOST_GRAMS).tolist() for title in titles], _BUCKETS)


def _sets(members: Sequence[Sequence[int]], size: int) -> csr_matrix:
    """Return sets of numbers below ``size`` as rows of ones."""
    ends = np.cumsum([0, *map(len, members)])
    numbers = np.array([number for row in members for number in row], np.int64)
    return csr_matrix((np.ones(len(numbers), np.float32), numbers, ends), shape=(len(members), size))
