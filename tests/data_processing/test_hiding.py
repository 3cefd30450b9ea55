"""What training never sees, and what stays known of it."""

from pathlib import Path

import numpy as np
import pytest

from data_processing.dataset import Dataset
from data_processing.ingest import Options, ingest
from segue.errors import InputError
from tests.data_processing.made_up import playlist, write_slice


def made(tmp_path: Path, hide_tracks: float, seed: int = 0, lists: list[list[int]] | None = None) -> Dataset:
    """Return a dataset of 150 playlists over 400 tracks, a fifth of them held out."""
    random = np.random.default_rng(7)
    lists = lists or [random.choice(400, 15, replace=False).tolist() for _ in range(150)]
    path = write_slice(tmp_path / "mpd.slice.0-9.json", [playlist(i, tracks) for i, tracks in enumerate(lists)])
    options = Options(seed=seed, validation=0.1, test=0.1, hide_tracks=hide_tracks)
    return ingest([path], tmp_path / f"{hide_tracks}-{seed}", options)


def shown(dataset: Dataset, side: str) -> set[str]:
    """Return the URIs of the tracks that playlists of a side hold."""
    uris = dataset.tracks(["uri"])["uri"].to_pylist()
    starts, tracks = dataset.sequences()
    return {uris[track] for one in dataset.side(side) for track in tracks[starts[one] : starts[one + 1]]}


def test_hidden_tracks_are_held_out_and_stay_in_the_catalogue(tmp_path: Path) -> None:
    """They have no training playlist and all their words; whoever judges asks for them as before."""
    whole, hidden = made(tmp_path, 0.0), made(tmp_path, 0.2)
    assert set(hidden.tracks(["uri"])["uri"].to_pylist()) == set(whole.tracks(["uri"])["uri"].to_pylist())
    assert shown(hidden, "test") == shown(whole, "test")
    gone = shown(whole, "train") - shown(hidden, "train")
    assert 0.1 < len(gone) / 400 < 0.3
    counts = dict(zip(*(hidden.tracks([name])[name].to_pylist() for name in ("uri", "train_count")), strict=True))
    assert {counts[uri] for uri in gone} == {0}


def test_the_draw_is_the_seeds(tmp_path: Path) -> None:
    """The same seed hides the same tracks; another one others; nothing asked for, nothing hidden."""
    first, again, other = made(tmp_path, 0.2), made(tmp_path / "again", 0.2), made(tmp_path, 0.2, seed=1)
    assert first.digest == again.digest
    assert shown(first, "train") != shown(other, "train")


def test_a_playlist_that_hardly_anything_is_left_of_does_not_teach(tmp_path: Path) -> None:
    """Playlists of two tracks lose one or both; those that are left have two."""
    lists = [[2 * i, 2 * i + 1] for i in range(200)]
    dataset = made(tmp_path, 0.3, lists=lists)
    starts, _ = dataset.sequences()
    assert np.diff(starts).min() == 2
    assert 60 < len(dataset.side("train")) < 110  # .7 * .7 of some 160


def test_hiding_all_is_refused(tmp_path: Path) -> None:
    """Where every playlist teaches and none is left, the sentence names the option."""
    path = write_slice(tmp_path / "mpd.slice.0-9.json", [playlist(0, [1, 2, 3])])
    with pytest.raises(InputError, match=r"--hide-tracks 0\.99 leaves no playlist with two tracks; hide fewer"):
        ingest([path], tmp_path / "out", Options(validation=0, test=0, hide_tracks=0.99))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    """With the option's name."""
    with pytest.raises(InputError, match="--hide-tracks"):
        Options(hide_tracks=share)
