"""What judging reads of a dataset folder: its tracks, the playlists held out and those that baselines learn from.

The files are the contract (docs/architecture.md); every file that is read is held against the manifest's sha256 first.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from segue.errors import DatasetError
from segue.files import sha256_bytes, sha256_file
from segue.track import Track

SCHEMA_VERSION = 1
_MANIFEST = "manifest.json"
_COLUMNS = {
    "tracks.parquet": ("track", "uri", "title", "artist", "album", "artist_id"),
    "playlists.parquet": ("playlist", "name"),
    "entries.parquet": ("playlist", "track"),
    "split.parquet": ("playlist", "split"),
}
_FEATURES = "features.parquet"
_MARKS = re.compile(r"[,;|]")


@dataclass(frozen=True, slots=True)
class Playlist:
    """One playlist of the dataset: its number, its name as given ("" without one) and its track numbers in order."""

    number: int
    name: str
    tracks: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """A verified dataset. Only `Dataset.open` makes one.

    Attributes:
        digest: ``sha256:`` and 64 hex digits of its manifest.
        synthetic: Whether its playlists were generated.
        tables: File name to the columns that judging reads.
    """

    digest: str
    synthetic: bool
    tables: dict[str, pa.Table]

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Read the dataset folder at ``path``.

        Raises:
            DatasetError: A file is missing, is not what the manifest lists, or lacks a column.
        """
        try:
            data = (path / _MANIFEST).read_bytes()
            manifest = json.loads(data)
            version, listed = manifest["schema_version"], manifest["files"]
        except OSError as error:
            raise DatasetError(f"No dataset can be read at {path} ({error}); name a folder with a manifest.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"The manifest of the dataset {path} is damaged ({error!r}); ingest again.") from error
        if version != SCHEMA_VERSION:
            raise DatasetError(f"The dataset {path} has schema version {version}, not {SCHEMA_VERSION}; ingest again.")
        tables = {name: _read(path / name, listed, columns) for name, columns in _COLUMNS.items()}
        if _FEATURES in listed:
            tables[_FEATURES] = _read(path / _FEATURES, listed, None)
        return cls(f"sha256:{sha256_bytes(data)}", bool(manifest.get("synthetic")), tables)

    @property
    def track_count(self) -> int:
        """How many tracks the catalogue of the dataset holds."""
        return int(self.tables["tracks.parquet"].num_rows)

    def tracks(self, numbers: Sequence[int]) -> dict[int, Track]:
        """Return the tracks with these numbers, by number."""
        rows = self.tables["tracks.parquet"].take(self._row_of_track[np.asarray(numbers, np.int64)]).to_pylist()
        return {row["track"]: Track(row["uri"], row["title"], row["artist"], row["album"]) for row in rows}

    def artists(self) -> list[tuple[int, ...]]:
        """Return the artist of each track by number, as one id or, where it is unknown, none."""
        ids = _integers(self.tables["tracks.parquet"], "artist_id")[self._row_of_track]
        return [(number,) if number >= 0 else () for number in ids.tolist()]

    def genres(self) -> list[frozenset[str]] | None:
        """Return the genres of each track by number, or None where the dataset was ingested without any."""
        table = self.tables.get(_FEATURES)
        if table is None or "genres" not in table.column_names:
            return None
        found: list[frozenset[str]] = [frozenset()] * self.track_count
        for track, text in zip(table["track"].to_pylist(), table["genres"].to_pylist(), strict=True):
            names = {part.strip(" []'\"").casefold() for part in _MARKS.split(text or "")}
            found[track] = frozenset(names - {""})
        return found

    def playlists(self, split: str) -> list[Playlist]:
        """Return the playlists of one side of the split, in the order of their numbers."""
        names = self.tables["playlists.parquet"]
        name_of = dict(zip(names["playlist"].to_pylist(), names["name"].to_pylist(), strict=True))
        playlist, track = self._entries
        chosen = np.sort(self._numbers(split))
        starts, ends = np.searchsorted(playlist, chosen), np.searchsorted(playlist, chosen, side="right")
        return [
            Playlist(int(number), name_of.get(int(number)) or "", tuple(track[start:end].tolist()))
            for number, start, end in zip(chosen, starts, ends, strict=True)
        ]

    def matrix(self, split: str) -> csr_matrix:
        """Return the playlists of a split as a sparse matrix of ones, shape (playlists, tracks), float32."""
        playlist, track = self._entries
        chosen = np.sort(self._numbers(split))
        inside = np.isin(playlist, chosen)
        rows = np.searchsorted(chosen, playlist[inside])
        ones = np.ones(len(rows), np.float32)
        return csr_matrix((ones, (rows, track[inside])), shape=(len(chosen), self.track_count))

    def _numbers(self, split: str) -> NDArray[np.int64]:
        table = self.tables["split.parquet"]
        return _integers(table.filter(compute.equal(table["split"], split)), "playlist")

    @cached_property
    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        table = self.tables["entries.parquet"]
        return _integers(table, "playlist"), _integers(table, "track")

    @cached_property
    def _row_of_track(self) -> NDArray[np.int64]:
        return np.argsort(_integers(self.tables["tracks.parquet"], "track"), kind="stable")


def _integers(table: pa.Table, column: str) -> NDArray[np.int64]:
    return np.asarray(table[column].to_numpy(), np.int64)


def _read(file: Path, listed: dict[str, Any], columns: Sequence[str] | None) -> pa.Table:
    name = file.name
    if name not in listed or not file.is_file():
        raise DatasetError(f"The dataset {file.parent} lacks its file {name}; ingest the playlists again.")
    if sha256_file(file) != listed[name].get("sha256"):
        raise DatasetError(f"The file {name} of the dataset {file.parent} is damaged; ingest the playlists again.")
    try:
        return parquet.read_table(file, columns=None if columns is None else list(columns))
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise DatasetError(f"The file {name} of the dataset {file.parent} cannot be read ({error}).") from error
