"""Matching a client's tracks against the tiny catalogue."""

import pytest

from inference.matching import How, Match, Wanted, match
from inference.ranker import Ranker
from segue.catalogue import Catalogue


@pytest.fixture
def catalogue(ranker: Ranker) -> Catalogue:
    return ranker.catalogue


@pytest.mark.parametrize(
    "wanted,how,number",
    [
        (Wanted(uri="tiny:track:4"), "uri", 4),
        (Wanted("tiny:track:4", "Rock Song 0", "Artist 0"), "uri", 4),
        (Wanted("other:track:4", "Rock Song 0", "Artist 0"), "name", 0),
        (Wanted(title="ROCK  song 0 - Remastered 2011", artist="Ártist 0"), "name", 0),
        (Wanted(title="Rock Song 0"), "name", 0),
        (Wanted(title="Rock Song 0", artist="Artist 0, Guest; Other"), "name", 0),
        (Wanted(title="Rock Song 0", artist="Somebody Else"), "text", None),
        (Wanted("other:track:4", "New Song"), "text", None),
        (Wanted(uri="other:track:4"), "none", None),
        (Wanted(artist="Artist 0"), "none", None),
    ],
)
def test_a_track_is_matched_by_the_best_that_is_known_of_it(
    catalogue: Catalogue, wanted: Wanted, how: How, number: int | None
) -> None:
    """A URI decides, then the name, forgivingly; then the words are kept; and a bare unknown URI is nothing."""
    track = None if number is None else catalogue.tracks([number])[0]
    assert match(catalogue, [wanted]).matches == (Match(wanted, track, how, number),)


def test_a_playlist_is_split_into_seeds_and_words(catalogue: Catalogue) -> None:
    """Order is kept, an unknown spelling counts once, and what is ignored is in neither."""
    matched = match(
        catalogue,
        [
            Wanted(title="New", artist="Band"),
            Wanted(uri="tiny:track:7"),
            Wanted(uri="nowhere"),
            Wanted(title="New", artist="Band"),
            Wanted(title="Newer"),
            Wanted(uri="tiny:track:2"),
        ],
    )
    assert matched.seeds == (7, 2)
    assert matched.unknown == ("New by Band", "Newer")
    assert len(matched.matches) == 6
