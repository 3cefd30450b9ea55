"""Recall and NDCG against the whole catalogue, as LightGCN's authors measure them."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.metrics import ndcg, recall
from train.interactions import Interactions

Score = Callable[[NDArray[np.int64]], Tensor]
"""From the numbers of n users to their scores (n, items), higher for what they should be shown first."""
_BLOCK = 1024
"""Users ranked at a time: 1,024 by 41k scores are 160 MB."""


def by_vectors(users: Tensor, items: Tensor) -> Score:
    """Return the score u·i of vectors (users, D) and (items, D)."""
    columns = items.T.contiguous()
    return lambda chosen: users[torch.from_numpy(chosen)] @ columns


@torch.no_grad()
def top_items(score: Score, seen: Interactions, chosen: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the best ``k`` items (n, k) of each chosen user, best first, without those of ``seen``.

    Args:
        score: Of all items for some users.
        seen: Edges whose items a user is not shown again.
        chosen: (n,) numbers of users.
        k: How many items; at most as many as there are.
    """
    matrix, best = seen.matrix(), []
    for start in range(0, len(chosen), _BLOCK):
        block = chosen[start : start + _BLOCK]
        scores = score(block)  # (block, items)
        rows, masked = matrix[block].nonzero()
        scores[torch.from_numpy(rows).long(), torch.from_numpy(masked).long()] = -torch.inf
        best.append(scores.topk(min(k, seen.n_items)).indices.numpy())
    return np.concatenate(best)


def full_ranking(
    score: Score, seen: Interactions, held_out: Interactions, k: int, limit: int = 0
) -> Mapping[str, float]:
    """Return ``recall`` and ``ndcg`` at ``k``, averaged over the users that hold something out.

    Args:
        score: Of all items for some users.
        seen: Edges whose items are masked.
        held_out: Edges to be found.
        k: Length of the list.
        limit: Most users measured, spread evenly; 0 is all of them.
    """
    chosen = np.flatnonzero(np.diff(held_out.starts))
    if 0 < limit < len(chosen):
        chosen = chosen[np.linspace(0, len(chosen) - 1, limit).astype(np.int64)]
    ranked = top_items(score, seen, chosen, k)
    starts = held_out.starts
    relevant = [set(held_out.items[starts[user] : starts[user + 1]].tolist()) for user in chosen]
    return {"recall": float(recall(ranked, relevant, k).mean()), "ndcg": float(ndcg(ranked, relevant, k).mean())}
