"""Weights that validation chooses once training is done: of titles, second skeleton, fold-in, neighbours and LLaRA."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.llara_model import Ranker
from train.ranker_training import Training, judge, judge_each
from train.skeleton import BUCKETS
from train.team import Team


def weigh_titles(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
) -> None:
    """Set how much the title counts, by number of seeds, to the choice that ranks validation best.

    Training alone overrates titles, the more seeds the worse: a few thousand of them are soon learnt by heart. On real
    playlists this is worth .007 NDCG at one seed and .011 at ten and more (docs/quality.md).
    """
    model.reads_language = model.asks_second = False
    _weigh(model.playlist.title_weight, model, training, choices, alone=1.0)


def weigh_second(model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.35)) -> None:
    """Set the second skeleton's share to the choice that ranks validation best, all numbers of seeds together.

    One share for all: the served graph then adds up biases once, not for each request. Validation says whether there
    is one, not how large: a few hundred playlists tell .2 from .5 by chance alone (docs/quality.md).
    """
    if model.second is None:
        return
    model.reads_language, model.asks_second = False, True
    figures = {}
    for choice in choices:
        model.second_share.fill_(choice)
        judged = judge(model, training)
        figures[choice] = sum(judged.values()) if judged else 0.0
    model.second_share.fill_(max(choices, key=lambda choice: figures[choice]))


def weigh_fold_in(
    model: Ranker, training: Training, fewest: int = 21, choices: tuple[float, ...] = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0)
) -> None:
    """Set how much the exact fold-in counts, by number of seeds, to the choice that ranks validation best.

    It solves with the vectors that the skeleton's training left, and so is told of them here. With fewer than
    ``fewest`` seeds it stays silent: there the validation's gain did not hold on further playlists (docs/quality.md).
    """
    model.reads_language, model.asks_second = False, True
    known = torch.nonzero(model.tracks.catalogue.count).squeeze(1)
    with torch.no_grad():
        model.fold_in.know(model.tracks.seeds(known, torch.zeros_like(known, dtype=torch.bool)))
    _weigh(model.fold_in.weight, model, training, choices, alone=0.0)
    model.fold_in.weight[torch.tensor(BUCKETS) < fewest] = 0.0


def weigh_neighbours(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
) -> None:
    """Set how much the table of neighbours counts, by number of seeds, to the choice that ranks validation best."""
    if model.neighbourhood is not None:
        model.reads_language, model.asks_second = False, True
        _weigh(model.neighbourhood.weight, model, training, choices, alone=0.0)


def weigh_title_neighbours(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
) -> None:
    """Set how much the neighbours of the title count, by number of seeds, to the choice that ranks validation best."""
    if model.neighbourhood is not None and model.neighbourhood.grams:
        model.reads_language, model.asks_second = False, True
        _weigh(model.neighbourhood.title_weight, model, training, choices, alone=None)


def _weigh(weight: Tensor, model: Ranker, training: Training, choices: tuple[float, ...], alone: float | None) -> None:
    """Fill ``weight`` (buckets,) in place with the best choices; ``alone``, if given, is where there are no seeds."""
    figures = {}
    for choice in choices:
        weight.fill_(choice)
        figures[choice] = judge(model, training)
    weight.fill_(alone or 0.0)
    judged = figures[choices[0]]
    for bucket, seeds in enumerate(BUCKETS if judged else ()):
        nearest = _nearest(judged, seeds)
        if nearest or alone is None:
            weight[bucket] = max(choices, key=lambda choice: figures[choice][nearest])


def _nearest(judged: Iterable[int], seeds: int) -> int:
    """Return the number of seeds that was judged and is nearest to ``seeds``."""
    return min(judged, key=lambda count: abs(math.log((count + 1) / (seeds + 1))))


def open_gates(model: Ranker, training: Training, choices: tuple[float, ...] = (0.5, 1.0)) -> None:
    """Open LLaRA's gate at the numbers of seeds where it is proven to rank validation better than its silence.

    It takes most of a request's time, so it has to show what for: a gain of more than two standard errors over the
    playlists. Elsewhere its gate is shut, and the served graph leaves it out (`train.branch`).
    """
    if model.llara is None:
        return
    gate, gains = model.llara.gate, {}
    gate.zero_()
    silent = judge_each(model, training)
    for choice in choices:
        gate.fill_(choice)
        heard = judge_each(model, training)
        gains[choice] = {count: _gain(heard[count] - silent[count], training.team) for count in silent}
    gate.zero_()
    for bucket, seeds in enumerate(BUCKETS if silent else ()):
        nearest = _nearest(silent, seeds)
        proven = [choice for choice in choices if gains[choice][nearest].least > 0]
        gate[bucket] = max(proven, key=lambda choice: gains[choice][nearest].mean, default=0.0)


class _Gain(NamedTuple):
    """What LLaRA gains over the playlists of all workers: the mean, and what it is at least if chance was kind."""

    mean: float
    least: float


def _gain(differences: NDArray[np.float64], team: Team) -> _Gain:
    """Return the gain of playlists' differences (n,), this worker's part of them."""
    mean, square = team.mean(differences), team.mean(differences**2)
    (count,) = team.add([len(differences)])
    error = math.sqrt(max(0.0, square - mean**2) / (count - 1)) if count > 1 else math.inf
    return _Gain(mean, mean - 2 * error)
