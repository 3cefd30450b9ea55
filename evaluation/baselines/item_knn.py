"""Item-kNN: tracks that stand in the same playlists as the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from evaluation.baselines.scored import Floats, Votes
from evaluation.queries import Question


@dataclass(frozen=True, slots=True)
class ItemSetting:
    """How tracks resemble each other.

    Attributes:
        fame: Exponent of a track's number of playlists that its similarities are divided by; .5 is the cosine.
        length: Exponent of a playlist's length that what it says is divided by.
    """

    fame: float = 0.2
    length: float = 0.5


class ItemKNN(Votes):
    """Similar tracks by a generalised cosine (Deshpande and Karypis 2004, Aiolli 2013), summed over the seeds.

    Two tracks are as similar as they have playlists in common, each counting length^-a, over (n_i n_j)^b. No
    neighbour is cut off: the sum over seeds and playlists goes the other way round, seeds to their playlists and
    playlists to their tracks, so that the similarities of all pairs need not be kept.
    """

    def __init__(self, user_items: csr_matrix, setting: ItemSetting = ItemSetting(), label: str = "item-kNN") -> None:
        """Learn from ``user_items`` (playlists, tracks), a matrix of ones."""
        super().__init__(user_items, label)
        counts = np.maximum(np.asarray(self.held.sum(axis=0)).ravel(), 1)
        lengths = np.maximum(np.asarray(self.held.sum(axis=1)).ravel(), 1)
        self.worth = (counts**-setting.fame).astype(np.float32)
        heard = diags(self.worth) @ self.held.T @ diags(lengths**-setting.length)
        self._heard = csr_matrix(heard, dtype=np.float32)  # (tracks, playlists)

    def _votes(self, questions: Sequence[Question]) -> Floats:
        return np.asarray((self._shown(questions) @ self._heard).toarray(), np.float32)
