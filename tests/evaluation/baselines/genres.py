"""Playlists small enough for dense arithmetic, questions about them, and what a ranking must look like."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.models import Model
from evaluation.queries import Question

Values = NDArray[np.float64]


def ask(*seeds: int, title: str = "") -> Question:
    """Return a question of these seeds and this title."""
    return Question(0, "x", seeds, title, ())


def genres(playlists: int = 40, tracks: int = 18, seed: int = 0) -> csr_matrix:
    """Return playlists of three genres: track i is of genre i % 3, and lower numbers are held more often."""
    generator = np.random.default_rng(seed)
    likely = 0.9 - 0.7 * np.arange(tracks) / tracks
    of_genre = np.arange(playlists)[:, None] % 3 == np.arange(tracks) % 3
    return csr_matrix((generator.random((playlists, tracks)) < likely * of_genre).astype(np.float32))


def mixed(playlists: int = 40, tracks: int = 18, seed: int = 0) -> csr_matrix:
    """Return playlists of random tracks, lower numbers more often, so that nearly all pairs occur."""
    generator = np.random.default_rng(seed)
    likely = 0.7 - 0.6 * np.arange(tracks) / tracks
    return csr_matrix((generator.random((playlists, tracks)) < likely).astype(np.float32))


def shown(questions: Sequence[Question], tracks: int) -> Values:
    """Return the seeds as a dense matrix of ones, (n, tracks)."""
    rows = np.zeros((len(questions), tracks))
    for row, question in zip(rows, questions, strict=True):
        row[list(question.seeds)] = 1
    return rows


def assert_ranks_by(model: Model, questions: Sequence[Question], scores: Values, k: int) -> None:
    """Check that the model's ``k`` tracks have the highest of ``scores`` (n, tracks), in order, no seeds among them."""
    scores = np.where(shown(questions, scores.shape[1]) > 0, -np.inf, scores)
    for row, own in zip(model.rank(questions, k), scores, strict=True):
        best = np.sort(own)[::-1][:k]
        assert own[row] == pytest.approx(best, rel=1e-3, abs=1e-4)  # the same list, but for what is level
