"""How sure a mean over playlists is: intervals clustered by playlist, and how many playlists would settle a question.

Questions about one playlist are not independent, so playlists, not questions, are the unit: the variance of a mean is
the cluster-robust one (Liang and Zeger 1986, with the small-sample factor G / (G - 1)), studentised with G - 1 degrees
of freedom. With one question per playlist this is the ordinary paired t interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

POWER = 0.8
"""Chance with which `playlists_needed` playlists settle a question, if the effect is what it seems now."""
_MOST_PLAYLISTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and how sure it is.

    Attributes:
        questions: How many values went in.
        playlists: How many playlists they come from (G).
        mean: Their mean; 0 without any.
        spread: Standard error times the root of G: what one playlist more or less is worth. 0 below two playlists.
    """

    questions: int
    playlists: int
    mean: float
    spread: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the two-sided interval that misses the true mean with chance ``alpha``; endless below 2 playlists."""
        if self.playlists < 2:
            return -math.inf, math.inf
        width = float(stats.t.ppf(1 - alpha / 2, self.playlists - 1)) * self.spread / math.sqrt(self.playlists)
        return self.mean - width, self.mean + width

    def playlists_needed(self, bar: float, alpha: float) -> int | None:
        """Return how many playlists would tell the mean from ``bar`` with chance `POWER`; None beyond ten million."""
        distance = abs(self.mean - bar)
        if self.playlists < 2 or distance == 0:
            return None
        quantiles = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))
        count = (quantiles * self.spread / distance) ** 2
        return max(math.ceil(count), self.playlists + 1) if count <= _MOST_PLAYLISTS else None


def estimate(values: NDArray[np.float64], playlists: Sequence[int]) -> Estimate:
    """Return the mean of ``values`` (n,) with its uncertainty; ``playlists`` (n,) says whose each value is."""
    count = len(values)
    if not count:
        return Estimate(0, 0, 0.0, 0.0)
    _, owner = np.unique(np.asarray(playlists), return_inverse=True)
    groups = int(owner.max()) + 1
    mean = float(values.mean())
    if groups < 2:
        return Estimate(count, groups, mean, 0.0)
    sums = np.bincount(owner, weights=values - mean, minlength=groups)
    variance = groups / (groups - 1) * float(sums @ sums) / count**2
    return Estimate(count, groups, mean, math.sqrt(variance * groups))
