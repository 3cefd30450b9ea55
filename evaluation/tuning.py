"""Find the setting at which a baseline is strongest: one left untuned is one made easy to beat."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from tqdm import tqdm

from evaluation.measure import K
from evaluation.models import Model
from evaluation.queries import Question
from segue import metrics

S = TypeVar("S")
_NOISE = 0.01


def tune(name: str, grid: Sequence[S], fit: Callable[[S], Model], questions: Sequence[Question]) -> S:
    """Return the setting of ``grid`` with the best NDCG on ``questions``, which are not those of the judging split.

    Args:
        name: What progress calls the baseline.
        grid: Settings to try; the one to fall back on first.
        fit: Fits the baseline, or a small one like it, at a setting.
        questions: About validation playlists, of the kind that tells something of this baseline.

    Returns:
        The first that is within 1 % of the best; the first of all where there are no questions.
    """
    if not questions:
        return grid[0]
    relevant = [question.relevant for question in questions]
    found = [
        float(metrics.ndcg(fit(setting).rank(questions, K), relevant, K).mean())
        for setting in tqdm(grid, desc=f"tuning {name}", file=sys.stderr)
    ]
    return next(setting for setting, ndcg in zip(grid, found, strict=True) if ndcg >= (1 - _NOISE) * max(found))
