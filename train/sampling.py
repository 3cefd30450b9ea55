"""Batches for LightGCN. All that is random in an epoch follows from the seed and the epoch's number.

So a resumed run needs no generator's state: epoch 7 draws the same whether or not epoch 6 was drawn in this process.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.interactions import Interactions, Numbers


@dataclass(frozen=True, slots=True)
class Triples:
    """A batch for BPR: each user has the positive and lacks the negative; all (B,)."""

    users: Tensor
    positives: Tensor
    negatives: Tensor

    def part(self, kept: slice) -> "Triples":
        """Return some of the pairs."""
        return Triples(self.users[kept], self.positives[kept], self.negatives[kept])


@dataclass(frozen=True, slots=True)
class UserBatch:
    """A batch for the sampled softmax.

    Attributes:
        users: (B,) distinct users.
        rows: (P,) the place in ``users`` of each of their edges.
        positives: (P,) the item of each edge.
        candidates: (C,) distinct items, drawn uniformly.
        owned: Places (in ``users``, in ``candidates``) of the pairs that are edges.
    """

    users: Tensor
    rows: Tensor
    positives: Tensor
    candidates: Tensor
    owned: tuple[Tensor, Tensor]

    def part(self, kept: slice) -> "UserBatch":
        """Return some of the users, with all of their edges and all candidates."""
        edges, owned = (_within(rows, kept) for rows in (self.rows, self.owned[0]))
        return UserBatch(
            self.users[kept],
            self.rows[edges] - kept.start,
            self.positives[edges],
            self.candidates,
            (self.owned[0][owned] - kept.start, self.owned[1][owned]),
        )


def _within(rows: Tensor, kept: slice) -> Tensor:
    within: Tensor = (rows >= kept.start) & (rows < kept.stop)
    return within


def epoch_generator(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of one epoch's randomness."""
    return np.random.default_rng([seed, epoch])


def triples(interactions: Interactions, batch: int, rng: np.random.Generator) -> Iterator[Triples]:
    """Yield every edge once, in random order, each with one item that its user lacks, ``batch`` at a time."""
    order = rng.permutation(len(interactions))
    negatives = _lacked(interactions, interactions.users[order], rng)
    for start in range(0, len(order), batch):
        edges = order[start : start + batch]
        columns = interactions.users[edges], interactions.items[edges], negatives[start : start + batch]
        yield Triples(*(torch.from_numpy(column) for column in columns))


def _lacked(interactions: Interactions, users: Numbers, rng: np.random.Generator) -> Numbers:
    """Return for each user an item that they lack, uniformly; one that has everything gets any item."""
    edges = interactions.users * interactions.n_items + interactions.items
    full = np.diff(interactions.starts)[users] == interactions.n_items
    items = rng.integers(interactions.n_items, size=len(users))
    while len(clash := np.flatnonzero(_contains(edges, users * interactions.n_items + items) & ~full)):
        items[clash] = rng.integers(interactions.n_items, size=len(clash))
    return items


def _contains(edges: Numbers, asked: Numbers) -> NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(edges, asked), len(edges) - 1)
    return np.asarray(edges[places] == asked)


def user_batches(
    interactions: Interactions, batch: int, negatives: int, rng: np.random.Generator
) -> Iterator[UserBatch]:
    """Yield every user that has an edge once, in random order, ``batch`` at a time, with ``negatives`` drawn items."""
    starts = interactions.starts
    order = rng.permutation(np.flatnonzero(np.diff(starts)))
    for begin in range(0, len(order), batch):
        users = order[begin : begin + batch]
        lengths = starts[users + 1] - starts[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        edges = np.arange(len(rows)) + np.repeat(starts[users] - (np.cumsum(lengths) - lengths), lengths)
        yield _user_batch(users, rows, interactions.items[edges], _candidates(interactions.n_items, negatives, rng))


def _candidates(items: int, count: int, rng: np.random.Generator) -> Numbers:
    return np.arange(items) if count >= items else rng.choice(items, count, replace=False, shuffle=False)


def _user_batch(users: Numbers, rows: Numbers, positives: Numbers, candidates: Numbers) -> UserBatch:
    order = np.argsort(candidates)
    places = np.minimum(np.searchsorted(candidates, positives, sorter=order), len(candidates) - 1)
    columns = order[places]
    drawn = candidates[columns] == positives
    u, r, p, c = (torch.from_numpy(part) for part in (users, rows, positives, candidates))
    return UserBatch(u, r, p, c, (torch.from_numpy(rows[drawn]), torch.from_numpy(columns[drawn])))
