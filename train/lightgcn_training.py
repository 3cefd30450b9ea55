"""Trains LightGCN: epochs, a cosine schedule, early stopping, and checkpoints that resume to the same bytes.

An epoch depends on the state before it, the seed and its own number, and on nothing else; the state after it is written
whole. So a run that was killed at any moment and started again ends with the bytes of one that never was.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from segue.errors import InputError
from segue.files import canonical_json, whole_file
from train.interactions import Interactions
from train.lightgcn import LightGCN
from train.losses import bpr, sampled_softmax
from train.sampling import Triples, UserBatch, epoch_generator, triples, user_batches
from train.team import ALONE, Team

Metrics = Mapping[str, float]
Evaluate = Callable[[Tensor, Tensor], Metrics]
"""From final vectors of users and items to validation metrics."""
OnEpoch = Callable[[int, Metrics], None]
STARTS = ("ials", "xavier")
_FORMAT = 2  # of checkpoints; one of another is never found


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; ``train/conf/lightgcn.yaml`` explains each."""

    dimension: int
    layers: int
    start: str
    loss: str
    temperature: float
    length: float
    batch: int
    negatives: int
    edge_dropout: float
    rate: float
    warmup: int
    regularisation: float
    epochs: int
    evaluate_every: int
    patience: int
    seed: int

    def checked(self) -> "TrainingSettings":
        """Return these settings.

        Raises:
            InputError: A value makes no sense.
        """
        if self.loss not in ("softmax", "bpr"):
            raise InputError(f"LightGCN's loss is softmax or bpr, and not {self.loss!r}; set loss=softmax.")
        if self.start not in STARTS:
            raise InputError(
                f"LightGCN starts from {' or '.join(STARTS)}, and not from {self.start!r}; set start=ials."
            )
        for name in ("dimension", "batch", "negatives", "rate", "temperature", "evaluate_every"):
            if getattr(self, name) <= 0:
                raise InputError(f"LightGCN's {name} must be above 0, and not {getattr(self, name)}.")
        for name in ("epochs", "layers"):
            if getattr(self, name) < 0:
                raise InputError(f"LightGCN's {name} must be 0 or more, and not {getattr(self, name)}.")
        if not 0 <= self.edge_dropout < 1:
            raise InputError(
                f"LightGCN's edge_dropout is a chance below 1, and not {self.edge_dropout}; set edge_dropout=0."
            )
        if not 0 <= self.length <= 1:
            raise InputError(f"LightGCN's length is a power from 0 to 1, and not {self.length}; set length=0.")
        return self


@dataclass
class Progress:
    """What a run has come to; all of it is in a checkpoint, and the best epoch's parameters are in a file beside it.

    Attributes:
        epoch: Epochs done.
        best_epoch: The epoch with the best validation figure; 0 is the start.
        best: That figure.
        history: Metrics by epoch, as far as measured, with ``epoch`` and ``seconds``.
        seconds: Time spent on training, that of looking left out.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, metrics: Metrics, deciding: str) -> bool:
        """Add the metrics of the epoch just done and return whether it is the best yet."""
        self.history.append({"epoch": self.epoch, "seconds": self.seconds, **metrics})
        better = metrics[deciding] > self.best
        if better:
            self.best, self.best_epoch = metrics[deciding], self.epoch
        return better


class Trainer:
    """One run of training; `fit` begins or resumes it."""

    def __init__(
        self,
        interactions: Interactions,
        settings: TrainingSettings,
        start: Tensor,
        checkpoints: Path,
        clock: Callable[[], float] = time.monotonic,
        team: Team = ALONE,
    ) -> None:
        """Build the model.

        Args:
            interactions: The edges to learn from.
            settings: How.
            start: (users + items, D) the vectors to begin with.
            checkpoints: Folder with the checkpoint to resume from and to write; one of other data or settings is never
                found. Removed by who no longer needs it.
            clock: Seconds, to tell how long the training took.
            team: Who trains together, each with the same arguments.

        Raises:
            InputError: There are no interactions, or a setting makes no sense.
        """
        if not len(interactions):
            raise InputError("There is no interaction to learn from; LightGCN needs playlists or users with items.")
        self.interactions, self.settings, self.team = interactions, settings.checked(), team
        self.checkpoint, self.clock = checkpoints / f"{identity(settings, interactions)}{team.mark}.pt", clock
        self.model = LightGCN(interactions, settings.layers, start)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=settings.rate)
        self.progress = Progress()

    def fit(self, evaluate: Evaluate, deciding: str, on_epoch: OnEpoch | None = None) -> Progress:
        """Train until the last epoch, or until ``deciding`` has not risen for ``patience`` evaluations.

        The start is looked at too, so training can only improve on it. The model is left with the best epoch's vectors.

        Args:
            evaluate: Measures the final vectors on held-out data.
            deciding: The one of its metrics that chooses the epoch; higher is better.
            on_epoch: Told of the epoch and its metrics, the mean loss among them.

        Of a team, the leader alone evaluates.

        Raises:
            InputError: The best epoch's vectors are gone from beside the checkpoint.
        """

        def look(loss: float | None) -> None:
            measured = self.team.agree(evaluate(*self.vectors()) if self.team.leads else {})
            metrics = {**measured, **({} if loss is None else {"loss": loss})}
            if self.progress.note(metrics, deciding) and self.team.leads:
                self._keep_best()
            if on_epoch:
                on_epoch(self.progress.epoch, metrics)

        self._run(self.settings.epochs, look)
        self.team.wait()  # until the leader has written it
        self._take_best()
        return self.progress

    def fit_until(self, epoch: int) -> Progress:
        """Train up to an epoch that was chosen before, on the schedule of the whole run, and look at nothing."""
        self._run(epoch, lambda _: None)
        return self.progress

    @torch.no_grad()
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the final vectors (users, D) and (items, D)."""
        users, items = self.model()
        return users, items

    def _run(self, last: int, look: Callable[[float | None], None]) -> None:
        if not self._resume():
            look(None)
            self._save()
        silent = not self.team.leads
        with tqdm(total=last, initial=self.progress.epoch, desc="lightgcn", unit="epoch", disable=silent) as bar:
            while self.progress.epoch < last and not self._impatient():
                began = self.clock()
                loss = self._train_epoch()
                self.progress.seconds += self.clock() - began
                if self.progress.epoch % self.settings.evaluate_every == 0 or self.progress.epoch == last:
                    look(loss)
                    self._save()
                best = {"best": f"{self.progress.best:.4f}"} if self.progress.history else {}
                bar.set_postfix(best, loss=f"{loss:.4f}")
                bar.update()

    def _impatient(self) -> bool:
        waited = (self.progress.epoch - self.progress.best_epoch) / self.settings.evaluate_every
        return bool(self.progress.history) and 0 < self.settings.patience <= waited

    def _train_epoch(self) -> float:
        """Pass over the data once and return the mean loss."""
        rng = epoch_generator(self.settings.seed, self.progress.epoch)
        s, losses = self.settings, []
        if s.loss == "bpr":
            length = len(self.interactions)
            batches: Iterator[Triples | UserBatch] = triples(self.interactions, s.batch, rng)
        else:
            length = int((self.interactions.starts[1:] > self.interactions.starts[:-1]).sum())
            batches = user_batches(self.interactions, s.batch, s.negatives, rng)
        steps = math.ceil(length / s.batch)
        shown = tqdm(batches, total=steps, desc="steps", unit="step", leave=False, disable=not self.team.leads)
        for number, batch in enumerate(shown):
            rate = s.rate * schedule(self.progress.epoch * steps + number, s.epochs * steps, s.warmup)
            losses.append(self._step(batch, rate, self._kept(rng)))
        self.progress.epoch += 1
        return math.fsum(self.team.add(losses)) / len(losses)

    def _kept(self, rng: np.random.Generator) -> Tensor | None:
        """Return the edges that a step passes vectors along.

        Edges that are left out teach the model to find what the graph does not already tell it.
        """
        if not self.settings.edge_dropout:
            return None
        return torch.from_numpy(rng.random(len(self.interactions), dtype=np.float32) >= self.settings.edge_dropout)

    def _step(self, batch: Triples | UserBatch, rate: float, kept: Tensor | None) -> float:
        """Take one step and return this worker's part of the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss = self._loss(batch, kept)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        self.team.add_gradients([self.model.embedding])
        self.optimiser.step()
        return float(loss.detach())

    def _loss(self, whole: Triples | UserBatch, kept: Tensor | None) -> Tensor:
        """Return this worker's part of the batch's loss; the last batch may have no user for it."""
        batch, loss = whole.part(self.team.part(len(whole.users))), torch.zeros(())
        if len(batch.users):
            users, items = self.model(kept)
            if isinstance(batch, Triples):
                loss = bpr(users[batch.users], items[batch.positives], items[batch.negatives])
            else:
                loss = self._softmax(batch, users, items)
            loss = loss * (len(batch.positives) / len(whole.positives))
        if self.settings.regularisation:
            loss = loss + self.settings.regularisation * self._weight(whole) / len(whole.users)
        return loss

    def _softmax(self, batch: UserBatch, users: Tensor, items: Tensor) -> Tensor:
        return sampled_softmax(
            users[batch.users],
            F.embedding(batch.positives, items),
            batch.rows,
            items[batch.candidates],
            batch.owned,
            self.interactions.n_items,
            self.settings.temperature,
            self.settings.length,
        )

    def _weight(self, batch: Triples | UserBatch) -> Tensor:
        """Return half the squared length of the batch's own vectors (layer 0), as the paper penalises it.

        Of a team, each takes its part of the vectors.
        """
        others = (batch.positives, batch.negatives) if isinstance(batch, Triples) else (batch.candidates,)
        nodes = torch.cat([batch.users, *(items + self.interactions.n_users for items in others)])
        return self.model.embedding[nodes[self.team.part(len(nodes))]].square().sum() / 2

    @property
    def _best(self) -> Path:
        return self.checkpoint.with_name(f"{self.checkpoint.stem}-best.npy")

    def _keep_best(self) -> None:
        """Write the parameters to a file: a second copy in memory would be a tenth of all that a training takes."""
        with whole_file(self._best) as stream:
            np.save(stream, self.model.embedding.detach().numpy())

    @torch.no_grad()
    def _take_best(self) -> None:
        try:
            best = np.load(self._best, allow_pickle=False)
        except OSError as error:
            raise InputError(
                f"The vectors of the best epoch cannot be read ({error}); remove {self.checkpoint} and train again."
            ) from error
        self.model.embedding.copy_(torch.from_numpy(best))

    def _save(self) -> None:
        if not self.team.leads:
            return
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": {**vars(self.progress)},
        }
        with whole_file(self.checkpoint) as stream:
            torch.save(state, stream)

    def _resume(self) -> bool:
        """Go on from the checkpoint; return False where there is none."""
        if not self.team.agree(self.checkpoint.exists()):
            return False
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        tqdm.write(f"lightgcn: going on after epoch {self.progress.epoch}")
        return True


def identity(settings: TrainingSettings, interactions: Interactions) -> str:
    """Return a short digest of all that decides a run, for the names of files that it resumes from."""
    described = {each.name: getattr(settings, each.name) for each in fields(TrainingSettings)} | {"format": _FORMAT}
    digest = hashlib.sha256(canonical_json(described))
    for edges in (interactions.users, interactions.items):
        digest.update(np.ascontiguousarray(edges).data)
    return digest.hexdigest()[:16]


def schedule(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate at a step as a share of the highest: a linear warm-up, then half a cosine to 2 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return min(1.0, (step + 1) / max(warmup, 1)) * (0.02 + 0.98 * cosine)
