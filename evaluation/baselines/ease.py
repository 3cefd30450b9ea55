"""EASE (Steck 2019, Embarrassingly Shallow Autoencoders for Sparse Data), exact on either side of the matrix.

EASE predicts each track of a playlist from the others by ridge regression. With X the playlists (playlists, tracks),
the weights are B = -P / diag(P) off the diagonal and 0 on it, where P = (X'X + R)^-1 and R is a diagonal penalty.
R = penalty + share * count follows Steck 2020 (Autoencoders that don't overfit towards the Identity): it is what
leaving out entries at random while training comes to, with share = p / (1 - p).

P has a row for each track. Where there are fewer playlists than tracks the same weights come from a matrix with a row
for each playlist, by the identity of Woodbury: with K = (1 + X R^-1 X')^-1,

    B_ij = [R^-1 X' K X]_ij / (1 - d_j),    d_j = [R^-1 X' K X]_jj,

and a question's scores are its votes (seeds R^-1 X') K for the training playlists, times X, over 1 - d: neither P nor B
is ever made. So every track takes part, be there 200,000 of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.baselines.scored import Floats, Scored, Votes
from evaluation.models import Model
from evaluation.queries import Question

MOST = 12_000
"""Rows of a matrix that is inverted in a minute, if nothing else is said: 0.6 GB, and as much again on the way."""
_ROWS = 1024


@dataclass(frozen=True, slots=True)
class EaseSetting:
    """How the regression is held back.

    Attributes:
        penalty: The same for every track.
        share: Of a track's number of playlists, on top.
    """

    penalty: float = 2000
    share: float = 0

    def of(self, user_items: csr_matrix) -> Floats:
        """Return each track's penalty, (tracks,)."""
        counts = np.asarray(user_items.sum(axis=0)).ravel()
        return np.asarray(self.penalty + self.share * counts, np.float32)


def ease(user_items: csr_matrix, setting: EaseSetting = EaseSetting(), label: str = "EASE", most: int = MOST) -> Model:
    """Return EASE fitted to ``user_items`` (playlists, tracks), a matrix of ones, within memory.

    Exact with a matrix of playlists where there are fewer of them than tracks, and at most ``most``; else with a matrix
    of tracks, of the ``most`` most popular ones where there are more.
    """
    if _is_dual(user_items, most):
        return DualEASE(user_items, setting, label)
    return PrimalEASE(user_items, setting, label, most)


def ease_tracks(user_items: csr_matrix, most: int = MOST) -> int:
    """Return how many tracks take part in EASE of ``user_items`` (playlists, tracks)."""
    tracks = int(user_items.shape[1])
    return tracks if _is_dual(user_items, most) else min(tracks, most)


def _is_dual(user_items: csr_matrix, most: int) -> bool:
    playlists, tracks = user_items.shape
    return bool(playlists <= min(tracks, most))


class DualEASE(Votes):
    """EASE by a matrix of playlists: 4 playlists^2 bytes, whatever the number of tracks."""

    def __init__(self, user_items: csr_matrix, setting: EaseSetting, label: str = "EASE") -> None:
        """Fit to ``user_items`` (playlists, tracks), a matrix of ones."""
        super().__init__(user_items, label)
        penalty = setting.of(self.held)
        self._weighed = csr_matrix(self.held.multiply(1 / penalty), dtype=np.float32)  # (playlists, tracks)
        self._inverse = _inverse(_product(self._weighed, self.held), np.ones(self.held.shape[0], np.float32))
        self.worth = (1 / (1 - self._diagonal() / penalty)).astype(np.float32)

    def _diagonal(self) -> Floats:
        """Return the diagonal of X' K X: the sum of K over all pairs of playlists that hold a track."""
        ends, rows = self._holders.indptr, self._holders.indices
        held = (rows[start:end] for start, end in pairwise(ends))
        return np.array([self._inverse[np.ix_(one, one)].sum() for one in held], np.float32)

    def _votes(self, questions: Sequence[Question]) -> Floats:
        shared = (self._shown(questions) @ self._weighed.T).toarray()  # (n, playlists)
        return np.asarray(shared @ self._inverse, np.float32)


class PrimalEASE(Scored):
    """EASE by a matrix of tracks: 4 ``most``^2 bytes; less known tracks neither count as seeds nor are predicted."""

    def __init__(self, user_items: csr_matrix, setting: EaseSetting, label: str = "EASE", most: int = MOST) -> None:
        """Fit to the ``most`` most popular tracks of ``user_items`` (playlists, tracks), a matrix of ones."""
        super().__init__(user_items, label)
        known = self.held[:, :most]
        columns = known.T.tocsr()
        weights = _inverse(_product(columns, columns), setting.of(known))
        weights /= -weights.diagonal().copy()
        np.fill_diagonal(weights, 0)
        self._weights = weights  # (most, most)

    def _scores(self, questions: Sequence[Question]) -> Floats:
        shown = self._shown(questions)
        scores = np.zeros(shown.shape, np.float32)
        scores[:, : len(self._weights)] = shown[:, : len(self._weights)] @ self._weights
        return scores


def _product(one: csr_matrix, other: csr_matrix) -> Floats:
    """Return one @ other.T, dense, a few rows at a time: as a sparse matrix it would take three times the memory."""
    found = np.empty((one.shape[0], other.shape[0]), np.float32)
    turned = other.T.tocsr()
    for start in range(0, len(found), _ROWS):
        found[start : start + _ROWS] = (one[start : start + _ROWS] @ turned).toarray()
    return found


def _inverse(gram: Floats, diagonal: NDArray[np.float32]) -> Floats:
    """Return the inverse of the positive definite ``gram`` + ``diagonal``, in the place of ``gram``."""
    gram.flat[:: len(gram) + 1] += diagonal
    with threadpool_limits(1, "blas"):
        factor, _ = spotrf(gram.T, lower=True, overwrite_a=True)  # LAPACK's rows are our columns
        half, _ = spotri(factor, lower=True, overwrite_c=True)
    found: Floats = half.T  # whose upper triangle is the inverse's
    for start in range(0, len(found), _ROWS):
        rows = slice(start, start + _ROWS)
        found[rows, :start] = found[:start, rows].T
        corner = np.triu(found[rows, rows])
        found[rows, rows] = corner + np.triu(corner, 1).T
    return found
