"""A bundle on the categories of the RecSys Challenge 2018, made from playlists that it never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.breadth import ARTISTS, PLACE_BIAS, score_rows
from evaluation.dataset import Playlist
from evaluation.measure import DIGITS, K, Values, inside, score
from evaluation.models import BundleModel
from evaluation.queries import LEAST_HELD_OUT, Question, hide, sample_playlists
from evaluation.slices import read_slices
from evaluation.statistics import Estimate, estimate
from evaluation.typos import mistype_some
from evaluation.verdict import LEVEL
from inference.ranker import Ranker
from segue.errors import InputError
from segue.text import normalise_title

_METRICS = ("ndcg", "r_precision", "clicks", ARTISTS, PLACE_BIAS)


@dataclass(frozen=True, slots=True)
class Row:
    """One category: its name and, per metric, the mean over its questions."""

    category: str
    means: Mapping[str, Estimate]

    def to_json(self) -> dict[str, object]:
        """Return ``n`` and, per metric, its mean with the ends of the 95 % interval; None where unknown."""
        count = self.means["ndcg"].questions
        return {"n": count} | {metric: _ends(mean) for metric, mean in self.means.items()}

    def to_text(self) -> str:
        """Return the category as one line of the table."""
        ndcg, precision, clicks, artists, bias = (self.means[metric] for metric in _METRICS)
        low, high = ndcg.interval(LEVEL)
        between = f"{low:.4f} to {high:.4f}" if ndcg.playlists > 1 else ""
        figures = f"{ndcg.mean:>6.4f} {between:>17}  {precision.mean:>6.4f}  {clicks.mean:>6.2f}"
        figures += f"  {artists.mean:>7.4f}  {bias.mean:>+5.2f}"
        return f"{self.category:<16} {ndcg.questions:>6}  {figures if ndcg.questions else '–'}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A bundle's metrics by category.

    Attributes:
        bundle: Its digest.
        playlists: How many playlists were asked about.
        left_out: Entries of the slices that have no URI.
        unknown: Share of the hidden tracks that the bundle's catalogue lacks.
        lacking: Share of the tracks that the catalogue was made to lack.
        typos: Share of the titles that were given a typo.
        diversity: What was asked of every ranking.
        seed: What drew random seeds, the sample, what is lacking and the typos.
        rows: The categories.
    """

    bundle: str
    playlists: int
    left_out: int
    unknown: float
    lacking: float
    typos: float
    diversity: float
    seed: int
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, object]:
        """Return everything as one JSON object."""
        return {
            "bundle": self.bundle,
            "playlists": self.playlists,
            "entries_without_uri": self.left_out,
            "unknown_tracks": round(self.unknown, DIGITS),
            "lacking": self.lacking,
            "typos": self.typos,
            "diversity": self.diversity,
            "seed": self.seed,
            "k": K,
            "categories": {row.category: row.to_json() for row in self.rows},
        }

    def to_text(self) -> str:
        """Return everything as a table for a terminal."""
        head = f"{'category':<16} {'n':>6}  {'NDCG':>6} {'95 % interval':>17}  {'R-prec':>6}  {'clicks':>6}"
        head += f"  {'artists':>7}  {'bias':>5}"
        foot = (
            f"{self.playlists} playlists; {self.unknown:.1%} of the hidden tracks are not in the catalogue; "
            f"{self.left_out} entries without a URI left out."
        )
        return "\n".join([head, *(row.to_text() for row in self.rows), foot])


def ask_category(playlists: Sequence[Playlist], category: str, seed: int) -> list[Question]:
    """Return the questions of a challenge category; playlists without a title take no part where it is shown.

    Random seeds are drawn by ``seed`` and the playlist's number, so that they do not depend on the other playlists.
    """
    with_title = category.startswith("title")
    count, random = _seeds(category)
    questions = []
    for playlist in playlists:
        if with_title and not normalise_title(playlist.name):
            continue
        generator = np.random.default_rng([seed, playlist.number, count])
        choose = (lambda total, shown, g=generator: g.permutation(total)[:shown].tolist()) if random else None
        questions.append(hide(playlist, category, count, with_title, LEAST_HELD_OUT, choose))
    return [question for question in questions if question is not None]


def _seeds(category: str) -> tuple[int, bool]:
    number = category.removeprefix("title").removeprefix("+")
    return int(number.removesuffix("random") or 0), number.endswith("random")


def measure(
    bundle: Path,
    paths: Sequence[Path],
    categories: Sequence[str],
    seed: int = 0,
    most: int | None = None,
    lacking: float = 0.0,
    typos: float = 0.0,
    diversity: float = 0.0,
) -> Measured:
    """Rank every category's questions with a bundle and return its metrics.

    Hidden tracks that the bundle's catalogue lacks cannot be found, and still count in the ideal list.

    Args:
        bundle: The bundle's folder.
        paths: MPD slices, or folders of them.
        categories: Some of `evaluation.arguments.CATEGORIES`.
        seed: Draws random seeds, the sample of playlists, what is lacking and the typos.
        most: Most playlists to ask about, or None for all.
        lacking: Share of the tracks that the catalogue is to lack, as it will lack what comes out tomorrow.
        typos: Share of the titles that get one typo (`evaluation.typos`).
        diversity: What is asked of every ranking, as in a request.

    Raises:
        BundleError: The bundle does not verify.
        InputError: A file cannot be read, or no playlist is long enough.
    """
    ranker = Ranker.open(bundle)
    playlists, tracks, left_out = read_slices(paths)
    playlists = mistype_some(sample_playlists(playlists, most, seed), typos, seed)
    questions = [question for name in categories for question in ask_category(playlists, name, seed)]
    if not questions:
        raise InputError(f"No playlist in {paths[0]} is long enough for the categories {', '.join(categories)}.")
    drawn = np.random.default_rng(seed).random(len(tracks)) < lacking
    without = {track for track, out in zip(sorted(tracks), drawn, strict=True) if out}
    model = BundleModel(ranker, tracks, lacking=without, diversity=diversity)
    found = model.rank_rows(questions, K)
    values = score(model.numbers(found), questions)
    values |= score_rows(found, model.hidden_rows(questions), ranker.catalogue)
    owners = np.array([question.playlist for question in questions])
    rows = []
    for name in categories:
        mine = inside(questions, name)
        means = {metric: _mean(values[metric][mine], owners[mine]) for metric in _METRICS}
        rows.append(Row(name, means))
    unknown = model.unknown_share(questions)
    digest = ranker.bundle.digest
    return Measured(digest, len(playlists), left_out, unknown, lacking, typos, diversity, seed, tuple(rows))


def _mean(values: Values, owners: NDArray[np.int64]) -> Estimate:
    """Return the mean over the questions that tell of it; one whose hidden tracks are all unknown has no bias."""
    told = np.isfinite(values)
    return estimate(values[told], owners[told].tolist())


def _ends(mean: Estimate) -> dict[str, float | None]:
    if not mean.questions:
        return {"mean": None, "low": None, "high": None}
    low, high = mean.interval(LEVEL)
    known = mean.playlists > 1
    return {
        "mean": round(mean.mean, DIGITS),
        "low": round(low, DIGITS) if known else None,
        "high": round(high, DIGITS) if known else None,
    }
