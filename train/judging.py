"""What a ranker reaches on validation playlists: its best 500 of the whole catalogue, and their NDCG.

Training asks for that after each epoch, and before each weight is chosen, for as many values as are in question. So
what these values have in common is worked out once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.metrics import ndcg
from train.examples import Example
from train.llara_model import Ranker
from train.training import Training, as_tensors

LENGTH = 500
"""Tracks of a list."""
_BLOCK = 64
"""Playlists ranked at a time: 64 by 2.26 million scores are 580 MB."""

_Logits = Callable[[], Tensor]
"""Returns the logits (B, N) of the model as it stands."""
_Variants = Callable[[_Logits], Iterator[Tensor]]
"""Yields logits (B, N) of each variant of the model; each is read before the next one is asked for."""


def judge(model: Ranker, training: Training, known: bool = False) -> dict[int, float]:
    """Return NDCG@500 over the whole catalogue by number of seeds, on the validation examples; as `judge_each`.

    Of a team, each ranks its part of them.
    """
    return {count: training.team.mean(values) for count, values in judge_each(model, training, known).items()}


def judge_each(model: Ranker, training: Training, known: bool = False) -> dict[int, NDArray[np.float64]]:
    """Return as `judge`, for each of this worker's examples by itself (n,).

    Args:
        model: The ranker.
        training: Whose examples judge.
        known: Whether only tracks that a training playlist holds are ranked and looked for. A catalogue's other tracks
            are in it because a playlist of validation or test holds them, so that they look far likelier than new
            tracks are; an example that is followed by such alone then says nothing, and counts 0.
    """
    (figures,) = _judged(model, training, known, 1, _as_it_stands)
    return figures


def judge_choices(
    model: Ranker, training: Training, weight: Tensor, choices: Sequence[float], linear: bool
) -> dict[float, dict[int, NDArray[np.float64]]]:
    """Return what `judge_each` does, among known tracks, with ``weight`` filled with each of ``choices``.

    Args:
        model: The ranker; candidates must not hang on the weight.
        training: Whose examples judge.
        weight: Of the model; it is left at any of the choices.
        choices: The values.
        linear: Whether logits are linear in the weight. Then the model is asked twice, whatever the number of choices.
    """
    variants = _along(weight, choices) if linear else _one_by_one(weight, choices)
    figures = _judged(model, training, True, len(choices), variants)
    return dict(zip(choices, figures, strict=True))


def rank(
    model: Ranker, training: Training, asked: Mapping[int, Sequence[Example]], known: bool = False
) -> dict[int, NDArray[np.int64]]:
    """Return the best 500 of the whole catalogue (examples, 500) for each group of examples, seeds left out.

    With ``known``, tracks that no training playlist holds stand behind all others.
    """
    lists = _ranked(model, training, asked, known, 1, _as_it_stands)
    return {group: of_variants[0] for group, of_variants in lists.items()}


def _as_it_stands(logits: _Logits) -> Iterator[Tensor]:
    yield logits()


def _one_by_one(weight: Tensor, choices: Sequence[float]) -> _Variants:
    def variants(logits: _Logits) -> Iterator[Tensor]:
        for choice in choices:
            weight.fill_(choice)
            yield logits()

    return variants


def _along(weight: Tensor, choices: Sequence[float]) -> _Variants:
    most = max(choices)

    def variants(logits: _Logits) -> Iterator[Tensor]:
        weight.fill_(0.0)
        silent = logits()
        weight.fill_(most)
        # Of the largest choice: a difference's error is then made smaller by the others, not larger.
        gain = torch.where(silent.isinf(), 0.0, logits() - silent)
        for choice in choices:
            yield torch.add(silent, gain, alpha=choice / most)

    return variants


def _judged(
    model: Ranker, training: Training, known: bool, count: int, variants: _Variants
) -> list[dict[int, NDArray[np.float64]]]:
    """Return as `judge_each` for each of ``count`` variants."""
    asked = {group: examples for group, examples in training.judged.items() if examples}
    own = {group: examples[training.team.part(len(examples))] for group, examples in asked.items()}
    lists, past = _ranked(model, training, own, known, count, variants), model.tracks.catalogue.count.numpy()
    wanted = {group: [_wanted(example, past, known) for example in own[group]] for group in asked}
    return [
        {group: np.nan_to_num(ndcg(lists[group][number], wanted[group], LENGTH)) for group in asked}
        for number in range(count)
    ]


def _wanted(example: Example, past: NDArray[np.float32], known: bool) -> set[int]:
    targets = example.targets[past[example.targets] > 0] if known else example.targets
    return set(targets.tolist())


@torch.no_grad()
def _ranked(
    model: Ranker,
    training: Training,
    asked: Mapping[int, Sequence[Example]],
    known: bool,
    count: int,
    variants: _Variants,
) -> dict[int, NDArray[np.int64]]:
    """Return as `rank` for each of ``count`` variants (count, examples, 500)."""
    past = model.tracks.catalogue.count
    vectors, bias = model.candidates(torch.arange(len(past)), past == 0)
    if known:
        bias = bias.masked_fill(past == 0, -torch.inf)
    length = min(LENGTH, len(past))

    def best(examples: Sequence[Example]) -> NDArray[np.int64]:
        inputs = as_tensors(examples, training)
        hidden = past[inputs["seeds"].clamp(min=0)] == 0

        def logits() -> Tensor:
            scores = model.votes(model.playlists(inputs, hidden) @ vectors.T + bias, inputs)
            for row, example in enumerate(examples):
                scores[row, list(example.query.seeds)] = -torch.inf
            return scores

        return np.stack([scores.topk(length, dim=1).indices.numpy() for scores in variants(logits)])

    nobody = np.empty((count, 0, length), np.int64)
    return {
        group: np.concatenate([nobody, *(best(block) for block in _blocks(examples))], axis=1)
        for group, examples in asked.items()
    }


def _blocks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    return (examples[start : start + _BLOCK] for start in range(0, len(examples), _BLOCK))
