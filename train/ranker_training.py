"""The two phases of training the ranker: the skeleton by itself, then LLaRA's residual on top of it.

Both minimise the sampled softmax over the tracks that follow. In the second phase the skeleton stays as it is, and the
curriculum (Liao et al. 2023) moves from prompts of words alone to hybrid ones with behaviour tokens.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from train.candidates import Candidates, sampled_softmax
from train.checkpoint import load_checkpoint, save_checkpoint
from train.examples import Example, epoch
from train.judging import judge
from train.llara_model import Ranker
from train.training import Training, as_tensors, in_order

_WARM_UP = 0.1
"""Share of the steps in which rates rise: Adam's first steps are all of full length and would tear a good start."""

OnEpoch = Callable[[str, int, Mapping[str, float]], None]
"""Called after each epoch with the phase's name, the epoch and its figures."""


@dataclass(frozen=True)
class PhaseSettings:
    """Settings of one phase.

    Attributes:
        epochs: Passes over the training playlists.
        batch: Playlists of a step.
        table_rate: Learning rate of the tables of vectors.
        title_rate: Learning rate of the titles' n-grams, which begin from nothing where tracks begin from the graph.
        net_rate: Learning rate of matrices.
        scalar_rate: Learning rate of scalars and vectors.
    """

    epochs: int
    batch: int
    table_rate: float
    title_rate: float
    net_rate: float
    scalar_rate: float


@dataclass(frozen=True)
class Phase:
    """One phase of the training.

    Attributes:
        name: Its name.
        settings: How it is trained.
        parameters: What it moves, by name.
        language: Whether LLaRA takes part; it costs most of the time.
        curriculum: Whether prompts begin with words alone; otherwise all of LLaRA's are hybrid from the first step.
        second: Whether it is the second skeleton that is trained; ``parameters`` are named as within it.
    """

    name: str
    settings: PhaseSettings
    parameters: Mapping[str, nn.Parameter]
    language: bool
    curriculum: bool
    second: bool = False


def train_phase(model: Ranker, phase: Phase, training: Training, checkpoint: Path, on_epoch: OnEpoch) -> None:
    """Train one phase in place, from its checkpoint where there is one."""
    model.reads_language, model.asks_second = phase.language, phase.language
    optimisers = _optimisers(phase)
    rng = np.random.default_rng([training.seed, len(phase.name)])
    torch.manual_seed(training.seed)
    done = load_checkpoint(checkpoint, phase.parameters, optimisers, rng)
    for number in range(done, phase.settings.epochs):
        loss = _epoch(model, phase, training, optimisers, rng, number)
        figures = {"loss": loss, **{f"ndcg_{k}": value for k, value in judge(model, in_order(training)).items()}}
        on_epoch(phase.name, number, figures)
        if training.team.leads:
            save_checkpoint(checkpoint, phase.parameters, optimisers, rng, number + 1)


def calibrate(model: Ranker, training: Training, batches: int = 3) -> None:
    """Scale the fold-in by the power of two that the training loss likes best.

    Vectors made elsewhere fix the direction of a logit, not its size; far too sure a start costs more than it brings.
    """
    examples = [e for e, _ in zip(epoch(training.playlists, 256, _rng(training), 1.0), range(batches), strict=False)]
    start = model.playlist.fold_in.detach().clone()
    model.reads_language = model.asks_second = False
    losses = {}
    with torch.no_grad():
        for power in range(-8, 3):
            model.playlist.fold_in.copy_(start * 2.0**power)
            rng = _rng(training)
            (losses[power],) = training.team.add([sum(float(_loss(model, training, e, None, rng)) for e in examples)])
        model.playlist.fold_in.copy_(start * 2.0 ** min(losses, key=lambda power: losses[power]))
    if model.second is not None:
        calibrate(model.second, training, batches)


def _rng(training: Training) -> np.random.Generator:
    return np.random.default_rng([training.seed, 1])


def _optimisers(phase: Phase) -> list[torch.optim.Optimizer]:
    """Return lazy Adam for tables, whose rows are touched rarely, and AdamW for the rest; by shape, not by name."""
    settings, parameters = phase.settings, phase.parameters
    tables = [p for name, p in parameters.items() if name in _tables(parameters) and "grams" not in name]
    titles = [p for name, p in parameters.items() if name in _tables(parameters) and "grams" in name]
    nets = [p for name, p in parameters.items() if name not in _tables(parameters) and p.ndim == 2]
    scalars = [p for name, p in parameters.items() if p.ndim < 2]
    groups = [{"params": nets, "lr": settings.net_rate}, {"params": scalars, "lr": settings.scalar_rate}]
    optimisers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, weight_decay=0.0)]
    if tables:
        sparse = [{"params": tables, "lr": settings.table_rate}, {"params": titles, "lr": settings.title_rate}]
        optimisers.append(torch.optim.SparseAdam(sparse))
    return optimisers


def _tables(parameters: Mapping[str, nn.Parameter]) -> set[str]:
    endings = ("own.weight", "artist.weight", "album.weight", "bias.weight", "grams.weight")
    return {name for name in parameters if name.endswith(endings) and name.startswith(("tracks.", "playlist."))} - {
        name for name in parameters if name.startswith("tracks.projector")
    }


def _epoch(
    model: Ranker,
    phase: Phase,
    training: Training,
    optimisers: Sequence[torch.optim.Optimizer],
    rng: np.random.Generator,
    number: int,
) -> float:
    count, batches = _batches(training, phase.settings.batch, rng)
    losses = []
    total = phase.settings.epochs * count
    shown = tqdm(
        batches, total=count, desc=f"{phase.name} {number + 1}/{phase.settings.epochs}", disable=not training.team.leads
    )
    for step, examples in enumerate(shown):
        progress = (number * count + step) / total
        _set_rates(optimisers, min(1.0, progress / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress)))
        behaviour = _curriculum(len(examples), progress, rng) if phase.curriculum else None
        loss = _loss(model, training, examples, behaviour, rng)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        training.team.add_gradients(list(phase.parameters.values()))
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.item())
    return float(np.mean(training.team.add(losses)))


def _batches(training: Training, batch: int, rng: np.random.Generator) -> tuple[int, Iterator[list[Example]]]:
    """Return how many batches an epoch has, and them; ``rng`` is left as after the last one's draws.

    Examples are drawn twice and not kept: those of a million playlists are drawn in less than a minute, and take 1 GB.
    """
    again = copy.deepcopy(rng)
    count = sum(1 for _ in epoch(training.playlists, batch, rng, training.title_kept))
    return count, epoch(training.playlists, batch, again, training.title_kept)


def _set_rates(optimisers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * factor


def _curriculum(count: int, progress: float, rng: np.random.Generator) -> Tensor:
    """Return (count,) which examples see behaviour tokens: none at the start, all from two thirds on."""
    return torch.from_numpy(rng.random(count) < 1.5 * progress)


def _loss(
    model: Ranker, training: Training, examples: Sequence[Example], behaviour: Tensor | None, rng: np.random.Generator
) -> Tensor:
    """Return this worker's part of the loss of a batch, a mean over its examples; 0 where none is this worker's."""
    candidates: Candidates = training.sampler.draw(examples, rng)
    inputs = as_tensors(examples, training)
    count = model.tracks.catalogue.count
    hidden_seeds = _hide(count[inputs["seeds"].clamp(min=0)], training, rng)
    hidden = _hide(count[candidates.ids], training, rng)
    part = training.team.part(len(examples))
    if part.start == part.stop:
        return torch.zeros(())
    vectors, bias = model.candidates(candidates.ids, hidden)
    inputs = {name: tensor[part] for name, tensor in inputs.items()}
    playlists = model.playlists(inputs, hidden_seeds[part], None if behaviour is None else behaviour[part])
    loss = sampled_softmax(playlists @ vectors.T + bias, candidates.part(part))
    share: Tensor = loss * ((part.stop - part.start) / len(examples))
    return share


def _hide(counts: Tensor, training: Training, rng: np.random.Generator) -> Tensor:
    """Return which tracks are shown by their text alone: all without a playlist, and others the rarer the likelier."""
    chance = (training.hidden / (1 + counts)).clamp(min=training.hidden_least)
    chance[counts == 0] = 1.0
    return torch.from_numpy(rng.random(tuple(counts.shape), dtype=np.float32)) < chance


def parameters_of(model: nn.Module, prefixes: Sequence[str]) -> dict[str, nn.Parameter]:
    """Return the trainable parameters whose names begin with one of ``prefixes``; each once."""
    named: dict[str, Any] = dict(model.named_parameters())
    return {name: p for name, p in named.items() if p.requires_grad and name.startswith(tuple(prefixes))}
