"""A few continuations to look at: figures say how often, names say what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.models import BundleModel
from evaluation.outcome import CANDIDATE, Outcome
from evaluation.queries import SLICES, Question
from segue.track import Track

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the candidate's answer.

    Attributes:
        question: What was asked.
        seeds: The tracks shown, in order.
        continuation: The first tracks of the answer, each with whether the playlist really holds it.
        ndcg: The answer's NDCG.
    """

    question: Question
    seeds: tuple[Track, ...]
    continuation: tuple[tuple[Track, bool], ...]
    ndcg: float


def draw(outcome: Outcome) -> list[Example]:
    """Return one question of each slice, drawn with the trial's seed, not picked for its looks."""
    generator = np.random.default_rng(outcome.trial.seed)
    positions = []
    for name in SLICES:
        inside = [i for i, question in enumerate(outcome.questions) if question.slice == name]
        if inside:
            positions.append(inside[int(generator.integers(len(inside)))])
    return _answer(outcome, positions)


def _answer(outcome: Outcome, positions: Sequence[int]) -> list[Example]:
    questions = [outcome.questions[i] for i in positions]
    rows = BundleModel(outcome.candidate, outcome.tracks).rank_rows(questions, SHOWN)
    examples = []
    for position, question, row in zip(positions, questions, rows, strict=True):
        hidden = {outcome.tracks[track].uri for track in question.relevant}
        best = outcome.candidate.catalogue.tracks([i for i in row.tolist() if i >= 0])
        seeds = tuple(outcome.tracks[seed] for seed in question.seeds)
        continuation = tuple((track, track.uri in hidden) for track in best)
        examples.append(Example(question, seeds, continuation, float(outcome.scores[CANDIDATE]["ndcg"][position])))
    return examples
