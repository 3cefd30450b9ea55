"""What artists and albums add: to all of their tracks, by how often a playlist holds them, and to nobody else."""

import pytest
import torch
from torch import Tensor

from train.kin import Kin
from train.skeleton import ANY, CatalogueTensors, bucket_of, case_of

# Two artists of two tracks and a third of one; the last track's is unknown, and so is that of two albums.
CATALOGUE = CatalogueTensors(
    artist=torch.tensor([0, 0, 1, 1, 2, 3, 3]),
    album=torch.tensor([0, 1, 1, 0, 2, 2, 2]),
    text=torch.zeros(7, 2),
    count=torch.ones(7),
    artists=4,
    albums=3,
)


@pytest.fixture
def kin() -> Kin:
    return Kin(CATALOGUE)


def gain(kin: Kin, seeds: list[int], loudness: list[float]) -> list[float]:
    ids, loud = torch.tensor([seeds]), torch.tensor([loudness])
    weights = kin.weights(bucket_of((ids >= 0).sum(1)), loud)
    gained: Tensor = kin(torch.full((1, 7), 2.0), ids, loud, loud, weights) - 2.0
    return [round(value, 6) for value in gained[0].tolist()]


def test_it_begins_silent(kin: Kin) -> None:
    assert gain(kin, [0, 2], [1, 1]) == [0] * 7


def test_an_artists_tracks_gain_by_its_share_of_the_playlist(kin: Kin) -> None:
    """The tracks of one that made three of four seeds gain three quarters of the weight, padding nothing."""
    kin.artist_weight.fill_(2.0)
    assert gain(kin, [0, 1, 0, 2, -1], [1, 1, 1, 1, 0]) == [1.5, 1.5, 0.5, 0.5, 0, 0, 0]


def test_albums_add_to_that(kin: Kin) -> None:
    kin.artist_weight.fill_(1.0)
    kin.album_weight.fill_(4.0)
    assert gain(kin, [0, 4], [1, 1]) == [2.5, 0.5, 0, 2, 0.5, 0, 0]


def test_earlier_tracks_say_less(kin: Kin) -> None:
    """What all of them say together stays the weight."""
    kin.artist_weight.fill_(3.0)
    assert gain(kin, [0, 2], [1, 0.5]) == [2, 2, 1, 1, 0, 0, 0]


def test_who_is_unknown_has_no_kin(kin: Kin) -> None:
    kin.artist_weight.fill_(1.0)
    kin.album_weight.fill_(1.0)
    assert gain(kin, [5, 6], [1, 1]) == [0] * 7


def test_an_artist_may_speak_where_no_album_does(kin: Kin) -> None:
    kin.artist_weight.fill_(1.0)
    kin.album_weight.fill_(4.0)
    ids, loud = torch.tensor([[0, 2]]), torch.ones(1, 2)
    gained = kin(torch.zeros(1, 7), ids, loud, torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 4.0]]))
    assert gained.tolist() == [[5, 1, 1, 5, 0, 0, 0]]


def test_its_weight_goes_by_the_number_of_tracks(kin: Kin) -> None:
    kin.artist_weight[bucket_of(torch.tensor([2]))] = 1.0
    assert gain(kin, [0, 2], [1, 1]) == [0.5, 0.5, 0.5, 0.5, 0, 0, 0]
    assert gain(kin, [0, -1], [1, 0]) == [0] * 7


@pytest.mark.parametrize(("count", "ordered", "case"), [(20, 0, 6), (21, 0, ANY), (99, 0, ANY), (21, 1, 7), (99, 1, 8)])
def test_many_tracks_in_no_order_are_a_case_of_their_own(count: int, ordered: int, case: int) -> None:
    assert case_of(torch.tensor([count]), torch.tensor([ordered])).tolist() == [case]
