"""Puts parts together, in order: the same track in two parts is one, whatever the parts are cut to."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_processing.gathered import Gathered
from data_processing.rejections import Rejections

_WORDS = ("titles", "artists", "albums")


def merge(parts: Iterable[Gathered]) -> Gathered:
    """Return one `Gathered` of all, as if one had read their files one after another; parts are dropped once seen."""
    tracks, rejections = _Tracks(), Rejections()
    columns: dict[str, list[Any]] = {name: [] for name in ("source_ids", "names", "followers", "lengths", "tracks")}
    sources: dict[str, Any] = {}
    sums = dict.fromkeys(("read_playlists", "read_entries", "damaged_names", "synthetic"), 0)
    for part in parts:
        numbers = tracks.add(part)
        columns["tracks"].append(numbers[part.tracks])
        for name in ("source_ids", "names", "followers", "lengths"):
            columns[name].append(getattr(part, name))
        rejections.more(part.facts["rejections"], part.facts["examples"])
        sources |= part.facts["sources"]
        sums = {name: count + part.facts[name] for name, count in sums.items()}
    return Gathered(
        **tracks.columns(),
        source_ids=_joined(columns["source_ids"]),
        names=_joined(columns["names"]),
        followers=np.concatenate(columns["followers"], dtype=np.int32),
        lengths=np.concatenate(columns["lengths"], dtype=np.int32),
        tracks=np.concatenate(columns["tracks"], dtype=np.int32),
        facts={
            **sums,
            "synthetic": bool(sums["synthetic"]),
            "rejections": rejections.counts,
            "examples": rejections.examples,
            "sources": sources,
        },
    )


class _Tracks:
    """Numbers tracks in the order of first sight. Their words stay in Arrow's columns: only keys become Python's."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._rows: dict[str, list[pa.Array]] = {name: [] for name in ("keys", *_WORDS)}
        self._lacks = {name: np.zeros(1024, bool) for name in _WORDS}  # whether a track has no such word yet
        self._later: dict[str, dict[int, str]] = {name: {} for name in _WORDS}

    def add(self, part: Gathered) -> NDArray[np.int32]:
        """Take a part's tracks and return the number of each."""
        numbers, before = self._numbers, len(self._numbers)
        found = np.fromiter(
            (numbers.setdefault(key, len(numbers)) for key in part.keys.to_numpy(zero_copy_only=False)),
            np.int32,
            len(part.keys),
        )
        fresh = pa.array(np.flatnonzero(found >= before))
        self._rows["keys"].append(part.keys.take(fresh))
        for name in _WORDS:
            words = getattr(part, name)
            self._fill(name, words, found, before)
            self._rows[name].append(words.take(fresh))
        return found

    def _fill(self, name: str, words: pa.Array, found: NDArray[np.int32], before: int) -> None:
        """Keep words that tracks of earlier parts lacked."""
        lacks = self._lacks[name]
        if len(lacks) < len(self._numbers):
            lacks = self._lacks[name] = np.concatenate([lacks, np.zeros(len(self._numbers), bool)])
        empty = pc.equal(words, "").to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(lacks[found] & ~empty).tolist():
            self._later[name][int(found[row])] = words[row].as_py()
        lacks[found] = np.where(found < before, lacks[found] & empty, empty)

    def columns(self) -> dict[str, pa.Array]:
        """Return keys and words of all tracks."""
        columns = {name: _joined(rows) for name, rows in self._rows.items()}
        for name, later in self._later.items():
            if later:
                mask = np.zeros(len(self._numbers), bool)
                mask[list(later)] = True
                words = pa.array([later[number] for number in sorted(later)], pa.string())
                columns[name] = pc.replace_with_mask(columns[name], pa.array(mask), words)
        return columns


def _joined(arrays: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.string())
