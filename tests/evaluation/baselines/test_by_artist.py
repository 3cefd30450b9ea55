"""Baselines of artists: known by their artists, tracks without a past are named too."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.baselines.by_artist import ByArtist
from evaluation.baselines.item_knn import ItemKNN
from evaluation.baselines.nearest import TitleKNN
from tests.evaluation.baselines.genres import ask

ARTISTS = [(0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,), ()]
"""Of nine tracks; playlists hold the even ones below 6 alone, artists 0 and 1 together."""
HELD = csr_matrix(np.array([[1, 0, 1, 0, 0, 0, 0, 0, 0]] * 3 + [[0, 0, 0, 0, 1, 0, 0, 0, 0]] * 5, np.float32))


def by_items() -> ByArtist:
    return ByArtist(HELD, ARTISTS, lambda held: ItemKNN(held, label=""), "")


def test_a_track_without_a_past_stands_behind_its_artists_others() -> None:
    """First what the seed's artist and the one beside it have, then the rest by popularity."""
    ranked = by_items().rank([ask(0)], 8)[0].tolist()
    assert set(ranked[:3]) == {1, 2, 3}
    assert ranked.index(2) < ranked.index(3)
    assert ranked[3:] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(("seed", "first"), [(6, 7), (8, 4)])
def test_a_seed_whose_artist_nobody_heard(seed: int, first: int) -> None:
    """Its artist's other track is named first all the same; a seed without an artist says nothing."""
    assert by_items().rank([ask(seed)], 1).tolist() == [[first]]


def test_titles_name_artists_too() -> None:
    """The playlists of the nearest titles vote for their artists, whose unheard tracks come with them."""
    titles = ["calm"] * 3 + ["loud"] * 5
    model = ByArtist(HELD, ARTISTS, lambda held: TitleKNN(held, titles, label=""), "")
    assert set(model.rank([ask(title="calm")], 4)[0].tolist()) == {0, 1, 2, 3}
    assert model.rank([ask(title="loud")], 2).tolist() == [[4, 5]]
