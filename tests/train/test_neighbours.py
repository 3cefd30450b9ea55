"""The table of neighbours: EASE against its closed form, and what it says of tracks that few or none hold."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import train.neighbours
from train.interactions import Interactions
from train.neighbours import NeighbourTable, best_of_rows, blocks_of, neighbour_table


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


def test_beyond_so_many_playlists_rows_are_item_knn() -> None:
    """A row holds the co-occurrences, each playlist's over the root of its length, popular tracks counting less."""
    held = playlists()
    table = table_of(held, 60, most_playlists=1)
    popular = np.maximum(held.sum(0), 1) ** -0.3
    expected = (held / np.sqrt(np.maximum(held.sum(1), 1))[:, None]).T @ held * popular[:, None] * popular
    np.fill_diagonal(expected, 0)
    for track in np.flatnonzero(held.sum(0)).tolist():
        np.testing.assert_allclose(spoken(table, track, 60), expected[track], rtol=1e-5)


def test_a_row_does_not_depend_on_those_worked_out_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for next to nothing, each row is worked out by itself, and the table is the same to the last byte."""
    whole = table_of(playlists(), 10, most_playlists=1)
    monkeypatch.setattr(train.neighbours, "_PRODUCTS", 1)
    alone = table_of(playlists(), 10, most_playlists=1)
    assert alone.ids.tobytes() == whole.ids.tobytes()
    assert alone.values.tobytes() == whole.values.tobytes()


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 5), st.integers(10, 60))
def test_blocks_hold_each_row_once_and_no_more_than_fits(work: list[int], most_rows: int, room: int) -> None:
    """One after the other, of so many rows at most; only a row that does not fit by itself takes more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.neighbours, "_PRODUCTS", room)
        blocks = blocks_of(np.array(work, np.int64), most_rows)
    rows = [list(range(block.start, block.stop)) for block in blocks]
    assert [row for block in rows for row in block] == list(range(len(work)))
    for block in rows:
        assert 1 <= len(block) <= most_rows
        assert len(block) == 1 or sum(work[row] for row in block) <= room


@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=4), st.integers(1, 9))
def test_the_best_of_a_row_are_those_of_a_full_sort(rows: list[list[int]], k: int) -> None:
    """Equal ones, of which there are many here, by column; nothing that is 0."""
    columns, values = best_of_rows(sp.csr_array(np.array(rows, np.float64)), k)
    for row, found, scores in zip(rows, columns.tolist(), values.tolist(), strict=True):
        expected = sorted((-value, column) for column, value in enumerate(row) if value)[:k]
        padding = k - len(expected)
        assert found == [column for _, column in expected] + [0] * padding
        assert scores == [-value for value, _ in expected] + [0] * padding
