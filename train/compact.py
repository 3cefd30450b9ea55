"""How a catalogue of millions is exported: a track costs some 200 bytes of the graph, and not some 700.

A track as a seed and as a candidate has the same vector but for the shares that it takes of its artist's and album's
(`train.skeleton.TrackVectors`). So the difference is one for all tracks of an album, and it alone is kept beside the
candidates: a row for the tracks of an artist's album where these are heard most, of an artist for others, and one for
the rest. Neighbours, of which most tracks of one or two playlists know little, are kept for the most popular tracks.

What that costs is measured at every export: `train.export` holds the graph against the model that was trained.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.errors import InputError
from train.neighbours import NeighbourTable
from train.skeleton import CatalogueTensors


@dataclass(frozen=True, slots=True)
class Compact:
    """Settings; ``train/conf/export.yaml`` explains each."""

    above: int
    differences: int
    neighbour_rows: int
    neighbours: int

    def __post_init__(self) -> None:
        """Refuse sizes that leave no table.

        Raises:
            InputError: One is below 1.
        """
        for name in ("differences", "neighbour_rows", "neighbours"):
            if getattr(self, name) < 1:
                raise InputError(f"compact.{name} is {getattr(self, name)} and has to be 1 or more.")


def seed_groups(catalogue: CatalogueTensors, rows: int) -> NDArray[np.int64]:
    """Return (N,) which of at most ``rows`` rows, from 0 without a gap, each track shares with tracks like it.

    Half of the rows are for the albums of an artist that are in most playlists, and what is left but one for the
    artists of other tracks; the last is for tracks of neither.
    """
    artist = catalogue.artist.numpy()
    heard = catalogue.count.numpy() + 1  # a track without a past can be a seed as well
    group = np.zeros(len(artist), np.int64)
    left, used = np.arange(len(artist)), 0
    for key, most in ((artist * catalogue.albums + catalogue.album.numpy(), rows // 2), (artist, rows - 1)):
        distinct, of = np.unique(key[left], return_inverse=True)
        order = np.argsort(-np.bincount(of, heard[left], len(distinct)), kind="stable")[: most - used]
        row = np.full(len(distinct), -1)
        row[order] = used + np.arange(len(order))
        mine = row[of]
        group[left[mine >= 0]] = mine[mine >= 0]
        left, used = left[mine < 0], used + len(order)
    group[left] = used
    return group


def most_popular(table: NeighbourTable, tracks: int, rows: int, kept: int) -> NeighbourTable:
    """Return a table of the first ``kept`` neighbours in the first ``rows`` rows that tracks by popularity have.

    Ids are in the order of falling popularity. Other tracks share a row of zeros. Titles keep all of their rows: they
    are few, whatever the catalogue.
    """
    distinct, first = np.unique(table.row, return_index=True)
    by_popularity, first = distinct[np.argsort(first)], np.sort(first)
    order = np.concatenate([by_popularity[first < tracks][:rows], by_popularity[first >= tracks]])
    row = np.full(len(table.ids), len(order), np.int32)
    row[order] = np.arange(len(order))
    nobody = np.zeros((1, min(kept, table.ids.shape[1])))
    return NeighbourTable(
        row[table.row],
        np.concatenate([table.ids[order, :kept], nobody]).astype(np.int32),
        np.concatenate([table.values[order, :kept], nobody]).astype(np.float32),
    )
