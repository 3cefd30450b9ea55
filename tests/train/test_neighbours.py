"""The table of neighbours: EASE against its closed form, and what it says of tracks that few or none hold."""

import numpy as np
import pytest
from numpy.typing import NDArray

from train.interactions import Interactions
from train.neighbours import NeighbourTable, neighbour_table


def playlists(seed: int = 0, count: int = 40, tracks: int = 60) -> NDArray[np.float64]:
    """Return a matrix (count, tracks) of playlists of every size, with tracks that one or none of them holds."""
    rng = np.random.default_rng(seed)
    held = rng.random((count, tracks)) < 0.4 * rng.random(tracks) ** 3
    held[:, 50:] = False
    held[3, 50:54] = True
    held[5, 54:57] = True
    held[7] = False
    return held.astype(np.float64)


def table_of(held: NDArray[np.float64], kept: int, **others: int) -> NeighbourTable:
    """Return the table of a matrix of playlists, with the penalties 2 + 3 n."""
    users, items = held.nonzero()
    return neighbour_table(Interactions.of(users, items, *held.shape), kept, 2.0, 3.0, **others)


def spoken(table: NeighbourTable, track: int, tracks: int) -> NDArray[np.float64]:
    """Return (tracks,) how much ``track`` speaks for each other one."""
    dense = np.zeros(tracks)
    np.add.at(dense, table.ids[table.row[track]], table.values[table.row[track]])
    dense[track] = 0
    return dense


def closed_form(held: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return EASE's matrix B as its paper gives it."""
    inverse = np.linalg.inv(held.T @ held + np.diag(2.0 + 3.0 * held.sum(0)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def test_rows_are_ease_in_closed_form() -> None:
    """Kept whole, a row holds what the primal solution over all tracks does, wherever that is above zero."""
    held = playlists()
    table, expected = table_of(held, 60), np.maximum(closed_form(held), 0)
    for track in np.flatnonzero(held.sum(0)).tolist():
        np.testing.assert_allclose(spoken(table, track, 60).tolist(), expected[track].tolist(), atol=1e-5)


@pytest.mark.parametrize("most_playlists", [1000, 1])
def test_a_cut_row_keeps_its_best(most_playlists: int) -> None:
    """By EASE and by co-occurrence alike: the first neighbours of whole rows, falling, none of them made up."""
    held = playlists()
    whole, cut = (table_of(held, kept, most_playlists=most_playlists) for kept in (60, 5))
    assert cut.ids.shape == cut.values.shape == (len(whole.ids), 5)
    assert (np.diff(cut.values, axis=1) <= 0).all()
    np.testing.assert_allclose(cut.values, whole.values[:, :5], rtol=1e-5)


@pytest.mark.parametrize("most_playlists", [1000, 1])
def test_tracks_of_one_playlist_share_a_row(most_playlists: int) -> None:
    """They speak for each other first; a track that no playlist holds speaks for none and is spoken for by none."""
    held = playlists()
    table = table_of(held, 20, most_playlists=most_playlists)
    assert table.row.dtype == table.ids.dtype == np.int32
    assert len(set(table.row[50:54])) == 1
    assert set(np.flatnonzero(spoken(table, 54, 60))) >= {55, 56}
    assert not spoken(table, 58, 60).any()
    assert not np.isin(table.ids[table.values > 0], np.flatnonzero(held.sum(0) == 0)).any()


def test_a_rare_track_speaks_for_its_own_more_than_for_the_popular() -> None:
    """Two tracks that always come together are neighbours, however popular the tracks around them."""
    held = np.zeros((30, 12))
    held[:, 0] = held[::2, 1] = 1
    held[[4, 9, 14], 10] = held[[4, 9, 14], 11] = 1
    for most_playlists in (1000, 1):
        table = table_of(held, 3, most_playlists=most_playlists)
        assert table.ids[table.row[10], 0] == 11


def test_the_same_playlists_give_the_same_bytes() -> None:
    one, two = (table_of(playlists(), 10) for _ in range(2))
    assert one.ids.tobytes() == two.ids.tobytes()
    assert one.values.tobytes() == two.values.tobytes()
