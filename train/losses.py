"""What LightGCN is taught by: the paper's pairs (BPR), or a softmax over a sample of the items."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def bpr(users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(u·i - u·j): an item that a user has should score above one that they lack.

    Bayesian personalised ranking, Rendle et al. 2009.

    Args:
        users: (B, D) a user's vector for each pair.
        positives: (B, D) of an item i that the user has.
        negatives: (B, D) of an item j that the user lacks.
    """
    return F.softplus(((negatives - positives) * users).sum(1)).mean()


def sampled_softmax(
    users: Tensor,
    positives: Tensor,
    rows: Tensor,
    candidates: Tensor,
    owned: tuple[Tensor, Tensor],
    catalogue: int,
    temperature: float,
    length: float = 0.0,
) -> Tensor:
    """Return the mean over positives of -log p, p the softmax of one positive among the items that the user lacks.

    Scores are those of `directed` over the temperature. Sampled softmax with cosines is the SSM loss of Wu et al. 2022
    (arXiv:2201.02327). A user's sum over the candidates is shared by all the user's positives, so a batch of users
    learns from every one of their edges for the price of one matrix product; the sum is scaled up from the sample to
    the catalogue.

    Args:
        users: (B, D).
        positives: (P, D) items that a user of the batch has.
        rows: (P,) the row in ``users`` of each positive.
        candidates: (C, D) items drawn uniformly without replacement.
        owned: (rows, columns) of pairs among users and candidates that are positives: they do not count as negatives.
        catalogue: How many items the candidates were drawn from.
        temperature: Lower is sharper: more weight on the hardest candidates.
        length: See `directed`.
    """
    users = F.normalize(users, dim=1) / temperature
    positive = (F.embedding(rows, users) * directed(positives, length)).sum(1)  # (P,)
    scores = users @ directed(candidates, length).T  # (B, C)
    scores = scores.index_put(owned, scores.new_tensor(-math.inf))
    negative = torch.logsumexp(scores, 1) + math.log(catalogue / len(candidates))  # (B,)
    return F.softplus(negative[rows] - positive).mean()


def directed(items: Tensor, length: float) -> Tensor:
    """Return (N, D) vectors with only a power of their lengths: 0 leaves directions, for cosines; 1 changes nothing.

    Long vectors are those of popular items. Cosines alone forget popularity and dot products overrate it; what lies
    between ranks best (figures in docs/lightgcn.md).
    """
    norms = items.norm(dim=1, keepdim=True).clamp_min(1e-12)
    directed: Tensor = items * norms.pow(length - 1)
    return directed
