"""What a trial is, and what it found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.classics import Settings
from evaluation.dataset import Dataset
from evaluation.measure import K, Values, means
from evaluation.queries import ALL, SLICES, Question
from evaluation.verdict import Margins, Verdict
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
    """Everything that a trial found out; the report and its page are views of it.

    Attributes:
        trial: What was asked for.
        dataset: What it was judged on.
        tracks: Every track that the questions speak of, by number.
        questions: What was asked, n of them.
        candidate: The bundle on trial.
        incumbent: What runs today, or None.
        baselines: Each baseline's setting, the one at which it was strongest on the validation playlists.
        scores: Model to metric to its value per question, (n,).
        verdict: What follows.
    """

    trial: Trial
    dataset: Dataset
    tracks: Mapping[int, Track]
    questions: Sequence[Question]
    candidate: Ranker
    incumbent: Ranker | None
    baselines: Mapping[str, Settings]
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
            "baselines": {name: dict(setting) for name, setting in self.baselines.items()},
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
