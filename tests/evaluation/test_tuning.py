"""The search for a baseline's best setting."""

import numpy as np

from evaluation.models import Model
from evaluation.queries import Question
from evaluation.tuning import tune


class _Finds:
    """A model that brings back the first ``hits`` of each question's hidden tracks."""

    def __init__(self, hits: int) -> None:
        self._hits = hits

    def rank(self, questions: list[Question], k: int) -> np.ndarray:
        found = np.full((len(questions), k), -1)
        for row, question in zip(found, questions, strict=True):
            row[: self._hits] = question.relevant[: self._hits]
        return found


QUESTIONS = [Question(i, "1", (0,), "", tuple(range(1, 301))) for i in range(3)]


def _fit(hits: int) -> Model:
    return _Finds(hits)  # type: ignore[return-value]  # a list of questions is what is asked


def test_the_strongest_setting_is_taken() -> None:
    """Wherever it stands in the grid."""
    assert tune("x", (50, 200, 100), _fit, QUESTIONS) == 200


def test_what_is_level_but_for_noise_stays_with_the_first() -> None:
    """A gain of less than 1 % may be luck on these playlists."""
    assert tune("x", (299, 300), _fit, QUESTIONS) == 299


def test_without_questions_it_is_the_first() -> None:
    """No validation playlists, nothing to go by."""
    assert tune("x", (1, 300), _fit, []) == 1
