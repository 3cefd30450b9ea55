"""How often a bundle finds held-out tracks, by how well training knew them: above all those that it never saw.

The classics of the gate learn a track from the playlists that hold it and put one that none holds behind all that they
score above 0, so the rivals here are two of them by artist (`evaluation.baselines.by_artist`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.by_artist import ByArtist
from evaluation.baselines.item_knn import ItemKNN, ItemSetting
from evaluation.baselines.nearest import Nearness, TitleKNN
from evaluation.breadth import Facts
from evaluation.categories import ask_category
from evaluation.classics import ITEM_GRID, MOST_ASKED, TITLE_GRID, Classics
from evaluation.dataset import Dataset
from evaluation.figures import interval
from evaluation.measure import DIGITS, K, inside, tabulate
from evaluation.models import BundleModel, Model
from evaluation.queries import Question, ask, sample_playlists
from evaluation.statistics import Estimate
from evaluation.tuning import tune
from inference.ranker import Ranker
from segue import metrics
from segue.errors import InputError

CATEGORIES = ("title", "title+1", "title+5", "title+10", "title+25")
"""What is asked about where nothing else is wanted: how hard an unseen track is depends on how many seeds are shown."""
UNSEEN, UNHEARD, FEW, MANY = KINDS = (
    "unseen, artist known", "unseen, artist not", "in 1 to 9 playlists", "in 10 or more",
)  # fmt: skip
"""What training knows of a track: its artist alone, not even that, a little, or well."""
_METRIC = f"hit@{K}"

Rates = Mapping[str, Mapping[str, Estimate]]
"""Category to kind of track to the share of such tracks that was found."""


@dataclass(frozen=True, slots=True)
class Found:
    """How often each kind of hidden track was found.

    Attributes:
        bundle: The bundle's digest.
        dataset: The dataset's.
        split: The side that was asked about.
        seed: What drew random seeds and the sample.
        playlists: How many playlists there were.
        tracks: Category to kind to how many tracks were hidden.
        rates: Model, the bundle first, to its rates.
        settings: Baseline to the setting that was found for it.
    """

    bundle: str
    dataset: str
    split: str
    seed: int
    playlists: int
    tracks: Mapping[str, Mapping[str, int]]
    rates: Mapping[str, Rates]
    settings: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, object]:
        """Return everything as one JSON object; kinds that nothing was hidden of are left out."""
        return {
            "bundle": self.bundle,
            "dataset": self.dataset,
            "split": self.split,
            "seed": self.seed,
            "k": K,
            "playlists": self.playlists,
            "baselines": self.settings,
            "categories": {
                category: {kind: self._row(category, kind) for kind, count in counts.items() if count}
                for category, counts in self.tracks.items()
            },
        }

    def _row(self, category: str, kind: str) -> dict[str, object]:
        rates = {model: _ends(by_category[category][kind]) for model, by_category in self.rates.items()}
        return {"n": self.tracks[category][kind], _METRIC: rates}

    def to_text(self) -> str:
        """Return everything as a table for a terminal."""
        head = f"{_METRIC:<14} {'tracks':<20} {'n':>7}  " + "  ".join(f"{model:<22}" for model in self.rates)
        rows = [
            f"{category:<14} {kind:<20} {count:>7}  " + "  ".join(
                f"{_said(rates[category][kind]):<22}" for rates in self.rates.values()
            )
            for category, counts in self.tracks.items() for kind, count in counts.items() if count
        ]  # fmt: skip
        foot = f"{self.playlists} playlists of the side {self.split}; 95 % intervals over playlists."
        return "\n".join(line.rstrip() for line in (head, *rows, foot))


def measure(
    bundle: Path,
    folder: Path,
    categories: Sequence[str] = CATEGORIES,
    split: str = "test",
    seed: int = 0,
    most: int | None = None,
) -> Found:
    """Ask a bundle and two baselines about held-out playlists, and return how often each finds which tracks.

    Args:
        bundle: The bundle's folder.
        folder: The dataset that it was trained on.
        categories: Some of `evaluation.arguments.CATEGORIES`.
        split: ``test`` or ``validation``; the baselines are tuned on the latter.
        seed: Draws random seeds and the sample of playlists.
        most: Most playlists to ask about, or None for all.

    Raises:
        BundleError: The bundle does not verify.
        DatasetError: The dataset does not verify.
        InputError: The bundle was trained on another dataset, or there is nothing to ask.
    """
    dataset, ranker = Dataset.open(folder), Ranker.open(bundle)
    _check_lineage(ranker, bundle, dataset, folder)
    playlists = sample_playlists(dataset.playlists(split), most, seed)
    questions = [question for name in categories for question in ask_category(playlists, name, seed)]
    if not questions:
        raise InputError(
            f"The dataset {folder} has no playlist in its {split} split that is long enough for the categories "
            f"{', '.join(categories)}; ingest more playlists."
        )
    facts = Facts.of(dataset)
    rivals = _rivals(dataset, facts, seed)
    bundled: Model = BundleModel(ranker, dataset.tracks(range(dataset.track_count)))
    hidden = _hidden(questions, kinds(facts))
    counts = {kind: np.array([len(tracks) for tracks in each], np.float64) for kind, each in hidden.items()}
    rates = {}
    for name, model in {"bundle": bundled, **rivals.models}.items():
        ranked = model.rank(questions, K)
        hits = {kind: metrics.recall(ranked, each, K) for kind, each in hidden.items()}
        rates[name] = tabulate(hits, questions, categories, counts)
    tracks = {
        name: {kind: int(each[inside(questions, name)].sum()) for kind, each in counts.items()} for name in categories
    }
    asked = len({question.playlist for question in questions})
    return Found(ranker.bundle.digest, dataset.digest, split, seed, asked, tracks, rates, rivals.settings)


def kinds(facts: Facts) -> NDArray[np.str_]:
    """Return (tracks,) which of `KINDS` each track is."""
    artist = np.array([next(iter(each), -1) for each in facts.artists], np.int64)
    heard = np.unique(artist[(facts.counts > 0) & (artist >= 0)])
    unseen = np.where(np.isin(artist, heard), UNSEEN, UNHEARD)
    return np.where(facts.counts == 0, unseen, np.where(facts.counts < 10, FEW, MANY))


def _hidden(questions: Sequence[Question], kind: NDArray[np.str_]) -> dict[str, list[list[int]]]:
    """Return, for each kind, each question's hidden tracks of it."""
    return {
        name: [[track for track in question.relevant if of_kind[track]] for question in questions]
        for name, of_kind in ((name, kind == name) for name in KINDS)
    }


def _rivals(dataset: Dataset, facts: Facts, seed: int) -> Classics:
    """Return title-kNN and item-kNN by artist, each at the setting that is best on validation playlists."""
    learned, titles = dataset.matrix("train"), [playlist.name for playlist in dataset.playlists("train")]
    asked = ask(sample_playlists(dataset.playlists("validation"), MOST_ASKED, seed))
    seeded = [question for question in asked if question.seeds]
    titled = [question for question in asked if not question.seeds]

    def by_titles(one: Nearness, label: str = "") -> ByArtist:
        return ByArtist(learned, facts.artists, lambda held: TitleKNN(held, titles, one, ""), label)

    def by_items(one: ItemSetting, label: str = "") -> ByArtist:
        return ByArtist(learned, facts.artists, lambda held: ItemKNN(held, one, ""), label)

    title = tune("title-kNN by artist", TITLE_GRID, by_titles, titled)
    item = tune("item-kNN by artist", ITEM_GRID, by_items, seeded)
    return Classics(
        {
            "title_knn_by_artist": by_titles(title, "title-kNN by artist"),
            "item_knn_by_artist": by_items(item, "item-kNN by artist"),
        },
        {"title_knn_by_artist": asdict(title), "item_knn_by_artist": asdict(item)},
    )


def _check_lineage(ranker: Ranker, bundle: Path, dataset: Dataset, folder: Path) -> None:
    trained_on = ranker.bundle.manifest.lineage.get("dataset")
    if trained_on != dataset.digest:
        raise InputError(
            f"The bundle {bundle} was trained on the dataset {trained_on}, and {folder} is {dataset.digest}, which "
            "cannot tell what its training never saw; name its own dataset."
        )


def _said(rate: Estimate) -> str:
    ends = interval(_METRIC, rate)
    between = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
    return f"{rate.mean:.3f}{between}"


def _ends(rate: Estimate) -> dict[str, float | None]:
    ends = interval(_METRIC, rate)
    low, high = (round(end, DIGITS) for end in ends) if ends else (None, None)
    return {"mean": round(rate.mean, DIGITS), "low": low, "high": high}
