"""A few continuations to look at: figures say how often, names say what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.models import NOTHING
from evaluation.outcome import CANDIDATE, Outcome
from evaluation.queries import SLICES, Question
from segue.track import Track

SHOWN = 10
EXTREMES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said to a question.

    Attributes:
        model: Which one.
        continuation: Its first tracks (None for one outside the dataset), each with whether the playlist holds it.
        ndcg: How good all of the answer is.
    """

    model: str
    continuation: tuple[tuple[Track | None, bool], ...]
    ndcg: float


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its answers.

    Attributes:
        question: What was asked.
        seeds: The tracks shown, in order.
        answers: The candidate's first.
    """

    question: Question
    seeds: tuple[Track, ...]
    answers: tuple[Answer, ...]


def draw(outcome: Outcome) -> list[Example]:
    """Return one question of each slice, drawn with the trial's seed, not picked for its looks."""
    generator = np.random.default_rng(outcome.trial.seed)
    positions = []
    for name in SLICES:
        inside = [i for i, question in enumerate(outcome.questions) if question.slice == name]
        if inside:
            positions.append(inside[int(generator.integers(len(inside)))])
    return [_example(outcome, position, [CANDIDATE]) for position in positions]


def gains(outcome: Outcome) -> list[Example]:
    """Return where the candidate gains most NDCG over its rival, most first; a playlist once, none where it loses."""
    return _extremes(outcome, 1)


def losses(outcome: Outcome) -> list[Example]:
    """Return where the candidate loses most NDCG to its rival, most first; a playlist once, none where it gains."""
    return _extremes(outcome, -1)


def _extremes(outcome: Outcome, sign: int) -> list[Example]:
    rival = outcome.rival
    if rival is None:
        return []
    gain = sign * (outcome.ndcg[CANDIDATE] - outcome.ndcg[rival])
    order = [i for i in np.argsort(-gain, kind="stable").tolist() if gain[i] > 0]
    chosen = _one_a_playlist(order, outcome.questions)
    return [_example(outcome, position, [CANDIDATE, rival]) for position in chosen]


def _one_a_playlist(order: Iterable[int], questions: Sequence[Question]) -> list[int]:
    """Return the first few positions of ``order`` that are about different playlists."""
    chosen: dict[int, int] = {}
    for position in order:
        chosen.setdefault(questions[position].playlist, position)
        if len(chosen) == EXTREMES:
            break
    return list(chosen.values())


def _example(outcome: Outcome, position: int, models: Sequence[str]) -> Example:
    question = outcome.questions[position]
    answers = tuple(_answer(outcome, position, model) for model in models)
    return Example(question, tuple(outcome.tracks[seed] for seed in question.seeds), answers)


def _answer(outcome: Outcome, position: int, model: str) -> Answer:
    hidden = set(outcome.questions[position].relevant)
    first = outcome.ranked[model][position, :SHOWN].tolist()
    continuation = tuple((None if i == NOTHING else outcome.tracks[i], i in hidden) for i in first)
    return Answer(model, continuation, float(outcome.ndcg[model][position]))
