"""The most popular tracks."""

import numpy as np
from scipy.sparse import csr_matrix

from evaluation.baselines.popularity import Popularity
from evaluation.models import NOTHING
from tests.evaluation.baselines.genres import ask


def test_popularity_by_hand() -> None:
    """Most held first, ties by number, never held last, seeds left out, -1 where nothing is left."""
    model = Popularity(csr_matrix(np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 0, 0]], np.float32)))
    ranked = model.rank([ask(), ask(1), ask(1, 2, 3)], 4)
    assert ranked.tolist() == [[1, 2, 3, 0], [2, 3, 0, NOTHING], [0, NOTHING, NOTHING, NOTHING]]
