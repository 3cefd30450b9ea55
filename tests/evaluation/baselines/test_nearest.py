"""Playlist-kNN and title-kNN against loops over all playlists."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.baselines.nearest import Nearness, PlaylistKNN, TitleKNN
from evaluation.baselines.popularity import Popularity
from segue.text import title_grams
from tests.evaluation.baselines.genres import Values, ask, assert_ranks_by, mixed

QUESTIONS = [ask(0), ask(3, 4), ask(17, 2, 9)]


def _votes(sets: Sequence[set[int]], wanted: set[int], neighbours: int, power: float) -> Values:
    """Return what each playlist has to say: its cosine to what is wanted, features weighed by rarity."""
    holders = {feature: sum(feature in one for one in sets) for one in (*sets, wanted) for feature in one}
    rarity = {feature: np.log(1 + len(sets) / max(count, 1)) for feature, count in holders.items()}
    norm = [np.sqrt(sum(rarity[feature] ** 2 for feature in one)) for one in (*sets, wanted)]
    near = np.array([
        sum(rarity[feature] ** 2 for feature in one & wanted) / max(length * norm[-1], 1e-9)
        for one, length in zip(sets, norm, strict=False)
    ])  # fmt: skip
    return np.where(near >= np.sort(near)[-neighbours], near**power, 0)


@pytest.mark.parametrize("neighbours", [1, 7, 40])
@pytest.mark.parametrize("power", [1, 3])
def test_playlist_knn_asks_the_nearest_playlists(neighbours: int, power: float) -> None:
    """A track scores the similarities of the nearest playlists that hold it."""
    matrix = mixed()
    held = matrix.toarray()
    sets = [set(np.flatnonzero(row).tolist()) for row in held]
    scores = np.array([_votes(sets, set(question.seeds), neighbours, power) @ held for question in QUESTIONS])
    assert_ranks_by(PlaylistKNN(matrix, Nearness(neighbours, power), label=""), QUESTIONS, scores, 10)


TITLES = ["Summer Party", "summer  PARTY", "summer", "Sleep", "partysongs", "🎉", "", "夏"]


def test_title_knn_asks_the_playlists_with_the_nearest_titles() -> None:
    """By shared words, pieces of words and whole spellings, the rare ones counting most."""
    matrix = mixed(len(TITLES))
    sets = [set(title_grams(title, 2**20, 256).tolist()) for title in TITLES]
    questions = [ask(title="summer party"), ask(3, title="Party"), ask(title="sleepy"), ask(title="🎉 夏")]
    wanted = [set(title_grams(question.title, 2**20, 256).tolist()) for question in questions]
    scores = np.array([_votes(sets, one, 3, 2) @ matrix.toarray() for one in wanted])
    assert_ranks_by(TitleKNN(matrix, TITLES, Nearness(3, 2), label=""), questions, scores, 10)


def test_another_spelling_of_a_title_is_the_same_title() -> None:
    """Letter case and spaces make no other title, and a title that nobody uses brings what is popular."""
    matrix = csr_matrix(np.eye(8, dtype=np.float32))
    model = TitleKNN(matrix, TITLES, Nearness(8, 2), label="")
    assert set(model.rank([ask(title=" SUMMER party ")], 2)[0].tolist()) == {0, 1}
    assert model.rank([ask(title="夏")], 1)[0].tolist() == [7]
    unknown = [ask(title="zzz"), ask(title="")]
    assert model.rank(unknown, 8).tolist() == Popularity(matrix).rank(unknown, 8).tolist()
