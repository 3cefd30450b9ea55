"""Comparing two arms while one watches: evidence that may be looked at at any moment, as often as one likes.

The theorem is Ville's (1939): wealth that is never negative, begins at 1 and can only shrink on average reaches
1/alpha, ever, with chance at most alpha. The wealth is that of bettors against a hypothesis on the difference of two
rates (Turner and Grünwald 2023, Exact anytime-valid confidence intervals for contingency tables and beyond, Statistics
& Probability Letters 198). Time is cut into blocks; a block has n answers of the control and m of the canary, each of
which can be bad. Before a block, a bettor names rates (q, q') outside the hypothesis, learned from earlier blocks, and
after it the wealth is multiplied by the likelihood ratio

    lik(q, q') / lik(r, r'),    (r, r') = the pair within the hypothesis that minimises n KL(q|r) + m KL(q'|r').

Why the wealth cannot grow on average where the hypothesis holds: the log of that factor's mean is concave in the true
rates, is 0 at (r, r'), and by the choice of (r, r') does not rise from there into the hypothesis, which is convex. So
it holds at any number of answers, for rates that are other ones in every block (a database that is slow for both), and
for several bettors who share a stake: their mean is wealth of the same kind.

Everything here works along the last axis and on any axes before it: a simulation judges a thousand canaries at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, gammaln, xlog1py, xlogy

Floats = NDArray[np.float64]
WORSE_BY = (0.005, 0.015, 0.05, 0.15, 0.45)
"""What bettors against "not worse" bet on: the canary's rate above the control's, from hardly to grossly."""
SAFER_BY = (0.5, 1.0, 2.0)
"""What bettors against "worse by the margin" bet on: how far below the margin, in margins."""
_PRIOR = 0.5  # Jeffreys'
_LEAST_RATE = 1e-4
"""No bet on a rate of exactly 0 or 1, which the first answer to the contrary would lose for ever."""
_HALVINGS = 25
_EDGE_HALVINGS = 14
"""An interval is told to a hundredth of a point; what passes or fails does not hang on it."""
_CONCENTRATION = 100.0
"""How near to the intended shares a mismatch is looked for: as near as a hundred draws would show."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Answers of two arms, block by block; counts are of the block alone.

    Attributes:
        control: Answers of the control, (..., blocks).
        control_bad: How many of them were bad.
        canary: Answers of the canary.
        canary_bad: How many of them were bad.
    """

    control: Floats
    control_bad: Floats
    canary: Floats
    canary_bad: Floats

    @property
    def effect(self) -> Floats:
        """The canary's share of bad answers less the control's, over all blocks; 0 where an arm has no answer."""
        n, k, m, j = (one.sum(axis=-1) for one in (self.control, self.control_bad, self.canary, self.canary_bad))
        return np.where((n > 0) & (m > 0), j / np.maximum(m, 1) - k / np.maximum(n, 1), 0.0)


def evidence_above(blocks: Blocks, difference: float) -> Floats:
    """Return the log wealth against "the canary's rate is above the control's by no more than this".

    Returns:
        The most that was ever had by the end of each block, (..., blocks).
    """
    return _wealth(blocks, difference, [difference + step for step in WORSE_BY])


def evidence_below(blocks: Blocks, difference: float, unit: float) -> Floats:
    """Return the log wealth against "the canary's rate is above the control's by at least this".

    Args:
        blocks: What was counted.
        difference: The canary's rate less the control's.
        unit: The size of the differences that bettors bet on.

    Returns:
        The most that was ever had by the end of each block, (..., blocks).
    """
    return _wealth(blocks, difference, [difference - step * unit for step in SAFER_BY])


def _wealth(blocks: Blocks, difference: float, bets: list[float]) -> Floats:
    """Return the log of the bettors' mean wealth, the most of it until each block's end, (..., blocks)."""
    known, rate = _learned(blocks.control, blocks.control_bad)
    logs = []
    for bet in bets:
        canary = np.clip(rate + bet, _LEAST_RATE, 1 - _LEAST_RATE)
        outside = (canary - rate - difference) * (bet - difference) > 0  # near 0 and 1 there may be no room to bet
        factors = np.where(known & outside, _factor(blocks, rate, canary, difference), 0.0)
        logs.append(np.cumsum(factors, axis=-1))
    wealth = np.logaddexp.reduce(np.stack(logs), axis=0) - np.log(len(bets))
    return np.asarray(np.maximum.accumulate(np.maximum(wealth, 0.0), axis=-1))


def _learned(answers: Floats, bad: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return whether an arm was seen before each block, and its rate as far as those earlier blocks tell."""
    before, bad_before = np.cumsum(answers, axis=-1) - answers, np.cumsum(bad, axis=-1) - bad
    rate = (bad_before + _PRIOR) / (before + 2 * _PRIOR)
    return before > 0, np.clip(rate, _LEAST_RATE, 1 - _LEAST_RATE)


def _factor(blocks: Blocks, rate: Floats, canary: Floats, difference: float) -> Floats:
    """Return the log likelihood ratio of a bet on the rates (``rate``, ``canary``), block by block."""
    n, k, m, j = blocks.control, blocks.control_bad, blocks.canary, blocks.canary_bad
    nearest = _nearest(n, rate, m, canary, difference)
    won = _log_likelihood(n, k, rate) + _log_likelihood(m, j, canary)
    return won - _log_likelihood(n, k, nearest) - _log_likelihood(m, j, nearest + difference)


def _nearest(n: Floats, rate: Floats, m: Floats, canary: Floats, difference: float) -> Floats:
    """Return the control's rate of the pair that minimises n KL(rate|r) + m KL(canary|r + difference)."""
    if difference == 0:
        return np.asarray((n * rate + m * canary) / np.maximum(n + m, 1e-9))
    low = np.full(np.broadcast(n, rate).shape, max(0.0, -difference))
    if abs(difference) >= 1:  # of one pair alone, and its slope is endless
        return low
    high = np.full_like(low, min(1.0, 1.0 - difference))
    for _ in range(_HALVINGS):  # the sum is convex in r: follow its slope
        r = (low + high) / 2
        other = r + difference
        slope = n * (r - rate) / (r * (1 - r)) + m * (other - canary) / (other * (1 - other))
        low, high = np.where(slope < 0, r, low), np.where(slope < 0, high, r)
    return np.asarray((low + high) / 2)


def _log_likelihood(answers: Floats, bad: Floats, rate: Floats) -> Floats:
    return np.asarray(xlogy(bad, rate) + xlog1py(answers - bad, -rate))


def evidence_of_rate(answers: ArrayLike, bad: ArrayLike, rate: ArrayLike) -> Floats:
    """Return the log wealth against "each answer is bad with chance ``rate``", from the counts of one arm.

    The bettors are all rates at once, weighed by Jeffreys' prior (the beta-binomial mixture of Robbins 1970; Howard,
    Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49(2)).
    """
    n, k, p = (np.asarray(one, float) for one in (answers, bad, rate))
    mixture = betaln(_PRIOR + k, _PRIOR + n - k) - betaln(_PRIOR, _PRIOR)
    return np.asarray(mixture - _log_likelihood(n, k, p))


def evidence_of_mismatch(draws: ArrayLike, shares: ArrayLike) -> Floats:
    """Return the log wealth against "each request is drawn by the intended shares".

    The Dirichlet-multinomial mixture of Lindon and Malek (2022, Anytime-Valid Inference for Multinomial Count Data,
    Advances in Neural Information Processing Systems 35).

    Args:
        draws: Requests by arm, (..., arms).
        shares: The intended shares, (arms,), all above 0, together 1.
    """
    drawn, intended = np.asarray(draws, float), np.asarray(shares, float)
    prior = _CONCENTRATION * intended
    mixture = gammaln(_CONCENTRATION) - gammaln(_CONCENTRATION + drawn.sum(axis=-1))
    mixture = mixture + (gammaln(prior + drawn) - gammaln(prior)).sum(axis=-1)
    return np.asarray(mixture - xlogy(drawn, intended).sum(axis=-1))


def difference_interval(blocks: Blocks, alpha: float) -> tuple[float, float]:
    """Return the differences, canary less control, that neither side's bettors exclude at ``alpha`` each.

    All of [-1, 1] without answers of both arms.
    """
    if not (blocks.control.sum() and blocks.canary.sum()):
        return -1.0, 1.0
    best, bar = float(blocks.effect), -np.log(alpha)
    low = _edge(best, -1.0, lambda difference: bool(evidence_above(blocks, difference)[-1] >= bar))
    high = _edge(best, 1.0, lambda difference: bool(_safer(blocks, difference, best)[-1] >= bar))
    return low, high


def _safer(blocks: Blocks, difference: float, best: float) -> Floats:
    return evidence_below(blocks, difference, max(difference - best, 1e-3))


def rate_interval(answers: float, bad: float, alpha: float) -> tuple[float, float]:
    """Return the rates of one arm that are not excluded at ``alpha``; all of [0, 1] without an answer."""
    if not answers:
        return 0.0, 1.0

    def excluded(rate: float) -> bool:
        return bool(evidence_of_rate(answers, bad, rate) >= -np.log(alpha))

    return _edge(bad / answers, 0.0, excluded), _edge(bad / answers, 1.0, excluded)


def _edge(inside: float, end: float, excluded: Callable[[float], bool]) -> float:
    """Return where exclusion begins between the best estimate, taken as not excluded, and the end of all values."""
    outside = end
    for _ in range(_EDGE_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside
