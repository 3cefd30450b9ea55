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


def gain(neighbourhood: Neighbourhood, *seeds: list[int], loudness: tuple[float, ...] = (1.0,)) -> Tensor:
    """Return what every track gains for playlists of the same padded length."""
    ids = torch.tensor(seeds)
    before = torch.full((len(seeds), 6), 2.0)
    loud = torch.tensor([loudness]) * (ids >= 0)
    gained: Tensor = neighbourhood(before, ids, loud, ids[:, :0], bucket_of((ids >= 0).sum(1))) - before
    return gained


def test_it_begins_silent() -> None:
    assert not gain(Neighbourhood(TABLE), [0, 2]).any()


def test_seeds_speak_for_their_neighbours_and_add_up(neighbourhood: Neighbourhood) -> None:
    """Track 4, which both seeds speak for, gains the most; who is nobody's neighbour gains nothing."""
    scores = gain(neighbourhood, [0, 2])[0]
    assert scores.tolist() == pytest.approx((scores[4] * torch.tensor([0, 0, 0, 1 / 6, 1, 1 / 6])).tolist(), rel=1e-5)
    assert scores[4] > 0


def test_a_quiet_seed_says_less(neighbourhood: Neighbourhood) -> None:
    """Of two that say the same the sum is 1½ times what one says; tracks that the quiet one alone names lose to it."""
    scores = gain(neighbourhood, [0, 2], loudness=(1.0, 0.5))[0]
    assert scores[[3, 4, 5]].tolist() == pytest.approx((scores[4] / 0.5 * torch.tensor([0.1, 0.5, 0.05])).tolist())


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


def test_a_title_speaks_beside_the_tracks() -> None:
    """By a weight of its own, measured by its own best ones; where that is 0 nobody hears it."""
    both = Neighbourhood(TABLE, grams=3)  # of three tracks and three n-grams, of which the first has a row
    both.title_row[0] = 1
    both.weight.fill_(1.0)
    both.title_weight[:2] = torch.tensor([2.0, 0.5])
    nobody, one, grams = torch.tensor([[-1]]), torch.tensor([[0]]), torch.tensor([[0, -1]])
    before = torch.zeros(1, 6)

    def gain(seeds: Tensor, count: int) -> Tensor:
        case = bucket_of(torch.tensor([count]))
        gained: Tensor = both(before, seeds, (seeds >= 0).float(), both.heard(grams, case), case)
        return gained

    assert both.heard(grams, bucket_of(torch.tensor([0]))).tolist() == [[0, -1]]
    assert both.heard(grams, bucket_of(torch.tensor([2]))).tolist() == [[-1, -1]]
    silent = Neighbourhood(TABLE)
    silent.weight.fill_(1.0)
    loud, alone = torch.ones(1, 1), torch.tensor([1])
    by_track = silent(before, one, loud, nobody, alone)
    assert torch.allclose(gain(nobody, 0), 2 * silent(before, torch.tensor([[2]]), loud, nobody, alone))
    assert torch.allclose(gain(one, 1), by_track + gain(nobody, 0) / 4)


def test_the_last_track_of_a_short_table_speaks_for_all_that_follow(neighbourhood: Neighbourhood) -> None:
    """Four rows say of six tracks what six rows say whose last three are the same."""
    short = Neighbourhood(NeighbourTable(TABLE.row[:4], TABLE.ids, TABLE.values))
    short.weight.fill_(1.0)
    for seeds in ([0, 2, 5], [4, 1, -1], [5, 3, 4]):
        assert torch.equal(gain(short, seeds), gain(neighbourhood, seeds))


def test_padding_and_company_move_nothing(neighbourhood: Neighbourhood) -> None:
    together = gain(neighbourhood, [0, -1, -1], [2, 0, 1], [-1, -1, -1])
    assert torch.equal(together[0], gain(neighbourhood, [0])[0])
    assert torch.equal(together[1], gain(neighbourhood, [2, 0, 1])[0])
