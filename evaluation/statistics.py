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
from scipy import special

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
        width = float(special.stdtrit(self.playlists - 1, 1 - alpha / 2)) * self.spread / math.sqrt(self.playlists)
        return self.mean - width, self.mean + width

    def playlists_needed(self, bar: float, alpha: float) -> int | None:
        """Return how many playlists would tell the mean from ``bar`` with chance `POWER`; None beyond ten million."""
        distance = abs(self.mean - bar)
        if self.playlists < 2 or distance == 0:
            return None
        quantiles = float(special.ndtri(1 - alpha / 2) + special.ndtri(POWER))
        count = (quantiles * self.spread / distance) ** 2
        return max(math.ceil(count), self.playlists + 1) if count <= _MOST_PLAYLISTS else None


def estimate(
    values: NDArray[np.float64],
    playlists: Sequence[int] | NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> Estimate:
    """Return the mean of ``values`` (n,) with its uncertainty.

    Args:
        values: One a question.
        playlists: Whose each is, (n,): numbers from 0.
        weights: How much each counts, (n,), above 0; all the same without. A share of tracks that is weighted with
            their number has the share of all questions' tracks as its mean (a ratio estimator).
    """
    count = len(values)
    if not count:
        return Estimate(0, 0, 0.0, 0.0)
    shares = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    owners = np.asarray(playlists)
    groups = int(np.count_nonzero(np.bincount(owners)))
    mean = float(shares @ values / shares.sum())
    if groups < 2:
        return Estimate(count, groups, mean, 0.0)
    sums = np.bincount(owners, weights=shares * (values - mean))
    variance = groups / (groups - 1) * float(sums @ sums) / float(shares.sum()) ** 2
    return Estimate(count, groups, mean, math.sqrt(variance * groups))


def jackknife(whole: float, without: NDArray[np.float64], questions: int) -> Estimate:
    """Return a figure that is no mean, with its uncertainty by what it would be without each playlist.

    Args:
        whole: The figure.
        without: The same with one playlist left out, for each of them, (G,).
        questions: How many questions there were.

    Returns:
        The figure, with the jackknife's standard error (Tukey 1958), which is rather too wide than too narrow (Efron
        and Stein 1981).
    """
    groups = len(without)
    if groups < 2:
        return Estimate(questions, groups, whole, 0.0)
    variance = (groups - 1) / groups * float(((without - without.mean()) ** 2).sum())
    return Estimate(questions, groups, whole, math.sqrt(variance * groups))
