"""A baseline of artists: the one way for a classic to name a track that no training playlist holds."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from evaluation.baselines.scored import Floats, Scored
from evaluation.queries import Question


class ByArtist(Scored):
    """Another baseline, fitted to artists in place of tracks: each track scores what its artist does.

    Tracks of one artist stand by popularity, so those without a past come last among them. An artist of the seeds that
    no training playlist holds is as near as the nearest: the listener has named them.
    """

    def __init__(
        self,
        user_items: csr_matrix,
        artists: Sequence[Collection[int]],
        fit: Callable[[csr_matrix], Scored],
        label: str,
    ) -> None:
        """Learn which artists stand in the same playlists.

        Args:
            user_items: Training playlists as a matrix of ones, (playlists, tracks).
            artists: The artist of each track by number, as one id or none.
            fit: Fits the other baseline to playlists as a matrix of ones, (playlists, artists).
            label: Names progress; "" shows none.
        """
        super().__init__(user_items, label)
        self._artist = np.array([next(iter(each), -1) for each in artists], np.int64)  # (tracks,)
        named = np.flatnonzero(self._artist >= 0)
        shape = (len(self._artist), int(self._artist.max(initial=0)) + 1)
        belongs = csr_matrix((np.ones(len(named), np.float32), (named, self._artist[named])), shape=shape)
        held = csr_matrix(csr_matrix(user_items) @ belongs)
        held.data[:] = 1
        self._near = fit(held)

    def _scores(self, questions: Sequence[Question]) -> Floats:
        asked = [replace(question, seeds=self._artists_of(question)) for question in questions]
        near = self._near.scores(asked)  # (n, artists)
        for row, question in zip(near, asked, strict=True):
            own = list(question.seeds)
            row[own] = np.where(row[own] > 0, row[own], max(row.max(), 1))
        nobody = np.pad(near, ((0, 0), (0, 1)))  # the last place, or -1, is of tracks without an artist
        return nobody[:, self._artist[self._order]]

    def _artists_of(self, question: Question) -> tuple[int, ...]:
        """Return the artists of the seeds, each once."""
        found = self._artist[list(question.seeds)].tolist()
        return tuple(dict.fromkeys(artist for artist in found if artist >= 0))
