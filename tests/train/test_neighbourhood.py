"""What neighbours add to scores: to those that the seeds speak for, and to nobody where no seed has a past."""

import numpy as np
import pytest
import torch
from torch import Tensor

from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable
from train.skeleton import bucket_of

# Tracks 0 and 1 share a row, 2 has its own, and 3 to 5 have no past.
TABLE = NeighbourTable(
    row=np.array([0, 0, 1, 2, 2, 2], np.int32),
    ids=np.array([[4, 3, 0], [4, 5, 0], [0, 0, 0]], np.int32),
    values=np.array([[0.4, 0.1, 0.0], [0.2, 0.1, 0.0], [0.0, 0.0, 0.0]], np.float32),
)


@pytest.fixture
def neighbourhood() -> Neighbourhood:
    made = Neighbourhood(TABLE)
    made.weight.fill_(1.0)
    return made


def gain(neighbourhood: Neighbourhood, *seeds: list[int]) -> Tensor:
    """Return what every track gains for playlists of the same padded length."""
    ids = torch.tensor(seeds)
    before = torch.full((len(seeds), 6), 2.0)
    gained: Tensor = neighbourhood(before, ids, (ids >= 0).sum(1)) - before
    return gained


def test_it_begins_silent() -> None:
    assert not gain(Neighbourhood(TABLE), [0, 2]).any()


def test_seeds_speak_for_their_neighbours_and_add_up(neighbourhood: Neighbourhood) -> None:
    """Track 4, which both seeds speak for, gains the most; who is nobody's neighbour gains nothing."""
    scores = gain(neighbourhood, [0, 2])[0]
    assert scores.tolist() == pytest.approx((scores[4] * torch.tensor([0, 0, 0, 1 / 6, 1, 1 / 6])).tolist(), rel=1e-5)
    assert scores[4] > 0


def test_many_seeds_say_it_no_louder_than_one(neighbourhood: Neighbourhood) -> None:
    """Scores are measured by their best ones: two seeds of one row say what one does."""
    assert torch.allclose(gain(neighbourhood, [0, 1]), gain(neighbourhood, [0, -1]))


def test_its_weight_goes_by_the_number_of_seeds(neighbourhood: Neighbourhood) -> None:
    neighbourhood.weight[bucket_of(torch.tensor([2]))] = 3.0
    assert torch.allclose(gain(neighbourhood, [0, 1]), 3 * gain(neighbourhood, [0, -1]))


@pytest.mark.parametrize("seeds", [[-1, -1], [3, 5]])
def test_without_a_past_nobody_gains(neighbourhood: Neighbourhood, seeds: list[int]) -> None:
    """Neither for padding alone nor for tracks that no playlist holds."""
    assert not gain(neighbourhood, seeds).any()


def test_padding_and_company_move_nothing(neighbourhood: Neighbourhood) -> None:
    together = gain(neighbourhood, [0, -1, -1], [2, 0, 1], [-1, -1, -1])
    assert torch.equal(together[0], gain(neighbourhood, [0])[0])
    assert torch.equal(together[1], gain(neighbourhood, [2, 0, 1])[0])
