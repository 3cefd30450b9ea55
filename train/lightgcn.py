"""LightGCN (He et al. 2020, SIGIR, arXiv:2002.02126): vectors of users and items, smoothed along their graph.

The only parameters are a vector E0 for each node. Layer by layer a node takes the sum of its neighbours' vectors, each
divided by the root of both degrees (their equation 3), and what counts in the end is the mean of all layers:

    E = (E0 + A E0 + A² E0 + … + A^L E0) / (L + 1)          A: the normalised adjacency matrix
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import LGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from train.interactions import Interactions


def normalised_adjacency(interactions: Interactions) -> Tensor:
    """Return A, sparse CSR (N, N) with N = users + items: 1 / sqrt(degree of user * degree of item) on each edge.

    The indices are 32-bit: MKL multiplies them twice as fast as 64-bit ones.
    """
    users = torch.from_numpy(interactions.users)
    items = torch.from_numpy(interactions.items) + interactions.n_users
    nodes = interactions.n_users + interactions.n_items
    edges = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    edges, weights = gcn_norm(edges, num_nodes=nodes, add_self_loops=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR tensor support|invariant checks)", UserWarning)
        csr = torch.sparse_coo_tensor(edges, weights, (nodes, nodes)).coalesce().to_sparse_csr()
        return torch.sparse_csr_tensor(csr.crow_indices().int(), csr.col_indices().int(), csr.values(), csr.shape)


def edge_of_entries(interactions: Interactions) -> Tensor:
    """Return, for each entry of `normalised_adjacency` in its order, the number of the edge that it stands for."""
    by_item = np.lexsort((interactions.users, interactions.items))
    return torch.from_numpy(np.concatenate([np.arange(len(interactions)), by_item]))


class _LayerMean(torch.autograd.Function):
    """The mean of the layers. A is symmetric, so the gradient takes the same road back, at the same price."""

    @staticmethod
    def forward(context: Any, nodes: Tensor, adjacency: Tensor, layers: int) -> Tensor:
        context.adjacency, context.layers = adjacency, layers
        return _layer_mean(nodes, adjacency, layers)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _layer_mean(gradients[0].contiguous(), context.adjacency, context.layers), None, None


def _layer_mean(nodes: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    """Return the mean of the layers by Horner's rule, E0 + A (E0 + A (E0 + …)): one running sum and no list."""
    convolve = LGConv(normalize=False)
    total = nodes
    for _ in range(layers):
        total = nodes + convolve(total, adjacency)
    return total / (layers + 1)


def xavier_start(interactions: Interactions, dimension: int, seed: int) -> Tensor:
    """Return random vectors (users + items, D) by Glorot & Bengio 2010, as the paper begins."""
    generator = torch.Generator().manual_seed(seed)
    sizes = interactions.n_users, interactions.n_items
    return torch.cat([nn.init.xavier_uniform_(torch.empty(n, dimension), generator=generator) for n in sizes])


class LightGCN(nn.Module):
    """The model: ``model()`` gives the final vectors of users and of items."""

    adjacency: Tensor
    edges: Tensor

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
        self.register_buffer("edges", edge_of_entries(interactions), persistent=False)

    def forward(self, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the final vectors (users, D) and (items, D).

        Args:
            kept: (edges,) true where an edge is there to pass vectors along; None keeps all. Those that stay weigh
                more, so that sums keep their size.
        """
        adjacency = self.adjacency if kept is None else self._thinned(kept)
        final: Tensor = _LayerMean.apply(self.embedding, adjacency, self.layers)
        return final[: self.sizes[0]], final[self.sizes[0] :]

    def _thinned(self, kept: Tensor) -> Tensor:
        """Return the adjacency without some edges, in both directions, so it stays symmetric."""
        full = self.adjacency
        weight = kept.float() * (len(kept) / kept.sum())
        values = full.values() * weight[self.edges]
        return torch.sparse_csr_tensor(
            full.crow_indices(), full.col_indices(), values, full.shape, check_invariants=False
        )
