"""A ranker whose tracks stand several times ranks copies where it ranked their tracks."""

from pathlib import Path

import pytest
import torch

from benchmarks.serving.load import bodies
from benchmarks.serving.multiplied import AWAY, multiply
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import tiny_ranker, tiny_reader
from train.graph import ServingGraph

TRACKS, MORE = 300, 1000


def test_copies_stand_behind_one_another_and_score_alike(tmp_path: Path) -> None:
    """All that is known of a track is known of each, and its neighbours' votes go to the first of several."""
    loaded = tiny_encoder(tmp_path)
    single, several = tiny_ranker(loaded, TRACKS), tiny_ranker(loaded, TRACKS)
    of = multiply(several, MORE)
    assert of.tolist() == sorted(of.tolist())
    assert set(of.tolist()) == set(range(TRACKS))
    ids = torch.arange(TRACKS)
    before, bias = single.candidates(ids, single.tracks.catalogue.count == 0)
    after, same_bias = several.candidates(torch.arange(MORE), several.tracks.catalogue.count == 0)
    assert torch.equal(same_bias, bias[of])
    off = (after - before[of])[:, :-1].norm(dim=1) / single.tracks.own.weight[of].norm(dim=1)
    assert 0 < off[several.tracks.catalogue.count > 0].median() < 2 * AWAY
    assert single.kin is not None
    assert several.kin is not None
    assert torch.equal(
        several.kin.artist[:, None] == several.kin.artist, (single.kin.artist[:, None] == single.kin.artist)[of][:, of]
    )
    assert single.neighbourhood is not None
    assert several.neighbourhood is not None
    assert torch.equal(of[several.neighbourhood.ids.long()], single.neighbourhood.ids.long())
    assert ServingGraph(several.eval(), tiny_reader(loaded)).columns.shape[1] == MORE


@pytest.mark.parametrize("title", ["late night", ""])
def test_requests_are_cut_from_real_playlists(title: str) -> None:
    """Their first tracks in order, under their own title."""
    held = [f"spotify:track:{i}" for i in range(30)]
    made = [body.decode() for body in bodies((), 40, seed=0, unknown=0, playlists=[(title, held)])]
    assert all(uri in body for body in made if '"tracks": [{' in body for uri in held[:1])
    assert max(body.count("track_uri") for body in made) == 30
    assert {body.count("track_uri") for body in made} <= {0, 1, 5, 10, 25, 30}
    assert any(f'"name": "{title or "mix"}"' in body for body in made)
