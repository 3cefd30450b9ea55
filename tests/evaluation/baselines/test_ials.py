"""iALS against a solve written from the paper's equations."""

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.ials import IalsSetting, ImplicitALS
from tests.evaluation.baselines.genres import ask, assert_ranks_by, genres, shown

Values = NDArray[np.float64]
ALPHA, PENALTY, FACTORS = 10.0, 0.02, 3


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
    matrix = genres()
    held = matrix.toarray().astype(np.float64)
    per_user = held.sum() / 40 + 18 / ALPHA
    per_item = held.sum() / 18 + 40 / ALPHA
    penalty = PENALTY * ALPHA * float(np.sqrt(per_user * per_item))
    items: Values = np.random.default_rng(0).random((18, FACTORS)) * 0.1
    for _ in range(400):
        users = _solve(items, held, penalty)
        items = _solve(users, held.T, penalty)
    questions = [ask(0), ask(1, 4), ask(2, 5, 8), ask(9, 12)]
    scores = _solve(items, shown(questions, 18), penalty) @ items.T
    model = ImplicitALS(matrix, 0, IalsSetting(ALPHA, PENALTY), factors=FACTORS, iterations=400, label="")
    assert_ranks_by(model, questions, scores, 5)
