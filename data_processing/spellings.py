"""Which names are the same name: numbers in the place of normalised spellings, for millions of names."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_processing.processes import Work
from segue.text import match_key

_AT_ONCE = 50_000

Ints = NDArray[np.int64]


def same_names(names: pa.Array, work: Work) -> Ints:
    """Return a number for each name, shape (names,): `match_key` is equal where the number is, 0 where it is "".

    A million names take some ten seconds on one process; each distinct one is spelled once.
    """
    distinct = names.dictionary_encode()
    words = distinct.dictionary
    blocks = [words.slice(at, _AT_ONCE) for at in range(0, len(words), _AT_ONCE)]
    keys = pa.chunked_array([[""], *work.each(_match_keys, blocks)], pa.string()).combine_chunks()
    numbers = keys.dictionary_encode().indices.to_numpy()[1:].astype(np.int64)
    return np.asarray(numbers[distinct.indices.to_numpy()], np.int64)


def pairs(first: Ints, second: Ints) -> Ints:
    """Return one number for each pair of numbers, which are not negative."""
    return first * (int(second.max(initial=0)) + 1) + second


def in_order(numbers: Ints, known: Iterable[bool] | NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return ids from 0 in the order of first sight for what is known, -1 for the rest, shape (numbers,)."""
    ids = pc.fill_null(pa.array(numbers, mask=~np.asarray(known)).dictionary_encode().indices, -1)
    return np.asarray(ids.to_numpy(zero_copy_only=False), np.int32)


def _match_keys(names: pa.Array) -> pa.Array:
    return pa.array([match_key(name) for name in names.to_pylist()], pa.string())
