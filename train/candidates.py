"""Which candidates a batch is ranked against, and the softmax that is honest about it.

Negatives are drawn by popularity to a power and shared by the batch; the tracks of the batch are candidates too. Each
logit is corrected by the logarithm of the chance that its track is among the candidates (Bengio & Senécal 2008; logQ).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.examples import Example


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of a batch.

    Attributes:
        ids: (C,) int64 distinct track ids, ascending.
        log_chance: (C,) float32 logarithm of the chance that the track is a candidate.
        targets: (P, 2) int64 pairs of example and column of ``ids``: what follows.
        seeds: (Q, 2) int64 pairs of example and column: what the playlist already holds.
        weights: (P,) float32 weight of each target: n^-.5 for an example with n of them.
    """

    ids: Tensor
    log_chance: Tensor
    targets: Tensor
    seeds: Tensor
    weights: Tensor

    def part(self, kept: slice) -> "Candidates":
        """Return what concerns some of the examples; the candidates stay the same."""
        targets, seeds = (
            (pairs[:, 0] >= kept.start) & (pairs[:, 0] < kept.stop) for pairs in (self.targets, self.seeds)
        )
        first = torch.tensor([[kept.start, 0]])
        return replace(
            self,
            targets=self.targets[targets] - first,
            seeds=self.seeds[seeds] - first,
            weights=self.weights[targets],
        )


class CandidateSampler:
    """Draws the candidates of batches."""

    def __init__(self, counts: NDArray[np.float64], playlists: int, negatives: int, power: float) -> None:
        """Prepare draws of ``negatives`` tracks with chances as ``counts`` to ``power``.

        Args:
            counts: (N,) training playlists of each track; a track without one is never drawn.
            playlists: Number of training playlists.
            negatives: Draws of a batch, with replacement.
            power: 0 is uniform over tracks with a playlist, 1 is popularity.
        """
        chances = np.where(counts > 0, np.maximum(counts, 1) ** power, 0.0)
        self._cumulative = np.cumsum(chances / chances.sum())
        self._draw = chances / chances.sum()
        self._share = np.minimum(counts / playlists, 1.0)
        self._negatives = negatives

    def draw(self, examples: Sequence[Example], rng: np.random.Generator) -> Candidates:
        """Return the candidates of a batch of examples."""
        points = rng.random(self._negatives)
        drawn = np.minimum(np.searchsorted(self._cumulative, points, side="right"), len(self._draw) - 1)
        targets = np.concatenate([example.targets for example in examples])
        ids = np.unique(np.concatenate([drawn, targets]))
        missed = self._negatives * np.log1p(-np.minimum(self._draw[ids], 0.999))
        missed += len(examples) * np.log1p(-np.minimum(self._share[ids], 0.999))
        rows = np.repeat(np.arange(len(examples)), [len(example.targets) for example in examples])
        sizes = np.array([len(example.targets) for example in examples])
        return Candidates(
            ids=torch.from_numpy(ids),
            log_chance=torch.from_numpy(np.log(np.maximum(-np.expm1(missed), 1e-12)).astype(np.float32)),
            targets=torch.from_numpy(np.stack([rows, np.searchsorted(ids, targets)], 1)),
            seeds=_columns(ids, [example.query.seeds for example in examples]),
            weights=torch.from_numpy((sizes[rows] ** -0.5).astype(np.float32)),
        )


def _columns(ids: NDArray[np.int64], rows: Sequence[Sequence[int]]) -> Tensor:
    flat = np.array([track for row in rows for track in row], np.int64)
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    column = np.minimum(np.searchsorted(ids, flat), len(ids) - 1)
    found = ids[column] == flat
    return torch.from_numpy(np.stack([owner[found], column[found]], 1))


def sampled_softmax(logits: Tensor, candidates: Candidates) -> Tensor:
    """Return the loss of logits (B, C): the weighted negative log-likelihood of the targets, a mean over examples."""
    corrected = logits - candidates.log_chance
    blocked = torch.zeros_like(logits, dtype=torch.bool)
    blocked[candidates.seeds[:, 0], candidates.seeds[:, 1]] = True
    likelihood = corrected.masked_fill(blocked, -1e9).log_softmax(1)
    chosen = likelihood[candidates.targets[:, 0], candidates.targets[:, 1]]
    return -(chosen * candidates.weights).sum() / len(logits)
