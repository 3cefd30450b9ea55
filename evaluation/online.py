"""The verdict on a canary, from what its listeners and those of production met at the same time.

Three values: ``pass``, ``fail`` or ``inconclusive``. Each guard is a kind of answer that should not become more
frequent: a failure, a slow one, a skipped one. A pass needs every guard, so each is tested at the full level
(intersection-union test, Berger 1982); a fail needs one guard at one step, so its level is divided by their number
(Bonferroni). The evidence may be looked at all the time (`evaluation.sequential`): in a whole promotion the chance of a
false fail is at most alpha, and so is that of a false pass of a canary that is worse by the margin.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.sequential import (
    Blocks,
    difference_interval,
    evidence_above,
    evidence_below,
    evidence_of_mismatch,
    evidence_of_rate,
    rate_interval,
)

Word = Literal["pass", "fail", "inconclusive"]
ALL = 100
HALF = 50
_FRESH = 0.9
"""Share of a level that the first window of a step has; each one after a gap has a tenth of the one before."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What may not become more frequent.

    Attributes:
        name: What is counted: an answer that is such a one is bad.
        margin: How much more often it may be so, where the canary has half of the listeners or more. With fewer the
            same harm to all of them is allowed: a canary of 5 % may be worse by ten times as much, and no more passes.
        limit: How often it may be so where there is no control to compare with; None where that says nothing.
    """

    name: str
    margin: float
    limit: float | None = None

    def margin_at(self, weight: int) -> float:
        """Return the margin at a share of requests in percent; below 1, for rates do not differ by more."""
        return min(self.margin * max(1.0, HALF / max(weight, 1)), 0.99)


@dataclass(frozen=True, slots=True)
class Levels:
    """How often a verdict may be wrong, and what it needs at least.

    Attributes:
        alpha: Chance of a false fail of an equal canary, and of a false pass of a bad one, in a whole promotion.
        steps: How many steps the promotion has.
        least: Answers of the canary below which nothing passes.
        clustering: How many answers are worth one, since those of one listener resemble each other; 1 if none do.
    """

    alpha: float = 0.05
    steps: int = 4
    least: int = 20
    clustering: float = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of one step.

    Attributes:
        blocks: Guard to its counts, a block a span of time.
        draws: Requests that were drawn to production and to the canary.
        trouble: Why this cannot be trusted now, in a sentence; "" where it can.
        restarts: How often the counting began anew within the step, after a gap.
        gone: Why the canary's listeners are answered by nobody, in a sentence; "" where they are.
    """

    blocks: Mapping[str, Blocks]
    draws: tuple[float, float] = (0.0, 0.0)
    trouble: str = ""
    restarts: int = 0
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One guard, judged.

    Attributes:
        name: The guard's.
        verdict: Of this guard alone.
        control: Answers of production.
        canary: Answers of the canary.
        effect: The canary's share of bad answers less production's, or the share itself without a control.
        low: Lower end of its interval.
        high: Upper end.
        margin: What `high` has to stay below for a pass.
    """

    name: str
    verdict: Word
    control: int
    canary: int
    effect: float
    low: float
    high: float
    margin: float

    def to_text(self) -> str:
        """Return it in one line, as a commit carries it."""
        return (
            f"{self.verdict} n={self.control}/{self.canary} effect={self.effect:+.4f} "
            f"interval={self.low:+.4f}..{self.high:+.4f} margin={self.margin:.4f}"
        )


@dataclass(frozen=True, slots=True)
class OnlineVerdict:
    """The word, why, and every comparison behind it."""

    word: Word
    reason: str
    comparisons: tuple[Comparison, ...] = ()


def judge(watched: Watched, weight: int, guards: Sequence[Guard], levels: Levels) -> OnlineVerdict:
    """Judge a canary at a share of requests in percent.

    What is proven bad fails, even where the data has gaps: it has listeners. Nothing passes on data with a gap, on
    requests that were not drawn as they should be, or without data.
    """
    wanted = [guard for guard in guards if weight < ALL or guard.limit is not None]
    alpha = levels.alpha * _FRESH * (1 - _FRESH) ** watched.restarts
    compared = tuple(_compare(watched, guard, weight, alpha, levels, len(wanted)) for guard in wanted)
    if watched.gone:
        return OnlineVerdict("fail", watched.gone, compared)
    failed = [one for one in compared if one.verdict == "fail"]
    if failed:
        worst = max(failed, key=lambda one: one.low)
        return OnlineVerdict("fail", f"The canary is proven worse: {_describe(worst)}.", compared)
    doubt = watched.trouble or _lack(compared) or _mismatch(watched, weight, alpha, levels) or _doubt(compared)
    if doubt:
        return OnlineVerdict("inconclusive", doubt, compared)
    closest = min(compared, key=lambda one: one.margin - one.high)
    return OnlineVerdict("pass", f"Proven not worse at {weight} %: {_describe(closest)}.", compared)


def _compare(watched: Watched, guard: Guard, weight: int, alpha: float, levels: Levels, guards: int) -> Comparison:
    seen = watched.blocks.get(guard.name, Blocks(*(np.zeros(0),) * 4))
    blocks = Blocks(*(getattr(seen, name) / levels.clustering for name in Blocks.__slots__))
    surely = alpha / (guards * levels.steps)
    if weight >= ALL:
        made = _alone(blocks, guard, alpha, surely)
    else:
        made = _against_control(blocks, guard, weight, alpha, surely)
    return _enough(replace(made, control=round(seen.control.sum()), canary=round(seen.canary.sum())), levels)


def _enough(made: Comparison, levels: Levels) -> Comparison:
    few = made.canary < levels.least
    return replace(made, verdict="inconclusive") if few and made.verdict == "pass" else made


def _against_control(blocks: Blocks, guard: Guard, weight: int, alpha: float, surely: float) -> Comparison:
    passed, failed = settled(blocks, guard, weight, alpha, surely)
    word: Word = "pass" if passed[-1:].any() else "fail" if failed[-1:].any() else "inconclusive"
    low, high = difference_interval(blocks, alpha)
    return Comparison(guard.name, word, 0, 0, float(blocks.effect), low, high, guard.margin_at(weight))


def settled(
    blocks: Blocks, guard: Guard, weight: int, alpha: float, surely: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether a guard was passed, and whether it was failed, by each block's end; never both, (..., blocks).

    A harm that is proven, and proven to be within the margin of all listeners, is one that was allowed. What looks
    worse at the level of a pass does not go on: at a small share much harm is allowed, and more would meet it.

    Args:
        blocks: What was counted.
        guard: The guard.
        weight: The canary's share of requests in percent, below 100.
        alpha: Level of a pass.
        surely: Level of a fail.
    """
    margin = guard.margin_at(weight)
    within = evidence_below(blocks, guard.margin, guard.margin) >= -math.log(alpha)
    worse = evidence_above(blocks, 0.0)
    failed = ~within & (worse >= -math.log(surely))
    passed = within | ((worse < -math.log(alpha)) & (evidence_below(blocks, margin, margin) >= -math.log(alpha)))
    return passed, failed


def _alone(blocks: Blocks, guard: Guard, alpha: float, surely: float) -> Comparison:
    limit = guard.limit or 0.0
    answers, bad = float(blocks.canary.sum()), float(blocks.canary_bad.sum())
    share = bad / answers if answers else 0.0
    low, high = rate_interval(answers, bad, alpha)
    word: Word = "inconclusive"
    if high < limit:
        word = "pass"
    elif share > limit and _won(evidence_of_rate(answers, bad, limit), surely):
        word = "fail"
    return Comparison(guard.name, word, 0, 0, share, low, high, limit)


def _won(evidence: object, alpha: float) -> bool:
    return float(evidence) >= -math.log(alpha)  # type: ignore[arg-type]  # an array of one number


def _mismatch(watched: Watched, weight: int, alpha: float, levels: Levels) -> str:
    """Return that the requests were not drawn by the weight, if that is proven."""
    production, canary = watched.draws
    if weight >= ALL:
        return ""
    if not production + canary:
        return "No listener was drawn to either side yet, so nothing says that they are split as they should be."
    if not _won(evidence_of_mismatch([production, canary], [1 - weight / ALL, weight / ALL]), alpha / levels.steps):
        return ""
    share = canary / (production + canary)
    return (
        f"The canary had {share:.2%} of {round(production + canary)} draws where {weight} % were meant, so the two "
        "sides cannot be compared; see whether the route has taken the weight and whether both answer."
    )


def _lack(compared: Sequence[Comparison]) -> str:
    """Return which data there is none of, or ""."""
    if not compared:
        return "There is nothing to judge the canary by; name guards in k8s/promotion.yaml."
    empty = [one.name for one in compared if not one.canary]
    return f"Nothing is known of {' and '.join(empty)}: the canary has no such data yet." if empty else ""


def _doubt(compared: Sequence[Comparison]) -> str:
    """Return what is not proven, or ""."""
    still = [one for one in compared if one.verdict != "pass"]
    return f"Not proven yet: {_describe(max(still, key=lambda one: one.high - one.margin))}." if still else ""


def _describe(one: Comparison) -> str:
    return (
        f"{one.name} {one.effect:+.4f} ({one.low:+.4f} to {one.high:+.4f}, below {one.margin:.4f} wanted, "
        f"{one.canary} answers of the canary)"
    )
