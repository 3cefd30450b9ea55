"""Stage ``lightgcn``: learn vectors of tracks and playlists on the graph of the training playlists."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from data_processing.dataset import Dataset
from segue.errors import DatasetError
from segue.files import canonical_json, whole_directory, write_whole
from segue.metrics import ndcg, recall
from train.encoder import seeded
from train.ials_start import Start, ials_start
from train.interactions import Interactions
from train.lightgcn import xavier_start
from train.lightgcn_training import Metrics, Progress, Trainer, TrainingSettings, identity
from train.neighbours import NeighbourTable, neighbour_table
from train.team import ALONE, Team
from train.title_neighbours import with_titles
from train.tracking import stage_run

_DEPTH = 500
_MOST_SEEDS = 5
_RIDGE = 0.3
_MOST_PLAYLISTS = 1000
"""More validation playlists would cost more time than their precision is worth: the figure only chooses an epoch."""


@dataclass(frozen=True)
class Config(TrainingSettings):
    """Settings of the stage; ``train/conf/lightgcn.yaml`` explains each."""

    dataset: str
    output: str
    neighbours: int
    neighbour_ridge: float
    neighbour_ridge_by_count: float
    gram_buckets: int
    threads: int


def run(config: Config, clock: Callable[[], float] = time.monotonic, team: Team = ALONE) -> None:
    """Write vectors of tracks, playlists, artists and albums (``tracks.npy`` …), neighbours and ``metrics.json``.

    The vectors are float32, a row each, zero where there was nothing to learn from; the neighbours of tracks
    and titles are a `train.neighbours.NeighbourTable`.

    Args:
        config: The settings.
        clock: Seconds, to tell how long the training took.
        team: Who trains together; all of them call this, and the leader writes.
    """
    seeded(config.seed, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    output = Path(config.output)
    interactions = training_interactions(dataset)
    checkpoints = output.with_suffix(".checkpoints")
    start = _start(config, dataset, interactions, checkpoints, team)
    trainer = Trainer(interactions, config, start.nodes, checkpoints, clock, team)
    with stage_run("lightgcn", config, dataset.digest, team) as track:
        continuations = Continuations.of(dataset)
        progress = trainer.fit(
            lambda _, tracks: continuations.evaluate(tracks), "ndcg", lambda epoch, values: track(values, step=epoch)
        )
        if team.leads:
            with whole_directory(output) as folder:
                _write(folder, trainer, start, progress)
                del trainer, start, progress  # at a million playlists 10 GB, and the neighbours want some too
                _neighbours(config, dataset, interactions).save(folder)
    if team.size == 1:  # of several, one may still be lost; who started them clears away when all are done
        shutil.rmtree(checkpoints, ignore_errors=True)


def _start(config: Config, dataset: Dataset, interactions: Interactions, checkpoints: Path, team: Team) -> Start:
    """Return where training begins; factors of iALS are kept beside the checkpoints, for a run that is resumed.

    Of a team, the leader finds them, and the others read what it wrote.
    """
    columns = dataset.tracks(["artist_id", "album_id"])
    belongings = tuple(columns[name].to_numpy() for name in ("artist_id", "album_id"))
    if config.checked().start == "xavier":
        groups = [torch.zeros(int(each.max(initial=-1)) + 1, config.dimension) for each in belongings]
        return Start(xavier_start(interactions, config.dimension, config.seed), groups)
    kept = checkpoints / f"{identity(config, interactions)}-start.safetensors"
    if team.leads and not kept.exists():
        start = ials_start(interactions, config.dimension, config.seed, belongings)
        parts = {"nodes": start.nodes, "artists": start.groups[0], "albums": start.groups[1]}
        write_whole(kept, save(parts))
    team.wait()
    parts = load_file(kept)
    return Start(parts["nodes"], [parts["artists"], parts["albums"]])


def _neighbours(config: Config, dataset: Dataset, interactions: Interactions) -> NeighbourTable:
    if config.neighbours == 0:
        return NeighbourTable.empty(interactions.n_items + config.gram_buckets)
    ridge, by_count = config.neighbour_ridge, config.neighbour_ridge_by_count
    table = neighbour_table(interactions, config.neighbours, ridge, by_count)
    titles = dataset.playlists(["name"])["name"].to_pylist()
    return with_titles(table, interactions, titles, config.gram_buckets)


def training_interactions(dataset: Dataset) -> Interactions:
    """Return the edges of the training playlists alone, over all playlists and tracks of the dataset.

    Raises:
        DatasetError: There is no training playlist.
    """
    entries = dataset.entries(["playlist", "track"])
    playlists, tracks = entries["playlist"].to_numpy(), entries["track"].to_numpy()
    learnt = (dataset.split() == "train")[playlists]
    if not learnt.any():
        raise DatasetError(f"The dataset at {dataset.path} has no training playlist; ingest more playlists.")
    return Interactions.of(playlists[learnt], tracks[learnt], dataset.counts["playlists"], dataset.counts["tracks"])


def _write(folder: Path, trainer: Trainer, start: Start, progress: Progress) -> None:
    playlists, tracks = trainer.vectors()
    degree = trainer.interactions.matrix().sum(axis=0)
    np.save(folder / "tracks.npy", tracks.numpy() * (degree > 0)[:, None].astype(np.float32))
    has_edge = np.diff(trainer.interactions.starts) > 0
    np.save(folder / "playlists.npy", playlists.numpy() * has_edge[:, None].astype(np.float32))
    for name, vectors in zip(("artists", "albums"), start.groups, strict=True):
        np.save(folder / f"{name}.npy", vectors.numpy())
    report = {
        "best_epoch": progress.best_epoch,
        "ndcg": progress.best,
        "history": progress.history,
        "seconds": progress.seconds,
    }
    (folder / "metrics.json").write_bytes(canonical_json(report))


@dataclass(frozen=True)
class Continuations:
    """Held-out playlists to continue: the first tracks are shown, the others are to be found.

    Attributes:
        seeds: What is shown of each.
        relevant: What is to be found of each.
    """

    seeds: list[NDArray[np.int64]]
    relevant: list[set[int]]

    @classmethod
    def of(cls, dataset: Dataset) -> "Continuations":
        """Return the first validation playlists that have at least two tracks; half is shown, at most five."""
        starts, tracks = dataset.sequences()
        chosen = [p for p in dataset.side("validation") if starts[p + 1] - starts[p] > 1][:_MOST_PLAYLISTS]
        lists = [tracks[starts[p] : starts[p + 1]].astype(np.int64) for p in chosen]
        shown = [min(_MOST_SEEDS, len(each) // 2) for each in lists]
        return cls(
            [each[:k] for each, k in zip(lists, shown, strict=True)],
            [set(each[k:].tolist()) for each, k in zip(lists, shown, strict=True)],
        )

    def evaluate(self, items: Tensor) -> Metrics:
        """Return the metrics of ranking every track for the mean of the seeds, folded in as a factor model's would be.

        The mean goes through (V'V / n + ridge)^-1, as in Hu, Koren & Volinsky 2008: directions in which all tracks are
        alike say little of a playlist.
        """
        gram = items.T @ items / len(items)
        ridge = _RIDGE * gram.trace() / len(gram) * torch.eye(len(gram))
        folded, columns = items @ torch.linalg.inv(gram + ridge), items.T.contiguous()
        ranked = [self._continue(folded, columns, seeds) for seeds in self.seeds]
        ids = np.stack(ranked) if ranked else np.empty((0, _DEPTH), np.int64)
        return {
            "ndcg": float(np.nanmean(ndcg(ids, self.relevant, _DEPTH))) if ranked else 0.0,
            "recall_at_10": float(np.nanmean(recall(ids, self.relevant, 10))) if ranked else 0.0,
        }

    def _continue(self, folded: Tensor, columns: Tensor, seeds: NDArray[np.int64]) -> NDArray[np.int64]:
        known = torch.from_numpy(seeds)
        scores = folded[known].mean(0) @ columns
        scores[known] = -torch.inf
        best: NDArray[np.int64] = scores.topk(min(_DEPTH, len(scores))).indices.numpy()
        return best
