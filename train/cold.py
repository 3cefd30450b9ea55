"""Verb ``cold``: how often a trained ranker finds tracks that no training playlist holds.

Such tracks are the ones that only held-out playlists hold; whatever is known of them is their words, their artist and
their album.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_processing.dataset import Dataset
from train.encoder import load_encoder, seeded
from train.examples import Example, validation
from train.export import load_ranker
from train.inputs import playlists_of
from train.llara import settings_of, training_of
from train.ranker_training import rank


@dataclass(frozen=True)
class Config:
    """Settings of the verb; ``train/conf/cold.yaml`` explains each."""

    dataset: str
    llara: str
    split: str
    threads: int


def run(config: Config) -> None:
    """Print hit@500 of held-out tracks by number of seeds: cold ones, by whether their artist is known, and others."""
    seeded(0, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    settings = settings_of(Path(config.llara))
    loaded = load_encoder(settings.encoder)
    model = load_ranker(Path(config.llara), settings, dataset, loaded)
    asked = {count: part for count, part in validation(playlists_of(dataset, config.split)).items() if part}
    ranked = rank(model, training_of(settings, dataset, loaded, model, judged=0), asked)
    columns = dataset.tracks(["artist_id", "train_count"])
    kind = kinds(columns["train_count"].to_numpy(), columns["artist_id"].to_numpy())
    lines = [f"{'seeds':>5} {'tracks':<24} {'n':>7} {'hit@500':>8} {'95 % interval':>17}"]
    for count, examples in asked.items():
        rates = hit_rates(ranked[count], examples, kind)
        lines += [f"{count:>5} {name:<24} {rate}" for name, rate in rates.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def kinds(count: NDArray[np.integer], artist: NDArray[np.integer]) -> NDArray[np.str_]:
    """Return (N,) what is known of each track.

    Args:
        count: (N,) training playlists of each track.
        artist: (N,) artist of each track, -1 where unknown.
    """
    heard = np.unique(artist[(count > 0) & (artist >= 0)])
    cold = np.where(np.isin(artist, heard), "cold, artist heard", "cold, artist never heard")
    return np.where(count == 0, cold, np.where(count < 10, "in 1 to 9 playlists", "in 10 or more"))


def hit_rates(
    ranked: NDArray[np.int64], examples: Sequence[Example], kind: NDArray[np.str_]
) -> Mapping[str, "HitRate"]:
    """Return, for each kind of track, the share of held-out tracks of that kind that the lists hold.

    Args:
        ranked: (n, k) the lists.
        examples: (n,) what was asked, with the tracks to be found.
        kind: (N,) kind of each track of the catalogue.
    """
    found = [np.isin(example.targets, ids) for example, ids in zip(examples, ranked, strict=True)]
    kinds_of = [kind[example.targets] for example in examples]
    rates = {}
    for name in sorted(set(kind.tolist())):
        asked = np.array([(each == name).sum() for each in kinds_of])
        hits = np.array([hit[each == name].sum() for hit, each in zip(found, kinds_of, strict=True)])
        if asked.any():
            rates[name] = HitRate.of(hits, asked)
    return rates


@dataclass(frozen=True, slots=True)
class HitRate:
    """A share of tracks found.

    Attributes:
        n: Tracks asked about.
        mean: The share of them that was found.
        error: Its standard error over playlists: tracks of one playlist are found or missed together.
    """

    n: int
    mean: float
    error: float

    @classmethod
    def of(cls, hits: NDArray[np.integer], asked: NDArray[np.integer]) -> "HitRate":
        """Return the rate of playlists with ``hits`` (n,) of ``asked`` (n,) tracks, a ratio of two sums."""
        total = int(asked.sum())
        mean = float(hits.sum() / total)
        return cls(total, mean, float(np.sqrt(((hits - mean * asked) ** 2).sum()) / total))

    def __str__(self) -> str:
        low, high = max(0.0, self.mean - 1.96 * self.error), self.mean + 1.96 * self.error
        return f"{self.n:>7} {self.mean:>8.4f} {low:>7.4f} to {high:.4f}"
