"""Every figure of a report: per slice and metric, what a model reached and how sure that is."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation import breadth
from evaluation.breadth import Facts
from evaluation.measure import DIGITS, Values, tabulate
from evaluation.queries import ALL, SLICES, Question
from evaluation.statistics import Estimate
from evaluation.verdict import LEVEL

Figures = Mapping[str, Mapping[str, Estimate]]
"""Slice to metric to its estimate."""
_BOUNDS = {"clicks": (0.0, 51.0), breadth.BIAS: (-math.inf, math.inf)}


def describe(
    ranked: NDArray[np.int64], scores: Mapping[str, Values], questions: Sequence[Question], facts: Facts
) -> Figures:
    """Return the figures of one model.

    Args:
        ranked: Its answers, (n, k) track numbers.
        scores: Metric to its value per question, (n,).
        questions: What was asked, n of them.
        facts: What is known of the tracks.
    """
    slices = (*SLICES, ALL)
    values = {**scores, **breadth.score(ranked, questions, facts)}
    means = tabulate(values, questions, slices, breadth.weights(questions, facts))
    covered = breadth.cover(ranked, questions, slices, len(facts.counts))
    return {name: means[name] | covered[name] for name in slices}


def interval(metric: str, figure: Estimate) -> tuple[float, float] | None:
    """Return the 95 % interval of a figure, cut to where its metric lies; None where there is none."""
    if figure.playlists < 2:
        return None
    least, most = _BOUNDS.get(metric, (0.0, 1.0))
    low, high = figure.interval(LEVEL)
    return max(low, least), min(high, most)


def means_json(figures: Figures, counts: Mapping[str, int]) -> dict[str, dict[str, float | int | None]]:
    """Return, per slice, ``n`` (of ``counts``) and the mean of each metric; None where nothing tells of it."""
    return {
        name: {"n": counts[name]}
        | {metric: round(one.mean, DIGITS) if one.questions else None for metric, one in row.items()}
        for name, row in figures.items()
    }


def intervals_json(figures: Figures) -> dict[str, dict[str, list[float] | None]]:
    """Return, per slice and metric, both ends of the 95 % interval; None where there is none."""
    return {name: {metric: _rounded(interval(metric, one)) for metric, one in row.items()}
            for name, row in figures.items()}  # fmt: skip


def _rounded(ends: tuple[float, float] | None) -> list[float] | None:
    return None if ends is None else [round(end, DIGITS) for end in ends]
