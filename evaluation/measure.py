"""Full-ranking metrics per question and their means per slice; definitions in `segue.metrics`."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.queries import ALL, Question
from evaluation.statistics import Estimate, estimate
from segue import metrics

Values = NDArray[np.float64]
K = 500
DIGITS = 6
"""Digits of every reported figure: more than playlists can support, fewer than floating point wavers in."""


def score(ranked: NDArray[np.int64], questions: Sequence[Question]) -> dict[str, Values]:
    """Return each metric's value per question, (n,) each, for the (n, k) track numbers ``ranked``."""
    relevant = [question.relevant for question in questions]
    return {
        "ndcg": metrics.ndcg(ranked, relevant, K),
        "recall@10": metrics.recall(ranked, relevant, 10),
        "mrr@10": metrics.reciprocal_rank(ranked, relevant, 10),
        "precision@10": metrics.precision(ranked, relevant, 10),
        "r_precision": metrics.r_precision(ranked, relevant),
        "clicks": metrics.clicks(ranked, relevant),
    }


def inside(questions: Sequence[Question], name: str) -> NDArray[np.bool_]:
    """Return (n,) which questions are of the slice ``name``; ``all`` holds every one."""
    if name == ALL:
        return np.ones(len(questions), bool)
    return np.fromiter((question.slice == name for question in questions), bool, len(questions))


def tabulate(
    values: Mapping[str, Values],
    questions: Sequence[Question],
    slices: Sequence[str],
    weights: Mapping[str, Values] | None = None,
) -> dict[str, dict[str, Estimate]]:
    """Return, per slice and metric, the mean over its questions.

    Args:
        values: Metric to its value per question, (n,); NaN where a question tells nothing of it.
        questions: What was asked, n of them.
        slices: Which slices.
        weights: Metric to how much each question counts in it, (n,); all the same without.
    """
    owners = np.array([question.playlist for question in questions], np.int64)
    table: dict[str, dict[str, Estimate]] = {}
    for name in slices:
        rows = inside(questions, name)
        table[name] = {}
        for metric, value in values.items():
            told = rows & np.isfinite(value)
            weight = weights[metric][told] if weights and metric in weights else None
            table[name][metric] = estimate(value[told], owners[told], weight)
    return table
