"""Ranking metrics, against the whole catalogue; never against a sample of it.

Those of a list's quality take ``ranked`` (n, k) track ids, best first, -1 for nothing, and ``relevant``, n sets of
held-out ids, and return (n,) float64, NaN where a playlist holds out nothing. Definitions of NDCG, R-precision and
clicks follow the RecSys Challenge 2018 (Zamani et al. 2019), with binary gains; recall, precision and MRR are the
textbook ones. `popularity`, `dissimilarity` and `coverage` ask what lists are like beside being right.
"""

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Values = NDArray[np.float64]
Relevant = Sequence[Collection[int]]


def hits(ranked: Ids, relevant: Relevant) -> NDArray[np.bool_]:
    """Return (n, k) whether each ranked track is relevant; a track repeated in a list counts once."""
    found = np.zeros(ranked.shape, bool)
    for row, (ids, wanted) in enumerate(zip(ranked, relevant, strict=True)):
        left = set(wanted)
        for column, number in enumerate(ids.tolist()):
            if number in left:
                found[row, column] = True
                left.discard(number)
    return found


def _counts(found: NDArray[np.bool_]) -> Values:
    """Return (n,) how many of each row are hits."""
    return np.asarray(found.sum(axis=1), np.float64)


def _sizes(relevant: Relevant) -> Values:
    """Return (n,) how many tracks are relevant, NaN for none: nothing can be measured there."""
    sizes = np.array([len(set(wanted)) for wanted in relevant], np.float64)
    sizes[sizes == 0] = np.nan
    return sizes


def recall(ranked: Ids, relevant: Relevant, k: int) -> Values:
    """Return the share of the relevant tracks that stand in the first ``k``."""
    return _counts(hits(ranked[:, :k], relevant)) / _sizes(relevant)


def precision(ranked: Ids, relevant: Relevant, k: int) -> Values:
    """Return the share of the first ``k`` places that hold a relevant track; empty places count as misses."""
    return _counts(hits(ranked[:, :k], relevant)) / k + 0 * _sizes(relevant)


def reciprocal_rank(ranked: Ids, relevant: Relevant, k: int) -> Values:
    """Return 1 / rank of the first relevant track in the first ``k``, 0 without one; its mean is the MRR."""
    found = hits(ranked[:, :k], relevant)
    first = found.argmax(axis=1) + 1 if found.shape[1] else np.ones(len(found))
    return np.where(found.any(axis=1), 1.0 / first, 0.0) + 0 * _sizes(relevant)


def ndcg(ranked: Ids, relevant: Relevant, k: int) -> Values:
    """Return the discounted gain of the first ``k`` over that of an ideal list; discount 1 / log2(rank + 1)."""
    found = hits(ranked[:, :k], relevant)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    sizes = _sizes(relevant)
    best = ideal[np.minimum(np.nan_to_num(sizes), k).astype(int)]
    gain = np.asarray(found @ discounts[: found.shape[1]], np.float64)
    return gain / np.where(best > 0, best, np.nan)


def r_precision(ranked: Ids, relevant: Relevant) -> Values:
    """Return the share of relevant tracks among the first R places, R the number of relevant tracks.

    By tracks alone: the challenge's extra quarter for a matching artist is not counted.
    """
    sizes = _sizes(relevant)
    inside = np.arange(ranked.shape[1]) < np.nan_to_num(sizes)[:, None]
    return _counts(hits(ranked, relevant) & inside) / sizes


def clicks(ranked: Ids, relevant: Relevant) -> Values:
    """Return how often a listener refreshes a page of ten before the first relevant track; 51 without one in 500."""
    found = hits(ranked[:, :500], relevant)
    first = np.where(found.any(axis=1), found.argmax(axis=1) // 10, 51) if found.shape[1] else np.full(len(found), 51)
    return first.astype(np.float64) + 0 * _sizes(relevant)


def popularity(ranked: Ids, counts: NDArray[np.int64], k: int) -> Values:
    """Return the mean of log2(1 + count) over the first ``k``, so that one more is twice as popular.

    Args:
        ranked: As everywhere (n, k); empty places are left out.
        counts: How many training playlists hold each track, (tracks,).
        k: How many places.

    Returns:
        (n,) float64, NaN where a list is empty.
    """
    first = ranked[:, :k]
    there = first >= 0
    each = np.where(there, np.log2(1.0 + counts[np.where(there, first, 0)]), 0.0)
    places = _counts(there)
    return np.asarray(each.sum(axis=1) / np.where(places > 0, places, np.nan), np.float64)


def dissimilarity(ranked: Ids, labels: Sequence[Collection[str | int]], k: int) -> Values:
    """Return how unlike the first ``k`` are: the mean Jaccard distance of the labels of two of them.

    1 where no two share a label, 0 where all have the same (intra-list diversity, Ziegler et al. 2005).

    Args:
        ranked: As everywhere (n, k).
        labels: Genres or artists of each track; tracks without any are left out.
        k: How many places.

    Returns:
        (n,) float64, NaN where fewer than two tracks have a label.
    """
    values = np.full(len(ranked), np.nan)
    for row, ids in enumerate(ranked[:, :k].tolist()):
        known = [set(labels[number]) for number in ids if number >= 0 and labels[number]]
        if len(known) > 1:
            values[row] = np.mean([1 - len(one & two) / len(one | two) for one, two in combinations(known, 2)])
    return values


def coverage(ranked: Ids, k: int, tracks: int) -> float:
    """Return the share of a catalogue of ``tracks`` that stands somewhere in the first ``k`` of any list."""
    shown = np.unique(ranked[:, :k])
    return float((shown >= 0).sum()) / tracks if tracks else 0.0
