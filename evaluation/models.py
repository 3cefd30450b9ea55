"""What is judged: anything that continues questions with track numbers of the dataset, best first."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.queries import Question
from inference.matching import stand_ins, tracks_of
from inference.ranker import Ranker
from segue.query import Query
from segue.track import Track

NOTHING = -1
_BATCH = 512


class Model(Protocol):
    """A ranker in the dataset's own track numbers."""

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """Return (n, k) track numbers, best first, no seeds; -1 for nothing or for a track outside the dataset."""
        ...


class BundleModel:
    """A bundle, asked as a listener would ask it; the dataset's tracks are found in its catalogue by URI."""

    def __init__(
        self,
        ranker: Ranker,
        tracks: Mapping[int, Track],
        label: str = "bundle",
        lacking: Collection[int] = frozenset(),
    ) -> None:
        """Map the tracks that the questions speak of, by number, to the bundle's catalogue.

        Args:
            ranker: The opened bundle.
            tracks: Every seed and every relevant track of the questions to come.
            label: What the progress bar calls it.
            lacking: Tracks, by number, that the catalogue is to lack, whether it does or not: as seeds they are spelled
                out, and no ranking brings them.
        """
        self._ranker = ranker
        self._lacking = lacking
        self._tracks = tracks
        self._label = label
        rows = ranker.catalogue.find_uris([track.uri for track in tracks.values()])
        self._rows = {number: None if number in lacking else row for number, row in zip(tracks, rows, strict=True)}
        barred = (row for number, row in zip(tracks, rows, strict=True) if number in lacking and row is not None)
        self._barred = np.array(list(barred), np.int64)
        self._numbers = np.full(len(ranker.catalogue) + 1, NOTHING, np.int64)  # the last place answers for "nothing"
        for number, row in self._rows.items():
            if row is not None:
                self._numbers[row] = number

    @classmethod
    def open(cls, path: Path, tracks: Mapping[int, Track], label: str = "bundle") -> "BundleModel":
        """Open and verify the bundle at ``path``.

        Raises:
            BundleError: The bundle does not verify.
        """
        return cls(Ranker.open(path), tracks, label)

    def unknown_share(self, questions: Sequence[Question]) -> float:
        """Return the share of hidden tracks that the catalogue lacks, so that no ranking can bring them back."""
        hidden = [track for question in questions for track in question.relevant]
        return sum(self._rows[track] is None for track in hidden) / max(len(hidden), 1)

    def query(self, question: Question) -> Query:
        """Return the question in the bundle's words; a seed that its catalogue lacks is spelled out."""
        found = {seed: self._find(seed) for seed in question.seeds}
        seeds = [row for row in found.values() if row is not None]
        lacking = [self._tracks[seed] for seed, row in found.items() if row is None]
        artists = [track.artist for track in lacking]
        by_artist = tracks_of(self._ranker.catalogue, artists)
        if len(self._barred):
            by_artist = {name: [row for row in rows if row not in self._barred] for name, rows in by_artist.items()}
        beside = stand_ins(by_artist, artists, seeds)
        return self._ranker.query(seeds, question.title, [track.words for track in lacking], beside)

    def _find(self, seed: int) -> int | None:
        """Return a seed's row in the catalogue by its URI, else by its name: another release of the song helps too."""
        row, track = self._rows[seed], self._tracks[seed]
        if row is None and seed not in self._lacking and track.title and track.artist:
            return self._ranker.catalogue.find_name(track.title, track.artist)
        return row

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """See `Model.rank`."""
        found = np.full((len(questions), k), NOTHING, np.int64)
        with tqdm(total=len(questions), desc=f"ranking {self._label}", unit="query", file=sys.stderr) as bar:
            for start in range(0, len(questions), _BATCH):
                part = questions[start : start + _BATCH]
                found[start : start + len(part)] = self._numbers[self.rank_rows(part, k)]
                bar.update(len(part))
        return found

    def rank_rows(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """Return (n, k) ids of the bundle's own catalogue, best first, -1 for nothing."""
        queries = [self.query(question) for question in questions]
        if len(self._barred):
            return self._rank_without_barred(queries, k)
        ids, _ = self._ranker.rank(queries, k)
        return ids

    def _rank_without_barred(self, queries: Sequence[Query], k: int) -> NDArray[np.int64]:
        """Return as `rank_rows`, asking for more until enough is left without what the catalogue is to lack."""
        asked, most = k, len(self._ranker.catalogue)
        while True:
            asked = min(2 * asked, most)
            ids, _ = self._ranker.rank(queries, asked)
            kept = (ids >= 0) & ~np.isin(ids, self._barred)
            if asked == most or (kept.sum(1) >= k).all():
                break
        best = np.full((len(queries), k), NOTHING, np.int64)
        for row, keep in enumerate(kept):
            left = ids[row][keep][:k]
            best[row, : len(left)] = left
        return best
