"""What a trial is, and what it found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.classics import Settings
from evaluation.dataset import Dataset
from evaluation.figures import Figures, intervals_json, means_json
from evaluation.measure import K, Values
from evaluation.queries import Question
from evaluation.verdict import INCUMBENT, Margins, Verdict, best_baseline
from inference.ranker import Ranker
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
        links: Where the page's dataset, commit and run lead; ``{}`` in an address stands for what is named.
        ease_rows: Most rows of the matrix that EASE inverts, or None for as many as a quarter of the memory holds.
    """

    bundle: Path
    dataset: Path
    incumbent: Path | None = None
    split: str = "test"
    seed: int = 0
    playlists: int | None = None
    margins: Margins = field(default_factory=Margins)
    foreign_dataset: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    ease_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a trial found out; the report and its page are views of it.

    Attributes:
        trial: What was asked for.
        dataset: What it was judged on.
        tracks: Every track of the dataset, by number.
        questions: What was asked, n of them.
        candidate: The bundle on trial.
        incumbent: What runs today, or None.
        baselines: Each baseline's setting, the one at which it was strongest on the validation playlists.
        ranked: Model to its answers, (n, k) track numbers.
        ndcg: Model to its NDCG per question, (n,).
        figures: Model to slice to metric to its estimate.
        verdict: What follows.
    """

    trial: Trial
    dataset: Dataset
    tracks: Mapping[int, Track]
    questions: Sequence[Question]
    candidate: Ranker
    incumbent: Ranker | None
    baselines: Mapping[str, Settings]
    ranked: Mapping[str, NDArray[np.int64]]
    ndcg: Mapping[str, Values]
    figures: Mapping[str, Figures]
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
            "baselines": {name: dict(setting) for name, setting in self.baselines.items()},
            "lineage": dict(self.candidate.bundle.manifest.lineage),
            "metrics": {name: means_json(figures, self.counts) for name, figures in self.figures.items()},
            "intervals": {name: intervals_json(figures) for name, figures in self.figures.items()},
            "comparisons": [comparison.to_json() for comparison in self.verdict.comparisons],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many questions each slice has."""
        return {name: row["ndcg"].questions for name, row in self.figures[CANDIDATE].items()}

    @property
    def chief(self) -> list[str]:
        """The models that matter most: the candidate, the incumbent where there is one, the best baseline."""
        best = [one.against for one in best_baseline(self.verdict.comparisons)]
        return [CANDIDATE, *([INCUMBENT] if self.incumbent else []), *best]

    @property
    def rival(self) -> str | None:
        """What the candidate has to prove itself against: the incumbent, else the best baseline; None without any."""
        return next(iter(self.chief[1:]), None)

    @property
    def foreign(self) -> bool:
        """Whether the candidate was trained on another dataset than the one that judges it."""
        return bool(self.candidate.bundle.manifest.lineage.get("dataset") != self.dataset.digest)

    @property
    def synthetic(self) -> bool:
        """Whether generated playlists were learned from or judged on."""
        return self.dataset.synthetic or self.candidate.bundle.manifest.synthetic
