"""The classics against independent computations of them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.baselines import ImplicitALS, Popularity, Setting
from evaluation.models import NOTHING
from evaluation.queries import Question
from evaluation.tuning import GRID, tune
from segue.metrics import ndcg

Values = NDArray[np.float64]
ALPHA, PENALTY, FACTORS = 10.0, 0.02, 3


def _ask(*seeds: int) -> Question:
    return Question(0, "x", seeds, "", ())


def _blocks(playlists: int = 40, tracks: int = 18, seed: int = 0) -> csr_matrix:
    """Return playlists of three genres: track i is of genre i % 3, and lower numbers are held more often."""
    generator = np.random.default_rng(seed)
    likely = 0.9 - 0.7 * np.arange(tracks) / tracks
    genres = np.arange(playlists)[:, None] % 3 == np.arange(tracks) % 3
    return csr_matrix((generator.random((playlists, tracks)) < likely * genres).astype(np.float32))


def test_popularity_by_hand() -> None:
    """Most held first, ties by number, never held last, seeds left out, -1 where nothing is left."""
    model = Popularity(csr_matrix(np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 0, 0]], np.float32)))
    ranked = model.rank([_ask(), _ask(1), _ask(1, 2, 3)], 4)
    assert ranked.tolist() == [[1, 2, 3, 0], [2, 3, 0, NOTHING], [0, NOTHING, NOTHING, NOTHING]]


def _solve(one: Values, held: Values, penalty: float) -> Values:
    """Return the exact least-squares rows of one side of ALS, given the other side: Hu et al. 2008, equation 4."""
    rows = []
    for wanted in held:
        weights = np.where(wanted > 0, ALPHA, 1.0)
        left = one.T @ (weights[:, None] * one) + penalty * np.eye(one.shape[1])
        rows.append(np.linalg.solve(left, one.T @ (weights * wanted)))
    return np.array(rows)


def test_ials_ranks_as_a_direct_solve_does() -> None:
    """Dense alternating least squares written from the paper's equation gives the same lists for unseen playlists."""
    matrix = _blocks()
    held = matrix.toarray().astype(np.float64)
    per_user = held.sum() / 40 + 18 / ALPHA
    per_item = held.sum() / 18 + 40 / ALPHA
    penalty = PENALTY * ALPHA * float(np.sqrt(per_user * per_item))
    items: Values = np.random.default_rng(0).random((18, FACTORS)) * 0.1
    for _ in range(400):
        users = _solve(items, held, penalty)
        items = _solve(users, held.T, penalty)
    questions = [_ask(0), _ask(1, 4), _ask(2, 5, 8), _ask(9, 12)]
    shown = np.zeros((len(questions), 18))
    for row, question in zip(shown, questions, strict=True):
        row[list(question.seeds)] = 1
    scores = _solve(items, shown, penalty) @ items.T
    scores[shown > 0] = -np.inf
    model = ImplicitALS(matrix, 0, Setting(ALPHA, PENALTY), factors=FACTORS, iterations=400)
    ranked = model.rank(questions, 5)
    for row, own in zip(ranked, scores, strict=True):
        best = np.sort(own)[::-1][:5]
        assert own[row] == pytest.approx(best, abs=1e-3)  # the same list, but for what is level


def test_ials_continues_a_playlist_within_its_genre() -> None:
    """Structure that popularity cannot see."""
    ranked = ImplicitALS(_blocks(), seed=0, factors=8).rank([_ask(1, 4)], 4)
    assert set((ranked % 3).ravel().tolist()) == {1}


def test_ials_without_a_known_seed_is_popularity() -> None:
    """A title alone, or a track that no training playlist holds, gets the popular tracks."""
    matrix = _blocks()
    matrix.data[matrix.indices == 17] = 0
    matrix.eliminate_zeros()
    questions = [_ask(), _ask(17)]
    ranked = ImplicitALS(matrix, seed=0, factors=4).rank(questions, 17)
    assert ranked.tolist() == Popularity(matrix).rank(questions, 17).tolist()


def test_ials_never_recommends_a_seed_and_pads_with_nothing() -> None:
    """Asked for more tracks than there are, it fills up with -1."""
    ranked = ImplicitALS(_blocks(), seed=0, factors=4).rank([_ask(0, 3)], 30)[0]
    assert sorted(ranked[ranked != NOTHING].tolist()) == sorted(set(range(18)) - {0, 3})
    assert (ranked[16:] == NOTHING).all()


def test_the_same_seed_gives_the_same_lists() -> None:
    """And a batch gives what its questions give one by one."""
    questions = [_ask(0), _ask(), _ask(1, 4), _ask(2)]
    one, two = (ImplicitALS(_blocks(), seed=3, factors=8) for _ in range(2))
    assert one.rank(questions, 10).tolist() == two.rank(questions, 10).tolist()
    assert one.rank(questions, 10).tolist() == [two.rank([question], 10)[0].tolist() for question in questions]


def test_tuning_finds_what_suits_the_dataset() -> None:
    """The setting chosen brings back the most hidden tracks, but for noise; without questions it is the default."""
    matrix = _blocks(60, 90, seed=1)
    generator = np.random.default_rng(2)
    questions = []
    for number in range(30):
        own = generator.permutation(np.arange(number % 3, 90, 3)[:20]).tolist()
        questions.append(Question(number, "5", tuple(own[:5]), "", tuple(own[5:])))
    chosen = tune(matrix, questions, seed=0)
    quality = {
        setting: ndcg(
            ImplicitALS(matrix, 0, setting, factors=64, iterations=5).rank(questions, 500),
            [question.relevant for question in questions],
            500,
        ).mean()
        for setting in GRID
    }
    assert quality[chosen] >= 0.99 * max(quality.values()) > min(quality.values())
    assert tune(matrix, [_ask()], seed=0) == GRID[0]
