import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_processing.dataset import Dataset
from data_processing.ingest import ingest
from segue.errors import DatasetError
from segue.files import sha256_file
from tests.data_processing.made_up import playlist, write_slice


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    path = write_slice(tmp_path / "mpd.slice.0-9.json", [playlist(0, [1, 2, 3]), playlist(1, [3, 4])])
    return ingest([path], tmp_path / "dataset")


def test_the_digest_is_that_of_the_manifest(dataset: Dataset) -> None:
    """`sha256:` and the sha256 of manifest.json, which vouches for every other file."""
    assert Dataset.open(dataset.path).digest == f"sha256:{sha256_file(dataset.path / 'manifest.json')}"
    listed = set(dataset.manifest["files"])
    assert listed == {path.name for path in dataset.path.iterdir()} - {"manifest.json"}


@pytest.mark.parametrize("name", ["tracks.parquet", "entries.parquet", "split.parquet", "validation.html"])
def test_a_changed_byte_is_found(dataset: Dataset, name: str) -> None:
    """Any file, any byte."""
    file = dataset.path / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DatasetError, match=f"The file {name} of the dataset at .* is damaged; ingest again"):
        Dataset.open(dataset.path)
    Dataset.open(dataset.path, verify=False)


def test_a_missing_file_and_a_missing_dataset(dataset: Dataset, tmp_path: Path) -> None:
    """Both name what is missing and the cure."""
    (dataset.path / "split.parquet").unlink()
    with pytest.raises(DatasetError, match=r"lacks its file 'split.parquet'"):
        Dataset.open(dataset.path, verify=False)
    with pytest.raises(DatasetError, match="make one with python -m data_processing ingest"):
        Dataset.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 2}, "has schema version 2, and this Segue reads version 1"),
        ({"files": {}}, "does not tell of tracks.parquet"),
        ({"files": None}, "is damaged"),
    ],
)
def test_another_manifest_is_refused(dataset: Dataset, change: dict[str, object], sentence: str) -> None:
    """A later schema, or a manifest that does not list the tables."""
    manifest = dataset.path / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(DatasetError, match=sentence):
        Dataset.open(dataset.path)


def test_sequences_and_sides(dataset: Dataset) -> None:
    """The playlists as flat arrays, and the numbers of each side, which together are all."""
    starts, tracks = dataset.sequences()
    assert starts.tolist() == [0, 3, 5]
    assert tracks.tolist() == dataset.entries()["track"].to_pylist()
    sides = [dataset.side(name) for name in ("train", "validation", "test")]
    assert sorted(np.concatenate(sides).tolist()) == [0, 1]
    with pytest.raises(DatasetError, match="no side 'holdout'"):
        dataset.side("holdout")


def test_opening_is_light() -> None:
    """Other rooms open datasets: no data frame library, no reader and no torch comes along."""
    code = "import sys, data_processing.dataset; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "pandas", "torch", "implicit", "tqdm", "yaml"} & set(done.stdout.split())
