"""LightGCN (He et al. 2020, SIGIR, arXiv:2002.02126): vectors of users and items, smoothed along their graph.

The only parameters are a vector E0 for each node. Layer by layer a node takes the sum of its neighbours' vectors, each
divided by the root of both degrees (their equation 3), and what counts in the end is the mean of all layers:

    E = (E0 + A E0 + A² E0 + … + A^L E0) / (L + 1)          A: the normalised adjacency matrix
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch_geometric.nn import LGConv

from train.interactions import Interactions

COLUMNS = 16
"""Numbers of all vectors that are passed along at a time: a line of the cache, and little memory."""


def normalised_adjacency(interactions: Interactions) -> Tensor:
    """Return A, sparse CSR (N, N) with N = users + items: 1 / sqrt(degree of user * degree of item) on each edge.

    The indices are 32-bit: MKL multiplies them twice as fast as 64-bit ones. The entries are in order as they come, so
    that no list of all edges has to be sorted, which takes several times the memory of the matrix.
    """
    wide = interactions.matrix()
    halves = wide, sp.csr_array(wide.T)
    nodes = interactions.n_users + interactions.n_items
    degree = torch.from_numpy(np.concatenate([np.diff(half.indptr) for half in halves]))
    root = degree.float().pow(-0.5)
    columns = np.concatenate([halves[0].indices + interactions.n_users, halves[1].indices]).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(degree.numpy())]).astype(np.int32)
    others = torch.from_numpy(columns)
    values = root.repeat_interleave(degree).mul_(root[others])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR tensor support|invariant checks)", UserWarning)
        return torch.sparse_csr_tensor(torch.from_numpy(starts), others, values, (nodes, nodes))


def edge_of_entries(interactions: Interactions) -> Tensor:
    """Return, for each entry of `normalised_adjacency` in its order, the number of the edge that it stands for."""
    by_item = np.lexsort((interactions.users, interactions.items))
    return torch.from_numpy(np.concatenate([np.arange(len(interactions)), by_item]))


class _LayerMean(torch.autograd.Function):
    """The mean of the layers, of users and of items. A is symmetric: the gradient takes the same road back."""

    @staticmethod
    def forward(context: Any, nodes: Tensor, adjacency: Tensor, layers: int, users: int) -> tuple[Tensor, Tensor]:
        context.adjacency, context.layers = adjacency, layers
        final = _layer_mean(nodes.clone(), adjacency, layers)
        return final[:users], final[users:]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _layer_mean(torch.cat(gradients), context.adjacency, context.layers), None, None, None


def _layer_mean(nodes: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    """Turn vectors into the mean of their layers, in place, by Horner's rule: E0 + A (E0 + A (E0 + …))."""
    convolve = LGConv(normalize=False)

    def mean(first: Tensor) -> Tensor:
        total = first
        for _ in range(layers):
            total = convolve(total, adjacency).add_(first)
        return total / (layers + 1)

    return by_columns(nodes, mean)


def by_columns(vectors: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change vectors (N, D) in place, some numbers of all of them at a time, and return them."""
    for part in torch.split(vectors, COLUMNS, dim=1):
        part.copy_(change(part.contiguous()))
    return vectors


def xavier_start(interactions: Interactions, dimension: int, seed: int) -> Tensor:
    """Return random vectors (users + items, D) by Glorot & Bengio 2010, as the paper begins."""
    generator = torch.Generator().manual_seed(seed)
    sizes = interactions.n_users, interactions.n_items
    return torch.cat([nn.init.xavier_uniform_(torch.empty(n, dimension), generator=generator) for n in sizes])


class LightGCN(nn.Module):
    """The model: ``model()`` gives the final vectors of users and of items."""

    adjacency: Tensor
    edges: Tensor | None

    def __init__(self, interactions: Interactions, layers: int, start: Tensor) -> None:
        """Begin with the vectors ``start``.

        Args:
            interactions: The training edges; no others are ever passed along.
            layers: L, how often vectors are passed along.
            start: E0, (users + items, D).
        """
        super().__init__()
        self.sizes = (interactions.n_users, interactions.n_items)
        self.layers = layers
        self.embedding = nn.Parameter(start)
        self.register_buffer("adjacency", normalised_adjacency(interactions), persistent=False)
        self.register_buffer("edges", None, persistent=False)
        self._interactions = interactions

    def forward(self, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the final vectors (users, D) and (items, D).

        Args:
            kept: (edges,) true where an edge is there to pass vectors along; None keeps all. Those that stay weigh
                more, so that sums keep their size.
        """
        adjacency = self.adjacency if kept is None else self._thinned(kept)
        final: tuple[Tensor, Tensor] = _LayerMean.apply(self.embedding, adjacency, self.layers, self.sizes[0])
        return final

    def _thinned(self, kept: Tensor) -> Tensor:
        """Return the adjacency without some edges, in both directions, so it stays symmetric."""
        full = self.adjacency
        if self.edges is None:
            self.edges = edge_of_entries(self._interactions)
        weight = kept.float() * (len(kept) / kept.sum())
        values = full.values() * weight[self.edges]
        return torch.sparse_csr_tensor(
            full.crow_indices(), full.col_indices(), values, full.shape, check_invariants=False
        )
