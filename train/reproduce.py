"""Verb ``reproduce``: hold LightGCN, alone and with item-kNN beside it, against its paper on a public split.

The test side is looked at once, at the end. What there is to choose (the epoch, and the weight of item-kNN) is chosen
on items held out from the training side; then the model learns all of the training side for as many epochs. Both halves
resume after a kill.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segue.errors import InputError
from segue.files import canonical_json, write_whole
from train.benchmarks import Benchmark, load_benchmark
from train.encoder import seeded
from train.full_ranking import Score, by_vectors, full_ranking
from train.ials_start import ials_start
from train.interactions import Interactions, hold_out
from train.item_votes import ItemVotes, VoteSettings
from train.lightgcn import xavier_start
from train.lightgcn_training import OnEpoch, Trainer, TrainingSettings
from train.losses import directed
from train.tracking import stage_run

_K = 20
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config(TrainingSettings):
    """Settings of the verb; ``train/conf/reproduce.yaml`` and ``train/conf/benchmark/*.yaml`` explain each."""

    benchmark: str
    data: str
    output: str
    paper_recall: float
    paper_ndcg: float
    held_out: float
    validation_users: int
    votes: VoteSettings
    weights: list[float]
    threads: int


def run(config: Config, clock: Callable[[], float] = time.monotonic) -> None:
    """Choose the epoch and the weight, learn, measure, and write ``result.json`` to ``config.output``; say the figures.

    Raises:
        InputError: The split cannot be read, or a setting makes no sense.
    """
    seeded(config.seed, config.threads)
    config.votes.checked()  # before all that takes minutes
    if not config.weights or not all(0 <= weight < math.inf for weight in config.weights):
        raise InputError(f"weights are numbers of 0 or more, and not {config.weights}; set weights=[0] for none.")
    benchmark = load_benchmark(Path(config.data))
    output = Path(config.output)
    with stage_run(f"reproduce-{config.benchmark}", config, benchmark.digest) as track:
        chosen = _choose(config, benchmark, output, clock, lambda epoch, values: track(values, step=epoch))
        result = {**chosen, **_measure(config, benchmark, output, clock, int(chosen["epoch"]), chosen["weight"])}
        track({name: value for name, value in result.items() if name.startswith("test_")})
    write_whole(output / "result.json", canonical_json(result))
    for name, paper in (("recall", config.paper_recall), ("ndcg", config.paper_ndcg)):
        share = f", {result[f'test_{name}'] / paper:.1%} of the paper's {paper:.4f}" if paper else ""
        alone = [result[f"test_{model}_{name}"] for model in ("lightgcn", "votes")]
        said = "%s: %s@%d %.4f%s; LightGCN alone %.4f, item-kNN alone %.4f"
        _LOG.info(said, config.benchmark, name, _K, result[f"test_{name}"], share, *alone)


def _choose(
    config: Config, benchmark: Benchmark, output: Path, clock: Callable[[], float], on_epoch: OnEpoch
) -> Mapping[str, Any]:
    """Return the best epoch and weight on items held out from the training side, and how they were found."""
    rest, held = hold_out(benchmark.train, config.held_out, config.seed)

    def measure(score: Score) -> Mapping[str, float]:
        return full_ranking(score, rest, held, _K, config.validation_users)

    trainer = Trainer(rest, config, _start(config, rest), output / "checkpoints", clock)
    progress = trainer.fit(lambda *vectors: measure(_learned(config, *vectors)), "recall", on_epoch)
    learned, votes = _learned(config, *trainer.vectors()), _votes(config, rest)
    looks = []
    for weight in config.weights:
        looks.append({"weight": weight, **measure(_together(learned, votes, weight))})
        said = "%s: item-kNN by %g, recall@%d %.4f of what is held out"
        _LOG.info(said, config.benchmark, weight, _K, looks[-1]["recall"])
    return {
        "epoch": progress.best_epoch,
        "validation": progress.history,
        "choose_seconds": progress.seconds,
        "weight": max(looks, key=lambda look: look["recall"])["weight"],
        "weights": looks,
    }


def _measure(
    config: Config, benchmark: Benchmark, output: Path, clock: Callable[[], float], epoch: int, weight: float
) -> Mapping[str, Any]:
    """Learn the whole training side up to ``epoch`` and return the figures of the test side."""
    trainer = Trainer(benchmark.train, config, _start(config, benchmark.train), output / "checkpoints", clock)
    progress = trainer.fit_until(epoch)
    learned, votes = _learned(config, *trainer.vectors()), _votes(config, benchmark.train)
    scores = {"": _together(learned, votes, weight), "lightgcn_": learned, "votes_": votes}
    figures = {
        f"test_{name}{metric}": value
        for name, score in scores.items()
        for metric, value in full_ranking(score, benchmark.train, benchmark.test, _K).items()
    }
    return {**figures, "learn_seconds": progress.seconds}


def _learned(config: Config, users: Tensor, items: Tensor) -> Score:
    """Return LightGCN's score, as the loss has taught it.

    The length of a user's vector does not change the order of their items.
    """
    return by_vectors(users, directed(items, config.length) if config.loss == "softmax" else items)


def _votes(config: Config, interactions: Interactions) -> Score:
    votes = ItemVotes(interactions, config.votes)
    return lambda users: torch.from_numpy(votes.scores(users))


def _together(learned: Score, votes: Score, weight: float) -> Score:
    """Return the sum of both, each user's scores brought to mean 0 and deviation 1 before."""
    return lambda users: _standard(learned(users)) + weight * _standard(votes(users)) if weight else learned(users)


def _standard(scores: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(scores, 1, keepdim=True)
    return (scores - mean) / deviation.clamp_min(1e-12)


def _start(config: Config, interactions: Interactions) -> Tensor:
    """Return the vectors to begin with; see ``train/conf/reproduce.yaml``."""
    if config.start == "ials":
        return ials_start(interactions, config.dimension, config.seed).nodes
    return xavier_start(interactions, config.dimension, config.seed)
