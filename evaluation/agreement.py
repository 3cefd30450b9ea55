"""How much two models' continuations of the same playlist agree."""

from collections.abc import Hashable, Sequence

PERSISTENCE = 0.9
"""How likely a listener is to go on from one place to the next: the first ten places then have 86 % of the weight."""


def overlap(one: Sequence[Hashable], other: Sequence[Hashable], k: int) -> float:
    """Return the share of the first ``k`` that both lists have; lists shorter than that lack the rest."""
    return len(set(one[:k]) & set(other[:k])) / k


def rank_biased_overlap(one: Sequence[Hashable], other: Sequence[Hashable], p: float = PERSISTENCE) -> float:
    """Return the rank-biased overlap of two lists without repetitions, extrapolated beyond their end; 0 to 1.

    Webber, Moffat and Zobel 2010, A similarity measure for indefinite rankings, ACM TOIS 28(4), equation 30, at the
    depth of the shorter list.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"the persistence {p} is not between 0 and 1")
    depth = min(len(one), len(other))
    seen: set[Hashable] = set()
    also: set[Hashable] = set()
    total, agreement = 0.0, 0.0
    for place in range(depth):
        seen.add(one[place])
        also.add(other[place])
        agreement = len(seen & also) / (place + 1)
        total += agreement * p**place * (1 - p)
    return total + agreement * p**depth
