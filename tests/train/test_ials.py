"""iALS: each half-step against the normal equations written out, and factors that find a planted structure."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.train.test_lightgcn import planted
from train.ials import IalsSettings, ials, solve
from train.ials_start import ials_start
from train.interactions import Interactions


def objective(matrix: np.ndarray, rows: torch.Tensor, columns: torch.Tensor, settings: IalsSettings) -> float:
    """What iALS minimises, over the dense matrix."""
    w, h = rows.double().numpy(), columns.double().numpy()
    scores, (n, m) = w @ h.T, matrix.shape
    penalties = (matrix.sum(1) + settings.unobserved * m, matrix.sum(0) + settings.unobserved * n)
    observed = (matrix * (1 - scores) ** 2).sum() + settings.unobserved * (scores**2).sum()
    return float(
        observed + settings.penalty * sum((p * (v**2).sum(1)).sum() for p, v in zip(penalties, (w, h), strict=True))
    )


@pytest.mark.parametrize("dimension", [4, 64])
def test_solve_gives_the_minimum_over_one_side(dimension: int) -> None:
    """A w = b written out row by row, with more and with fewer entries than dimensions; an empty row is zero."""
    rng = np.random.default_rng(0)
    dense = (rng.random((30, 50)) < rng.random((30, 1)) * 0.6).astype(np.float32)
    dense[3] = 0
    other = torch.from_numpy(rng.normal(size=(50, dimension)).astype(np.float32))
    settings = IalsSettings(dimension, unobserved=0.2, penalty=0.1)
    h = other.double().numpy()
    expected = []
    for row in dense:
        penalty = settings.penalty * (row.sum() + settings.unobserved * 50)
        system = h.T @ (row[:, None] * h) + settings.unobserved * h.T @ h + penalty * np.eye(dimension)
        expected.append(np.linalg.solve(system, h.T @ row))
    solved = solve(sp.csr_array(dense), other, settings)
    np.testing.assert_allclose(solved.numpy(), np.array(expected), atol=2e-5)
    assert not solved[3].any()


def test_each_sweep_lowers_the_objective() -> None:
    """The minimum over one side at a time never rises."""
    matrix = sp.csr_array(planted().matrix())
    values = []
    for sweeps in (1, 2, 4, 8):
        settings = IalsSettings(8, sweeps=sweeps)
        values.append(objective(matrix.toarray(), *ials(matrix, settings, seed=0), settings))
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_who_has_a_track_is_brought_near_its_artists_other_tracks_and_artists_get_vectors() -> None:
    """Items 0 and 2 share no user, but an artist: who has one comes near the other only where artists are columns."""
    users, items = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([0, 1, 2, 3, 0, 4, 2, 5])
    graph = Interactions.of(users, items, 4, 6)
    group = np.array([0, 1, 0, 2, -1, -1])  # items 0 and 2 are of one artist

    def nearness(belongings: tuple[np.ndarray, ...]) -> float:
        start = ials_start(graph, 4, 0, belongings)
        assert [len(each) for each in start.groups] == [3] * len(belongings)
        return float(torch.cosine_similarity(start.nodes[0], start.nodes[6], dim=0))

    assert nearness((group,)) > nearness(()) + 0.05
