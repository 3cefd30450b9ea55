"""EASE, in both forms, against the closed form of its paper."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.baselines.ease import DualEASE, EaseSetting, PrimalEASE, ease
from tests.evaluation.baselines.genres import Values, ask, assert_ranks_by, mixed, shown

QUESTIONS = [ask(0), ask(3, 4), ask(17, 2, 9)]
SETTINGS = [EaseSetting(5), EaseSetting(2, 0.5), EaseSetting(0.5, 3)]


def _weights(held: Values, setting: EaseSetting) -> Values:
    """Return Steck's B = 1 - P / diag(P), with a penalty that may grow with a track's count."""
    penalty = setting.penalty + setting.share * held.sum(axis=0)
    inverse = np.linalg.inv(held.T @ held + np.diag(penalty))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_both_forms_are_the_closed_form(setting: EaseSetting) -> None:
    """Regression of every track on all others: from a matrix of tracks and from one of playlists, the same lists."""
    matrix = mixed()
    scores = shown(QUESTIONS, 18) @ _weights(matrix.toarray().astype(np.float64), setting)
    assert_ranks_by(DualEASE(matrix, setting, label=""), QUESTIONS, scores, 14)
    assert_ranks_by(PrimalEASE(matrix, setting, label=""), QUESTIONS, scores, 14)


def test_a_matrix_larger_than_a_block_is_inverted_whole() -> None:
    """Both forms agree on more rows than are filled in at a time."""
    matrix = mixed(1100, 1200, seed=2)
    questions = [ask(5, 900), ask(1199)]
    one, two = DualEASE(matrix, SETTINGS[1], label=""), PrimalEASE(matrix, SETTINGS[1], label="")
    scores = shown(questions, 1200) @ _weights(matrix.toarray().astype(np.float64), SETTINGS[1])
    assert_ranks_by(one, questions, scores, 50)
    assert_ranks_by(two, questions, scores, 50)


def test_tracks_beyond_what_memory_holds_are_left_out() -> None:
    """The regression is that of the most popular tracks alone: the others say nothing and score nothing."""
    matrix = mixed(40, 30)
    head = np.argsort(-matrix.toarray().sum(axis=0), kind="stable")[:12]
    scores = np.zeros((len(QUESTIONS), 30))
    weights = _weights(matrix.toarray()[:, head].astype(np.float64), SETTINGS[0])
    scores[:, head] = shown(QUESTIONS, 30)[:, head] @ weights
    assert_ranks_by(ease(matrix, SETTINGS[0], label="", most=12), QUESTIONS, scores, 25)


@pytest.mark.parametrize(
    ("shape", "most", "form"),
    [((20, 30), 25, DualEASE), ((20, 30), 15, PrimalEASE), ((30, 20), 25, PrimalEASE), ((30, 20), 40, PrimalEASE)],
)
def test_the_form_follows_from_the_shape(shape: tuple[int, int], most: int, form: type) -> None:
    """The smaller side of the matrix, where memory holds it; else the side of tracks, cut to the popular ones."""
    matrix = csr_matrix(np.ones(shape, np.float32))
    assert type(ease(matrix, label="", most=most)) is form
