"""Reading datasets by their contract."""

import json
from pathlib import Path

import pytest

from evaluation.dataset import Dataset, Playlist
from segue.errors import DatasetError
from tests.evaluation.tiny_dataset import write_dataset
from tests.support.tiny_bundle import tiny_tracks

PLAYLISTS = [("rock", [3, 0, 6]), ("", [1]), ("🎷", [4, 1, 7, 2]), ("more rock", [0, 3])]
SPLITS = ["train", "test", "test", "train"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "dataset", tiny_tracks(8), PLAYLISTS, SPLITS)
    return tmp_path / "dataset"


def test_a_dataset_reads_as_it_was_written(folder: Path) -> None:
    """Playlists in order with names and tracks, tracks by number, training playlists as a matrix of ones."""
    dataset = Dataset.open(folder)
    assert dataset.playlists("test") == [Playlist(1, "", (1,)), Playlist(2, "🎷", (4, 1, 7, 2))]
    assert dataset.playlists("validation") == []
    assert dataset.tracks([7, 1]) == {1: tiny_tracks()[1], 7: tiny_tracks()[7]}
    assert dataset.matrix("train").toarray().tolist() == [[1, 0, 0, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0, 0, 0]]
    assert dataset.synthetic


def test_the_digest_is_the_manifests(tmp_path: Path) -> None:
    """The name by which a bundle knows its dataset."""
    digest = write_dataset(tmp_path, tiny_tracks(8), PLAYLISTS, SPLITS)
    assert Dataset.open(tmp_path).digest == digest


@pytest.mark.parametrize("name", ["tracks.parquet", "playlists.parquet", "entries.parquet", "split.parquet"])
def test_a_changed_or_missing_file_is_named(folder: Path, name: str) -> None:
    """A byte more and the file is damaged; without it the dataset is incomplete."""
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data + b"\0")
    with pytest.raises(DatasetError, match=rf"{name} of the dataset .* is damaged"):
        Dataset.open(folder)
    (folder / name).unlink()
    with pytest.raises(DatasetError, match=rf"lacks its file {name}"):
        Dataset.open(folder)


@pytest.mark.parametrize(
    "text, sentence", [("{", "is damaged"), ("[]", "is damaged"), ("{}", "is damaged"), (None, "No dataset can be")]
)
def test_a_damaged_or_missing_manifest_is_said(folder: Path, text: str | None, sentence: str) -> None:
    """There is no digest without a manifest."""
    (folder / "manifest.json").unlink()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        Dataset.open(folder)


def test_another_schema_is_refused(folder: Path) -> None:
    """A dataset of a later Segue is not guessed at."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}))
    with pytest.raises(DatasetError, match="schema version 2, not 1"):
        Dataset.open(folder)
