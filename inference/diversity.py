"""Calibrated re-ranking: a list that shares its places among a playlist's moods as the playlist does.

H. Steck, "Calibrated recommendations", RecSys 2018. His categories are genres, and a bundle has none. What it has for
every track is the vector that it is ranked by, whose angle to another says how much the two stand in playlists
together; so the categories here are groups of the playlist's own tracks by that angle. Ranked by score alone, one mood
takes all places of a playlist of two, be it the larger one or the one that the model knows better.
"""

from math import log1p

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

POOL = 200
"""Best candidates that are re-ranked: twenty times what is recommended unless more is asked for."""
_MOST_GROUPS = 8
_ALIKE = 0.9  # cosine from which on two tracks are of one group, so that a playlist of one mood is left as it is
_SMOOTHING = 0.01  # Steck's alpha: what an absent group has of the playlist's share, so that the divergence is finite
_UNITS = 1e9  # in one: beyond nine digits floats round one way here and another way there, and a tie would be none


def calibrate(
    profile: Floats, candidates: Floats, scores: NDArray[np.float32], diversity: float, places: int
) -> NDArray[np.int64]:
    """Return the places (places,) of the candidates that make the list, best first.

    Greedy, as in the paper: each place goes to the candidate that most raises
    (1 - diversity) * sum of relevances - diversity * KL(the profile's shares of groups || the list's). Relevance is the
    score, brought to 0 to 1 within the candidates: scores of two playlists have no common measure. Of candidates that
    raise it as much the one of the higher score comes first. The list of fewer places begins the list of more.

    Args:
        profile: (P, D) vectors of what the list is to be shared out by, at least one; their lengths mean nothing.
        candidates: (C, D) vectors of the candidates, best first.
        scores: (C,) their finite scores, falling.
        diversity: From 0, by score alone, to 1, by the groups' shares alone.
        places: How many to choose, at most C.
    """
    centres, shares = _group(_unit(profile))
    groups = _cosines(_unit(candidates), centres).argmax(1)
    span = float(scores[0]) - float(scores[-1])
    relevances = ((scores.astype(np.float64) - float(scores[-1])) / (span or 1.0)).tolist()
    # Of a group's candidates only the best that is left can be next.
    left = [np.flatnonzero(groups == group)[::-1].tolist() for group in range(len(shares))]
    taken = [0] * len(shares)
    order: list[int] = []
    for place in range(1, places + 1):
        group = _next(left, taken, relevances, shares, diversity, place)
        order.append(left[group].pop())
        taken[group] += 1
    return np.array(order, np.int64)


def _next(
    left: list[list[int]], taken: list[int], relevances: list[float], shares: list[float], diversity: float, place: int
) -> int:
    """Return the group whose best candidate is to stand in ``place``, counted from 1."""
    smoothing = place * _SMOOTHING / (1 - _SMOOTHING)
    most, first, chosen = -1, 0, 0
    for group, waiting in enumerate(left):
        if not waiting:
            continue
        best, share = waiting[-1], shares[group]
        # What one more of a group takes off the divergence, up to what is the same for all groups.
        closer = share * log1p(1 / (taken[group] + smoothing * share)) if share else 0.0
        worth = int(((1 - diversity) * relevances[best] + diversity * closer) * _UNITS + 0.5)
        if worth > most or (worth == most and best < first):
            most, first, chosen = worth, best, group
    return chosen


def _group(vectors: Floats) -> tuple[Floats, list[float]]:
    """Return the directions (G, D) of at most eight groups of vectors (P, D), and the share of each.

    Each group begins with the vector that is farthest from those before it (Gonzalez, "Clustering to minimize the
    maximum intercluster distance", 1985), the first one with the first vector, and points where its members point in
    the mean. Nothing is drawn by lot.
    """
    cosines = _cosines(vectors, vectors[:1])  # (P, G)
    while cosines.shape[1] < _MOST_GROUPS and (nearest := cosines.max(1)).min() < _ALIKE:
        farthest = int(nearest.argmin())
        cosines = np.hstack([cosines, _cosines(vectors, vectors[farthest : farthest + 1])])
    members = np.eye(cosines.shape[1], dtype=np.float32)[cosines.argmax(1)]  # (P, G)
    return _unit(np.einsum("pg,pd->gd", members, vectors)), members.mean(0, dtype=np.float64).tolist()


def _cosines(vectors: Floats, others: Floats) -> Floats:
    """Return (P, G) from unit vectors (P, D) and (G, D); not by BLAS, which would wake threads of its own."""
    return np.asarray(np.einsum("pd,gd->pg", vectors, others), np.float32)


def _unit(vectors: Floats) -> Floats:
    """Return vectors (P, D) at length 1, those of no length as they are."""
    lengths = np.sqrt(np.einsum("pd,pd->p", vectors, vectors))
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1)[:, None], np.float32)
