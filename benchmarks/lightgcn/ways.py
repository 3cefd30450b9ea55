"""Ways to pass vectors along the graph once; each is built from a graph and then called with vectors (nodes, D)."""

import warnings
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.nn import LGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from train.interactions import Interactions
from train.lightgcn import by_columns, normalised_adjacency

Propagate = Callable[[Tensor], Tensor]


def segue(graph: Interactions) -> Propagate:
    """Segue's own: `LGConv` over a CSR matrix, some numbers of all vectors at a time."""
    adjacency, convolve = normalised_adjacency(graph), LGConv(normalize=False)
    return lambda vectors: by_columns(vectors.clone(), lambda part: convolve(part, adjacency))


def scipy(graph: Interactions) -> Propagate:
    """A CSR matrix of SciPy times the vectors."""
    wide = graph.matrix()
    by_user, by_item = (1 / np.sqrt(np.maximum(wide.sum(axis), 1)) for axis in (1, 0))
    scaled = sp.diags_array(by_user) @ wide @ sp.diags_array(by_item)
    adjacency = sp.block_array([[None, scaled], [scaled.T, None]], format="csr").astype(np.float32)
    return lambda vectors: torch.from_numpy(adjacency @ vectors.numpy())


def pyg(graph: Interactions) -> Propagate:
    """`LGConv` over an edge list: one message for each edge."""
    edges, weights = _edges(graph)
    convolve = LGConv(normalize=False)
    return lambda vectors: convolve(vectors, edges, weights)


def coo(graph: Interactions) -> Propagate:
    """`torch.sparse.mm` over a COO matrix."""
    nodes = graph.n_users + graph.n_items
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse invariant checks", UserWarning)
        adjacency = torch.sparse_coo_tensor(*_edges(graph), (nodes, nodes)).coalesce()
    return lambda vectors: torch.sparse.mm(adjacency, vectors)


def _edges(graph: Interactions) -> tuple[Tensor, Tensor]:
    users = torch.from_numpy(graph.users)
    items = torch.from_numpy(graph.items) + graph.n_users
    both = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    edges, weights = gcn_norm(both, num_nodes=graph.n_users + graph.n_items, add_self_loops=False)
    return edges, weights


WAYS: dict[str, Callable[[Interactions], Propagate]] = {"segue": segue, "scipy": scipy, "pyg": pyg, "coo": coo}
