"""Evidence that may be looked at after every block: how often it is wrong, and how soon it is right."""

import numpy as np
import pytest

from evaluation.sequential import (
    Blocks,
    Floats,
    difference_interval,
    evidence_above,
    evidence_below,
    evidence_of_mismatch,
    evidence_of_rate,
    rate_interval,
)

RUNS = 1000
BAR = -np.log(0.05)
# Of 1,000 runs that are each wrong with chance 5 %, more than 70 are with chance 0.3 %.
MOST_WRONG = 70


def arms(
    rates: tuple[float, float], answers: tuple[float, float], blocks: int = 120, runs: int = RUNS, wobble: float = 0.0
) -> Blocks:
    """Draw both arms, seeded; ``wobble`` swings the rates of both at once."""
    draw = np.random.default_rng(7)
    swing = 1 + wobble * np.sin(np.arange(blocks) / 9)
    counts = [draw.poisson(count, (runs, blocks)) for count in answers]
    bad = [draw.binomial(n, np.clip(rate * swing, 0, 1)) for n, rate in zip(counts, rates, strict=True)]
    return Blocks(counts[0].astype(float), bad[0].astype(float), counts[1].astype(float), bad[1].astype(float))


def one(*counts: list[float]) -> Blocks:
    return Blocks(*(np.array(count, float) for count in counts))


@pytest.mark.parametrize(
    "rate, answers, wobble",
    [(0.3, (50, 50), 0.0), (0.01, (99, 1), 0.0), (0.02, (75, 25), 0.9), (0.3, (95, 5), 0.9)],
    ids=["half", "rare at 1 %", "rare and swinging", "swinging"],
)
def test_equal_arms_are_seldom_called_worse_however_often_one_looks(
    rate: float, answers: tuple[float, float], wobble: float
) -> None:
    """After each of 120 blocks, at 5 %: at most 5 % ever, as Ville's inequality has it; also with common swings."""
    wrong = (evidence_above(arms((rate, rate), answers, wobble=wobble), 0.0)[:, -1] >= BAR).sum()
    assert wrong <= MOST_WRONG


def test_a_test_of_one_look_would_not_hold() -> None:
    """The same data and the usual z test after every block: several times its level, so the care is not for nothing."""
    blocks = arms((0.3, 0.3), (50, 50))
    n, k, m, j = (np.cumsum(part, axis=1) for part in _parts(blocks))
    pooled = (k + j) / (n + m)
    z = (j / m - k / n) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    assert ((z > 1.645).any(axis=1)).mean() > 0.2


@pytest.mark.parametrize("rate, margin, answers", [(0.3, 0.05, (50, 50)), (0.01, 0.02, (75, 25)), (0.3, 0.1, (95, 5))])
def test_an_arm_at_the_margin_is_seldom_called_within_it(
    rate: float, margin: float, answers: tuple[float, float]
) -> None:
    """The error that lets a worse model pass."""
    wrong = (evidence_below(arms((rate, rate + margin), answers), margin, margin)[:, -1] >= BAR).sum()
    assert wrong <= MOST_WRONG


@pytest.mark.parametrize("rates, answers, blocks", [((0.002, 0.4), (99, 1), 30), ((0.3, 0.5), (95, 5), 40)])
def test_a_real_harm_is_found_soon(rates: tuple[float, float], answers: tuple[float, float], blocks: int) -> None:
    """In 30 answers of the canary that errs, in 200 of the one that is skipped, nine times of ten."""
    assert (evidence_above(arms(rates, answers, blocks), 0.0)[:, -1] >= BAR).mean() > 0.9


def test_an_equal_arm_is_proven_within_the_margin() -> None:
    """Two rates of 30 % within 5 points by some 3,000 answers each, four times of five."""
    assert (evidence_below(arms((0.3, 0.3), (50, 50), 60), 0.05, 0.05)[:, -1] >= BAR).mean() > 0.8


def test_evidence_only_grows_with_time() -> None:
    """What was proven at one look is proven at the next."""
    evidence = evidence_above(arms((0.1, 0.2), (50, 50), runs=20), 0.0)
    assert (np.diff(evidence, axis=1) >= 0).all()


def test_the_factor_is_a_fair_bet_at_worst() -> None:
    """Worked out for every outcome of a block: its mean is at most 1 wherever the hypothesis holds, 1 at its edge."""
    from math import comb

    n, m, means = 3, 2, []
    for p, q in ((0.2, 0.2), (0.2, 0.1), (0.5, 0.5), (0.9, 0.9), (0.02, 0.02)):
        total = 0.0
        for k in range(n + 1):
            for j in range(m + 1):
                chance = comb(n, k) * p**k * (1 - p) ** (n - k) * comb(m, j) * q**j * (1 - q) ** (m - j)
                # Rates of the bets were learned in the first block; wealth is told as of its running maximum from 1.
                blocks = one([10, n], [2, k], [0, m], [0, j])
                total += chance * float(np.exp(_last_factor(blocks)))
        means.append(total)
    assert max(means) <= 1 + 1e-9


def _last_factor(blocks: Blocks) -> float:
    """Return the log of the mean wealth itself, which the public doors only give where it exceeds 1."""
    from evaluation.sequential import WORSE_BY, _factor, _learned

    _, rate = _learned(blocks.control, blocks.control_bad)
    logs = [_factor(blocks, rate, np.clip(rate + bet, 1e-4, 1 - 1e-4), 0.0)[-1] for bet in WORSE_BY]
    return float(np.logaddexp.reduce(logs) - np.log(len(logs)))


def test_the_interval_of_a_difference_holds_it_and_narrows() -> None:
    """Around the estimate, half as wide with ten times the answers, and everything without answers."""
    few, many = (arms((0.3, 0.35), (50, 50), blocks, runs=1) for blocks in (12, 120))
    widths = []
    for blocks in (few, many):
        low, high = difference_interval(one(*(list(part[0]) for part in _parts(blocks))), 0.05)
        assert low < 0.05 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert difference_interval(one([], [], [], []), 0.05) == (-1.0, 1.0)


def test_an_interval_reaches_the_edge() -> None:
    """Where every answer of one arm is bad and none of the other."""
    low, high = difference_interval(one([1000, 1000], [0, 0], [1000, 1000], [1000, 1000]), 0.05)
    assert 0.9 < low < high == pytest.approx(1)
    low, high = difference_interval(one([1000, 1000], [1000, 1000], [1000, 1000], [0, 0]), 0.05)
    assert -0.9 > high > low == pytest.approx(-1)


def _parts(blocks: Blocks) -> tuple[Floats, ...]:
    return blocks.control, blocks.control_bad, blocks.canary, blocks.canary_bad


def test_one_arms_mixture_is_the_beta_binomial_one() -> None:
    """By hand, for two answers of which one is bad: B(1.5, 1.5) / B(.5, .5) = 1/8, against 1/4 at a half."""
    assert np.exp(evidence_of_rate(2, 1, 0.5)) == pytest.approx(0.5)
    assert np.exp(evidence_of_rate(0, 0, 0.5)) == pytest.approx(1.0)


def test_the_interval_of_a_rate_holds_at_all_times() -> None:
    """Looked at after each of 200 answers, the true rate is ever outside in at most 5 %."""
    draw = np.random.default_rng(3)
    bad = np.cumsum(draw.random((RUNS, 200)) < 0.1, axis=1)
    ever = (evidence_of_rate(np.arange(1, 201), bad, 0.1) >= BAR).any(axis=1)
    assert ever.sum() <= MOST_WRONG
    assert rate_interval(0, 0, 0.05) == (0.0, 1.0)
    low, high = rate_interval(200, 0, 0.05)
    assert (low, round(high, 3)) == (0.0, 0.031)


def test_shares_that_are_kept_are_seldom_called_a_mismatch() -> None:
    """Lindon and Malek's promise, looked at 500 times; and a broken split is found."""
    draw = np.random.default_rng(5)
    kept, broken = (
        np.cumsum(draw.multinomial(20, share, (RUNS, 500)), axis=1) for share in ([0.95, 0.05], [0.97, 0.03])
    )
    assert (evidence_of_mismatch(kept, [0.95, 0.05]).max(axis=1) >= BAR).sum() <= MOST_WRONG
    assert (evidence_of_mismatch(broken, [0.95, 0.05]).max(axis=1) >= BAR).mean() > 0.99


def test_the_mismatch_is_the_dirichlet_multinomial_one() -> None:
    """One draw is no evidence under a prior whose mean is the intended share."""
    assert np.exp(evidence_of_mismatch([1, 0], [0.9, 0.1])) == pytest.approx(1.0)
    assert np.exp(evidence_of_mismatch([2, 0], [0.9, 0.1])) == pytest.approx(90 * 91 / (100 * 101) / 0.81)
