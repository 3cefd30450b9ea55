"""How a catalogue of millions is exported: a track costs some 200 bytes of the graph, and not some 700.

A track as a seed and as a candidate has the same vector but for the shares that it takes of its artist's and album's
(`train.skeleton.TrackVectors`). So the difference is the sum of two, one for all tracks of an artist and one for all of
an album, and these alone are kept beside the candidates: a row for each artist and album that is heard most, and one
for the rest. Who is of which is known already, as artists and albums vote (`train.kin`). Neighbours, of which most
tracks of one or two playlists know little, are kept for the most popular tracks.

What that costs is measured at every export: `train.export` holds the graph against the model that was trained.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from segue.errors import InputError
from train.kin import numbered
from train.llara_model import Ranker
from train.neighbours import NeighbourTable


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


def shared_differences(ranker: Ranker, rows: int) -> tuple[Tensor, Tensor]:
    """Return what tracks of the artists that are heard most are more as seeds than as candidates, and of albums.

    Row n is of the artist, or album, that `train.kin.numbered` gives the number n. There are at most half of ``rows``
    for each kind (one at least); where that is too few, the last is the mean of all that are left.
    """
    artists, albums = (numbered(*groups, ranker.tracks.catalogue.count)[1] for groups in ranker.tracks.catalogue.kinds)
    most = max(1, rows // 2)
    kept = ranker.differences(artists[:most], albums[:most])
    left = ranker.differences(artists[most - 1 :], albums[most - 1 :])
    for own, others in zip(kept, left, strict=True):
        if len(own) == most:
            own[-1] = others.mean(0)
    return kept[0], kept[1]


def most_popular(table: NeighbourTable, tracks: int, rows: int, kept: int) -> NeighbourTable:
    """Return a table of the first ``kept`` neighbours in the first ``rows`` rows that tracks by popularity have.

    Ids are in the order of falling popularity. Other tracks share a row of zeros, and where the table's tracks end the
    last one speaks for all that follow. Titles keep all of their rows: they are few, whatever the catalogue.
    """
    distinct, first = np.unique(table.row, return_index=True)
    by_popularity, first = distinct[np.argsort(first)], np.sort(first)
    order = np.concatenate([by_popularity[first < tracks][:rows], by_popularity[first >= tracks]])
    row = np.full(len(table.ids), len(order), np.int32)
    row[order] = np.arange(len(order))
    nobody = np.zeros((1, min(kept, table.ids.shape[1])))
    speakers = row[table.row]
    named = np.flatnonzero(speakers[:tracks] < len(order))
    silent = slice(named[-1] + 2 if len(named) else 1, tracks)  # but for the first of them
    return NeighbourTable(
        np.delete(speakers, silent),
        np.concatenate([table.ids[order, :kept], nobody]).astype(np.int32),
        np.concatenate([table.values[order, :kept], nobody]).astype(np.float32),
    )


def share_left(table: NeighbourTable, rows: int, kept: int, loudest: int) -> float:
    """Return how much of the sum of its first neighbours the median row says that keeps ``kept`` of them.

    Scores are measured by the `train.neighbourhood.LEADERS` largest sums. A single track of a row that is cut has fewer
    sums than that, and what it says would grow by as much as they shrink.

    Args:
        table: The whole one.
        rows: So many of it count, as in `most_popular`: the first that tracks have.
        kept: Neighbours that are kept.
        loudest: Neighbours of each row by which scores are measured.
    """
    head = table.values[list(dict.fromkeys(table.row.tolist()))[:rows], :loudest]
    said = head.sum(1)
    heard = said > 0
    return float(np.median(head[heard, :kept].sum(1) / said[heard])) if heard.any() else 1.0
