"""Where LightGCN may begin: the factors of iALS on the same graph, in a minute instead of many epochs.

Beside the tracks, iALS factorises the artists and albums of a playlist as further columns of its matrix. So a track
that one playlist holds leans on what is known of its artist, and the ranker gets vectors of artists and albums too.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.ials import IalsSettings, ials
from train.interactions import Interactions

_RMS = 0.1
"""Size of the vectors: a step of Adam at rate .002 turns them by about two percent."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin.

    Attributes:
        nodes: (users + items, D) of the graph.
        groups: Vectors of what items belong to (artists, albums), in the order asked for; each (groups, D).
    """

    nodes: Tensor
    groups: list[Tensor]


def ials_start(
    interactions: Interactions, dimension: int, seed: int, belongings: tuple[NDArray[np.integer], ...] = ()
) -> Start:
    """Return factors, those of users and those of columns each scaled to a root mean square of 0.1.

    The measured reason for the scaling: the factors of users come out many times as long as those of items, and
    unscaled ones would drown the items' own vectors once they are passed along the graph.

    Args:
        interactions: The graph.
        dimension: D.
        seed: Of the random start of iALS.
        belongings: For each kind of group, (items,) the group of every item; negative where it has none.
    """
    users = interactions.matrix()
    parts = [users, *(_group_columns(users, groups) for groups in belongings)]
    widths = [part.shape[1] for part in parts]
    matrix = sp.csr_array(sp.hstack(parts, format="csr"))
    del users, parts  # half of what stands here, at a million playlists a gigabyte
    matrix.sort_indices()
    rows, columns = ials(matrix, IalsSettings(dimension), seed)
    items, *groups = torch.split(_scaled(columns), widths)
    return Start(torch.cat([_scaled(rows), items]), [part.clone() for part in groups])


def _group_columns(users: sp.csr_array, groups: NDArray[np.integer]) -> sp.csr_array:
    """Return (users, groups): what groups the items of each user belong to."""
    belongs = np.flatnonzero(groups >= 0)
    shape = (len(groups), int(groups.max(initial=-1)) + 1)
    members = sp.csr_array((np.ones(len(belongs), np.float32), (belongs, groups[belongs])), shape=shape)
    return sp.csr_array(users @ members)


def _scaled(factors: Tensor) -> Tensor:
    return factors * (_RMS / factors.square().mean().sqrt().clamp_min(1e-12))
