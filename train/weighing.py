"""Weights that validation chooses once training is done: of titles, second skeleton, recency and all that votes.

Tracks that no training playlist holds take no part in a choice: a catalogue's are in it because a playlist of
validation or test holds them, so that whatever ranks them high would look better than it is (docs/research.md).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.examples import UNORDERED
from train.judging import judge, judge_choices
from train.llara_model import Ranker
from train.skeleton import ANY, BUCKETS
from train.team import Team
from train.training import Training, in_order


def weigh_titles(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
) -> None:
    """Set how much the title counts, by number of seeds, to the choice that ranks validation best.

    Training alone overrates titles, the more seeds the worse: a few thousand of them are soon learnt by heart. On real
    playlists this is worth .007 NDCG at one seed and .011 at ten and more (docs/research.md).
    """
    model.reads_language = model.asks_second = False
    _weigh(model.playlist.title_weight, model, training, choices, alone=1.0)


def weigh_second(model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.35)) -> None:
    """Set the second skeleton's share to the choice that ranks validation best, all numbers of seeds together.

    One share for all: the served graph then adds up biases once, not for each request. Validation says whether there
    is one, not how large: a few hundred playlists tell .2 from .5 by chance alone (docs/research.md).
    """
    if model.second is None:
        return
    model.reads_language, model.asks_second = False, True
    figures = {}
    for choice in choices:
        model.second_share.fill_(choice)
        figures[choice] = sum(judge(model, in_order(training), known=True).values())
    model.second_share.fill_(max(choices, key=lambda choice: figures[choice]))


def weigh_recency(model: Ranker, training: Training, choices: tuple[float, ...] = (1.0, 0.97, 0.95, 0.9, 0.8)) -> None:
    """Set by what power earlier tracks count less, by number of seeds, to the choice that ranks validation best."""
    model.reads_language, model.asks_second = False, True
    _weigh(model.recency.fade, model, training, choices, alone=1.0)


def weigh_fold_in(
    model: Ranker, training: Training, fewest: int = 21, choices: tuple[float, ...] = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0)
) -> None:
    """Set how much the exact fold-in counts, by number of seeds, to the choice that ranks validation best.

    It solves with the vectors that the skeleton's training left, and so is told of them here. With fewer than
    ``fewest`` seeds it stays silent: there the validation's gain did not hold on further playlists (docs/research.md).
    """
    model.reads_language, model.asks_second = False, True
    known = torch.nonzero(model.tracks.catalogue.count).squeeze(1)
    with torch.no_grad():
        model.fold_in.know(model.tracks.seeds(known, torch.zeros_like(known, dtype=torch.bool)))
    _weigh(model.fold_in.weight, model, training, choices, alone=0.0, linear=True)
    model.fold_in.weight[:ANY][torch.tensor(BUCKETS) < fewest] = 0.0


def weigh_neighbours(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
) -> None:
    """Set how much the table of neighbours counts, by number of seeds, to the choice that ranks validation best."""
    if model.neighbourhood is not None:
        model.reads_language, model.asks_second = False, True
        _weigh(model.neighbourhood.weight, model, training, choices, alone=0.0, linear=True)


def weigh_title_neighbours(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
) -> None:
    """Set how much the neighbours of the title count, by number of seeds, to the choice that ranks validation best."""
    if model.neighbourhood is not None and len(model.neighbourhood.title_row):
        model.reads_language, model.asks_second = False, True
        _weigh(model.neighbourhood.title_weight, model, training, choices, alone=None, linear=True)


def weigh_kin(
    model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
) -> None:
    """Set how much a playlist's artists and albums count, by number of seeds, where that is proven to rank better.

    Both begin at nothing, and artists are weighed first. What is not proven is silent: with a few first tracks the
    validation's gain did not hold on further playlists (docs/research.md).
    """
    if model.kin is not None:
        model.reads_language, model.asks_second = False, True
        for weight in (model.kin.artist_weight, model.kin.album_weight):
            _weigh(weight, model, training, choices, alone=0.0, proven=True, linear=True)


def open_gates(model: Ranker, training: Training, choices: tuple[float, ...] = (0.0, 0.5, 1.0)) -> None:
    """Open LLaRA's gate at the numbers of seeds where it is proven to rank validation better than its silence.

    It takes most of a request's time, so it has to show what for. Elsewhere its gate is shut, and the served graph
    leaves it out (`train.branch`).
    """
    if model.llara is not None:
        _weigh(model.llara.gate, model, training, choices, alone=None, proven=True, linear=True)


def _weigh(
    weight: Tensor,
    model: Ranker,
    training: Training,
    choices: tuple[float, ...],
    alone: float | None,
    proven: bool = False,
    linear: bool = False,
) -> None:
    """Fill ``weight``, of buckets or of cases, in place with the best choices.

    ``alone``, if given, is where there are no seeds.

    With ``proven``, whatever is chosen in the place of the first choice ranks better by more than two standard errors
    over the playlists. ``linear`` says that logits are so in the weight.
    """
    asked = training if len(weight) > ANY else in_order(training)
    figures = judge_choices(model, asked, weight, choices, linear)
    weight.fill_(choices[0] if alone is None else alone)
    first = figures[choices[0]]
    for case in range(len(weight) if first else 0):
        judged = UNORDERED if case == ANY and UNORDERED in first else _nearest(first, (*BUCKETS, 25)[case])
        if judged or alone is None:
            gains = {choice: _gain(figures[choice][judged] - first[judged], training.team) for choice in choices}
            eligible = [choice for choice in choices if not proven or choice == choices[0] or gains[choice].least > 0]
            weight[case] = max(eligible, key=lambda choice: gains[choice].mean)


def _nearest(judged: Iterable[int], seeds: int) -> int:
    """Return the number of seeds that was judged and is nearest to ``seeds``."""
    counts = [count for count in judged if count != UNORDERED]
    return min(counts, key=lambda count: abs(math.log((count + 1) / (seeds + 1))))


class _Gain(NamedTuple):
    """What a choice gains over the playlists of all workers: the mean, and what it is at least if chance was kind."""

    mean: float
    least: float


def _gain(differences: NDArray[np.float64], team: Team) -> _Gain:
    """Return the gain of playlists' differences (n,), this worker's part of them."""
    mean, square = team.mean(differences), team.mean(differences**2)
    (count,) = team.add([len(differences)])
    error = math.sqrt(max(0.0, square - mean**2) / (count - 1)) if count > 1 else math.inf
    return _Gain(mean, mean - 2 * error)
