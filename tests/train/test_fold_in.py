"""The unrolled fold-in: as an exact solve says, redundant seeds counted once, and silent until it is weighed."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.fold_in import RIDGE, UNOBSERVED, FoldIn
from train.skeleton import BUCKETS, bucket_of

DIMENSION = 16


@pytest.fixture
def catalogue() -> Tensor:
    """Vectors of 500 tracks, some directions far longer than others."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(500, DIMENSION, generator=generator) * torch.logspace(0, -1, DIMENSION)


@pytest.fixture
def fold_in(catalogue: Tensor) -> FoldIn:
    """A fold-in of that catalogue that says everything at its own size."""
    made = FoldIn(DIMENSION)
    made.know(catalogue)
    made.weight.fill_(1.0)
    return made


def exact(catalogue: Tensor, seeds: Tensor) -> NDArray[np.float64]:
    """Return the solution (D,) of the normal equations for seeds (S, D), by numpy alone."""
    gramian, rows = (each.double().numpy() for each in (catalogue.T @ catalogue, seeds))
    system = UNOBSERVED * gramian + RIDGE * np.trace(gramian) / DIMENSION * np.eye(DIMENSION) + rows.T @ rows
    solution: NDArray[np.float64] = np.linalg.solve(system, rows.sum(0))
    return solution


def folded(fold_in: FoldIn, seeds: Tensor, present: Tensor) -> Tensor:
    """Return what playlists in order get."""
    vector: Tensor = fold_in(seeds, present, bucket_of(present.sum(1)))
    return vector


@pytest.mark.parametrize("count, tolerance", [(1, 1e-4), (2, 1e-4), (5, 0.02), (100, 0.1)])
def test_it_comes_close_to_the_exact_solution(fold_in: FoldIn, catalogue: Tensor, count: int, tolerance: float) -> None:
    """As many steps as there are seeds are exact; four are near it for a hundred."""
    seeds = catalogue[:count]
    got = folded(fold_in, seeds.unsqueeze(0), torch.ones(1, count, dtype=torch.bool))[0].double().numpy()
    wanted = exact(catalogue, seeds)
    assert np.linalg.norm(got - wanted) < tolerance * np.linalg.norm(wanted)


def test_seeds_that_repeat_each_other_are_hardly_counted_twice(fold_in: FoldIn, catalogue: Tensor) -> None:
    """Nine of one kind and one of another: both kinds are scored about alike, where a mean would drown the second."""
    one, other = torch.linalg.qr(catalogue[:DIMENSION].T).Q.T[:2]
    seeds = torch.stack([one] * 9 + [other])
    vector = folded(fold_in, seeds.unsqueeze(0), torch.ones(1, 10, dtype=torch.bool))[0]
    assert float(vector @ other) > 0.3 * float(vector @ one)
    assert float(seeds.mean(0) @ other) < 0.12 * float(seeds.mean(0) @ one)


def test_padding_and_company_move_nothing(fold_in: FoldIn, catalogue: Tensor) -> None:
    """A playlist alone and among longer ones is folded in alike, and one without tracks adds nothing."""
    present = torch.tensor([[True] * 3 + [False] * 4, [True] * 7, [False] * 7])
    together = folded(fold_in, torch.stack([catalogue[:7]] * 3), present)
    alone = folded(fold_in, catalogue[:3].unsqueeze(0), torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(together[0], alone[0], rtol=1e-4, atol=1e-5)
    assert not together[2].any()


def test_its_weight_goes_by_the_number_of_seeds(fold_in: FoldIn, catalogue: Tensor) -> None:
    """A bucket's weight scales what its playlists get; until validation has chosen one, nothing is added."""
    seeds, present = catalogue[:2].unsqueeze(0), torch.ones(1, 2, dtype=torch.bool)
    before = folded(fold_in, seeds, present)
    fold_in.weight[BUCKETS.index(2)] = 3.0
    assert torch.allclose(folded(fold_in, seeds, present), 3 * before)
    assert not folded(FoldIn(DIMENSION), seeds, present).any()
