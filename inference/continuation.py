"""Continue one playlist: match its tracks, rank, and name what was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.matching import Matched, Wanted, match
from inference.ranker import Ranker
from segue.track import Track


@dataclass(frozen=True, slots=True)
class Continuation:
    """A playlist's continuation.

    Attributes:
        tracks: Recommended tracks with their finite scores, best first.
        matched: What became of the playlist's own tracks.
    """

    tracks: tuple[tuple[Track, float], ...]
    matched: Matched


def continue_playlist(ranker: Ranker, wanted: Sequence[Wanted], title: str, k: int) -> Continuation:
    """Return the best ``k`` tracks to follow a playlist, or fewer where the catalogue has no more.

    Raises:
        InputError: A text is no valid Unicode, or ``k`` is below 1.
    """
    matched = match(ranker.catalogue, wanted)
    ids, scores = ranker.rank([ranker.query(matched.seeds, title, matched.unknown, matched.stand_ins)], k)
    found = [(int(i), float(score)) for i, score in zip(ids[0], scores[0], strict=True) if i >= 0]
    tracks = ranker.catalogue.tracks([i for i, _ in found])
    return Continuation(tuple(zip(tracks, (score for _, score in found), strict=True)), matched)
