"""What is judged: anything that continues questions with track numbers of the dataset, best first."""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.queries import Question
from inference.continuation import query_of
from inference.matching import Wanted, match_all
from inference.ranker import Ranker
from segue.catalogue import Catalogue
from segue.query import Query
from segue.track import Track

NOTHING = -1
_BATCH = 512


class Model(Protocol):
    """A ranker in the dataset's own track numbers."""

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """Return (n, k) track numbers, best first, no seeds; -1 for nothing or for a track outside the dataset."""
        ...


class _Lacking:
    """The names of a catalogue that lacks some of its tracks; another release of one is not found by its name either.

    Otherwise as `segue.catalogue.Catalogue`.
    """

    def __init__(self, catalogue: Catalogue, rows: Collection[int], tracks: Sequence[Track]) -> None:
        """Leave out ``rows`` of the catalogue, and what the names of ``tracks`` would find."""
        self._catalogue = catalogue
        self._rows = frozenset(rows)
        self._named = self._rows.union(catalogue.find_names([(track.title, track.artist) for track in tracks]))

    def find_uris(self, uris: Sequence[str]) -> list[int | None]:
        return [None if row in self._rows else row for row in self._catalogue.find_uris(uris)]

    def find_names(self, names: Sequence[tuple[str, str]]) -> list[int | None]:
        return [None if row in self._named else row for row in self._catalogue.find_names(names)]

    def find_artists(self, artists: Sequence[str]) -> list[list[int]]:
        return [[row for row in rows if row not in self._rows] for rows in self._catalogue.find_artists(artists)]


class BundleModel:
    """A bundle, asked as a listener would ask it (`inference.matching`); its answers are told by the tracks' URIs."""

    def __init__(
        self,
        ranker: Ranker,
        tracks: Mapping[int, Track],
        label: str = "bundle",
        lacking: Collection[int] = frozenset(),
        diversity: float = 0.0,
    ) -> None:
        """Map the tracks that the questions speak of, by number, to the bundle's catalogue.

        Args:
            ranker: The opened bundle.
            tracks: Every seed and every relevant track of the questions to come.
            label: What the progress bar calls it.
            lacking: Tracks, by number, that the catalogue is to lack, whether it does or not: as seeds they are spelled
                out, and no ranking brings them.
            diversity: What is asked of every ranking, as in a request.
        """
        self._ranker = ranker
        self._tracks = tracks
        self._label = label
        self._diversity = diversity
        rows = ranker.catalogue.find_uris([track.uri for track in tracks.values()])
        self._rows = {number: None if number in lacking else row for number, row in zip(tracks, rows, strict=True)}
        barred = (row for number, row in zip(tracks, rows, strict=True) if number in lacking and row is not None)
        self._barred = np.array(list(barred), np.int64)
        self._names = _Lacking(ranker.catalogue, self._barred.tolist(), [tracks[number] for number in lacking])
        self._numbers = np.full(len(ranker.catalogue) + 1, NOTHING, np.int64)  # the last place answers for "nothing"
        for number, row in self._rows.items():
            if row is not None:
                self._numbers[row] = number

    def unknown_share(self, questions: Sequence[Question]) -> float:
        """Return the share of hidden tracks that the catalogue lacks, so that no ranking can bring them back."""
        hidden = [track for question in questions for track in question.relevant]
        return sum(self._rows[track] is None for track in hidden) / max(len(hidden), 1)

    def hidden_rows(self, questions: Sequence[Question]) -> NDArray[np.int64]:
        """Return (n, h) ids of the bundle's catalogue: each question's hidden tracks that it has, padded with -1."""
        found = [[row for track in one.relevant if (row := self._rows[track]) is not None] for one in questions]
        longest = max(map(len, found), default=0)
        padded = [[*rows, *[NOTHING] * (longest - len(rows))] for rows in found]
        return np.array(padded, np.int64).reshape(len(found), longest)

    def numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return track numbers for ids of the bundle's own catalogue, in any shape; -1 for a track without a number."""
        return np.asarray(self._numbers[rows])

    def queries(self, questions: Sequence[Question]) -> list[Query]:
        """Return the questions in the bundle's words, each seed as a client names it: by its URI, title and artist."""
        wanted = [[_named(self._tracks[seed]) for seed in one.seeds] for one in questions]
        matched = match_all(self._names, wanted, [one.ordered for one in questions])
        return [
            query_of(self._ranker, one, question.title, question.ordered)
            for one, question in zip(matched, questions, strict=True)
        ]

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """See `Model.rank`."""
        return self.numbers(self.rank_rows(questions, k))

    def rank_rows(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """Return (n, k) ids of the bundle's own catalogue, best first, -1 for nothing."""
        found = np.full((len(questions), k), NOTHING, np.int64)
        with tqdm(total=len(questions), desc=f"ranking {self._label}", unit="query", file=sys.stderr) as bar:
            for start in range(0, len(questions), _BATCH):
                part = questions[start : start + _BATCH]
                found[start : start + len(part)] = self._rank_part(part, k)
                bar.update(len(part))
        return found

    def _rank_part(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        queries = self.queries(questions)
        if len(self._barred):
            return self._rank_without_barred(queries, k)
        ids, _ = self._ranker.rank(queries, k, self._diversity)
        return ids

    def _rank_without_barred(self, queries: Sequence[Query], k: int) -> NDArray[np.int64]:
        """Return as `_rank_part`, asking for more until enough is left without what the catalogue is to lack."""
        asked, most = k, len(self._ranker.catalogue)
        while True:
            asked = min(2 * asked, most)
            ids, _ = self._ranker.rank(queries, asked, self._diversity)
            kept = (ids >= 0) & ~np.isin(ids, self._barred)
            if asked == most or (kept.sum(1) >= k).all():
                break
        best = np.full((len(queries), k), NOTHING, np.int64)
        for row, keep in enumerate(kept):
            left = ids[row][keep][:k]
            best[row, : len(left)] = left
        return best


def _named(track: Track) -> Wanted:
    return Wanted(track.uri, track.title, track.artist)
