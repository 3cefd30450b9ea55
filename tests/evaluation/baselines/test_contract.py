"""What holds for every baseline, however it ranks."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.baselines.by_artist import ByArtist
from evaluation.baselines.ease import DualEASE, EaseSetting, PrimalEASE
from evaluation.baselines.ials import ImplicitALS
from evaluation.baselines.item_knn import ItemKNN
from evaluation.baselines.nearest import PlaylistKNN, TitleKNN
from evaluation.baselines.popularity import Popularity
from evaluation.models import NOTHING, Model
from tests.evaluation.baselines.genres import ask, genres

Fit = Callable[[csr_matrix], Model]
BY_SEEDS: dict[str, Fit] = {
    "item_knn": lambda matrix: ItemKNN(matrix, label=""),
    "playlist_knn": lambda matrix: PlaylistKNN(matrix, label=""),
    "dual_ease": lambda matrix: DualEASE(matrix, EaseSetting(5), label=""),
    "primal_ease": lambda matrix: PrimalEASE(matrix, EaseSetting(5), label=""),
    "ials": lambda matrix: ImplicitALS(matrix, seed=3, factors=8, label=""),
}
ALL: dict[str, Fit] = {
    "popularity": Popularity,
    "title_knn": lambda matrix: TitleKNN(matrix, [f"genre {i % 3}" for i in range(matrix.shape[0])], label=""),
    "by_artist": lambda matrix: ByArtist(matrix, [(i % 9,) for i in range(18)], lambda held: ItemKNN(held), ""),
    **BY_SEEDS,
}
every = pytest.mark.parametrize("fit", ALL.values(), ids=ALL)
by_seeds = pytest.mark.parametrize("fit", BY_SEEDS.values(), ids=BY_SEEDS)


@every
def test_the_rest_of_the_catalogue_without_seeds_and_then_nothing(fit: Fit) -> None:
    """Asked for more tracks than there are, each comes once, no seed among them, and -1 fills up."""
    for question in (ask(), ask(0, 3, title="genre 0"), ask(*range(18))):
        ranked = fit(genres()).rank([question], 30)[0]
        left = sorted(set(range(18)) - set(question.seeds))
        assert sorted(ranked[: len(left)].tolist()) == left
        assert (ranked[len(left) :] == NOTHING).all()


@every
def test_fitted_twice_asked_singly_or_together_the_lists_are_the_same(fit: Fit) -> None:
    """Neither chance nor company changes an answer."""
    questions = [ask(0, title="genre 0"), ask(), ask(1, 4), ask(2, title="genre 1")]
    one, two = fit(genres()), fit(genres())
    together = one.rank(questions, 10).tolist()
    assert together == one.rank(questions, 10).tolist()
    assert together == [two.rank([question], 10)[0].tolist() for question in questions]


@by_seeds
def test_a_playlist_goes_on_within_its_genre(fit: Fit) -> None:
    """Structure that popularity cannot see."""
    ranked = fit(genres()).rank([ask(1, 4)], 4)
    assert set((ranked % 3).ravel().tolist()) == {1}


@by_seeds
def test_without_a_known_seed_it_is_popularity(fit: Fit) -> None:
    """A title alone, or a track that no training playlist holds, gets the popular tracks."""
    matrix = genres()
    matrix.data[matrix.indices == 17] = 0
    matrix.eliminate_zeros()
    questions = [ask(title="genre 1"), ask(17)]
    assert fit(matrix).rank(questions, 17).tolist() == Popularity(matrix).rank(questions, 17).tolist()


def test_no_questions_no_lists() -> None:
    """An empty slice is no error."""
    for fit in ALL.values():
        assert fit(genres()).rank([], 5).shape == (0, 5)
    assert np.issubdtype(Popularity(genres()).rank([], 5).dtype, np.integer)
