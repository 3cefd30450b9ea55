"""Finds playlists that are copies of one another, so that a split cannot put them on two sides."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
SAME = 0.8
"""Jaccard similarity of two playlists' tracks above which they count as copies."""
_BANDS, _ROWS = 8, 4  # two playlists at Jaccard .8 meet in some band with probability 1 - (1 - .8^4)^8 = .985
_SEED = 0x5E60E


def track_hashes(uris: list[str]) -> Hashes:
    """Return 64 bits of BLAKE2b of each URI, shape (tracks,): the same in every dataset that holds the track."""
    digests = b"".join(hashlib.blake2b(uri.encode(), digest_size=8).digest() for uri in uris)
    return np.frombuffer(digests, "<u8")


def content_keys(hashes: Hashes, starts: Ints) -> Hashes:
    """Return one number for each playlist's set of tracks, whatever their order, shape (playlists,).

    Args:
        hashes: Of each entry's track, by playlist, shape (entries,).
        starts: Where each playlist begins, shape (playlists + 1,); none is empty.
    """
    if len(starts) < 2:
        return np.empty(0, np.uint64)
    return np.add.reduceat(_mix(hashes), starts[:-1])


def copy_groups(hashes: Hashes, starts: Ints) -> Ints:
    """Return each playlist's group, shape (playlists,), the lowest number of a playlist in it.

    Playlists whose tracks have a Jaccard similarity above `SAME` share a group, found by MinHash with banding
    (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3) and checked exactly. Equal sets are always found;
    a pair just above the threshold is missed in about one case of seventy.
    """
    parent = list(range(len(starts) - 1))
    for left, right in _candidates(hashes, starts):
        a, b = _root(parent, left), _root(parent, right)
        if a != b and _jaccard(hashes, starts, left, right) > SAME:
            parent[max(a, b)] = min(a, b)
    return np.array([_root(parent, i) for i in range(len(parent))], np.int64)


def _mix(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers, the same way everywhere (the finaliser of splitmix64)."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _candidates(hashes: Hashes, starts: Ints) -> list[tuple[int, int]]:
    """Return pairs that agree in a whole band of their signatures: each with the first and the one before it."""
    if len(starts) < 3:
        return []
    salts = np.random.default_rng(_SEED).integers(1, 2**63, _BANDS * _ROWS, np.uint64)
    pairs: dict[tuple[int, int], None] = {}
    for band in salts.reshape(_BANDS, _ROWS):
        key = np.zeros(len(starts) - 1, np.uint64)
        for salt in band:
            key = _mix(key + np.minimum.reduceat(_mix(hashes ^ salt), starts[:-1]))
        order = np.argsort(key, kind="stable")
        fresh = np.concatenate([[True], key[order][1:] != key[order][:-1]])
        heads = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
        again = np.flatnonzero(~fresh)
        pairs.update(dict.fromkeys(zip(heads[again].tolist(), order[again].tolist(), strict=True)))
        pairs.update(dict.fromkeys(zip(order[again - 1].tolist(), order[again].tolist(), strict=True)))
    return list(pairs)


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _jaccard(hashes: Hashes, starts: Ints, left: int, right: int) -> float:
    a, b = hashes[starts[left] : starts[left + 1]], hashes[starts[right] : starts[right + 1]]
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)
