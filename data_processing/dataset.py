"""Opens a dataset, the folder of docs/architecture.md, and verifies it. Light: only pyarrow and numpy are imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from segue.errors import DatasetError
from segue.files import sha256_bytes, sha256_file

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
TRACKS, PLAYLISTS, ENTRIES, SPLIT = "tracks.parquet", "playlists.parquet", "entries.parquet", "split.parquet"
LYRICS, FEATURES = "lyrics.parquet", "features.parquet"
VALIDATION_JSON, VALIDATION_HTML = "validation.json", "validation.html"
SIDES = ("train", "validation", "test")
_REQUIRED = (TRACKS, PLAYLISTS, ENTRIES, SPLIT, VALIDATION_JSON, VALIDATION_HTML)
_TOLD = ("synthetic", "seed", "counts", "sources")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk. Tables are read when asked for, each time anew: keep what you need.

    Attributes:
        path: Its folder.
        digest: ``sha256:`` and the sha256 of its manifest.
        manifest: The manifest: ``schema_version``, ``synthetic``, ``seed``, ``counts``, ``files``, ``sources``.
    """

    path: Path
    digest: str
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, verify: bool = True) -> "Dataset":
        """Return the dataset at ``path``, with every file held against the manifest's sha256.

        Args:
            path: The folder.
            verify: False skips the sha256 of the files, for a caller who has just verified them.

        Raises:
            DatasetError: There is no dataset, it is incomplete, damaged, or of another schema version.
        """
        try:
            data = (path / MANIFEST).read_bytes()
        except OSError as error:
            raise DatasetError(
                f"No dataset can be read at {path} ({error.strerror}); make one with python -m data_processing ingest."
            ) from error
        manifest = _manifest(data, path)
        for name, entry in manifest["files"].items():
            _check(path, name, entry, verify)
        return cls(path, f"sha256:{sha256_bytes(data)}", manifest)

    @property
    def synthetic(self) -> bool:
        """Whether its playlists were generated; shown wherever something of it is."""
        return bool(self.manifest["synthetic"])

    @property
    def counts(self) -> Mapping[str, int]:
        """How many ``playlists``, ``tracks``, ``entries``, and playlists of ``train``, ``validation``, ``test``."""
        return {name: int(count) for name, count in self.manifest["counts"].items()}

    def tracks(self, columns: list[str] | None = None) -> pa.Table:
        """Return ``tracks.parquet`` (one row a track, row = id), all columns or those named."""
        return self._table(TRACKS, columns)

    def playlists(self, columns: list[str] | None = None) -> pa.Table:
        """Return ``playlists.parquet`` (one row a playlist, row = number), all columns or those named."""
        return self._table(PLAYLISTS, columns)

    def entries(self, columns: list[str] | None = None) -> pa.Table:
        """Return ``entries.parquet``, sorted by playlist and position, all columns or those named."""
        return self._table(ENTRIES, columns)

    def sequences(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return (starts, tracks): playlist p holds ``tracks[starts[p]:starts[p + 1]]`` in order."""
        lengths = self._table(PLAYLISTS, ["tracks"])["tracks"].to_numpy()
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return starts, self._table(ENTRIES, ["track"])["track"].to_numpy()

    def split(self) -> NDArray[np.str_]:
        """Return each playlist's side, shape (playlists,): ``train``, ``validation`` or ``test``."""
        return np.array(self._table(SPLIT, ["split"])["split"].to_pylist(), np.str_)

    def side(self, name: str) -> NDArray[np.int64]:
        """Return the numbers of the playlists on one side of the split, rising.

        Raises:
            DatasetError: There is no side of this name.
        """
        if name not in SIDES:
            raise DatasetError(f"A dataset has no side {name!r}; its sides are {', '.join(SIDES)}.")
        return np.flatnonzero(self.split() == name)

    def lyrics(self) -> pa.Table | None:
        """Return ``lyrics.parquet`` (track, text), or None where no lyrics were joined."""
        return self._table(LYRICS, None) if LYRICS in self.manifest["files"] else None

    def features(self) -> pa.Table | None:
        """Return ``features.parquet`` (track and the joined columns), or None where none were joined."""
        return self._table(FEATURES, None) if FEATURES in self.manifest["files"] else None

    def _table(self, name: str, columns: list[str] | None) -> pa.Table:
        try:
            return pq.read_table(self.path / name, columns=columns)
        except (OSError, pa.ArrowInvalid) as error:
            raise DatasetError(
                f"{name} of the dataset at {self.path} cannot be read ({error}); ingest again."
            ) from error


def holds_only_a_dataset(folder: Path) -> bool:
    """Return whether a folder has a dataset's manifest, of any version, and no file that is none of a dataset's.

    Bundles, and many other things, have a ``manifest.json`` as well. The tables may be damaged: such a dataset is made
    again.

    Raises:
        OSError: The folder cannot be read.
    """
    if not {path.name for path in folder.iterdir()} <= {MANIFEST, LYRICS, FEATURES, *_REQUIRED}:
        return False
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"schema_version", "files", *_TOLD} <= manifest.keys()


def _manifest(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(data)
        version, files = manifest["schema_version"], manifest["files"]
        missing = [name for name in _REQUIRED if name not in files]
        missing += [name for name in _TOLD if name not in manifest]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"The manifest of the dataset at {path} is damaged ({error!r}); ingest again.") from error
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"The dataset at {path} has schema version {version}, and this Segue reads version {SCHEMA_VERSION}; "
            "ingest again."
        )
    if missing:
        raise DatasetError(f"The manifest of the dataset at {path} does not tell of {missing[0]}; ingest again.")
    return dict(manifest)


def _check(path: Path, name: str, entry: Mapping[str, Any], verify: bool) -> None:
    file = path / name
    if Path(name).name != name or not file.is_file():
        raise DatasetError(f"The dataset at {path} lacks its file {name!r}; ingest again.")
    if file.stat().st_size != entry["bytes"] or (verify and sha256_file(file) != entry["sha256"]):
        raise DatasetError(f"The file {name} of the dataset at {path} is damaged; ingest again.")
