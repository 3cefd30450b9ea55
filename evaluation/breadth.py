"""What a ranking is like beside being right: how much of the catalogue it shows, how popular, how alike, how rare."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.measure import K, Values, inside
from evaluation.queries import Question
from evaluation.statistics import Estimate, jackknife
from segue import metrics
from segue.catalogue import Catalogue

COLD = 2
"""A track is cold that at most as many training playlists hold: too few to learn it from by who stands beside it."""
_TOP = 10
BIAS = f"popularity_bias@{_TOP}"
ARTISTS, GENRES = f"artist_diversity@{_TOP}", f"genre_diversity@{_TOP}"
PLACE_BIAS = f"place_bias@{_TOP}"
UNSEEN_HIT, COLD_HIT = f"unseen_hit@{K}", f"cold_hit@{K}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the dataset's tracks, each by number.

    Attributes:
        counts: How many training playlists hold each, (tracks,).
        artists: The artist of each, as one id or none.
        genres: The genres of each, or None where the dataset has none.
    """

    counts: NDArray[np.int64]
    artists: Sequence[Collection[int]]
    genres: Sequence[Collection[str]] | None

    @classmethod
    def of(cls, dataset: Dataset) -> "Facts":
        """Return the facts of a dataset."""
        counts = np.asarray(dataset.matrix("train").sum(axis=0)).ravel().astype(np.int64)
        return cls(counts, dataset.artists(), dataset.genres())


def score(ranked: NDArray[np.int64], questions: Sequence[Question], facts: Facts) -> dict[str, Values]:
    """Return each metric's value per question, (n,) each, NaN where the question tells nothing of it."""
    relevant = [question.relevant for question in questions]
    longest = max((len(tracks) for tracks in relevant), default=0)
    hidden = np.array([[*tracks, *[-1] * (longest - len(tracks))] for tracks in relevant], np.int64)
    usual = metrics.popularity(hidden.reshape(len(relevant), longest), facts.counts, longest)
    found = {
        BIAS: metrics.popularity(ranked, facts.counts, _TOP) - usual,
        ARTISTS: metrics.dissimilarity(ranked, facts.artists, _TOP),
        UNSEEN_HIT: metrics.recall(ranked, _rare(questions, facts, 0), K),
        COLD_HIT: metrics.recall(ranked, _rare(questions, facts, COLD), K),
    }
    if facts.genres is not None:
        found[GENRES] = metrics.dissimilarity(ranked, facts.genres, _TOP)
    return found


def score_rows(rows: NDArray[np.int64], hidden: NDArray[np.int64], catalogue: Catalogue) -> dict[str, Values]:
    """Return what can be told of lists without a dataset, by a bundle's own catalogue: (n,) each.

    Nobody says there how many playlists hold a track, but the catalogue is in the order of falling popularity, so the
    bias is that of places: how many times over the first 10 halve the place of the hidden tracks, in the mean.

    Args:
        rows: Ids of the catalogue, (n, k), best first, -1 for nothing.
        hidden: Those of the hidden tracks that it has, (n, h), -1 for nothing.
        catalogue: The bundle's.
    """
    ids, first = np.unique(rows[:, :_TOP], return_inverse=True)
    first = np.where(rows[:, :_TOP] < 0, -1, first.reshape(len(rows), -1))
    artists = [{track.artist} - {""} for track in catalogue.tracks(ids[ids >= 0].tolist())]
    labels = [set[str]() for _ in range(int((ids < 0).sum()))] + artists
    places = np.arange(len(catalogue))
    usual = metrics.popularity(hidden, places, hidden.shape[1])
    return {
        PLACE_BIAS: usual - metrics.popularity(rows, places, _TOP),
        ARTISTS: metrics.dissimilarity(first, labels, _TOP),
    }


def weights(questions: Sequence[Question], facts: Facts) -> dict[str, Values]:
    """Return how much each question counts in a metric, (n,): hit rates are shares of tracks, not of questions."""
    return {
        name: np.array([len(tracks) for tracks in _rare(questions, facts, most)], np.float64)
        for name, most in ((UNSEEN_HIT, 0), (COLD_HIT, COLD))
    }


def _rare(questions: Sequence[Question], facts: Facts, most: int) -> list[list[int]]:
    """Return each question's hidden tracks that at most ``most`` training playlists hold."""
    rare = facts.counts <= most
    return [[track for track in question.relevant if rare[track]] for question in questions]


def cover(
    ranked: NDArray[np.int64], questions: Sequence[Question], slices: Sequence[str], tracks: int
) -> dict[str, dict[str, Estimate]]:
    """Return, per slice, the share of a catalogue of ``tracks`` that its answers show together.

    It grows with the number of questions, so only models that were asked the same can be compared by it.
    """
    owners = np.array([question.playlist for question in questions], np.int64)
    table = {}
    for name in slices:
        rows = inside(questions, name)
        table[name] = {f"coverage@{k}": _coverage(ranked[rows, :k], owners[rows], tracks) for k in (_TOP, K)}
    return table


def _coverage(ranked: NDArray[np.int64], owners: NDArray[np.int64], tracks: int) -> Estimate:
    """Return the coverage of all answers, and how sure it is by what each playlist alone brings in."""
    if not len(owners):
        return Estimate(0, 0, 0.0, 0.0)
    playlists, owner = np.unique(owners, return_inverse=True)
    # A playlist with a track as one number: rows of two take longer to sort, up to six times where lists share tracks.
    width = int(ranked.max(initial=0)) + 1
    pairs = (owner[:, None] * width + ranked)[ranked >= 0]
    by, shown = np.divmod(np.unique(pairs), width)
    alone = np.bincount(by[np.bincount(shown, minlength=width)[shown] == 1], minlength=len(playlists))
    whole = metrics.coverage(ranked, ranked.shape[1], tracks)
    return jackknife(whole, whole - alone / max(tracks, 1), len(owners))
