"""The most popular tracks: what every other baseline falls back to where it has nothing to go by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.models import NOTHING
from evaluation.queries import Question


def by_popularity(user_items: csr_matrix) -> NDArray[np.int64]:
    """Return the tracks of ``user_items`` (playlists, tracks), the most held first; ties go to the lower number."""
    counts = np.asarray(user_items.sum(axis=0)).ravel()
    return np.argsort(-counts, kind="stable").astype(np.int64)


class Popularity:
    """The tracks that most training playlists hold, the same for everybody but for the seeds."""

    def __init__(self, user_items: csr_matrix) -> None:
        """Count the playlists of each track in ``user_items`` (playlists, tracks)."""
        self._order = by_popularity(user_items)

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """See `evaluation.models.Model.rank`."""
        found = np.full((len(questions), k), NOTHING, np.int64)
        for row, question in zip(found, questions, strict=True):
            best = self._order[: k + len(question.seeds)]
            best = best[~np.isin(best, question.seeds)][:k]
            row[: len(best)] = best
        return found
