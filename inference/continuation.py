"""Continue one playlist: match its tracks, and rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.matching import Matched, Wanted, match
from inference.ranker import Ranker
from segue.query import Query


@dataclass(frozen=True, slots=True)
class Continuation:
    """A playlist's continuation.

    Attributes:
        tracks: Catalogue ids of the recommended tracks and their finite scores, in the order of the list.
        matched: What became of the playlist's own tracks.
    """

    tracks: tuple[tuple[int, float], ...]
    matched: Matched


def continue_playlist(
    ranker: Ranker, wanted: Sequence[Wanted], title: str, k: int, diversity: float = 0.0, ordered: bool = True
) -> Continuation:
    """Return the best ``k`` tracks to follow a playlist, or fewer where the catalogue has no more.

    Above a ``diversity`` of 0 they share their places among its moods (`Ranker.rank`). ``ordered`` is that of
    `segue.query.Query`.

    Raises:
        InputError: A text is no valid Unicode, ``k`` is below 1, or ``diversity`` is not from 0 to 1.
    """
    matched = match(ranker.catalogue, wanted, ordered)
    ids, scores = ranker.rank([query_of(ranker, matched, title, ordered)], k, diversity)
    found = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
    return Continuation(tuple((track, score) for track, score in found if track >= 0), matched)


def query_of(ranker: Ranker, matched: Matched, title: str, ordered: bool = True) -> Query:
    """Return a playlist whose tracks were matched as the question that ``ranker`` is asked."""
    return ranker.query(matched.seeds, title, matched.unknown, matched.stand_ins, ordered, matched.artists)
