"""Matching a client's tracks against the tiny catalogue."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.matching import How, Match, Wanted, match, match_all, stand_ins, tracks_of
from inference.ranker import Ranker
from segue.catalogue import Catalogue, write_catalogue
from segue.track import Track


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
        (Wanted(title="Rock Song 0", artist="Artist 0 & Guest"), "name", 0),
        (Wanted(title="Rock Song 0", artist="artist 0 feat. Guest & Other"), "name", 0),
        (Wanted(title="Rock Song 0", artist="The Artist 0"), "name", 0),
        (Wanted(title="Artist 0 - Rock Song 0"), "name", 0),
        (Wanted(title="Nobody - Rock Song 0"), "text", None),
        (Wanted(title=" - ", artist=""), "text", None),
        (Wanted(title="Rock Song 0", artist=", & The "), "text", None),
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
    assert match(catalogue, [wanted]).matches == (Match(wanted, how, number),)


def test_names_with_signs_in_them_are_one_name_first(tmp_path: Path) -> None:
    """A band whose name looks like a list is not taken apart where the catalogue has it, nor is a dash in a title."""
    tracks = [Track("a", "September", "Earth, Wind & Fire"), Track("b", "September", "Earth"), Track("c", "A - B", "X")]
    write_catalogue(tmp_path / "catalogue.sqlite", tracks)
    catalogue = Catalogue(tmp_path / "catalogue.sqlite")
    wanted = [
        Wanted(title="September", artist="Earth, Wind & Fire"),
        Wanted(title="A - B"),
        Wanted("", "A - B", "The X"),
    ]
    assert [one.id for one in match(catalogue, wanted).matches] == [0, 2, 2]


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


@pytest.mark.parametrize("artist", ["Artist 3", "ARTIST 3", "Artist 3 feat. Guest", "The Artist 3", "Artist 3, Guest"])
def test_a_new_track_of_a_known_artist_has_a_stand_in(catalogue: Catalogue, artist: str) -> None:
    """It is the artist's most popular track that is no seed, once however often the artist comes."""
    new = [Wanted(title=f"New {i}", artist=artist) for i in range(2)]
    assert match(catalogue, new).stand_ins == (3,)
    assert match(catalogue, [Wanted(uri="tiny:track:3"), *new]).stand_ins == (10,)


def test_who_has_no_stand_in(catalogue: Catalogue) -> None:
    """Known tracks, tracks of nobody or of an unknown artist, and artists whose every track is a seed already."""
    wanted = [Wanted(uri="tiny:track:3"), Wanted(title="New"), Wanted(title="New", artist="Nobody"), Wanted(uri="gone")]
    assert match(catalogue, wanted).stand_ins == ()
    assert stand_ins(tracks_of(catalogue, ["Artist 3"]), ["Artist 3"] * 4, [3, 10, 17, 24]) == ()


@pytest.mark.parametrize("known,count", [(0, 5), (4, 5), (5, 5), (6, 0), (20, 0)])
def test_where_more_is_known_than_lacking_nothing_stands_in(catalogue: Catalogue, known: int, count: int) -> None:
    """Seeds know better what a playlist is about than an artist's best known track does."""
    new = [Wanted(title="New", artist=f"Artist {i}") for i in range(5)]
    matched = match(catalogue, [*(Wanted(uri=f"tiny:track:{29 - i}") for i in range(known)), *new])
    assert matched.stand_ins == tuple(range(count))


def test_without_an_order_the_artists_of_lacking_tracks_are_heard(catalogue: Catalogue) -> None:
    """Each track speaks for its artist, a known one twice for two tracks; not where something stands in for them."""
    new = [Wanted(title=f"New {i}", artist=artist) for i, artist in enumerate(["Artist 3", "Nobody", "Artist 3", ""])]
    wanted = [*(Wanted(uri=f"tiny:track:{i}") for i in range(5)), *new]
    assert match(catalogue, wanted, ordered=False).artists == (3, 3)
    assert match(catalogue, wanted).artists == ()
    instead = match(catalogue, new, ordered=False)
    assert (instead.stand_ins, instead.artists) == ((3,), ())


def test_stand_ins_are_of_the_last_that_are_lacking(catalogue: Catalogue) -> None:
    """Hundreds of new tracks cost no more look-ups than a model reads tracks."""
    new = [Wanted(title=f"New {i}", artist="Artist 5" if i == 3 else "Nobody") for i in range(20)]
    assert match(catalogue, new).stand_ins == ()
    assert match(catalogue, new[:19]).stand_ins == (5,)


def test_playlists_matched_together_are_what_each_is_alone(catalogue: Catalogue) -> None:
    """Nothing of one playlist shows in another's; none, and an empty one, are no error."""
    new = [Wanted(title=f"New {i}", artist=f"Artist {i}") for i in range(3)]
    known = [Wanted(uri="tiny:track:7"), Wanted(title="Rock Song 0", artist="The Artist 0"), Wanted(uri="gone")]
    playlists = [new, [], known, [*known, *new[:1]], [*known[:1], *new]]
    for ordered in ([True] * 5, [False] * 5, [True, False, True, False, False]):
        alone = [match(catalogue, wanted, order) for wanted, order in zip(playlists, ordered, strict=True)]
        assert match_all(catalogue, playlists, ordered) == alone
    assert match_all(catalogue, [], []) == []


def test_a_new_track_that_comes_twice_is_lacking_once(catalogue: Catalogue) -> None:
    """As a known one that comes twice is known once: two seeds outweigh it."""
    seeds = [Wanted(uri=f"tiny:track:{i}") for i in (7, 8)]
    assert match(catalogue, [*seeds, *[Wanted(title="New", artist="Artist 3")] * 3]).stand_ins == ()


class _Asked:
    """A catalogue that has nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: list[tuple[str, str]] = []
        self.artists: list[str] = []

    def find_uris(self, uris: Sequence[str]) -> list[int | None]:
        return [None] * len(uris)

    def find_names(self, names: Sequence[tuple[str, str]]) -> list[int | None]:
        self.names += names
        return [None] * len(names)

    def find_artists(self, artists: Sequence[str]) -> list[list[int]]:
        self.artists += artists
        return [[] for _ in artists]


def test_an_artist_of_any_length_is_looked_up_a_few_times() -> None:
    """What is longer than a name is tried as it stands alone, or as a list of which the first one is no longer."""
    asked, crowd = _Asked(), ", ".join(f"Guest {i}" for i in range(50))
    match(asked, [Wanted("", "New", "x" * 400), Wanted("", "New", f"{'x' * 240}, {'y' * 240}")])
    assert (len(asked.names), len(asked.artists)) == (2, 2)
    match(asked, [Wanted("", "New", f"First, {crowd}")])
    assert asked.artists[2:] == [f"First, {crowd}", "First", "The First"]
    several = _Asked()
    match(several, [Wanted("", "New", "A & B, C")])
    assert len(several.names) == 6
