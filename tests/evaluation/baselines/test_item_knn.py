"""Item-kNN against dense arithmetic, and against the library `implicit`."""

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, normalize

from evaluation.baselines.item_knn import ItemKNN, ItemSetting
from tests.evaluation.baselines.genres import ask, assert_ranks_by, mixed, shown

QUESTIONS = [ask(0), ask(3, 4), ask(17, 2, 9)]


def test_item_knn_ranks_by_the_sum_of_similarities() -> None:
    """Every pair's similarity, from the definition: playlists in common by length, over both tracks' fame."""
    matrix = mixed()
    held = matrix.toarray().astype(np.float64)
    counts, lengths = held.sum(axis=0), held.sum(axis=1)
    alike = (held.T * lengths**-0.5) @ held / np.outer(counts, counts) ** 0.3
    model = ItemKNN(matrix, ItemSetting(fame=0.3, length=0.5), label="")
    assert_ranks_by(model, QUESTIONS, shown(QUESTIONS, 18) @ alike, 10)


def test_item_knn_with_the_plain_cosine_is_that_of_implicit() -> None:
    """The library's item-item recommender, with as many neighbours as there are tracks, gives the same lists."""
    matrix = mixed()
    library = ItemItemRecommender(K=18, num_threads=1)
    library.fit(normalize(matrix.T).T.tocsr().astype(np.float64), show_progress=False)  # what its cosine does
    scores = shown(QUESTIONS, 18) @ library.similarity.toarray()
    assert_ranks_by(ItemKNN(matrix, ItemSetting(fame=0.5, length=0), label=""), QUESTIONS, scores, 10)
