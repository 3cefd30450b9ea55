"""What titles say: against plain sums over playlists, and nothing of those that training does not see."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segue.text import title_grams
from train.interactions import Interactions
from train.neighbours import NeighbourTable, neighbour_table
from train.title_neighbours import with_titles

TITLES = ["Rock", "rock mix", "", "jazz", "rock", "polka"]
PLAYLISTS = [[0, 1, 2, 3], [0, 1], [4, 5], [4, 6, 7], [2], []]
TRACKS, GRAMS = 9, 64


def edges() -> Interactions:
    users = np.repeat(np.arange(len(PLAYLISTS)), [len(each) for each in PLAYLISTS])
    return Interactions.of(users, np.concatenate([np.array(each, int) for each in PLAYLISTS]), len(PLAYLISTS), TRACKS)


def table(kept: int = TRACKS) -> tuple[NeighbourTable, NeighbourTable]:
    """Return the table of the tracks alone, and with titles."""
    alone = neighbour_table(edges(), kept, 2.0, 3.0)
    return alone, with_titles(alone, edges(), TITLES, GRAMS)


def spoken(table: NeighbourTable, gram: int) -> NDArray[np.float64]:
    """Return (TRACKS,) how much an n-gram speaks for each track."""
    dense = np.zeros(TRACKS)
    row = table.row[TRACKS + gram]
    np.add.at(dense, table.ids[row], table.values[row])
    return dense


def test_an_n_gram_speaks_for_what_it_titles() -> None:
    """By the playlists that it titles, the longer the less, and the more the rarer it is."""
    bags = {row: set(title_grams(TITLES[row], GRAMS, 96).tolist()) for row in range(len(TITLES)) if PLAYLISTS[row]}
    _, titled = table()
    for gram in range(GRAMS):
        among = [row for row, bag in bags.items() if gram in bag]
        expected = np.zeros(TRACKS)
        for row in among:
            expected[PLAYLISTS[row]] += len(PLAYLISTS[row]) ** -0.5
        expected *= np.log1p(len(bags) / len(among)) / (1 + len(among)) if among else 1
        assert spoken(titled, gram).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_playlist_without_a_training_track_teaches_no_title() -> None:
    only = set(title_grams("polka", GRAMS, 96).tolist()) - {
        gram for title in TITLES[:-1] for gram in title_grams(title, GRAMS, 96).tolist()
    }
    _, titled = table()
    assert only
    assert not any(spoken(titled, gram).any() for gram in only)


def test_tracks_keep_their_rows_and_rows_their_best() -> None:
    alone, titled = table()
    assert titled.row[:TRACKS].tolist() == alone.row.tolist()
    assert titled.ids[: len(alone.ids)].tolist() == alone.ids.tolist()
    assert len(titled.row) == TRACKS + GRAMS
    cut = table(kept=2)[1]
    assert cut.values.tolist() == titled.values[:, :2].tolist()
    assert (np.diff(titled.values, axis=1) <= 0).all()


def test_without_any_title_nothing_is_said() -> None:
    untitled = with_titles(table()[0], edges(), [""] * len(TITLES), GRAMS)
    assert not any(spoken(untitled, gram).any() for gram in range(GRAMS))
