"""Which playlists teach, which tune and which judge."""

import hashlib

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = SIDES = ("train", "validation", "test")


def split(
    keys: NDArray[np.uint64], groups: NDArray[np.int64], seed: int, validation: float, test: float
) -> NDArray[np.str_]:
    """Return each playlist's side, shape (playlists,): `TRAIN`, `VALIDATION` or `TEST`.

    The side is a hash of the seed and of the group's lowest content key, so it stays when other playlists come or go,
    and the sizes are as asked only on average.

    Args:
        keys: Each playlist's content key (`copies.content_keys`), shape (playlists,).
        groups: Each playlist's group of copies (`copies.copy_groups`), shape (playlists,); a group is never split.
        seed: Another seed, another split.
        validation: Share of playlists to tune on.
        test: Share of playlists to judge on.
    """
    lowest = np.full(len(keys), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, groups, keys)
    draws = np.array([draw(str(key), seed) for key in lowest[groups]], np.float64)
    return np.select([draws < test, draws < test + validation], [TEST, VALIDATION], TRAIN).astype(np.str_)


def draw(key: str, seed: int) -> float:
    """Return a number of [0, 1) that depends on a key and a seed alone."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
