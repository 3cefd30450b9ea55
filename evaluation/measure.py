"""Full-ranking metrics per question and their means per slice; definitions in `segue.metrics`."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.queries import ALL, Question
from segue import metrics

Values = NDArray[np.float64]
Row = dict[str, float | int | None]
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
    return np.array([name in (ALL, question.slice) for question in questions], bool)


def means(values: Mapping[str, Values], questions: Sequence[Question], slices: Sequence[str]) -> dict[str, Row]:
    """Return, per slice, ``n`` (questions) and the mean of each metric; None where there is no question."""
    table: dict[str, Row] = {}
    for name in slices:
        rows = inside(questions, name)
        count = int(rows.sum())
        row = {metric: round(float(value[rows].mean()), DIGITS) if count else None for metric, value in values.items()}
        table[name] = {"n": count, **row}
    return table
