"""Canaries by the thousand, each looked at after every block of counts: what would have become of them?

``python -m tests.evaluation.simulated_canaries`` prints the table of docs/promotion.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.online import Guard, Levels, settled
from evaluation.sequential import Blocks

GUARDS = (Guard("errors", 0.01, 0.01), Guard("slow", 0.02, 0.05), Guard("skipped", 0.05), Guard("unliked", 0.05))
NORMAL = {"errors": 0.002, "slow": 0.02, "skipped": 0.3, "unliked": 0.5}
WEIGHTS = (1, 5, 25, 50)
BLOCK = 30
FEEDBACK = 0.5
"""Share of answers that listeners react to."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What kind of canary it is.

    Attributes:
        name: In the table.
        worse: Guard to the difference of the canary's rate.
        requests: A second, to both.
        wobble: How much the rates of both arms swing together, as a share of themselves.
        worst: Whether it is worse by a margin or more, so that to promote it is an error.
    """

    name: str
    worse: Mapping[str, float] = field(default_factory=dict)
    requests: float = 20.0
    wobble: float = 0.0
    worst: bool = False


SCENARIOS = (
    Scenario("equal"),
    Scenario("better: 5 points fewer skips", {"skipped": -0.05, "unliked": -0.05}),
    Scenario("worse by the margin: 5 points more skips", {"skipped": 0.05}, worst=True),
    Scenario("worse by the margin: 1 point more errors", {"errors": 0.01}, worst=True),
    Scenario("errs: 30 points", {"errors": 0.3}, worst=True),
    Scenario("slow: half of the answers", {"slow": 0.5}, worst=True),
    Scenario("skipped: 40 points more", {"skipped": 0.4}, worst=True),
    Scenario("noisy and equal: rates swing by 80 %", wobble=0.8),
    Scenario("noisy, and worse by the margin", {"skipped": 0.05}, wobble=0.8, worst=True),
    Scenario("nobody listens", requests=0.0),
)


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the canaries, and when.

    Attributes:
        promoted: Whether each came to production, (canaries,).
        failed: Whether each was rolled back as worse; the others were undecided at a deadline.
        seconds: Until then, all steps together.
        weight: The share at which it ended.
    """

    promoted: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    weight: NDArray[np.int64]


def simulate(scenario: Scenario, canaries: int, seed: int, deadline: int = 1800) -> Fates:
    """Return the fates of canaries; the same seed, the same fates."""
    draw = np.random.default_rng(seed)
    levels = Levels()
    alive, failed = np.ones(canaries, bool), np.zeros(canaries, bool)
    seconds, ended = np.zeros(canaries), np.zeros(canaries, np.int64)
    for weight in WEIGHTS:
        if not alive.any():
            break
        passed, fell = _step(scenario, weight, int(alive.sum()), deadline // BLOCK, levels, draw)
        blocks = np.minimum(_first(passed), _first(fell))
        here = np.flatnonzero(alive)
        seconds[here] += BLOCK * np.minimum(blocks + 1, deadline // BLOCK)
        ended[here] = weight
        failed[here] = _first(fell) <= _first(passed)
        failed[here] &= np.isfinite(_first(fell))
        alive[here] = (_first(passed) < _first(fell)) & np.isfinite(_first(passed))
    return Fates(alive, failed, seconds, ended)


def _step(
    scenario: Scenario, weight: int, canaries: int, blocks: int, levels: Levels, draw: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether all guards were passed, and whether one was failed, by the end of each block."""
    passed = np.ones((canaries, blocks), bool)
    failed = np.zeros((canaries, blocks), bool)
    alpha = 0.9 * levels.alpha
    for guard in GUARDS:
        answers = scenario.requests * BLOCK * (FEEDBACK if guard.name in ("skipped", "unliked") else 1.0)
        counts = _counts(scenario, guard.name, weight, answers, (canaries, blocks), draw)
        good, bad = settled(counts, guard, weight, alpha, alpha / (len(GUARDS) * levels.steps))
        passed &= good & (np.cumsum(counts.canary, axis=-1) >= levels.least)
        failed |= bad
    return passed & ~failed, failed


def _counts(
    scenario: Scenario, name: str, weight: int, answers: float, shape: tuple[int, int], draw: np.random.Generator
) -> Blocks:
    swing = 1 + scenario.wobble * np.sin(np.arange(shape[1]) / 7 + 2 * np.pi * draw.random((shape[0], 1)))
    rates = [np.clip(NORMAL[name] * swing + worse, 0, 1) for worse in (0.0, scenario.worse.get(name, 0.0))]
    drawn = [draw.poisson(answers * share, shape) for share in (1 - weight / 100, weight / 100)]
    bad = [draw.binomial(count, rate) for count, rate in zip(drawn, rates, strict=True)]
    return Blocks(*(one.astype(float) for pair in zip(drawn, bad, strict=True) for one in pair))


def _first(reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the first block at whose end something was so, infinity where it never was."""
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1), np.inf)


def table(canaries: int = 1000, seed: int = 0) -> Iterator[str]:
    """Yield the table of the docs, line by line."""
    yield from (
        "| canaries | promoted | rolled back | undecided at a deadline | minutes: middle, 90 % | ended at |",
        "|---|---|---|---|---|---|",
    )
    for number, scenario in enumerate(SCENARIOS):
        fates = simulate(scenario, canaries, seed + number)
        undecided = ~fates.promoted & ~fates.failed
        middle, late = np.percentile(fates.seconds / 60, [50, 90])
        shares = ", ".join(f"{w} %: {(fates.weight == w).sum()}" for w in WEIGHTS if (fates.weight == w).any())
        counts = " | ".join(str(one.sum()) for one in (fates.promoted, fates.failed, undecided))
        yield f"| {scenario.name} | {counts} | {middle:.1f}, {late:.1f} | {shares} |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
