"""How cold tracks are told from others, and how often they are found."""

import numpy as np
import pytest

from segue.query import Query
from train.cold import HitRate, hit_rates, kinds
from train.examples import Example


def test_a_track_is_cold_by_its_playlists_and_told_by_its_artist() -> None:
    """An artist is heard where another track of theirs stands in a training playlist; an unknown one never is."""
    kind = kinds(np.array([12, 3, 0, 0, 0]), np.array([7, -1, 7, 8, -1]))
    assert kind.tolist() == [
        "in 10 or more",
        "in 1 to 9 playlists",
        "cold, artist heard",
        *["cold, artist never heard"] * 2,
    ]


def test_rates_are_of_tracks_and_their_errors_of_playlists() -> None:
    """Two of three cold tracks are found; that both stand in one playlist makes the figure less sure."""
    kind = np.array(["cold", "warm"])[[1, 0, 0, 0, 1]]
    examples = [Example(Query((0,)), np.array([1, 2])), Example(Query((0,)), np.array([3, 4]))]
    rates = hit_rates(np.array([[2, 1], [0, 4]]), examples, kind)
    assert rates["cold"].n == 3
    assert rates["cold"].mean == pytest.approx(2 / 3)
    assert rates["cold"].error == pytest.approx(np.hypot(2 - 4 / 3, 2 / 3) / 3)
    assert rates["warm"] == HitRate(1, 1.0, 0.0)
    assert str(rates["warm"]).split() == ["1", "1.0000", "1.0000", "to", "1.0000"]


def test_a_kind_that_nobody_asked_about_has_no_rate() -> None:
    assert set(hit_rates(np.array([[0]]), [Example(Query(), np.array([0]))], np.array(["warm", "cold"]))) == {"warm"}
