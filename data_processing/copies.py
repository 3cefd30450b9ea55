"""Finds playlists that are copies of one another, so that a split cannot put them on two sides."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from data_processing.processes import cores

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Tracks = NDArray[np.int32]
SAME = 0.8
"""Jaccard similarity of two playlists' tracks above which they count as copies."""
_BANDS, _ROWS = 8, 4  # two playlists at Jaccard .8 meet in some band with probability 1 - (1 - .8^4)^8 = .985
_SEED = 0x5E60E
_AT_ONCE = 1 << 20  # entries whose hashes are gathered together: they stay in a core's cache until they are reduced


def track_hashes(uris: Iterable[str]) -> Hashes:
    """Return 64 bits of BLAKE2b of each URI, shape (tracks,): the same in every dataset that holds the track."""
    digests = b"".join(hashlib.blake2b(uri.encode(), digest_size=8).digest() for uri in uris)
    return np.frombuffer(digests, "<u8")


def content_keys(hashes: Hashes, starts: Ints, tracks: Tracks | None = None) -> Hashes:
    """Return one number for each playlist's set of tracks, whatever their order, shape (playlists,).

    Args:
        hashes: Of each entry's track, by playlist, shape (entries,); or, with ``tracks``, of each track.
        starts: Where each playlist begins, shape (playlists + 1,); none is empty.
        tracks: The entries' tracks, shape (entries,), to save the memory that a hash for each entry takes.
    """
    return _reduced(np.add, _mix(hashes), starts, tracks)


def copy_groups(hashes: Hashes, starts: Ints, tracks: Tracks | None = None) -> Ints:
    """Return each playlist's group, shape (playlists,), the lowest number of a playlist in it.

    Playlists whose tracks have a Jaccard similarity above `SAME` share a group, found by MinHash with banding
    (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3) and checked exactly. Equal sets are always found;
    a pair just above the threshold is missed in about one case of seventy. Arguments are those of `content_keys`.
    """
    parent = list(range(len(starts) - 1))
    for left, right in _candidates(hashes, starts, tracks):
        a, b = _root(parent, left), _root(parent, right)
        if a != b and _jaccard(hashes, starts, tracks, left, right) > SAME:
            parent[max(a, b)] = min(a, b)
    return np.array([_root(parent, i) for i in range(len(parent))], np.int64)


def _mix(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers, the same way everywhere (the finaliser of splitmix64)."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _candidates(hashes: Hashes, starts: Ints, tracks: Tracks | None) -> Iterable[tuple[int, int]]:
    """Return pairs that agree in a whole band of their signatures: each with the first and the one before it."""
    if len(starts) < 3:
        return []
    salts = np.random.default_rng(_SEED).integers(1, 2**63, _BANDS * _ROWS, np.uint64)
    pairs: dict[tuple[int, int], None] = {}

    def band_keys(band: Hashes) -> Hashes:
        key = np.zeros(len(starts) - 1, np.uint64)
        for salt in band:
            key = _mix(key + _reduced(np.minimum, _mix(hashes ^ salt), starts, tracks))
        return key

    with ThreadPoolExecutor(cores()) as threads:  # numpy lets others run while it gathers and reduces
        for key in threads.map(band_keys, salts.reshape(_BANDS, _ROWS)):
            order = np.argsort(key, kind="stable")
            fresh = np.concatenate([[True], key[order][1:] != key[order][:-1]])
            heads = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
            again = np.flatnonzero(~fresh)
            pairs.update(dict.fromkeys(zip(heads[again].tolist(), order[again].tolist(), strict=True)))
            pairs.update(dict.fromkeys(zip(order[again - 1].tolist(), order[again].tolist(), strict=True)))
    return pairs


def _reduced(function: np.ufunc, hashes: Hashes, starts: Ints, tracks: Tracks | None) -> Hashes:
    """Return a ufunc over each playlist's hashes, shape (playlists,), gathering some at a time."""
    found = np.empty(len(starts) - 1, np.uint64)
    for low, high in runs(starts, _AT_ONCE):
        begin, end = starts[low], starts[high]
        values = hashes[begin:end] if tracks is None else np.take(hashes, tracks[begin:end])
        found[low:high] = function.reduceat(values, starts[low:high] - begin)
    return found


def runs(starts: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Yield (low, high) of runs of whole playlists that hold ``most`` entries together, or one that holds more."""
    low = 0
    while low < len(starts) - 1:
        high = max(low + 1, int(np.searchsorted(starts, starts[low] + most, side="right")) - 1)
        yield low, high
        low = high


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _jaccard(hashes: Hashes, starts: Ints, tracks: Tracks | None, left: int, right: int) -> float:
    members = hashes if tracks is None else tracks
    a, b = members[starts[left] : starts[left + 1]], members[starts[right] : starts[right + 1]]
    shared = len(set(a.tolist()) & set(b.tolist()))
    return shared / (len(a) + len(b) - shared)
