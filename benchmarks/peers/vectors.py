"""A made-up catalogue as vectors, playlists that ask it, and what is right: the same seed gives the same files.

Shaped as learned vectors are: tracks stand in scenes, a few directions hold most of what tells them apart (and none of
them lies along an axis), and a popular track's vector is longer, so that the inner product prefers it. Ids say nothing
of popularity.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

MOST = 500
"""Most tracks that are asked for, as in the challenge of the Million Playlist Dataset."""
SEEDS = 10
"""Tracks of a playlist; its vector is their mean."""
VECTORS, QUERIES, PLAYLISTS, TRUTH = "vectors.npy", "queries.npy", "playlists.npy", "truth.npy"
_SCENE = 400  # tracks
_CHUNK = 65_536  # tracks; 2,262,292 by 128 do not have to stand in memory three times
_OWN = 0.7  # how far a track lies from its scene, over how far scenes lie from each other


def write_vectors(folder: Path, tracks: int, dimension: int, queries: int, seed: int = 0) -> None:
    """Write the catalogue (N, D) and Q playlists to ``folder``, with the ids of the exact best for each.

    The files are `VECTORS`, float32 (N, D); `PLAYLISTS`, int64 (Q, SEEDS); `QUERIES`, float32 (Q, D), the means of the
    playlists' vectors; and `TRUTH`, int64 (Q, MOST + SEEDS), so that there are `MOST` without the playlist's own.

    Raises:
        ValueError: There are too few tracks for that.
    """
    if tracks < 2 * (MOST + SEEDS):
        raise ValueError(f"{tracks} tracks are too few to look for the best {MOST}; make at least {2 * (MOST + SEEDS)}")
    draw = np.random.default_rng(seed)
    scenes = tracks // _SCENE + 1
    scene, rank = draw.integers(0, scenes, tracks), draw.permutation(tracks)
    vectors = np.lib.format.open_memmap(folder / VECTORS, "w+", np.float32, (tracks, dimension))
    _fill(vectors, scene, 1 - np.log1p(rank) / np.log1p(tracks), draw)
    vectors.flush()
    playlists = _playlists(scene, 1 / (rank + 10.0), queries, draw)
    asked = vectors[playlists].mean(1)  # (Q, SEEDS, D) to (Q, D)
    np.save(folder / PLAYLISTS, playlists)
    np.save(folder / QUERIES, asked)
    np.save(folder / TRUTH, exact(vectors, asked, MOST + SEEDS))


def exact(vectors: Floats, queries: Floats, k: int) -> Ids:
    """Return the ``k`` tracks (Q, k) with the greatest inner product in 64 bits, best first, equal ones by id."""
    wide = queries.astype(np.float64)
    ids, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
    for part in _chunks(len(vectors)):
        here = wide @ vectors[part].astype(np.float64).T
        ids = np.concatenate([ids, np.broadcast_to(np.arange(part.start, part.stop), here.shape)], 1)
        scores = np.concatenate([scores, here], 1)
        if scores.shape[1] > k:
            kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            ids, scores = np.take_along_axis(ids, kept, 1), np.take_along_axis(scores, kept, 1)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(ids, order, 1)


def recall(found: Ids, truth: Ids, k: int) -> float:
    """Return which share of each query's ``k`` right tracks stands among the first ``k`` found, on average."""
    pairs = zip(found[:, :k], truth[:, :k], strict=True)
    return float(np.mean([len(np.intersect1d(mine, right)) / k for mine, right in pairs]))


def without(ids: Ids, playlists: Ids, k: int) -> Ids:
    """Return the first ``k`` of each row (Q, k) that are not of the row's playlist."""
    rows = zip(ids, playlists, strict=True)
    return np.stack([row[~np.isin(row, playlist)][:k] for row, playlist in rows])


def lengthened(vectors: Floats) -> Floats:
    """Return the vectors (N, D + 1) with a number more, so that all are as long as the longest.

    A query with a zero there has the same inner products, and the nearest by distance are now the greatest of those
    (Bachrach et al., "Speeding up the Xbox recommender system", 2014). Graphs need it: by inner products of vectors of
    unlike length hnswlib found .58 of the best 500 among 20,000 of these tracks, and .92 by distances.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    last = np.sqrt(np.maximum(squares.max() - squares, 0), dtype=np.float32)
    return np.concatenate([vectors, last[:, None]], 1)


def asking(queries: Floats) -> Floats:
    """Return queries (Q, D + 1) for vectors that were `lengthened`."""
    return np.pad(queries, ((0, 0), (0, 1)))


def _fill(vectors: Floats, scene: Ids, popularity: NDArray[np.float64], draw: np.random.Generator) -> None:
    tracks, dimension = vectors.shape
    spread = (1 + np.arange(dimension, dtype=np.float32)) ** -0.5
    turn = np.linalg.qr(draw.standard_normal((dimension, dimension)))[0].astype(np.float32)
    centres = draw.standard_normal((int(scene.max()) + 1, dimension), np.float32)
    for part in _chunks(tracks):
        own = draw.standard_normal((part.stop - part.start, dimension), np.float32)
        turned = ((centres[scene[part]] + _OWN * own) * spread) @ turn
        length = (0.5 + popularity[part]) / np.linalg.norm(turned, axis=1)
        vectors[part] = turned * length[:, None].astype(np.float32)


def _playlists(scene: Ids, weight: NDArray[np.float64], count: int, draw: np.random.Generator) -> Ids:
    """Return tracks (Q, SEEDS) of one scene each, popular ones more often; a small scene's playlist is of all."""
    first = draw.choice(len(scene), count, p=weight / weight.sum())
    rows = []
    for track in first:
        pool = np.flatnonzero(scene == scene[track])
        pool = pool if len(pool) >= SEEDS else np.arange(len(scene))
        rows.append(draw.choice(pool, SEEDS, replace=False, p=weight[pool] / weight[pool].sum()))
    return np.array(rows, np.int64)


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, min(start + _CHUNK, count))
