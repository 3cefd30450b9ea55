"""Each track's nearest neighbours, as a sparse table: what a linear model of items knows and factors blur.

The model is EASE (Steck 2019): playlists are rebuilt from their own tracks by a ridge regression of each track on all
others, and B[i, j] says how much track i speaks for track j. The penalty grows with a track's playlists, so that
popular tracks do not speak for everything. Only the best few of each row are kept.

The regression is solved in its dual form, by the inverse of a matrix of playlists by playlists: a catalogue can have
any number of tracks. That inverse costs the cube of the playlists; beyond `MOST_PLAYLISTS` rows hold weighted
co-occurrences instead (item-kNN, Sarwar et al. 2001), whose cost grows with the playlists alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from segue.errors import InputError
from train.interactions import Interactions

MOST_PLAYLISTS = 15_000
"""A matrix of so many playlists has 0.9 GB, and three of them stand at a time."""
_BLOCK = 128
"""Rows worked out at a time: by 8,000 playlists they are 4 MB, which a core's cache holds."""
_PRODUCTS = 1 << 24
"""Most products of a block of co-occurrences, but for one row that has more: what comes of them takes .2 GB."""
_POPULARITY, LENGTH_POWER = 0.3, 0.5
"""Item-kNN: powers of a track's playlists and of a playlist's tracks by which co-occurrences are divided."""
_FILES = ("neighbour_row", "neighbour_ids", "neighbour_values")
Integers = NDArray[np.int64]
Floats = NDArray[np.float32]
Best = Callable[[slice, int], tuple[Integers, Floats]]
"""From a range of R classes of tracks and k to their k best neighbours, classes and values (R, k), falling."""


@dataclass(frozen=True, slots=True)
class NeighbourTable:
    """The table. Tracks of the same single playlist share a row, so it is far shorter than the catalogue.

    Attributes:
        row: (N + G,) int32 row of each track, and after them of each n-gram of titles (`train.title_neighbours`), where
            there are such; that of one without a playlist is full of zeros.
        ids: (R, K) int32 neighbours, best first; 0 where there are fewer.
        values: (R, K) float32 how much the row's owners speak for them, falling; 0 where there are fewer.
    """

    row: NDArray[np.int32]
    ids: NDArray[np.int32]
    values: Floats

    @classmethod
    def empty(cls, speakers: int) -> "NeighbourTable":
        """Return the table that keeps no neighbours of so many tracks and n-grams."""
        return cls(np.zeros(speakers, np.int32), np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32))

    @classmethod
    def load(cls, folder: Path, tracks: int, grams: int) -> "NeighbourTable":
        """Return the table that `save` wrote, checked to be of so many tracks and n-grams of titles.

        Raises:
            InputError: A file is missing, or was made from another dataset.
        """
        try:
            row, ids, values = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in _FILES)
        except (OSError, ValueError) as error:
            raise InputError(
                f"The table of neighbours in {folder} cannot be read ({error}); run stage lightgcn again."
            ) from error
        if len(row) != tracks + grams or ids.shape != values.shape:
            raise InputError(
                f"The table of neighbours in {folder} is of {len(row)} tracks and n-grams of titles, and not of the "
                f"dataset's {tracks} tracks and gram_buckets={grams}; run stage lightgcn again, on this dataset and "
                "with the gram_buckets of stage llara."
            )
        return cls(row, ids, values)

    def save(self, folder: Path) -> None:
        """Write ``neighbour_row.npy``, ``neighbour_ids.npy`` and ``neighbour_values.npy``."""
        for name, array in zip(_FILES, (self.row, self.ids, self.values), strict=True):
            np.save(folder / f"{name}.npy", array)


def neighbour_table(
    interactions: Interactions, kept: int, ridge: float, ridge_by_count: float, most_playlists: int = MOST_PLAYLISTS
) -> NeighbourTable:
    """Return the table of the ``kept`` best neighbours of each track.

    Args:
        interactions: Playlists and their tracks.
        kept: K, at least 1; fewer where the catalogue has fewer classes of tracks.
        ridge: EASE's penalty…
        ridge_by_count: …and what each playlist of a track adds to it.
        most_playlists: Beyond as many, rows hold co-occurrences.
    """
    matrix = interactions.matrix()
    held = sp.csc_array(matrix[np.flatnonzero(np.diff(matrix.indptr))])
    alike = Alike.among(held)
    distinct = sp.csr_array(held[:, alike.members[alike.first]].T)  # (classes, playlists)
    if held.shape[0] <= most_playlists:
        best = ease(distinct, alike.size, ridge, ridge_by_count)
        blocks = blocks_of(np.zeros(len(alike.size), np.int64), _BLOCK)
    else:
        best = co_occurrence(distinct, alike.size)
        blocks = blocks_of(products(distinct, np.bincount(distinct.indices, minlength=distinct.shape[1])), _BLOCK)
    ids, values = _rows(best, blocks, alike, min(kept, len(alike.size)))
    row = np.where(alike.of < 0, len(ids) - 1, alike.of)
    return NeighbourTable(row.astype(np.int32), ids, values)


def _rows(best: Best, blocks: list[slice], alike: "Alike", kept: int) -> tuple[NDArray[np.int32], Floats]:
    """Return ids and values of the rows of all classes and, in the end, of nobody."""
    ids, values = np.zeros((len(alike.size) + 1, kept), np.int32), np.zeros((len(alike.size) + 1, kept), np.float32)
    for block in tqdm(blocks, desc="neighbours"):
        classes, found = best(block, kept)
        tracks, found = alike.spell_out(classes, np.maximum(found, 0))
        ids[block], values[block] = np.where(found > 0, tracks, 0), found
    return ids, values


def products(rows: sp.csr_array, length: NDArray[np.integer]) -> Integers:
    """Return (R,) how many products make each row of ``rows`` (R, P) times a matrix whose P rows have that length."""
    ends = np.concatenate([[0], np.cumsum(length[rows.indices], dtype=np.int64)])[rows.indptr]
    found: Integers = np.diff(ends)
    return found


def blocks_of(work: Integers, most_rows: int) -> list[slice]:
    """Return ranges of rows that follow each other, of so many rows at most and no more work (R,) than fits memory."""
    done, blocks, start = np.concatenate([[0], np.cumsum(work)]), [], 0
    while start < len(work):
        fits = int(np.searchsorted(done, done[start] + _PRODUCTS, "right")) - 1
        end = max(start + 1, min(start + most_rows, fits))
        blocks.append(slice(start, end))
        start = end
    return blocks


@dataclass(frozen=True, slots=True)
class Alike:
    """Tracks in classes that the same playlists hold, so that one can stand for its class.

    Only tracks of a single playlist are compared: they are two thirds of a real catalogue; of others few are alike.

    Attributes:
        of: (N,) class of each track; a track without a playlist has -1.
        first: (C,) where each class begins in ``members``.
        size: (C,) tracks of each class.
        members: Tracks, class by class.
    """

    of: Integers
    first: Integers
    size: Integers
    members: Integers

    @classmethod
    def among(cls, held: sp.csc_array) -> "Alike":
        """Return the classes of the columns of ``held`` (playlists, tracks)."""
        playlists, tracks = held.shape
        count = np.diff(held.indptr)
        single = count == 1
        key = playlists + np.arange(tracks)
        key[single] = held.indices[held.indptr[:-1][single]]
        known = np.flatnonzero(count)
        _, of_known, size = np.unique(key[known], return_inverse=True, return_counts=True)
        of = np.full(tracks, -1)
        of[known] = of_known
        return cls(of, np.cumsum(size) - size, size, known[np.argsort(of_known, kind="stable")])

    def spell_out(self, classes: Integers, values: Floats) -> tuple[Integers, Floats]:
        """Return the first K tracks of rows of K classes (R, K), and a value for each: that of its class."""
        end = np.cumsum(self.size[classes], axis=1)  # (R, K) tracks up to and with each class
        place = np.arange(classes.shape[1])
        at = (end[:, None, :] <= place[:, None]).sum(2)  # (R, K) which of the row's classes stands at each place
        chosen = np.take_along_axis(classes, at, 1)
        begin = np.take_along_axis(end, at, 1) - self.size[chosen]
        return self.members[self.first[chosen] + place - begin], np.take_along_axis(values, at, 1)


def ease(distinct: sp.csr_array, size: Integers, ridge: float, ridge_by_count: float) -> Best:
    """Return EASE's rows over classes of tracks.

    With the penalties L, X'X + L has by Woodbury's identity the inverse P = 1/L - 1/L X' M X 1/L, where M is the
    inverse of 1 + X 1/L X'; and B[i, j] = -P[i, j] / P[j, j] = x_i' M x_j / (L_i - x_j' M x_j L_i / L_j).

    Args:
        distinct: (classes, playlists) what holds each class.
        size: (classes,) tracks of each class.
        ridge: Penalty of every track…
        ridge_by_count: …and what each of its playlists adds.
    """
    penalty = (ridge + ridge_by_count * np.diff(distinct.indptr)).astype(np.float32)
    inverse = _inverse(distinct, (size / penalty).astype(np.float32))
    parts = (distinct[start : start + _BLOCK] for start in range(0, len(size), _BLOCK))
    explained = np.concatenate([part.multiply(part @ inverse).sum(axis=1) for part in parts])  # x_j' M x_j
    scale = torch.from_numpy(1 / (1 - explained / penalty))
    other = torch.from_numpy(np.where(size > 1, 1, 0))  # a class of one is no neighbour of itself

    def best(rows: slice, k: int) -> tuple[Integers, Floats]:
        by_playlist = (distinct[rows] @ inverse) / penalty[rows, None]
        scores = torch.from_numpy(distinct @ np.ascontiguousarray(by_playlist.T)).T.contiguous() * scale
        own = torch.arange(rows.start, rows.start + len(scores))
        scores[torch.arange(len(scores)), own] *= other[own]
        values, classes = scores.topk(k, dim=1)
        return classes.numpy(), values.numpy()

    return best


def _inverse(distinct: sp.csr_array, weight: Floats) -> Floats:
    """Return M (playlists, playlists), the inverse of 1 + X diag(weight) X'."""
    kernel = torch.from_numpy((distinct.T @ sp.diags_array(weight) @ distinct).toarray())
    kernel.diagonal().add_(1)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
    return np.ascontiguousarray(inverse.numpy())  # LAPACK's is by columns, and scipy would copy it for each product


def co_occurrence(distinct: sp.csr_array, size: Integers) -> Best:
    """Return item-kNN's rows: co-occurrences, in long playlists and of popular tracks counting less."""
    length = size @ distinct  # tracks of each playlist
    shared = sp.csr_array(sp.diags_array(np.diff(distinct.indptr) ** -_POPULARITY) @ distinct)
    # By rows, as each product wants it: SciPy would turn all of it around for every block.
    columns = sp.csr_array(sp.diags_array(np.asarray(length, np.float64) ** -LENGTH_POWER) @ shared.T)

    def best(rows: slice, k: int) -> tuple[Integers, Floats]:
        found = sp.csr_array(shared[rows] @ columns)
        row = np.repeat(np.arange(rows.start, rows.start + found.shape[0]), np.diff(found.indptr))
        found.data[(row == found.indices) & (size[found.indices] == 1)] = 0  # no neighbour of itself
        return best_of_rows(found, k)

    return best


def best_of_rows(found: sp.csr_array, k: int) -> tuple[Integers, Floats]:
    """Return columns and values (R, k) of each row's ``k`` largest entries, falling, equal ones by column; else 0.

    Args:
        found: (R, C), no entry below 0, none twice.
        k: How many.
    """
    kept = found.data > 0
    for start, end in zip(found.indptr[:-1].tolist(), found.indptr[1:].tolist(), strict=True):
        if end - start > k > 0:  # sorting what cannot be among the best takes most of the time
            values = found.data[start:end]
            kept[start:end] &= values >= np.partition(values, len(values) - k)[-k]
    row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))[kept]
    column, value = found.indices[kept], found.data[kept]
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    head = place < k
    columns, values = np.zeros((found.shape[0], k), np.int64), np.zeros((found.shape[0], k), np.float32)
    columns[row[head], place[head]], values[row[head], place[head]] = column[head], value[head]
    return columns, values
