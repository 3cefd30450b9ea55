"""Who has what: the bipartite graph of users (playlists) and items (tracks), and splits of its edges."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interactions:
    """Edges between users and items, sorted by user and then item, each once. Build them with `Interactions.of`.

    Attributes:
        users: (E,) user of each edge.
        items: (E,) item of each edge.
        n_users: Users there are, those without an edge included.
        n_items: Items there are, likewise.
    """

    users: Numbers
    items: Numbers
    n_users: int
    n_items: int

    @classmethod
    def of(cls, users: NDArray[np.integer], items: NDArray[np.integer], n_users: int, n_items: int) -> "Interactions":
        """Return the edges in order, repeated ones once."""
        edges = np.unique(users.astype(np.int64) * n_items + items.astype(np.int64))
        return cls(edges // n_items, edges % n_items, n_users, n_items)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def starts(self) -> Numbers:
        """Where each user's edges begin, (n_users + 1,): user u's are ``starts[u]:starts[u + 1]``."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1))

    def matrix(self) -> sp.csr_array:
        """Return the (n_users, n_items) matrix with a 1 for each edge."""
        ones = np.ones(len(self), np.float32)
        return sp.csr_array((ones, self.items, self.starts), shape=(self.n_users, self.n_items))

    def select(self, kept: NDArray[np.bool_]) -> "Interactions":
        """Return the edges where ``kept`` (E,) is true."""
        return Interactions(self.users[kept], self.items[kept], self.n_users, self.n_items)


def hold_out(interactions: Interactions, share: float, seed: int) -> tuple[Interactions, Interactions]:
    """Return (rest, held out): of each user's items a random ``share``, rounded, and never all of them."""
    order = np.random.default_rng(seed).permutation(len(interactions))
    order = order[np.argsort(interactions.users[order], kind="stable")]
    degree = np.diff(interactions.starts)
    rank = np.arange(len(order)) - np.repeat(interactions.starts[:-1], degree)
    quota = np.minimum(np.floor(degree * share + 0.5), np.maximum(degree - 1, 0))
    held = np.zeros(len(interactions), bool)
    held[order] = rank < np.repeat(quota, degree)
    return interactions.select(~held), interactions.select(held)
