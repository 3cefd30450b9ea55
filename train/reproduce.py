"""Verb ``reproduce``: hold LightGCN against its paper's figures on a public split.

The test side is looked at once, at the end. What there is to choose (the epoch) is chosen on items held out from the
training side; then the model learns all of the training side for as many epochs. Both halves resume after a kill.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from segue.files import canonical_json, write_whole
from train.benchmarks import Benchmark, load_benchmark
from train.encoder import seeded
from train.full_ranking import full_ranking
from train.ials_start import ials_start
from train.interactions import Interactions, hold_out
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
    threads: int


def run(config: Config, clock: Callable[[], float] = time.monotonic) -> None:
    """Choose the epoch, learn, measure, and write ``result.json`` to ``config.output``; say the figures."""
    seeded(config.seed, config.threads)
    benchmark = load_benchmark(Path(config.data))
    output = Path(config.output)
    with stage_run(f"reproduce-{config.benchmark}", config, benchmark.digest) as track:
        chosen = _choose(config, benchmark, output, clock, lambda epoch, values: track(values, step=epoch))
        result = {**chosen, **_measure(config, benchmark, output, clock, int(chosen["epoch"]))}
        track({name: result[name] for name in ("test_recall", "test_ndcg")})
    write_whole(output / "result.json", canonical_json(result))
    for name, paper in (("recall", config.paper_recall), ("ndcg", config.paper_ndcg)):
        share = f", {result[f'test_{name}'] / paper:.1%} of the paper's {paper:.4f}" if paper else ""
        _LOG.info("%s: %s@%d %.4f%s", config.benchmark, name, _K, result[f"test_{name}"], share)


def _choose(
    config: Config, benchmark: Benchmark, output: Path, clock: Callable[[], float], on_epoch: OnEpoch
) -> Mapping[str, Any]:
    """Return the best epoch on items held out from the training side, and how it was found."""
    rest, held = hold_out(benchmark.train, config.held_out, config.seed)
    trainer = Trainer(rest, config, _start(config, rest), output / "checkpoints", clock)
    progress = trainer.fit(
        lambda users, items: full_ranking(users, _scored(items, config), rest, held, _K, config.validation_users),
        "recall",
        on_epoch,
    )
    return {"epoch": progress.best_epoch, "validation": progress.history, "choose_seconds": progress.seconds}


def _measure(
    config: Config, benchmark: Benchmark, output: Path, clock: Callable[[], float], epoch: int
) -> Mapping[str, Any]:
    """Learn the whole training side up to ``epoch`` and return the figures of the test side."""
    trainer = Trainer(benchmark.train, config, _start(config, benchmark.train), output / "checkpoints", clock)
    progress = trainer.fit_until(epoch)
    users, items = trainer.vectors()
    figures = full_ranking(users, _scored(items, config), benchmark.train, benchmark.test, _K)
    return {"test_recall": figures["recall"], "test_ndcg": figures["ndcg"], "learn_seconds": progress.seconds}


def _start(config: Config, interactions: Interactions) -> Tensor:
    """Return the vectors to begin with; see ``train/conf/reproduce.yaml``."""
    if config.start == "ials":
        return ials_start(interactions, config.dimension, config.seed).nodes
    return xavier_start(interactions, config.dimension, config.seed)


def _scored(items: Tensor, config: Config) -> Tensor:
    """Return the vectors that users are held against, as the loss has taught them.

    The length of a user's vector does not change the order of their items.
    """
    return directed(items, config.length) if config.loss == "softmax" else items
