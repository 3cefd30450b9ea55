"""From paired NDCG differences to ``pass``, ``fail`` or ``inconclusive``.

A pass needs every required comparison, so its chance of a false pass does not grow with their number and each is
tested at the full level (intersection-union test, Berger 1982). A fail needs only one, so each comparison's level is
divided by their number (Bonferroni). Both errors stay below 2.5 %, the one-sided half of 5 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.measure import DIGITS, inside
from evaluation.queries import ALL, SLICES, Question
from evaluation.statistics import Estimate, estimate

Word = Literal["pass", "fail", "inconclusive"]
INCUMBENT = "incumbent"
LEVEL = 0.05
LEAST_PLAYLISTS = 30
"""Below, a t interval of skewed differences misses more often than it says, so nothing is proven good."""
LEAST_TO_FAIL = 10
"""Below, nothing is proven bad either: a few playlists may agree by coincidence, and then look sure."""


@dataclass(frozen=True, slots=True)
class Margins:
    """How much NDCG a candidate may lose, at the worst end of its interval.

    Attributes:
        incumbent: Against the incumbent, over all questions; 0 asks it to be better, as it has to be than any baseline.
        slice: Against anything, in one slice.
    """

    incumbent: float = 0.0
    slice: float = 0.03


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate against one model on one slice.

    Attributes:
        against: The other model.
        slice: The slice, or ``all``.
        difference: Candidate's NDCG less the other's, over the same questions.
        bar: What the difference has to exceed: 0 to be better, minus a margin not to be worse.
        low: Lower end of the 95 % interval.
        high: Upper end.
        verdict: Whether the bar is passed.
        fail_level: Chance of a miss of the wider interval that has to lie below the bar for a fail.
    """

    against: str
    slice: str
    difference: Estimate
    bar: float
    low: float
    high: float
    verdict: Word
    fail_level: float

    @property
    def playlists_needed(self) -> int | None:
        """How many playlists would probably settle it; None where it is settled or no number can be told."""
        if self.verdict != "inconclusive":
            return None
        needed = self.difference.playlists_needed(
            self.bar, LEVEL if self.difference.mean > self.bar else self.fail_level
        )
        return needed if needed is None else max(needed, LEAST_PLAYLISTS)

    @property
    def required(self) -> bool:
        """Whether a pass needs it. A slice of a few playlists can stop a candidate, but cannot hold it up for ever."""
        return self.slice == ALL or self.difference.playlists >= LEAST_PLAYLISTS

    def to_json(self) -> dict[str, object]:
        """Return the comparison as the report has it; see docs/architecture.md."""
        return {
            "against": self.against,
            "slice": self.slice,
            "metric": "ndcg",
            "n": self.difference.questions,
            "playlists": self.difference.playlists,
            "effect": round(self.difference.mean, DIGITS),
            "low": round(self.low, DIGITS),
            "high": round(self.high, DIGITS),
            "margin": round(-self.bar, DIGITS) + 0.0,
            "verdict": self.verdict,
            "playlists_needed": self.playlists_needed,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, why, and every comparison behind it."""

    word: Word
    reason: str
    comparisons: tuple[Comparison, ...]


def judge(
    ndcg: Mapping[str, NDArray[np.float64]], candidate: str, questions: Sequence[Question], margins: Margins
) -> Verdict:
    """Compare the candidate with every other model, over all questions and in each slice.

    Args:
        ndcg: Model to its NDCG per question, (n,).
        candidate: Which of them is on trial.
        questions: What was asked, n of them.
        margins: What it may lose where it need not win.
    """
    owners = np.array([question.playlist for question in questions])
    rows = {name: inside(questions, name) for name in (ALL, *SLICES)}
    differences = {
        (other, name): estimate((ndcg[candidate] - ndcg[other])[mine], owners[mine])
        for other in ndcg
        for name, mine in rows.items()
        if other != candidate and mine.any()
    }
    comparisons = tuple(
        compare(other, name, difference, _bar(other, name, margins), len(differences))
        for (other, name), difference in differences.items()
    )
    return conclude(comparisons)


def _bar(other: str, name: str, margins: Margins) -> float:
    if name != ALL:
        return -margins.slice
    return -margins.incumbent if other == INCUMBENT else 0.0


def compare(other: str, name: str, difference: Estimate, bar: float, comparisons: int) -> Comparison:
    """Return whether a difference is proven above its bar, proven below it, or neither.

    Args:
        other: The model compared with.
        name: The slice.
        difference: Candidate less other.
        bar: What has to be exceeded.
        comparisons: How many comparisons the verdict rests on.
    """
    fail_level = LEVEL / max(comparisons, 1)
    low, high = difference.interval(LEVEL)
    _, surely_below = difference.interval(fail_level)
    word: Word = "inconclusive"
    if surely_below < bar and difference.playlists >= LEAST_TO_FAIL:
        word = "fail"
    elif low > bar and difference.playlists >= LEAST_PLAYLISTS:
        word = "pass"
    # NDCG lies in [0, 1], so no difference lies outside [-1, 1]: all that is known where nothing was measured.
    return Comparison(other, name, difference, bar, max(low, -1.0), min(high, 1.0), word, fail_level)


def conclude(comparisons: Sequence[Comparison]) -> Verdict:
    """Return fail if any comparison failed, pass if all required ones passed and there are some, else inconclusive."""
    failed = [one for one in comparisons if one.verdict == "fail"]
    required = [one for one in comparisons if one.required]
    unsettled = [one for one in required if one.verdict != "pass"]
    if failed:
        worst = min(failed, key=lambda one: (one.slice != ALL, one.difference.mean - one.bar))
        return Verdict("fail", f"The candidate is proven worse: {_describe(worst)}.", tuple(comparisons))
    if unsettled or not required:
        return Verdict("inconclusive", _doubt(unsettled), tuple(comparisons))
    return Verdict("pass", _praise(required, comparisons), tuple(comparisons))


def _doubt(unsettled: Sequence[Comparison]) -> str:
    if not unsettled:
        return "There is nothing to compare the candidate with on these playlists."
    closest = min(unsettled, key=lambda one: (one.slice != ALL, one.low - one.bar))
    needed = [one.playlists_needed for one in unsettled]
    known = [count for count in needed if count is not None]
    ask = f"about {max(known)} held-out playlists would settle it" if known else "more held-out playlists may settle it"
    return f"Not proven: {_describe(closest)}; {ask}."


def _praise(required: Sequence[Comparison], comparisons: Sequence[Comparison]) -> str:
    parts = [f"better than the best baseline: {_describe(one)}" for one in best_baseline(required)]
    parts += [
        f"{'not worse' if one.bar else 'better'} than what runs today: {_describe(one)}"
        for one in required
        if one.slice == ALL and one.against == INCUMBENT
    ]
    thin = sorted({one.slice for one in comparisons if not one.required})
    parts += [f"too few playlists to judge slice {name} by itself" for name in thin]
    return f"Proven {'; '.join(parts)}."


def best_baseline(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparison over all questions with the baseline that ranks best there; none without baselines."""
    baselines = [one for one in comparisons if one.slice == ALL and one.against != INCUMBENT]
    return sorted(baselines, key=lambda one: one.difference.mean)[:1]


def _describe(one: Comparison) -> str:
    where = "all queries" if one.slice == ALL else f"slice {one.slice}"
    aim = f", allowed to lose {-one.bar:.3g}" if one.bar else ""
    return (
        f"{one.difference.mean:+.4f} NDCG against {one.against} on {where} "
        f"(95 % interval {one.low:+.4f} to {one.high:+.4f}{aim}, {one.difference.playlists} playlists)"
    )
