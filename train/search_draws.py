"""What a search tries next, by Optuna's TPE (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization").

What is drawn follows from the seed and from the trials that are known, and from nothing else. Ray's own `OptunaSearch`
begins its random numbers anew when a search is resumed, and so draws again what it drew before; it also takes either
figures of finished trials or points that are to be tried first, and a search that goes on needs both.
"""

from collections.abc import Collection, Sequence
from itertools import chain, repeat

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from train.search_space import Choice, Interval, Point, Space, holds
from train.search_trials import Trial

_BY_TPE, _BY_LOT = 10, 1000
"""Draws until one is new; a space of a few points is soon used up."""


def next_trial(
    space: Space, first: Point, known: Sequence[Trial], seed: int, at_random: int, busy: Collection[int] = ()
) -> Trial | None:
    """Return the trial to make next, or None where every point of the space that can be found was tried.

    One that was cut off comes before all others, unless the space no longer holds it; then ``first``; then draws.

    Args:
        space: What is drawn from.
        first: The point to begin with, in the space or not.
        known: Trials so far, finished or not, in the order in which they were drawn.
        seed: Of the draws.
        at_random: Finished trials before TPE has enough to go by; until then draws are random.
        busy: Numbers of the trials that are being made at this moment.
    """
    for trial in known:
        wanted = holds(space, trial.settings) or trial.settings == first
        if trial.ndcg is None and trial.number not in busy and wanted:
            return trial
    number = max((trial.number for trial in known), default=0) + 1
    if all(trial.settings != first for trial in known):
        return Trial(number, dict(first))
    point = _draw(space, known, np.random.SeedSequence((seed, number)).generate_state(1).item(), at_random)
    return Trial(number, dict(point)) if point else None


def _draw(space: Space, known: Sequence[Trial], seed: int, at_random: int) -> Point | None:
    """Return a point that is not known yet, or None.

    Trials that are being made are told as running: Optuna takes them for bad ones (the "constant liar"), so that the
    next draw keeps away from them.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(drawn) for name, drawn in space.items()}
    study = optuna.create_study(direction="maximize")
    study.add_trials([_told(trial, distributions) for trial in known if holds(space, trial.settings)])
    tpe = TPESampler(seed=seed, n_startup_trials=at_random, multivariate=True, constant_liar=True)
    tried = [trial.settings for trial in known]
    for sampler in chain(repeat(tpe, _BY_TPE), repeat(RandomSampler(seed), _BY_LOT)):
        study.sampler = sampler
        point: Point = study.ask(distributions).params
        if point not in tried:
            return point
    return None


def _told(trial: Trial, distributions: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    state = TrialState.RUNNING if trial.ndcg is None else TrialState.COMPLETE
    params = {name: trial.settings[name] for name in distributions}
    return create_trial(state=state, value=trial.ndcg, params=params, distributions=distributions)


def _distribution(drawn: Choice | Interval) -> BaseDistribution:
    if isinstance(drawn, Choice):
        return CategoricalDistribution(drawn.values)
    if drawn.whole:
        return IntDistribution(int(drawn.low), int(drawn.high), log=drawn.log)
    return FloatDistribution(drawn.low, drawn.high, log=drawn.log)
