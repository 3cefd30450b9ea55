"""What stages read of a dataset: one split's playlists, all of them or so many, evenly spread."""

import numpy as np
import pytest

import data_processing.__main__ as data_command
from data_processing.dataset import Dataset
from train.inputs import playlists_of


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Forty playlists of three tracks each, which no other has."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [f"p{playlist},t{playlist}-{track},a" for playlist in range(40) for track in range(3)]
    (folder / "plays.csv").write_text("\n".join(["playlist,track,artist", *rows]))
    shares = ["--validation", "0.2", "--test", "0.2"]
    assert data_command.main(["ingest", str(folder / "plays.csv"), "--output", str(folder / "dataset"), *shares]) == 0
    return Dataset.open(folder / "dataset")


def test_a_split_s_playlists_come_whole(dataset: Dataset) -> None:
    """Each with its tracks and title, and the catalogue's words beside them."""
    sides = [playlists_of(dataset, split) for split in ("train", "validation", "test")]
    titles = [title for side in sides for title in side.titles]
    assert sorted(titles) == sorted(f"p{i}" for i in range(40))
    for side in sides:
        for tracks, title in zip(side.tracks, side.titles, strict=True):
            assert {side.words[track] for track in tracks} == {f"t{title[1:]}-{i} by a" for i in range(3)}


def test_a_bound_takes_playlists_from_all_over_a_split(dataset: Dataset) -> None:
    """The first and the last are among them, and none is there twice; a bound that is not reached changes nothing."""
    every, some = playlists_of(dataset, "train"), playlists_of(dataset, "train", most=7)
    rows = [list(every.titles).index(title) for title in some.titles]
    assert (len(rows), rows[0], rows[-1]) == (7, 0, len(every) - 1)
    assert max(np.diff(rows)) <= min(np.diff(rows)) + 1
    assert min(np.diff(rows)) > 0
    assert playlists_of(dataset, "train", most=len(every)).titles == every.titles
