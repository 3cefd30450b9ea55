"""What the n-grams of a title say for tracks: rows of the table of neighbours for playlists that have no track yet.

An n-gram speaks for a track by how often it titles a playlist that holds it: a co-occurrence, which counts less in long
playlists (as `train.neighbours.co_occurrence`), divided by how often it titles any, and times its rarity. The skeleton
learns vectors of the same n-grams (`train.skeleton.PlaylistVector`): they know what is alike, and blur what a rare word
means.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from tqdm import tqdm

from segue.query import GRAM_LIMIT
from segue.text import title_grams
from train.interactions import Interactions
from train.neighbours import LENGTH_POWER, NeighbourTable, best_of_rows, blocks_of, products

_BLOCK = 64
"""Most n-grams worked out at a time; of the commonest, whose rows are nearly as long as the catalogue, fewer."""


def with_titles(table: NeighbourTable, interactions: Interactions, titles: Sequence[str], grams: int) -> NeighbourTable:
    """Return ``table`` with a speaker more for each hashed n-gram of titles.

    Args:
        table: Of the tracks alone, as `train.neighbours.neighbour_table` returns it: its last row is nobody's.
        interactions: Playlists and their tracks; a playlist without a track teaches nothing.
        titles: Of each playlist, "" for none.
        grams: Hash buckets of n-grams.
    """
    held = interactions.matrix()
    length = np.diff(held.indptr)
    playlists = np.flatnonzero(length)
    bags = [title_grams(titles[row], grams, GRAM_LIMIT) for row in playlists.tolist()]
    said = np.concatenate([np.empty(0, np.int64), *bags])
    of, column, frequency = np.unique(said, return_inverse=True, return_counts=True)
    ends = np.cumsum([0, *map(len, bags)])
    titled = sp.csr_array((np.ones(len(said), np.float32), column, ends), shape=(len(playlists), len(of))).T.tocsr()
    shared = sp.csr_array(sp.diags_array(length[playlists] ** -LENGTH_POWER) @ held[playlists])
    loudness = np.log1p(len(playlists) / frequency) / (1 + frequency)
    shape = 0, table.ids.shape[1]
    ids, values = [np.empty(shape, np.int32)], [np.empty(shape, np.float32)]
    for block in tqdm(blocks_of(products(titled, length[playlists]), _BLOCK), desc="titles"):
        best = best_of_rows(sp.csr_array(sp.diags_array(loudness[block]) @ titled[block] @ shared), shape[1])
        ids.append(best[0].astype(np.int32))
        values.append(best[1])
    row = np.full(grams, len(table.ids) - 1)
    row[of] = len(table.ids) + np.arange(len(of))
    return NeighbourTable(
        np.concatenate([table.row, row]).astype(np.int32),
        np.concatenate([table.ids, *ids]).astype(np.int32),
        np.concatenate([table.values, *values]).astype(np.float32),
    )
