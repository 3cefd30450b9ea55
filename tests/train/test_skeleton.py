"""Tracks as candidates, through `TrackVectors`."""

import torch

from tests.support.tiny_bert import WIDTH
from tests.support.tiny_ranker import DIMENSION, tiny_catalogue
from train.projector_model import Projector
from train.skeleton import UNSEEN, Start, TrackVectors


def test_a_track_without_a_past_is_worth_a_little_more_than_one_whose_past_is_hidden() -> None:
    """Both are read by their words; what nobody has heard yet gets the same on top in every skeleton's share."""
    torch.manual_seed(0)
    catalogue = tiny_catalogue(600)
    start = Start(*(torch.randn(n, DIMENSION) for n in (600, catalogue.artists, catalogue.albums)))
    tracks = TrackVectors(catalogue, start, Projector(WIDTH, DIMENSION, 64))
    everything = torch.arange(600)
    _, bias = tracks.candidates(everything, torch.ones(600, dtype=torch.bool))
    cold = catalogue.count == 0
    assert cold.any()
    assert not cold.all()
    assert torch.equal(bias, torch.where(cold, tracks.hidden_bias + UNSEEN, tracks.hidden_bias))
