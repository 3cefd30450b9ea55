"""The gate: a bundle against popularity, iALS and what runs today, on playlists that none of them has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines import ImplicitALS, Popularity
from evaluation.dataset import Dataset, Playlist
from evaluation.measure import K, Values, means, score
from evaluation.models import BundleModel, Model
from evaluation.queries import ALL, SLICES, Question, ask, sample_playlists
from evaluation.verdict import INCUMBENT, Margins, Verdict, judge
from inference.ranker import Ranker
from segue.errors import InputError
from segue.track import Track

CANDIDATE = "candidate"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """What to judge, on what.

    Attributes:
        bundle: Folder of the candidate.
        dataset: Folder of the dataset.
        incumbent: Folder of the bundle that runs today, or None.
        split: Side of the dataset's split to ask about.
        seed: Draws the sample of playlists and starts iALS.
        playlists: Most playlists to ask about, or None for all.
        margins: What the candidate may lose where it need not win.
        foreign_dataset: Whether to judge on a dataset that the candidate was not trained on.
    """

    bundle: Path
    dataset: Path
    incumbent: Path | None = None
    split: str = "test"
    seed: int = 0
    playlists: int | None = None
    margins: Margins = field(default_factory=Margins)
    foreign_dataset: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a trial found out; the report and its page are views of it."""

    trial: Trial
    dataset: Dataset
    playlists: Sequence[Playlist]
    tracks: Mapping[int, Track]
    questions: Sequence[Question]
    candidate: Ranker
    incumbent: Ranker | None
    rankings: Mapping[str, NDArray[np.int64]]
    scores: Mapping[str, Mapping[str, Values]]
    verdict: Verdict

    def report(self) -> dict[str, object]:
        """Return report.json's content; see docs/architecture.md."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "bundle": self.candidate.bundle.digest,
            "incumbent": self.incumbent.bundle.digest if self.incumbent else None,
            "dataset": self.dataset.digest,
            "foreign_dataset": self.foreign,
            "synthetic": self.synthetic,
            "seed": self.trial.seed,
            "playlists": len({question.playlist for question in self.questions}),
            "k": K,
            "split": self.trial.split,
            "lineage": dict(self.candidate.bundle.manifest.lineage),
            "metrics": {name: means(values, self.questions, (*SLICES, ALL)) for name, values in self.scores.items()},
            "comparisons": [comparison.to_json() for comparison in self.verdict.comparisons],
        }

    @property
    def foreign(self) -> bool:
        """Whether the candidate was trained on another dataset than the one that judges it."""
        return bool(self.candidate.bundle.manifest.lineage.get("dataset") != self.dataset.digest)

    @property
    def synthetic(self) -> bool:
        """Whether generated playlists were learned from or judged on."""
        return self.dataset.synthetic or self.candidate.bundle.manifest.synthetic


def run(trial: Trial) -> Outcome:
    """Judge a bundle; nothing is written.

    Raises:
        BundleError: A bundle does not verify.
        DatasetError: The dataset does not verify.
        InputError: There is nothing to ask, or the candidate may have trained on what would be asked.
    """
    dataset = Dataset.open(trial.dataset)
    candidate = Ranker.open(trial.bundle)
    incumbent = Ranker.open(trial.incumbent) if trial.incumbent else None
    _check_lineage(candidate, dataset, trial)
    playlists = sample_playlists(dataset.playlists(trial.split), trial.playlists, trial.seed)
    questions = ask(playlists)
    if not questions:
        raise InputError(
            f"The dataset {trial.dataset} has no playlist in its {trial.split} split that is long enough to ask about; "
            "ingest more playlists."
        )
    tracks = dataset.tracks(sorted({track for playlist in playlists for track in playlist.tracks}))
    rankings = {name: model.rank(questions, K) for name, model in _models(dataset, candidate, incumbent, tracks, trial)}
    scores = {name: score(ranked, questions) for name, ranked in rankings.items()}
    verdict = judge({name: values["ndcg"] for name, values in scores.items()}, CANDIDATE, questions, trial.margins)
    return Outcome(trial, dataset, playlists, tracks, questions, candidate, incumbent, rankings, scores, verdict)


def _models(
    dataset: Dataset, candidate: Ranker, incumbent: Ranker | None, tracks: Mapping[int, Track], trial: Trial
) -> Sequence[tuple[str, Model]]:
    learned = dataset.matrix("train")
    if not learned.nnz:
        raise InputError(f"The dataset {trial.dataset} has no training playlists for the baselines to learn from.")
    bundles = [(CANDIDATE, candidate)] + ([(INCUMBENT, incumbent)] if incumbent else [])
    return [
        *((name, BundleModel(ranker, tracks, name)) for name, ranker in bundles),
        ("popularity", Popularity(learned)),
        ("ials", ImplicitALS(learned, trial.seed)),
    ]


def _check_lineage(candidate: Ranker, dataset: Dataset, trial: Trial) -> None:
    trained_on = candidate.bundle.manifest.lineage.get("dataset")
    if trial.split == "train":
        raise InputError("The split train is what the candidate learned from; judge it on test or validation.")
    if trained_on != dataset.digest and not trial.foreign_dataset:
        raise InputError(
            f"The bundle {trial.bundle} was trained on the dataset {trained_on}, and {trial.dataset} is "
            f"{dataset.digest}: it may have learned from the playlists that would judge it. Name its own dataset, or "
            "add --foreign-dataset if you know that they share no playlists."
        )
